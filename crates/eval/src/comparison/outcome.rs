//! What one model did with one item.

use super::Metric;
use crate::choice::extract::{NO_OPTION, Reading};
use crate::safety::SafetyOutcome;
use crate::text::{PrecisionRecall, TextOutcome};
use crate::wording::counted;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// One model's results on one item. What was not measured is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Name of the item, the same for all models, and among all tasks.
    pub id: String,
    /// The task that the item belongs to, e.g. `medqa_4options`; `None` for the user's own questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The items that belong together, e.g. those of one document; `None` for an item on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Loss on the reference answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<TokenLoss>,
    /// ROUGE-L F1 of the generated answer against the reference, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rouge_l: Option<f64>,
    /// The answer to a multiple-choice question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// What the model was asked, as people read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What a search had found for the question and the model read before it; `None` where nothing was searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What a good answer says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The generated answer, as the model wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether the model ended its answer, instead of being cut off at the limit of tokens; `None` where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<bool>,
    /// The answer against the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Box<TextOutcome>>,
    /// The answer as the safety suite scores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<Box<SafetyOutcome>>,
    /// BERTScore of the answer against the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bertscore: Option<PrecisionRecall>,
}

/// Passages that stood before a question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Their names, in their order.
    pub passages: Vec<String>,
    /// Passages that were found and had no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
    /// Whether the last one was read in part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Teacher-forced loss on the labelled tokens of one item.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLoss {
    /// Sum of the tokens' negative log-probabilities, in nats.
    pub loss_sum: f64,
    /// Number of labelled tokens.
    pub tokens: u64,
    /// Tokens whose most likely prediction was the right one.
    pub correct_tokens: u64,
}

/// The answer to a multiple-choice question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The right option.
    pub gold: String,
    /// The option that the model named; `None` where its answer named none.
    pub picked: Option<String>,
    /// Whether the answer says that it is none: "I cannot tell". `picked` is `None` then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub abstained: bool,
    /// Tokens that the question lost at its beginning because it was longer than the model reads.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u32,
    /// The options in the order in which the model saw them; empty where that is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<String>,
    /// How likely the model found each of `shown`; empty where it wrote its answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rated: Vec<Rated>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How likely a model found an option.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rated {
    /// Log-probability of the option's tokens after the question, in nats.
    pub log_likelihood: f64,
    /// Bytes of the option's text, by which `acc_norm` of lm-evaluation-harness divides.
    pub bytes: u32,
}

/// How a multiple-choice answer came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoiceResult {
    /// The right option.
    Right,
    /// Another option.
    Wrong,
    /// No option, and the answer says so. Counts as not right, and is reported by itself.
    Abstained,
    /// No option: an answer that could not be read. Counts as not right, and is reported by itself.
    Unparsed,
}

impl ChoiceResult {
    /// Whether the answer named an option, right or wrong.
    pub fn names_an_option(self) -> bool {
        matches!(self, Self::Right | Self::Wrong)
    }
}

impl Choice {
    /// Takes what was read from its answer; `labels` are those of the options, in the order in which they were read.
    pub(crate) fn take(&mut self, reading: Reading, labels: &[String]) {
        self.picked = match reading {
            Reading::Named(place) => labels.get(place).cloned(),
            Reading::NoOption => Some(NO_OPTION.to_owned()),
            Reading::Abstained | Reading::Unparsed => None,
        };
        self.abstained = reading == Reading::Abstained;
    }

    /// How the answer came out.
    pub fn result(&self) -> ChoiceResult {
        match &self.picked {
            Some(picked) if *picked == self.gold => ChoiceResult::Right,
            Some(_) => ChoiceResult::Wrong,
            None if self.abstained => ChoiceResult::Abstained,
            None => ChoiceResult::Unparsed,
        }
    }

    /// What cannot be of a choice on file: an answer that is none of the options, or options that were rated in part.
    pub(crate) fn contradiction(&self) -> Option<String> {
        if self.shown.is_empty() && self.rated.is_empty() {
            return None;
        }
        if !self.rated.is_empty() && self.rated.len() != self.shown.len() {
            let (shown, rated) = (counted(self.shown.len(), "option"), self.rated.len());
            return Some(format!("{shown} shown, {rated} rated"));
        }
        let none_of_them = |option: &String| !self.shown.contains(option) && option != NO_OPTION;
        let named = [("right", Some(&self.gold)), ("picked", self.picked.as_ref())];
        let stray =
            named.into_iter().find_map(|(what, option)| Some((what, option.filter(|o| none_of_them(o))?)));
        stray.map(|(what, option)| {
            format!("the {what} option `{option}` is none of those shown: {}", self.shown.join(", "))
        })
    }

    /// The option with the highest log-likelihood, the first of equals: `acc` of lm-evaluation-harness. `None` where
    /// the options were not rated.
    pub fn likeliest(&self) -> Option<&str> {
        self.best_rated(|rated| rated.log_likelihood)
    }

    /// The option with the highest log-likelihood per byte, the first of equals: `acc_norm`.
    pub fn likeliest_per_byte(&self) -> Option<&str> {
        self.best_rated(per_byte)
    }

    /// Whether no option was rated above this one, as it is or per byte.
    pub(crate) fn rates_highest(&self, option: &str) -> bool {
        let values: [fn(&Rated) -> f64; 2] = [|rated| rated.log_likelihood, per_byte];
        values.into_iter().any(|value| {
            let of_option = self.shown.iter().zip(&self.rated).find(|(shown, _)| *shown == option);
            let best = self.rated.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
            of_option.is_some_and(|(_, rated)| value(rated) == best)
        })
    }

    fn best_rated(&self, value: fn(&Rated) -> f64) -> Option<&str> {
        if self.shown.len() != self.rated.len() {
            return None;
        }
        let mut best: Option<(&str, f64)> = None;
        for (option, rated) in self.shown.iter().zip(&self.rated) {
            let value = value(rated);
            if best.is_none_or(|(_, highest)| value > highest) {
                best = Some((option, value));
            }
        }
        best.map(|(option, _)| option)
    }
}

fn per_byte(rated: &Rated) -> f64 {
    rated.log_likelihood / f64::from(rated.bytes.max(1))
}

/// What is resampled together; an item without a group is a group of its own, whatever the groups are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GroupKey<'a> {
    Group(&'a str),
    Item(&'a str),
}

impl Outcome {
    pub(crate) fn group_key(&self) -> GroupKey<'_> {
        self.group.as_deref().map_or(GroupKey::Item(&self.id), GroupKey::Group)
    }

    pub(crate) fn check_finite(&self) -> Result<()> {
        let not_finite = |what| Err(Error::NotFinite { id: self.id.clone(), what });
        if self.loss.is_some_and(|loss| !loss.loss_sum.is_finite()) {
            return not_finite("loss_sum");
        }
        if self.rouge_l.is_some_and(|rouge| !rouge.is_finite()) {
            return not_finite("rouge_l");
        }
        let rated = self.choice.iter().flat_map(|choice| &choice.rated);
        if rated.map(|rated| rated.log_likelihood).any(|value| !value.is_finite()) {
            return not_finite("log_likelihood");
        }
        for metric in Metric::ALL {
            if metric.of_item(self).is_some_and(|value| !value.is_finite()) {
                return not_finite(metric.key());
            }
        }
        Ok(())
    }

    /// Why two outcomes of one item cannot be compared.
    pub(super) fn differs_from(&self, other: &Self) -> Option<&'static str> {
        if self.group != other.group {
            return Some("its group differs");
        }
        let gold = |outcome: &Self| outcome.choice.as_ref().map(|choice| choice.gold.clone());
        if gold(self) != gold(other) {
            return Some("its gold answer differs");
        }
        let measured = |outcome: &Self| (outcome.loss.is_some(), outcome.rouge_l.is_some());
        (measured(self) != measured(other)).then_some("a metric was measured for one model only")
    }
}
