//! The answers of all runs, as the page's browser reads them.

use super::RunOnFile;
use crate::comparison::{Choice, ChoiceResult, Metric, Outcome};
use crate::evaluation::task_of;
use crate::text::TextOutcome;
use crate::text::agreement::{ChangeKind, Polarity, UrgencyOutcome};
use serde::Serialize;
use std::collections::BTreeMap;

/// All that the browser shows.
#[derive(Serialize)]
struct Data<'a> {
    runs: Vec<&'a str>,
    tasks: Vec<&'a str>,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    task: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gold: Option<&'a str>,
    /// In the order of the runs; `null` for a run that lacks the item.
    answers: Vec<Option<Answer<'a>>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picked: Option<&'a str>,
    /// `right`, `wrong`, `abstained` or `unparsed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    /// What it is sorted by: 1 for right, 0 for not right, otherwise ROUGE-L.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    /// Numbers for a reader, and the passages that were read.
    scores: String,
    /// Where it disagrees with the reference in what matters.
    flags: Vec<String>,
}

/// The data of the page as JSON that may stand in a `script` element.
///
/// `<`, `>` and `&` are written by their numbers, so no text can end the element or open a comment in it.
pub(super) fn data(runs: &[RunOnFile]) -> String {
    let mut items: BTreeMap<(&str, &str), Vec<Option<&Outcome>>> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        for outcome in &run.evaluation.outcomes {
            let of_item =
                items.entry((task_of(outcome), &outcome.id)).or_insert_with(|| vec![None; runs.len()]);
            of_item[index] = Some(outcome);
        }
    }
    let mut tasks: Vec<&str> = items.keys().map(|(task, _)| *task).collect();
    tasks.dedup();
    let data = Data {
        runs: runs.iter().map(|run| run.evaluation.settings.name.as_str()).collect(),
        tasks,
        items: items.iter().map(|((task, id), outcomes)| item(task, id, outcomes)).collect(),
    };
    let json = serde_json::to_string(&data).unwrap_or_else(|_| "null".to_string());
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                safe.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => safe.push(character),
        }
    }
    safe
}

fn item<'a>(task: &'a str, id: &'a str, outcomes: &[Option<&'a Outcome>]) -> Item<'a> {
    let known = || outcomes.iter().flatten();
    Item {
        id,
        task,
        question: known().find_map(|outcome| outcome.question.as_deref()),
        reference: known().find_map(|outcome| outcome.reference.as_deref()),
        gold: known().find_map(|outcome| outcome.choice.as_ref().map(|choice| choice.gold.as_str())),
        answers: outcomes.iter().map(|outcome| outcome.map(answer)).collect(),
    }
}

fn answer(outcome: &Outcome) -> Answer<'_> {
    let result = outcome.choice.as_ref().map(Choice::result);
    let right = result.map(|result| f64::from(u8::from(result == ChoiceResult::Right)));
    let shown = [Metric::RougeL, Metric::Chrf, Metric::Bertscore];
    let scores = shown.into_iter().filter_map(|metric| {
        let value = metric.of_item(outcome)?;
        Some(format!("{} {}", metric.name(), metric.format(value)))
    });
    let read = outcome.evidence.as_ref().map(|evidence| match evidence.passages.as_slice() {
        [] => "read no passage".to_owned(),
        names => format!("read {}", names.join(", ")),
    });
    Answer {
        text: outcome.answer.as_deref(),
        picked: outcome.choice.as_ref().and_then(|choice| choice.picked.as_deref()),
        result: result.map(|result| match result {
            ChoiceResult::Right => "right",
            ChoiceResult::Wrong => "wrong",
            ChoiceResult::Abstained => "abstained",
            ChoiceResult::Unparsed => "unparsed",
        }),
        score: right.or_else(|| Metric::RougeL.of_item(outcome)),
        scores: scores.chain(read).collect::<Vec<_>>().join(" · "),
        flags: outcome.text.as_deref().map(flags).unwrap_or_default(),
    }
}

fn flags(text: &TextOutcome) -> Vec<String> {
    let polarity = |polarity: Polarity| match polarity {
        Polarity::Affirmed => "affirmed",
        Polarity::Negated => "negated",
    };
    let other = |of_reference: Polarity| match of_reference {
        Polarity::Affirmed => polarity(Polarity::Negated),
        Polarity::Negated => polarity(Polarity::Affirmed),
    };
    let mut flags: Vec<String> = Vec::new();
    flags.extend(text.changed.iter().map(|change| {
        let what = match change.kind {
            ChangeKind::Amount => "amount",
            ChangeKind::Unit => "unit",
        };
        format!("{what}: {} → {}", change.reference.text, change.answer.text)
    }));
    flags.extend(text.polarity.iter().map(|conflict| {
        format!("{}: {} → {}", conflict.word, polarity(conflict.reference), other(conflict.reference))
    }));
    if text.urgency == UrgencyOutcome::Missing {
        flags.push("urgent advice missing".to_string());
    }
    flags.extend(text.missing.iter().map(|quantity| format!("missing: {}", quantity.text)));
    if text.empty_reference {
        flags.push("no reference: in no number".to_string());
    } else if text.empty_answer {
        flags.push("no answer: counts as 0".to_string());
    }
    flags
}
