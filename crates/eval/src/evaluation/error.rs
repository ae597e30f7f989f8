//! What can go wrong with the files of an evaluation.

use std::path::PathBuf;

/// Errors of reading and writing evaluations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The system refuses a file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] formats::Error),
    /// A file that is not what its name says.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file that belongs to an evaluation, and is not what its name says.
    #[error("{path}: {reason}")]
    Part {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A line of a file of items, or a place in a list of them, that is no item or contradicts another.
    #[error("{path}, {what} {at}: {reason}")]
    Item {
        /// The file.
        path: PathBuf,
        /// What is counted: `line` or `item`.
        what: &'static str,
        /// Which one, from 1.
        at: usize,
        /// What is wrong.
        reason: String,
    },
    /// A folder that holds no evaluation.
    #[error("{path}: no items.jsonl and no eval/tuned.json")]
    NoEvaluation {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that holds other things.
    #[error("{path} holds other files than those of an evaluation, and would lose some")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A file of answers without a column that it cannot do without.
    #[error("{path}: no column for the {role}: expected one of {}; the file has {}", .expected.join(", "), .columns.join(", "))]
    Column {
        /// The file.
        path: PathBuf,
        /// `question`, `reference` or `answer`.
        role: &'static str,
        /// The names that are known for it.
        expected: Vec<String>,
        /// The columns that are there.
        columns: Vec<String>,
    },
    /// A key that is none.
    #[error("{path}: no Ed25519 key: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl EvaluationError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn malformed(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Malformed { path: path.into(), reason: reason.to_string() }
    }
}
