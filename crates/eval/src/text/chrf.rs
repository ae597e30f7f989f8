//! chrF and chrF++: F-scores of character n-grams.
//!
//! Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation", and 2017, "chrF++: words helping
//! character n-grams"; sacreBLEU 2.6.0, `metrics/chrf.py`.

use super::grams::{Grams, MAX_ORDER, WordNumbers};
use super::{SACREBLEU_VERSION, python};
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Character n-grams of order 1 to 6 count.
const CHAR_ORDER: usize = MAX_ORDER;
/// At most this many orders of word n-grams count as well.
const MAX_WORD_ORDER: usize = 2;
/// Recall counts `BETA²` times as much as precision.
const BETA: f64 = 2.0;

/// chrF with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Chrf {
    /// Also count words and pairs of words: chrF++.
    pub words: bool,
    /// Compare in lower case.
    pub lowercase: bool,
    /// Keep white space in the character n-grams.
    pub whitespace: bool,
}

/// n-gram counts of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Counts {
    hypothesis: u64,
    reference: u64,
    matches: u64,
}

/// What a score is computed from: sums over the sentences of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChrfStatistics {
    orders: [Counts; CHAR_ORDER + MAX_WORD_ORDER],
}

impl AddAssign for ChrfStatistics {
    fn add_assign(&mut self, other: Self) {
        for (sum, counts) in self.orders.iter_mut().zip(other.orders) {
            sum.hypothesis += counts.hypothesis;
            sum.reference += counts.reference;
            sum.matches += counts.matches;
        }
    }
}

impl ChrfStatistics {
    /// Counts of all orders.
    pub(crate) const SUMS: usize = 3 * (CHAR_ORDER + MAX_WORD_ORDER);

    /// The counts in a row, for resampling.
    pub(crate) fn sums(&self) -> [f64; Self::SUMS] {
        let mut counts =
            self.orders.iter().flat_map(|order| [order.hypothesis, order.reference, order.matches]);
        std::array::from_fn(|_| counts.next().map_or(0.0, |count| count as f64))
    }

    /// The counts from a row.
    pub(crate) fn from_sums(sums: &[f64; Self::SUMS]) -> Self {
        let at = |index: usize| sums[index] as u64;
        let counts = |order| Counts {
            hypothesis: at(3 * order),
            reference: at(3 * order + 1),
            matches: at(3 * order + 2),
        };
        Self { orders: std::array::from_fn(counts) }
    }
}

impl Chrf {
    /// chrF++.
    pub fn plus_plus() -> Self {
        Self { words: true, ..Self::default() }
    }

    /// Score of one hypothesis, from 0 to 100.
    pub fn sentence(&self, hypothesis: &str, references: &[&str]) -> f64 {
        self.score(&self.statistics(hypothesis, references))
    }

    /// Score of a corpus of hypotheses with one reference each, from 0 to 100.
    pub fn corpus<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
        let mut sum = ChrfStatistics::default();
        pairs
            .into_iter()
            .for_each(|(hypothesis, reference)| sum += self.statistics(hypothesis, &[reference]));
        self.score(&sum)
    }

    /// What one sentence adds to the counts, against the reference that gives it the best score.
    pub fn statistics(&self, hypothesis: &str, references: &[&str]) -> ChrfStatistics {
        let mut best: Option<(f64, ChrfStatistics)> = None;
        for reference in references {
            let statistics = self.against(hypothesis, reference);
            let score = self.score(&statistics);
            if best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, statistics));
            }
        }
        best.map(|(_, statistics)| statistics).unwrap_or_default()
    }

    fn against(&self, hypothesis: &str, reference: &str) -> ChrfStatistics {
        let [hypothesis, reference] = [hypothesis, reference]
            .map(|text| if self.lowercase { text.to_lowercase() } else { text.to_string() });
        let chars =
            |text: &str| Grams::of_chars(text.chars().filter(|c| self.whitespace || !python::is_space(*c)));
        let mut statistics = ChrfStatistics::default();
        let (characters, words) = statistics.orders.split_at_mut(CHAR_ORDER);
        count(characters, &chars(&hypothesis), chars(&reference));
        if self.words {
            let mut numbers = WordNumbers::default();
            let grams = numbers.grams(words_and_punctuation(&hypothesis));
            count(words, &grams, numbers.grams(words_and_punctuation(&reference)));
        }
        statistics
    }

    /// Score of summed counts: F₂ of the mean precision and the mean recall over the orders that both sides have.
    pub fn score(&self, statistics: &ChrfStatistics) -> f64 {
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
        for counts in statistics.orders.iter().filter(|counts| counts.hypothesis > 0 && counts.reference > 0)
        {
            precision += counts.matches as f64 / counts.hypothesis as f64;
            recall += counts.matches as f64 / counts.reference as f64;
            orders += 1.0;
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (precision / orders, recall / orders);
        let factor = BETA * BETA;
        100.0 * (1.0 + factor) * precision * recall / (factor * precision + recall)
    }

    /// sacreBLEU's signature: `nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0`.
    pub fn signature(&self, references: usize) -> String {
        format!(
            "nrefs:{references}|case:{}|eff:yes|nc:{CHAR_ORDER}|nw:{}|space:{}|version:{SACREBLEU_VERSION}",
            if self.lowercase { "lc" } else { "mixed" },
            if self.words { MAX_WORD_ORDER } else { 0 },
            if self.whitespace { "yes" } else { "no" },
        )
    }
}

fn count(orders: &mut [Counts], hypothesis: &Grams, reference: Grams) {
    let reference = [reference];
    for (index, counts) in orders.iter_mut().enumerate() {
        let order = index + 1;
        let total = reference[0].total(order);
        *counts = Counts {
            // An order that the reference is too short for says nothing about the hypothesis.
            hypothesis: if total > 0 { hypothesis.total(order) as u64 } else { 0 },
            reference: total as u64,
            matches: hypothesis.clipped_matches(&reference, order) as u64,
        };
    }
}

/// Splits at white space and cuts one punctuation mark off a word: its last character or, if that is none, its
/// first.
fn words_and_punctuation(text: &str) -> impl Iterator<Item = &str> {
    python::split(text).flat_map(|word| {
        let one = word.chars().nth(1).is_none();
        let (head, tail) = if !one && word.ends_with(|c: char| c.is_ascii_punctuation()) {
            word.split_at(word.len() - 1)
        } else if !one && word.starts_with(|c: char| c.is_ascii_punctuation()) {
            word.split_at(1)
        } else {
            (word, "")
        };
        [head, tail].into_iter().filter(|part| !part.is_empty())
    })
}
