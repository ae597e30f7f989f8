//! Errors of this crate: each names the file, and where there is one the tensor, what was expected and what was found.

use std::path::{Path, PathBuf};

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused to read or write.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes are not what the format asks for.
    #[error("{path}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file ends before its contents do, or goes on after them.
    #[error("{path}: {part} needs the file to be {expected} bytes long, it is {got}")]
    Length {
        /// The file.
        path: PathBuf,
        /// The part that does not fit: the header, or a tensor by name.
        part: String,
        /// The length that the header implies.
        expected: u64,
        /// The length found.
        got: u64,
    },
    /// A tensor that is asked for and not there.
    #[error("{path}: no tensor {tensor} among its {count}")]
    MissingTensor {
        /// The file or folder.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// How many tensors there are.
        count: usize,
    },
    /// A tensor of a type that cannot be used here.
    #[error("{path}: tensor {tensor}: expected {expected}, got {got}")]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The types that would do.
        expected: &'static str,
        /// The type found.
        got: String,
    },
    /// A tensor of the wrong shape.
    #[error("{path}: tensor {tensor}: expected shape {expected}, got {got:?}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The shape that would do.
        expected: String,
        /// The shape found.
        got: Vec<usize>,
    },
    /// A setting that changes the mathematics in a way that is not implemented here.
    #[error("{path}: `{setting}` is {value}, which is not supported{hint}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key.
        setting: String,
        /// Its value.
        value: String,
        /// What would do, or nothing.
        hint: String,
    },
    /// A model that is neither a folder nor in the local cache.
    #[error("no model {name}; looked in:{}\n{hint}", list(looked))]
    NotFound {
        /// The name as given.
        name: String,
        /// Every place that was tried.
        looked: Vec<PathBuf>,
        /// What the person can do.
        hint: String,
    },
    /// A file of a data set that is not in the local cache.
    #[error("no file {name}{}\n{hint}", looked_in(looked))]
    DatasetNotFound {
        /// The name as given.
        name: String,
        /// Every place that was tried.
        looked: Vec<PathBuf>,
        /// What the person can do.
        hint: String,
    },
}

impl Error {
    /// An [`Error::Io`] about `path`, for `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    }

    /// An [`Error::Malformed`] about `path`.
    pub(crate) fn malformed(path: &Path, what: impl Into<String>) -> Error {
        Error::Malformed { path: path.to_owned(), what: what.into() }
    }
}

/// One place a line.
fn list(places: &[PathBuf]) -> String {
    places.iter().map(|place| format!("\n  {}", place.display())).collect()
}

/// The places that were tried, if there were any.
fn looked_in(places: &[PathBuf]) -> String {
    if places.is_empty() { String::new() } else { format!("; looked in:{}", list(places)) }
}
