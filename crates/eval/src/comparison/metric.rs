//! The metrics, their directions, and how their numbers are written.

use super::{ChoiceResult, Outcome};
use serde::{Deserialize, Serialize};

/// A metric of a model on a set of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Sum of losses / sum of labelled tokens, in nats per token. Lower is better.
    Loss,
    /// Share of labelled tokens that the model would have chosen itself.
    TokenAccuracy,
    /// Mean ROUGE-L F1 of the generated answers.
    RougeL,
    /// Share of multiple-choice questions answered with the right option.
    McAccuracy,
}

impl Metric {
    /// All metrics in the order of the report.
    pub const ALL: [Self; 4] = [Self::Loss, Self::TokenAccuracy, Self::RougeL, Self::McAccuracy];

    /// Its name for a reader.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::TokenAccuracy => "token accuracy",
            Self::RougeL => "ROUGE-L",
            Self::McAccuracy => "multiple choice",
        }
    }

    /// Unit of a difference.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Loss => "nats per token",
            Self::TokenAccuracy | Self::McAccuracy => "percentage points",
            Self::RougeL => "F1, 0 to 1",
        }
    }

    /// Whether a smaller value is a better one.
    pub fn lower_is_better(self) -> bool {
        self == Self::Loss
    }

    /// Whether the metric depends on how a tokenizer cuts the text.
    pub fn is_per_token(self) -> bool {
        matches!(self, Self::Loss | Self::TokenAccuracy)
    }

    /// A value as it is written: `71.2 %`, `1.234`.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::Loss | Self::RougeL => format!("{value:.3}"),
            Self::TokenAccuracy | Self::McAccuracy => format!("{:.1} %", value * 100.0),
        }
    }

    /// A difference as it is written, with its sign: `+3.1 pt`, `−0.412`.
    pub fn format_difference(self, difference: f64) -> String {
        let text = self.format_bare_difference(difference);
        match self {
            Self::Loss | Self::RougeL => text,
            Self::TokenAccuracy | Self::McAccuracy => format!("{text} pt"),
        }
    }

    /// A difference without its unit, for the ends of an interval: `+3.1`, `−0.412`.
    pub fn format_bare_difference(self, difference: f64) -> String {
        let text = match self {
            Self::Loss | Self::RougeL => format!("{difference:+.3}"),
            Self::TokenAccuracy | Self::McAccuracy => format!("{:+.1}", difference * 100.0),
        };
        // A difference that rounds to nothing has no sign.
        let is_zero = text.chars().all(|character| !character.is_ascii_digit() || character == '0');
        if is_zero { text[1..].to_string() } else { text.replace('-', "−") }
    }

    /// An item's part of the metric, `[numerator, denominator]`; `None` where it was not measured.
    pub(super) fn sums(self, outcome: &Outcome) -> Option<[f64; 2]> {
        let loss = outcome.loss.filter(|loss| loss.tokens > 0);
        match self {
            Self::Loss => loss.map(|loss| [loss.loss_sum, loss.tokens as f64]),
            Self::TokenAccuracy => loss.map(|loss| [loss.correct_tokens as f64, loss.tokens as f64]),
            Self::RougeL => outcome.rouge_l.map(|rouge| [rouge, 1.0]),
            Self::McAccuracy => outcome.choice.as_ref().map(|choice| {
                let right = choice.result() == ChoiceResult::Right;
                [f64::from(right), 1.0]
            }),
        }
    }
}
