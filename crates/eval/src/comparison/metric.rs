//! The metrics: one table of what each is called, which way is better, and how its numbers are written.

mod table;

pub(crate) use table::{BLEU_SUMS, CHRF_SUMS, bleu_of, chrf_of, measured_text};
use table::{Definition, TABLE};

use super::Outcome;
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
    /// The same where the likeliest option per byte counts as the answer: `acc_norm` of lm-evaluation-harness.
    McAccuracyNorm,
    /// BLEU of the corpus, 0 to 100.
    Bleu,
    /// chrF of the corpus, 0 to 100.
    Chrf,
    /// Mean ROUGE-1 F1.
    Rouge1,
    /// Mean ROUGE-2 F1.
    Rouge2,
    /// Mean ROUGE-Lsum F1.
    RougeLsum,
    /// Mean METEOR of two stages.
    Meteor,
    /// Mean F1 of BERTScore.
    Bertscore,
    /// Share of the answers that give a quantity of their reference differently. Lower is better.
    ChangedQuantities,
    /// Share of the answers that deny what their reference affirms, or the other way round. Lower is better.
    PolarityConflicts,
    /// Share of the answers without the urgent advice that their reference gives. Lower is better.
    MissingUrgency,
    /// Mean Flesch-Kincaid grade of the answers. Neither way is better.
    ReadabilityGrade,
    /// Mean words of the answers. Neither way is better.
    Words,
    /// Share of the answers that the model ended itself, instead of being cut off at the limit of tokens.
    StopRate,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The larger value.
    Higher,
    /// The smaller value.
    Lower,
    /// Neither: the number describes.
    Neither,
}

/// How a metric comes from its items.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// `[numerator, denominator]` of an item; the metric is the ratio of their sums.
    Ratio(fn(&Outcome) -> Option<[f64; 2]>),
    /// Whether something is so of an item; the metric is the share.
    Share(fn(&Outcome) -> Option<bool>),
    /// BLEU of the summed counts.
    Bleu,
    /// chrF of the summed counts.
    Chrf,
}

/// What a value is, and so how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// Nats per token.
    Nats,
    /// A score from 0 to 1.
    Unit,
    /// A share, in percent.
    Share,
    /// A score from 0 to 100.
    Hundred,
    /// School grades.
    Grades,
    /// Words.
    Words,
}

impl Metric {
    /// All metrics in the order of the report.
    pub const ALL: [Self; 18] = [
        Self::Loss,
        Self::TokenAccuracy,
        Self::RougeL,
        Self::McAccuracy,
        Self::McAccuracyNorm,
        Self::Bleu,
        Self::Chrf,
        Self::Rouge1,
        Self::Rouge2,
        Self::RougeLsum,
        Self::Meteor,
        Self::Bertscore,
        Self::ChangedQuantities,
        Self::PolarityConflicts,
        Self::MissingUrgency,
        Self::ReadabilityGrade,
        Self::Words,
        Self::StopRate,
    ];

    /// Those of a run against its base.
    pub const OF_A_RUN: [Self; 4] = [Self::Loss, Self::TokenAccuracy, Self::RougeL, Self::McAccuracy];

    fn definition(self) -> &'static Definition {
        &TABLE[self as usize]
    }

    /// The metric with this [`key`](Self::key).
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.key() == key)
    }

    /// Its name in files: `mc_accuracy`.
    pub fn key(self) -> &'static str {
        self.definition().key
    }

    /// Its name in the results of lm-evaluation-harness, where it has one: `acc`.
    pub fn harness_key(self) -> &'static str {
        self.definition().harness
    }

    /// Its name for a reader.
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// What its number must be quoted with: the reference implementation and its settings.
    pub fn signature(self) -> String {
        (self.definition().signature)()
    }

    /// Unit of a difference.
    pub fn unit(self) -> &'static str {
        match self.definition().scale {
            Scale::Nats => "nats per token",
            Scale::Share => "percentage points",
            Scale::Unit => "F1, 0 to 1",
            Scale::Hundred => "points, 0 to 100",
            Scale::Grades => "school grades",
            Scale::Words => "words",
        }
    }

    /// Which way is better.
    pub fn direction(self) -> Direction {
        self.definition().direction
    }

    /// Whether a smaller value is a better one.
    pub fn lower_is_better(self) -> bool {
        self.direction() == Direction::Lower
    }

    /// Whether the metric depends on how a tokenizer cuts the text.
    pub fn is_per_token(self) -> bool {
        matches!(self, Self::Loss | Self::TokenAccuracy)
    }

    /// Whether a generated answer is compared with its reference.
    pub fn is_of_text(self) -> bool {
        self.definition().of_text
    }

    /// A value as it is written: `71.2 %`, `1.234`.
    pub fn format(self, value: f64) -> String {
        match self.definition().scale {
            Scale::Nats | Scale::Unit => format!("{value:.3}"),
            Scale::Share => format!("{:.1} %", value * 100.0),
            Scale::Hundred => format!("{value:.2}"),
            Scale::Grades | Scale::Words => format!("{value:.1}"),
        }
    }

    /// A difference as it is written, with its sign: `+3.1 pt`, `−0.412`.
    pub fn format_difference(self, difference: f64) -> String {
        let text = self.format_bare_difference(difference);
        if self.definition().scale == Scale::Share { format!("{text} pt") } else { text }
    }

    /// A difference without its unit, for the ends of an interval: `+3.1`, `−0.412`.
    pub fn format_bare_difference(self, difference: f64) -> String {
        let text = match self.definition().scale {
            Scale::Nats | Scale::Unit => format!("{difference:+.3}"),
            Scale::Share => format!("{:+.1}", difference * 100.0),
            Scale::Hundred => format!("{difference:+.2}"),
            Scale::Grades | Scale::Words => format!("{difference:+.1}"),
        };
        // A difference that rounds to nothing has no sign.
        let is_zero = text.chars().all(|character| !character.is_ascii_digit() || character == '0');
        if is_zero { text[1..].to_string() } else { text.replace('-', "−") }
    }

    /// How it comes from its items.
    pub(crate) fn form(self) -> Form {
        self.definition().form
    }

    /// One item's value by itself; `None` where it was not measured.
    pub fn of_item(self, outcome: &Outcome) -> Option<f64> {
        match self.form() {
            Form::Ratio(sums) => sums(outcome).map(|[numerator, denominator]| numerator / denominator),
            Form::Share(is_so) => is_so(outcome).map(|so| f64::from(u8::from(so))),
            Form::Bleu => measured_text(outcome).map(|text| text.bleu),
            Form::Chrf => measured_text(outcome).map(|text| text.chrf),
        }
    }

    /// An item's part of the metric, `[numerator, denominator]`; `None` where it was not measured, and for metrics
    /// that are no ratio.
    pub(super) fn sums(self, outcome: &Outcome) -> Option<[f64; 2]> {
        match self.form() {
            Form::Ratio(sums) => sums(outcome),
            Form::Share(is_so) => is_so(outcome).map(|so| [f64::from(u8::from(so)), 1.0]),
            Form::Bleu | Form::Chrf => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_order_of_the_metrics_and_their_keys() {
        for (index, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, index);
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.key());
            assert_eq!(Metric::from_key(metric.key()), Some(metric));
            assert!(!metric.name().is_empty() && !metric.signature().is_empty());
        }
        assert_eq!(TABLE.len(), Metric::ALL.len());
        assert_eq!(Metric::from_key("accuracy"), None);
    }

    #[test]
    fn numbers_are_written_with_the_digits_that_mean_something() {
        assert_eq!(Metric::Bleu.format_difference(-1.204), "−1.20");
        assert_eq!(Metric::ChangedQuantities.format_difference(0.031), "+3.1 pt");
        assert_eq!(Metric::ReadabilityGrade.format(9.56), "9.6");
    }
}
