//! The parts of a report that come from the data set.

use serde::{Deserialize, Serialize};

/// How the data were split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// What keeps items together, e.g. `document, question`.
    pub by: String,
    /// Seed of the split.
    pub seed: u64,
    /// Train, validation, test.
    pub parts: Vec<SplitPart>,
    /// What the check for leaks found.
    pub certificate: Option<Certificate>,
}

/// One part of a split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitPart {
    /// `train`, `val` or `test`.
    pub name: String,
    /// Items in it.
    pub items: usize,
    /// Groups in it.
    pub groups: usize,
    /// Tokens in it, where counted.
    pub tokens: Option<u64>,
}

/// What is shared between the test items and what was trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Test questions that occur word for word in train.
    pub exact_matches: usize,
    /// Test items that share a group (a document) with train.
    pub shared_groups: usize,
    /// Test items with a train item at least this similar.
    pub near_duplicates: usize,
    /// The similarity from which an item is a near-duplicate.
    pub threshold: f64,
    /// How similarity is measured, e.g. `Jaccard of word 5-grams`.
    pub measure: String,
    /// The nearest pairs, most similar first.
    pub nearest: Vec<NearestPair>,
}

impl Certificate {
    /// Whether nothing is shared.
    pub fn is_clean(&self) -> bool {
        self.exact_matches == 0 && self.shared_groups == 0 && self.near_duplicates == 0
    }
}

/// A test item with the train item most like it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NearestPair {
    /// From 0 to 1.
    pub similarity: f64,
    /// The test item's text.
    pub test: String,
    /// The train item's text.
    pub train: String,
}

/// What cleaning did with the rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cleaning {
    /// Rows read.
    pub rows_in: usize,
    /// Rows kept.
    pub rows_out: usize,
    /// Reasons with the number of rows removed for each.
    pub removed: Vec<(String, usize)>,
}

/// Answers of both models to one question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The question.
    pub question: String,
    /// The reference answer.
    pub reference: String,
    /// The base model's answer.
    pub base: String,
    /// The tuned model's answer.
    pub tuned: String,
    /// Scores or remarks on the base's answer, e.g. `ROUGE-L 0.21`.
    pub base_note: String,
    /// Scores or remarks on the tuned model's answer.
    pub tuned_note: String,
}
