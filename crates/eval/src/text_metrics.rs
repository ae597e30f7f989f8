//! Metrics of a generated text against a reference text.

use rougers::RougeScorer;
use serde::{Deserialize, Serialize};

/// Precision, recall and their harmonic mean, each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrecisionRecall {
    /// Share of the candidate that is in the reference.
    pub precision: f64,
    /// Share of the reference that is in the candidate.
    pub recall: f64,
    /// `2 P R / (P + R)`, 0 where both are 0.
    pub f1: f64,
}

/// The members of the ROUGE family (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rouge {
    /// Single words in common.
    One,
    /// Pairs of neighbouring words in common.
    Two,
    /// Longest common subsequence of words.
    L,
}

/// ROUGE-L of `candidate` against `reference`, with Porter's stemmer.
///
/// Equal to `rouge_score.rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)` of Google's Python package 0.1.2.
/// An empty text scores 0.
pub fn rouge_l(reference: &str, candidate: &str) -> PrecisionRecall {
    rouge(Rouge::L, true, reference, candidate)
}

/// A ROUGE score of `candidate` against `reference`, with or without Porter's stemmer.
pub fn rouge(kind: Rouge, use_stemmer: bool, reference: &str, candidate: &str) -> PrecisionRecall {
    let name = match kind {
        Rouge::One => "rouge1",
        Rouge::Two => "rouge2",
        Rouge::L => "rougeL",
    };
    let scorer = RougeScorer::new([name], use_stemmer).expect("the three names are known to rougers");
    let score = scorer.score(reference, candidate).iter().next().map(|(_, score)| score).unwrap_or_default();
    PrecisionRecall { precision: score.precision, recall: score.recall, f1: score.fmeasure }
}
