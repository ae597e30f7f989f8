//! BLEU as NLTK computes it, for comparison with figures that were published with it.
//!
//! NLTK 3.10.4, `translate/bleu_score.py`. It differs from sacreBLEU in its tokens (whatever the caller splits; most
//! callers split at white space), in counting at least one n-gram per sentence and order, and in what a missing
//! order counts as.

use super::bleu::ORDER;
use super::grams::{Grams, WordNumbers};
use super::python;
use serde::{Deserialize, Serialize};

/// What the n-grams are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NltkTokens {
    /// `text.split()`.
    #[default]
    Words,
    /// The characters: what NLTK does with texts that nobody split.
    Characters,
}

/// What an order without a match counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NltkSmoothing {
    /// The smallest positive float, so the score is not 0 but of the size of 1e-77: `method0`, NLTK's default.
    #[default]
    Method0,
    /// 0.1 matches: `method1`.
    Method1,
}

/// NLTK's `sentence_bleu` and `corpus_bleu` with four orders of equal weight, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NltkBleu {
    /// What the n-grams are made of.
    pub tokens: NltkTokens,
    /// What an order without a match counts as.
    pub smoothing: NltkSmoothing,
}

impl NltkBleu {
    /// Score of one hypothesis: a corpus of one.
    pub fn sentence(&self, hypothesis: &str, reference: &str) -> f64 {
        self.corpus([(hypothesis, reference)])
    }

    /// Score of a corpus of hypotheses with one reference each.
    pub fn corpus<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
        let (mut correct, mut total) = ([0u64; ORDER], [0u64; ORDER]);
        let (mut hypotheses, mut references) = (0u64, 0u64);
        for (hypothesis, reference) in pairs {
            let (hypothesis, reference) = self.grams(hypothesis, reference);
            hypotheses += hypothesis.total(1) as u64;
            references += reference.total(1) as u64;
            let reference = [reference];
            for order in 1..=ORDER {
                correct[order - 1] += hypothesis.clipped_matches(&reference, order) as u64;
                total[order - 1] += hypothesis.total(order).max(1) as u64;
            }
        }
        if correct[0] == 0 {
            return 0.0;
        }
        let brevity_penalty =
            if hypotheses > references { 1.0 } else { (1.0 - references as f64 / hypotheses as f64).exp() };
        let precision = |(correct, total): (&u64, &u64)| match (correct, self.smoothing) {
            (0, NltkSmoothing::Method0) => f64::MIN_POSITIVE,
            (0, NltkSmoothing::Method1) => 0.1 / *total as f64,
            (correct, _) => *correct as f64 / *total as f64,
        };
        let logarithms: f64 =
            correct.iter().zip(&total).map(|counts| precision(counts).ln() / ORDER as f64).sum();
        brevity_penalty * logarithms.exp()
    }

    fn grams(&self, hypothesis: &str, reference: &str) -> (Grams, Grams) {
        match self.tokens {
            NltkTokens::Characters => {
                (Grams::of_chars(hypothesis.chars()), Grams::of_chars(reference.chars()))
            }
            NltkTokens::Words => {
                let mut words = WordNumbers::default();
                (words.grams(python::split(hypothesis)), words.grams(python::split(reference)))
            }
        }
    }
}
