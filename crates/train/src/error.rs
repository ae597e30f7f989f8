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
    #[error(
        "loss or gradient was not finite in {count} steps in a row, the last one step {step}; skipped.jsonl names \
         their examples"
    )]
    NotFinite {
        /// The step.
        step: u64,
        /// How many in a row.
        count: u32,
    },
    /// A run that cannot go on from its checkpoint, because something that decides its weights has changed.
    #[error("{path} was written by another run:\n  {}", differences.join("\n  "))]
    Changed {
        /// The checkpoint.
        path: PathBuf,
        /// What was, and what is, a line each.
        differences: Vec<String>,
    },
    /// A run that was asked to stop.
    #[error("stopped after step {step} of {steps}{}", match checkpoint {
        Some(path) => format!("; {path} holds the state", path = path.display()),
        None => ", before anything was learned".to_owned(),
    })]
    Interrupted {
        /// Steps that are done.
        step: u64,
        /// Steps of the plan.
        steps: u64,
        /// The state that `--resume` goes on from; none before the first step.
        checkpoint: Option<PathBuf>,
    },
    /// What the caller measures during training failed.
    #[error("examination after step {step}: {source}")]
    Examination {
        /// The step.
        step: u64,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A checkpoint that cannot be used.
    #[error("{path}: {reason}")]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// A run that the machine has no room for.
    #[error("the run needs about {} MiB of memory, {} MiB are available", needed >> 20, available >> 20)]
    NoRoom {
        /// Bytes that the plan counts.
        needed: u64,
        /// Bytes that this process may have.
        available: u64,
        /// Settings with which it would fit, each with what it needs then.
        settings: Vec<String>,
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
