//! BLEU as Hugging Face `evaluate` computes it, for comparison with figures that were published with it.
//!
//! `evaluate`'s `metrics/bleu` over TensorFlow's `nmt/scripts/bleu.py`: sacreBLEU's 13a tokens, the shortest
//! reference's length, and 0 as soon as one order has no match.

use super::bleu::ORDER;
use super::grams::WordNumbers;
use super::python;
use super::tokenize::BleuTokenizer;
use serde::{Deserialize, Serialize};

/// `evaluate.load("bleu")` with its default of four orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EvaluateBleu {
    /// Add one to matches and totals of every order (its `smooth`).
    pub smooth: bool,
    /// Put both texts in lower case first. The package leaves that to its caller.
    pub lowercase: bool,
}

/// What `evaluate` returns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluateBleuScore {
    /// From 0 to 1.
    pub bleu: f64,
    /// n-gram precisions from 0 to 1.
    pub precisions: [f64; ORDER],
    /// Factor for short hypotheses.
    pub brevity_penalty: f64,
    /// Tokens of the hypotheses.
    pub translation_length: u64,
    /// Tokens of the references.
    pub reference_length: u64,
}

impl EvaluateBleu {
    /// Score of a corpus of hypotheses with one reference each. Without any token on one side, where the package
    /// divides by zero, the score is 0.
    pub fn corpus<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> EvaluateBleuScore {
        let (mut correct, mut total) = ([0u64; ORDER], [0u64; ORDER]);
        let (mut translation_length, mut reference_length) = (0u64, 0u64);
        for (hypothesis, reference) in pairs {
            let [hypothesis, reference] = [hypothesis, reference].map(|text| {
                let text = if self.lowercase { text.to_lowercase() } else { text.to_string() };
                BleuTokenizer::V13a.spaced(&text).into_owned()
            });
            let mut words = WordNumbers::default();
            let hypothesis = words.grams(python::split(&hypothesis));
            let reference = [words.grams(python::split(&reference))];
            translation_length += hypothesis.total(1) as u64;
            reference_length += reference[0].total(1) as u64;
            for order in 1..=ORDER {
                correct[order - 1] += hypothesis.clipped_matches(&reference, order) as u64;
                total[order - 1] += hypothesis.total(order) as u64;
            }
        }
        let added = u64::from(self.smooth);
        let precisions = std::array::from_fn(|order| match total[order] + added {
            0 => 0.0,
            total => (correct[order] + added) as f64 / total as f64,
        });
        let brevity_penalty = match translation_length {
            length if length > reference_length => 1.0,
            0 => 0.0,
            length => (1.0 - reference_length as f64 / length as f64).exp(),
        };
        let logarithms: f64 = precisions.iter().map(|precision: &f64| precision.ln() / ORDER as f64).sum();
        let bleu = brevity_penalty * logarithms.exp();
        EvaluateBleuScore { bleu, precisions, brevity_penalty, translation_length, reference_length }
    }
}
