//! What can go wrong with an index.

use std::path::PathBuf;

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an index could not be made, or searched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of the index.
    #[error("{path}: {reason}")]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Making it was interrupted, so passages or vectors are missing.
    #[error("{path}: the index is not finished")]
    Unfinished {
        /// The file.
        path: PathBuf,
    },
    /// Two passages of one name could not be told apart in a citation.
    #[error("two passages are called `{name}`")]
    Twice {
        /// The name.
        name: String,
    },
    /// A search by vectors in an index without any.
    #[error("{path}: the index has no vectors")]
    NoVectors {
        /// The file.
        path: PathBuf,
    },
    /// Vectors of another encoder mean something else.
    #[error("{path}: its vectors were made by {expected}, this is {got}")]
    OtherEncoder {
        /// The file.
        path: PathBuf,
        /// Who made them.
        expected: String,
        /// Who was to make that of the query.
        got: String,
    },
    /// A source that is not there, or is a folder of something else.
    #[error("{path}: {reason}")]
    Source {
        /// The source.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A corpus.
    #[error(transparent)]
    Corpus(#[from] corpus::CorpusError),
    /// A file of rows.
    #[error(transparent)]
    Rows(#[from] dataset::Error),
    /// The encoder or the reranker.
    #[error(transparent)]
    Model(#[from] model::Error),
}
