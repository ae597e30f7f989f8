//! What can go wrong with a document.

use std::path::PathBuf;

/// A file that could not be read as the document that it claims to be.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// The bytes are not what the format asks for.
    #[error("{}: not a readable {format}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// For example `PDF`.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, CorpusError>;
