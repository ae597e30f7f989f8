//! Who makes vectors of texts, and who reads a question and a passage together.

mod local;

pub use local::{CrossReranker, TextEncoder};

use model::PairScore;

use crate::Result;
use crate::index::EncoderIdentity;

/// The vector of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    /// `[W]`, of length 1.
    pub values: Vec<f32>,
    /// Tokens of the text that have no part in it, because the encoder reads no more.
    pub cut: usize,
}

/// What makes vectors of length 1, whose product says how similar two texts are.
pub trait Embedder {
    /// Which one it is.
    fn identity(&self) -> &EncoderIdentity;

    /// A vector for each passage, in their order.
    ///
    /// # Errors
    /// When a text has no tokens in its vocabulary, or memory runs out.
    fn passages(&self, texts: &[&str]) -> Result<Vec<Vector>>;

    /// The vector of a question.
    ///
    /// # Errors
    /// As [`Embedder::passages`].
    fn query(&self, text: &str) -> Result<Vec<f32>>;
}

/// What reads a question and a passage as one text and says how well the passage answers.
pub trait Reranker {
    /// What people call it.
    fn name(&self) -> &str;

    /// A score for each passage, in their order; more is better. With each the tokens that were not read.
    ///
    /// # Errors
    /// When a text has no tokens in its vocabulary, or memory runs out.
    fn score(&self, query: &str, passages: &[&str]) -> Result<Vec<PairScore>>;
}
