//! What the answers to one task add up to.

mod calibration;
mod confusion;
mod position;

pub(crate) use calibration::overconfidence;
pub use calibration::{Bin, Calibration};
pub(crate) use confusion::macro_f1;
pub use confusion::{Class, Confusion};
pub use position::{Position, PositionBias};

use serde::{Deserialize, Serialize};

use crate::comparison::{Choice, ChoiceCounts, ChoiceResult, Estimate, Outcome, proportion};

/// One model on one multiple-choice task.
///
/// Every share has a 95 % interval: Wilson's on the effective number of items where items come in groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChoiceReport {
    /// The task.
    pub task: Option<String>,
    /// How the answers came out.
    pub counts: ChoiceCounts,
    /// Questions that lost their beginning because they are longer than the model reads. They count.
    #[serde(default)]
    pub cut: usize,
    /// Share of all questions answered right: an abstained or unparsed answer is not right. lm-evaluation-harness's
    /// `acc` where the answers are rated.
    pub acc: Option<Estimate>,
    /// As `acc`, of the answers with the highest log-likelihood per byte: lm-evaluation-harness's `acc_bytes`, and its
    /// `acc_norm` (which divides by characters) where the options are ASCII. `None` where answers were written.
    pub acc_norm: Option<Estimate>,
    /// Share of the questions whose answer names an option.
    pub coverage: Option<Estimate>,
    /// Share of right ones among those answered.
    pub selective_accuracy: Option<Estimate>,
    /// Which option was taken for which, and F1 by option.
    pub confusion: Confusion,
    /// Whether the model is as sure as it is right; `None` where answers were written.
    pub calibration: Option<Calibration>,
    /// Whether the model prefers a place; `None` where the order of the options is not known. Where they were rated
    /// without being listed, a place stands for the option that stands there.
    pub position: Option<PositionBias>,
}

impl Calibration {
    /// Of the outcomes of one task whose options were rated.
    pub(crate) fn of_outcomes(outcomes: &[&Outcome]) -> Option<Self> {
        let choices: Vec<&Choice> = outcomes.iter().filter_map(|outcome| outcome.choice.as_ref()).collect();
        Calibration::of(&choices)
    }
}

impl ChoiceReport {
    /// Summarizes the outcomes of one task, in any order; those without a choice are passed over.
    pub fn of(outcomes: &[&Outcome]) -> Self {
        let chosen: Vec<(&Outcome, &Choice)> =
            outcomes.iter().filter_map(|outcome| Some((*outcome, outcome.choice.as_ref()?))).collect();
        let share = |rows: &mut dyn Iterator<Item = (&Outcome, bool)>| {
            proportion(rows.map(|(outcome, yes)| (outcome.group_key(), [f64::from(yes), 1.0])))
        };
        let results = || chosen.iter().map(|(outcome, choice)| (*outcome, choice.result()));
        let right = |result| result == ChoiceResult::Right;
        let normalized = chosen
            .iter()
            .filter_map(|(outcome, choice)| Some((*outcome, choice.likeliest_per_byte()? == choice.gold)));
        let choices: Vec<&Choice> = chosen.iter().map(|(_, choice)| *choice).collect();
        ChoiceReport {
            task: chosen.first().and_then(|(outcome, _)| outcome.task.clone()),
            counts: ChoiceCounts::of(outcomes).unwrap_or_default(),
            cut: chosen.iter().filter(|(_, choice)| choice.cut > 0).count(),
            acc: share(&mut results().map(|(outcome, result)| (outcome, right(result)))),
            acc_norm: share(&mut { normalized }),
            coverage: share(&mut results().map(|(outcome, result)| (outcome, result.names_an_option()))),
            selective_accuracy: share(
                &mut results()
                    .filter(|(_, result)| result.names_an_option())
                    .map(|(outcome, result)| (outcome, right(result))),
            ),
            confusion: Confusion::of(&choices),
            calibration: Calibration::of(&choices),
            position: PositionBias::of(&choices),
        }
    }
}
