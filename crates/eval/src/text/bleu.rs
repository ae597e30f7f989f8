//! BLEU as sacreBLEU computes it.
//!
//! Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation"; Post 2018, "A Call for
//! Clarity in Reporting BLEU Scores"; sacreBLEU 2.6.0, `metrics/bleu.py`.

use super::grams::WordNumbers;
use super::tokenize::{BleuTokenizer, prepared};
use super::{SACREBLEU_VERSION, python};
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Order of the longest n-grams.
pub(super) const ORDER: usize = 4;

/// What an n-gram order without any match counts as (Chen & Cherry 2014, "A Systematic Comparison of Smoothing
/// Techniques for Sentence-Level BLEU").
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Smoothing {
    /// Zero: the whole score is 0.
    None,
    /// This many matches. sacreBLEU's default value is 0.1.
    Floor(f64),
    /// This much is added to matches and totals of every order above 1. sacreBLEU's default value is 1.
    AddK(f64),
    /// Half a match, a quarter for the second such order and so on (NIST's mteval-v13a).
    #[default]
    Exp,
}

/// BLEU with its settings. The default is sacreBLEU's.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Bleu {
    /// Compare in lower case.
    pub lowercase: bool,
    /// How lines become tokens.
    pub tokenizer: BleuTokenizer,
    /// What an order without a match counts as.
    pub smoothing: Smoothing,
    /// Leave out the orders that the hypothesis is too short for. sacreBLEU's command line and its authors
    /// recommend it for sentences, never for a corpus.
    pub effective_order: bool,
}

/// What a score is computed from: sums over the sentences of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BleuStatistics {
    /// Tokens of the hypotheses.
    pub hypothesis_length: u64,
    /// Tokens of the references, for each hypothesis of the one that is nearest in length.
    pub reference_length: u64,
    /// n-grams of order 1 to 4 that a reference has too.
    pub correct: [u64; ORDER],
    /// All n-grams of order 1 to 4 of the hypotheses.
    pub total: [u64; ORDER],
}

/// A BLEU score with its parts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BleuScore {
    /// From 0 to 100.
    pub score: f64,
    /// n-gram precisions in percent, smoothed.
    pub precisions: [f64; ORDER],
    /// Factor from 0 to 1 for hypotheses shorter than their references.
    pub brevity_penalty: f64,
    /// The counts.
    pub statistics: BleuStatistics,
}

impl AddAssign for BleuStatistics {
    fn add_assign(&mut self, other: Self) {
        self.hypothesis_length += other.hypothesis_length;
        self.reference_length += other.reference_length;
        for order in 0..ORDER {
            self.correct[order] += other.correct[order];
            self.total[order] += other.total[order];
        }
    }
}

impl BleuStatistics {
    /// The counts in a row, for resampling.
    pub(crate) fn sums(&self) -> [f64; 2 + 2 * ORDER] {
        let lengths = [self.hypothesis_length, self.reference_length];
        let mut counts = lengths.iter().chain(&self.correct).chain(&self.total);
        std::array::from_fn(|_| counts.next().map_or(0.0, |count| *count as f64))
    }

    /// The counts from a row.
    pub(crate) fn from_sums(sums: &[f64; 2 + 2 * ORDER]) -> Self {
        let counts = sums.map(|sum| sum as u64);
        Self {
            hypothesis_length: counts[0],
            reference_length: counts[1],
            correct: std::array::from_fn(|order| counts[2 + order]),
            total: std::array::from_fn(|order| counts[2 + ORDER + order]),
        }
    }
}

impl Bleu {
    /// The setting for single sentences: orders that a short sentence cannot have do not count.
    pub fn sentence_level() -> Self {
        Self { effective_order: true, ..Self::default() }
    }

    /// Score of one hypothesis.
    pub fn sentence(&self, hypothesis: &str, references: &[&str]) -> BleuScore {
        self.score(self.statistics(hypothesis, references))
    }

    /// Score of a corpus of hypotheses with one reference each. It is no mean of sentence scores.
    pub fn corpus<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> BleuScore {
        let mut sum = BleuStatistics::default();
        pairs
            .into_iter()
            .for_each(|(hypothesis, reference)| sum += self.statistics(hypothesis, &[reference]));
        self.score(sum)
    }

    /// What one sentence adds to the counts. Without any reference nothing is correct.
    pub fn statistics(&self, hypothesis: &str, references: &[&str]) -> BleuStatistics {
        let tokenized = |line| {
            let line = prepared(line, self.lowercase);
            self.tokenizer.spaced(&line).into_owned()
        };
        let (hypothesis, references) =
            (tokenized(hypothesis), references.iter().map(|line| tokenized(line)).collect::<Vec<_>>());
        let mut words = WordNumbers::default();
        let hypothesis = words.grams(python::split(&hypothesis));
        let references: Vec<_> = references.iter().map(|line| words.grams(python::split(line))).collect();
        let length = hypothesis.total(1);
        let lengths = references.iter().map(|reference| reference.total(1));
        let nearest = lengths.min_by_key(|reference| (reference.abs_diff(length), *reference));
        let mut statistics = BleuStatistics {
            hypothesis_length: length as u64,
            reference_length: nearest.unwrap_or(0) as u64,
            ..BleuStatistics::default()
        };
        for order in 1..=ORDER {
            statistics.total[order - 1] = hypothesis.total(order) as u64;
            statistics.correct[order - 1] = hypothesis.clipped_matches(&references, order) as u64;
        }
        statistics
    }

    /// Score of summed counts: `100 · BP · (Π precision_n)^¼`, `BP = exp(1 - r / c)` for `c < r`.
    pub fn score(&self, statistics: BleuStatistics) -> BleuScore {
        let (hypothesis, reference) =
            (statistics.hypothesis_length as f64, statistics.reference_length as f64);
        let brevity_penalty = match statistics.hypothesis_length {
            length if length >= statistics.reference_length => 1.0,
            0 => 0.0,
            _ => (1.0 - reference / hypothesis).exp(),
        };
        let mut precisions = [0.0; ORDER];
        if statistics.correct == [0; ORDER] {
            return BleuScore { score: 0.0, precisions, brevity_penalty, statistics };
        }
        let mut halving = 1.0;
        let mut orders = ORDER;
        for (order, precision) in precisions.iter_mut().enumerate() {
            let added = match self.smoothing {
                Smoothing::AddK(k) if order > 0 => k,
                _ => 0.0,
            };
            let correct = statistics.correct[order] as f64 + added;
            let total = statistics.total[order] as f64 + added;
            if total == 0.0 {
                break;
            }
            if self.effective_order {
                orders = order + 1;
            }
            *precision = match self.smoothing {
                _ if correct > 0.0 => 100.0 * correct / total,
                Smoothing::Exp => {
                    halving *= 2.0;
                    100.0 / (halving * total)
                }
                Smoothing::Floor(floor) => 100.0 * floor / total,
                Smoothing::None | Smoothing::AddK(_) => 0.0,
            };
        }
        let logarithms: f64 = precisions[..orders].iter().map(|precision| precision.ln()).sum();
        let score = brevity_penalty * (logarithms / orders as f64).exp();
        BleuScore { score, precisions, brevity_penalty, statistics }
    }

    /// sacreBLEU's signature, to be given with every score:
    /// `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0`.
    pub fn signature(&self, references: usize) -> String {
        let smoothing = match self.smoothing {
            Smoothing::None => "none".to_string(),
            Smoothing::Exp => "exp".to_string(),
            Smoothing::Floor(value) => format!("floor[{value:.2}]"),
            Smoothing::AddK(value) => format!("add-k[{value:.2}]"),
        };
        format!(
            "nrefs:{references}|case:{}|eff:{}|tok:{}|smooth:{smoothing}|version:{SACREBLEU_VERSION}",
            if self.lowercase { "lc" } else { "mixed" },
            if self.effective_order { "yes" } else { "no" },
            self.tokenizer.name(),
        )
    }
}
