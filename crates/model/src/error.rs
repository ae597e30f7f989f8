//! Errors of this crate.

use std::path::{Path, PathBuf};

/// What can be wrong with a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor could not be kept in, or brought into, the bits of a quantization.
    #[error("{origin}: {tensor}: {mismatch}")]
    Quantization {
        /// File or folder.
        origin: String,
        /// Tensor.
        tensor: String,
        /// What does not fit.
        mismatch: formats::quant::Mismatch,
    },
    /// A tensor that should be trained itself and is stored in the bits of a quantization.
    #[error("{origin}: tensor {tensor} is quantized and cannot be trained itself")]
    Frozen {
        /// File or folder.
        origin: String,
        /// Tensor.
        tensor: String,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that should hold JSON and does not.
    #[error("{path}: not valid JSON: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A model that the decoder does not run.
    #[error("{path}: {reason}")]
    Unsupported {
        /// Its `config.json`, or the file that holds all of it.
        path: PathBuf,
        /// Which key, and what would be supported.
        reason: String,
    },
    /// A tensor that should be there.
    #[error("{origin}: tensor {tensor} is missing")]
    MissingTensor {
        /// The file or folder.
        origin: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor of another shape than the config says.
    #[error("{origin}: tensor {tensor} has the shape {got:?}, expected {expected:?}")]
    TensorShape {
        /// The file or folder.
        origin: String,
        /// The tensor.
        tensor: String,
        /// Shape that the config implies.
        expected: Vec<usize>,
        /// Shape in the file.
        got: Vec<usize>,
    },
    /// A tensor in a storage type that is not read.
    #[error(
        "{origin}: tensor {tensor} is stored as {dtype}, which is not supported (supported: F32, F16, BF16)"
    )]
    TensorType {
        /// The file or folder.
        origin: String,
        /// The tensor.
        tensor: String,
        /// Its storage type.
        dtype: String,
    },
    /// An adapter that does not fit, or whose settings are impossible.
    #[error("adapter: {0}")]
    Adapter(String),
    /// A vocabulary that cannot be read, or that fails on a text.
    #[error("{path}: {reason}")]
    Tokenizer {
        /// Its `tokenizer.json`.
        path: PathBuf,
        /// The library's reason.
        reason: String,
    },
    /// A chat template that cannot be compiled, or that refuses a conversation.
    #[error("{origin}: {reason}")]
    Template {
        /// Where the template came from.
        origin: String,
        /// The engine's reason, or the template's own.
        reason: String,
    },
    /// A weight that has no place in the format that it should be written in.
    #[error("tensor {tensor}: {reason}")]
    Encode {
        /// The tensor, by its name in the file.
        tensor: String,
        /// Which of its values, and why.
        reason: formats::quant::Unencodable,
    },
    /// A conversation that cannot be encoded.
    #[error(transparent)]
    Conversation(#[from] crate::encode::ConversationError),
    /// A request that the engine does not take.
    #[error(transparent)]
    Refused(#[from] crate::engine::Refused),
    /// A constraint on a text that cannot be compiled.
    #[error("constraint: {0}")]
    Constraint(#[from] crate::engine::ConstraintError),
    /// The engine's thread could not be started.
    #[error("the engine cannot start: {0}")]
    Start(String),
    /// A file below this crate.
    #[error(transparent)]
    Format(#[from] formats::Error),
    /// The device.
    #[error(transparent)]
    Compute(#[from] compute::Error),
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Error::Io { path: path.to_owned(), source }
    }

    pub(crate) fn json(path: &Path, source: serde_json::Error) -> Self {
        Error::Json { path: path.to_owned(), source }
    }
}
