//! What can go wrong.

use std::path::PathBuf;

/// What stops the making of questions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A prompt that cannot be used.
    #[error(transparent)]
    Prompt(#[from] chat::PromptError),
    /// A setting without sense.
    #[error("`{name}`: {reason}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The corpus has nothing to ask about.
    #[error("{path}: no text to ask about ({documents} documents)")]
    NoText {
        /// The file of blocks.
        path: PathBuf,
        /// Documents in it.
        documents: usize,
    },
    /// A model that reads too little.
    #[error(
        "the prompt `{prompt}` takes {takes} tokens with a reply and without a text, the model reads {context}"
    )]
    NoRoom {
        /// The prompt.
        prompt: String,
        /// Tokens of the prompt and the shortest reply.
        takes: usize,
        /// Tokens that the model reads.
        context: usize,
    },
    /// The corpus.
    #[error(transparent)]
    Corpus(#[from] corpus::CorpusError),
    /// The split.
    #[error(transparent)]
    Dataset(#[from] dataset::Error),
    /// The model.
    #[error(transparent)]
    Model(#[from] chat::Error),
    /// A file that cannot be written.
    #[error(transparent)]
    Write(#[from] formats::Error),
    /// A Parquet file that cannot be written.
    #[error("{path}: {reason}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The library's reason.
        reason: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
