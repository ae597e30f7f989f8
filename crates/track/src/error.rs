//! What can go wrong with a run folder.

use std::path::{Path, PathBuf};

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of the run folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder already holds a run and was to be created.
    #[error("{} already holds a run ({found}): resume it or choose another output_dir", path.display())]
    AlreadyARun {
        /// The folder.
        path: PathBuf,
        /// The file or folder in it that a new run would write over.
        found: &'static str,
    },
    /// The folder holds no run and was to be reopened.
    #[error("{} holds no run (no metrics.jsonl)", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes to this run.
    #[error("{} is in use by {holder}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Process and host, as its lock file names them.
        holder: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file could not be replaced in one piece.
    #[error(transparent)]
    Write(#[from] formats::Error),
    /// A JSON file of the run is damaged.
    #[error("{}:{line}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A row would go back in time: a step stands in the metrics once.
    #[error("step {step} comes after step {last} in the metrics")]
    StepOrder {
        /// The step of the row.
        step: u64,
        /// The last step already there.
        last: u64,
    },
    /// A row with a value that is no number.
    #[error("step {step}: {what} is not finite")]
    NotFinite {
        /// The step of the row.
        step: u64,
        /// Which value.
        what: String,
    },
}

impl Error {
    /// For `map_err`: an I/O error with the file that it happened to.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }

    /// For `map_err`: a JSON error with its file and line.
    pub(crate) fn json(path: &Path, line: usize) -> impl FnOnce(serde_json::Error) -> Self {
        move |source| Self::Json { path: path.to_path_buf(), line, source }
    }
}
