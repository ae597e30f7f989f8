//! Errors of this crate.

use std::path::PathBuf;

/// What can stop a training run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A setting of the recipe that cannot work.
    #[error("recipe: {key}: {reason}")]
    Recipe {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing to train on.
    #[error("no example is left to train on")]
    NoExamples,
    /// A trainable parameter whose gradient stayed exactly zero: its backward is missing.
    #[error("the parameter {parameter} got no gradient in the first {steps} steps")]
    MissingGradient {
        /// The parameter.
        parameter: String,
        /// Steps that were watched.
        steps: u64,
    },
    /// Loss or gradient is not finite several times in a row.
    #[error("loss or gradient was not finite in {count} steps in a row, the last one step {step}")]
    NotFinite {
        /// The step.
        step: u64,
        /// How many in a row.
        count: u32,
    },
    /// A checkpoint that belongs to another run.
    #[error("{path}: {reason}")]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// A file format.
    #[error(transparent)]
    Format(#[from] formats::Error),
    /// The model.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The record of the run.
    #[error(transparent)]
    Track(#[from] track::Error),
    /// The device.
    #[error(transparent)]
    Compute(#[from] compute::Error),
}

impl Error {
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Error::Io { path: path.to_owned(), source }
    }
}
