//! The items that changed between two runs: what to look at.

use crate::comparison::{ChoiceResult, Direction, Metric, Outcome};
use crate::text::agreement::QuantityOutcome;
use serde::{Deserialize, Serialize};

/// Items that are named for each metric.
const LARGEST: usize = 5;

/// The items that changed from `base` to `run`, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// One run.
    pub base: String,
    /// The other.
    pub run: String,
    /// Multiple-choice items that only `base` has right.
    pub lost: Vec<String>,
    /// Multiple-choice items that only `run` has right.
    pub won: Vec<String>,
    /// Items of which `run` changes a quantity and `base` does not.
    pub quantity_changed: Vec<String>,
    /// Items of which `run` negates or affirms against the reference and `base` does not.
    pub negated: Vec<String>,
    /// The largest losses in each metric of a text, the largest first.
    pub drops: Vec<Drop>,
}

/// An item that one run answers worse than the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drop {
    /// The metric.
    pub metric: Metric,
    /// The item.
    pub id: String,
    /// The value of `base`.
    pub from: f64,
    /// The value of `run`.
    pub to: f64,
}

impl Changes {
    pub(super) fn between(base: &str, run: &str, both: &[(&Outcome, &Outcome)]) -> Self {
        let ids = |changed: &dyn Fn(&Outcome, &Outcome) -> bool| -> Vec<String> {
            let pairs = both.iter().filter(|(base, run)| changed(base, run));
            pairs.map(|(base, _)| base.id.clone()).collect()
        };
        let of_text = Metric::ALL.into_iter().filter(|metric| metric.is_of_text());
        Self {
            base: base.to_string(),
            run: run.to_string(),
            lost: ids(&|base, run| is_right(base) == Some(true) && is_right(run) == Some(false)),
            won: ids(&|base, run| is_right(base) == Some(false) && is_right(run) == Some(true)),
            quantity_changed: ids(&|base, run| !changes_a_quantity(base) && changes_a_quantity(run)),
            negated: ids(&|base, run| !conflicts(base) && conflicts(run)),
            drops: of_text
                .filter(|metric| metric.direction() == Direction::Higher)
                .flat_map(|metric| drops(metric, both))
                .collect(),
        }
    }
}

fn drops(metric: Metric, both: &[(&Outcome, &Outcome)]) -> Vec<Drop> {
    let drop = |(base, run): &(&Outcome, &Outcome)| {
        let (from, to) = (metric.of_item(base)?, metric.of_item(run)?);
        (to < from).then(|| Drop { metric, id: base.id.clone(), from, to })
    };
    let mut drops: Vec<Drop> = both.iter().filter_map(drop).collect();
    drops.sort_by(|left, right| (right.from - right.to).total_cmp(&(left.from - left.to)));
    drops.truncate(LARGEST);
    drops
}

fn is_right(outcome: &Outcome) -> Option<bool> {
    outcome.choice.as_ref().map(|choice| choice.result() == ChoiceResult::Right)
}

fn changes_a_quantity(outcome: &Outcome) -> bool {
    outcome.text.as_ref().is_some_and(|text| text.quantities == QuantityOutcome::Conflicts)
}

fn conflicts(outcome: &Outcome) -> bool {
    outcome.text.as_ref().is_some_and(|text| !text.polarity.is_empty())
}
