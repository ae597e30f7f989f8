//! ROUGE as Google's `rouge_score` computes it.
//!
//! Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"; rouge_score 0.1.2. Words are runs of `a-z0-9`
//! of the text in lower case; with the stemmer, those longer than three letters go through Porter's.

use rougers::{RougeScorer, RougeType, Score, Tokenizer};
use serde::{Deserialize, Serialize};

/// Precision, recall and their harmonic mean, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PrecisionRecall {
    /// Share of the candidate that is in the reference.
    pub precision: f64,
    /// Share of the reference that is in the candidate.
    pub recall: f64,
    /// `2 P R / (P + R)`, 0 where both are 0.
    pub f1: f64,
}

/// The members of the ROUGE family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rouge {
    /// Single words in common.
    One,
    /// Pairs of neighbouring words in common.
    Two,
    /// Longest common subsequence of words.
    L,
    /// Union of the longest common subsequences of each line of the reference with every line of the candidate.
    Lsum,
}

/// All members for one pair of texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RougeScores {
    /// ROUGE-1.
    pub rouge1: PrecisionRecall,
    /// ROUGE-2.
    pub rouge2: PrecisionRecall,
    /// ROUGE-L.
    #[serde(rename = "rougeL")]
    pub rouge_l: PrecisionRecall,
    /// ROUGE-L by lines.
    #[serde(rename = "rougeLsum")]
    pub rouge_lsum: PrecisionRecall,
}

impl Rouge {
    fn of_rougers(self) -> RougeType {
        match self {
            Self::One => RougeType::N(1),
            Self::Two => RougeType::N(2),
            Self::L => RougeType::L,
            Self::Lsum => RougeType::LSum,
        }
    }
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
    let kind = kind.of_rougers();
    let scores = scorer(vec![kind], use_stemmer).score(reference, candidate);
    scores.get(kind).map(precision_recall).unwrap_or_default()
}

/// ROUGE-1, -2, -L and -Lsum of `candidate` against `reference`; each text is cut into words once.
pub fn rouge_all(use_stemmer: bool, reference: &str, candidate: &str) -> RougeScores {
    let kinds = [Rouge::One, Rouge::Two, Rouge::L, Rouge::Lsum].map(Rouge::of_rougers);
    let scores = scorer(kinds.to_vec(), use_stemmer).score(reference, candidate);
    let [rouge1, rouge2, rouge_l, rouge_lsum] =
        kinds.map(|kind| scores.get(kind).map(precision_recall).unwrap_or_default());
    RougeScores { rouge1, rouge2, rouge_l, rouge_lsum }
}

fn scorer(kinds: Vec<RougeType>, use_stemmer: bool) -> RougeScorer {
    RougeScorer::with_tokenizer(kinds, Tokenizer::new(use_stemmer))
        .expect("orders 1 and 2 are known to rougers")
}

fn precision_recall(score: Score) -> PrecisionRecall {
    PrecisionRecall { precision: score.precision, recall: score.recall, f1: score.fmeasure }
}
