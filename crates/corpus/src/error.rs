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
    /// No reader for what the file holds.
    #[error("{}: {reason}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What it holds, and what to do about it.
        reason: String,
    },
    /// A file beyond what is read at once.
    #[error("{}: {length} bytes long, expected at most {longest}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// The longest that is read.
        longest: u64,
    },
    /// Folders without a document.
    #[error("nothing to read in {paths}")]
    Nothing {
        /// What was searched.
        paths: String,
    },
    /// A file that cannot be read as what it is, and whose name says that it is something else.
    #[error("{source}; {said}")]
    Misnamed {
        /// What its name and its content say.
        said: String,
        /// What is wrong with it.
        source: Box<CorpusError>,
    },
    /// A folder that something else wrote.
    #[error("{}: exists and is no corpus", path.display())]
    NoCorpus {
        /// The folder.
        path: PathBuf,
    },
    /// A command that is missing or failed.
    #[error("{}: {reason}", path.display())]
    Ocr {
        /// The file.
        path: PathBuf,
        /// What is missing, or what the command said.
        reason: String,
    },
}

/// Of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, CorpusError>;
