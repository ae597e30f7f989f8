//! The items that changed between two runs, as the template wants them.

use super::RunOnFile;
use crate::comparison::{Changes, RunsComparison};
use crate::wording::count;
use serde::Serialize;
use std::collections::BTreeMap;

/// Items that a list of changes names.
const NAMED: usize = 12;
/// Letters of a question in a list.
const EXCERPT: usize = 110;

#[derive(Serialize)]
pub(super) struct ChangesView<'a> {
    base: &'a str,
    run: &'a str,
    lists: Vec<ChangeList<'a>>,
    /// Metric, id, from, to.
    drops: Vec<(&'static str, &'a str, String, String)>,
}

#[derive(Serialize)]
struct ChangeList<'a> {
    what: &'static str,
    count: String,
    /// The first ones: id, question.
    items: Vec<(&'a str, String)>,
}

/// The changes of each pair of runs.
pub(super) fn changes<'a>(comparison: &'a RunsComparison, runs: &'a [RunOnFile]) -> Vec<ChangesView<'a>> {
    let questions: BTreeMap<&str, &str> = runs
        .iter()
        .flat_map(|run| &run.evaluation.outcomes)
        .filter_map(|outcome| Some((outcome.id.as_str(), outcome.question.as_deref()?)))
        .collect();
    let view = |pair: &'a Changes| {
        let lists = [
            ("right → not right", &pair.lost),
            ("not right → right", &pair.won),
            ("quantity changed", &pair.quantity_changed),
            ("negation conflict", &pair.negated),
        ];
        let list = |(what, ids): (&'static str, &'a Vec<String>)| {
            let named = ids.iter().take(NAMED).map(|id| {
                let question = questions.get(id.as_str()).map(|question| excerpt(question));
                (id.as_str(), question.unwrap_or_default())
            });
            ChangeList { what, count: count(ids.len() as u64), items: named.collect() }
        };
        let drops = pair.drops.iter().map(|drop| {
            let value = |value: f64| drop.metric.format(value);
            (drop.metric.name(), drop.id.as_str(), value(drop.from), value(drop.to))
        });
        ChangesView {
            base: &pair.base,
            run: &pair.run,
            lists: lists.into_iter().filter(|(_, ids)| !ids.is_empty()).map(list).collect(),
            drops: drops.collect(),
        }
    };
    comparison.changes.iter().map(view).collect()
}

fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
