//! Who answers.

use crate::{ChatRequest, Reply};

/// Answers requests, from any number of threads at once; a call comes back when the reply is whole.
pub trait ChatModel: Send + Sync {
    /// What people call it.
    fn name(&self) -> &str;

    /// Everything that its replies depend on besides the request: what a cache of replies is kept under.
    fn identity(&self) -> String;

    /// The reply to a request.
    ///
    /// # Errors
    /// See [`Error`]; those of which [`Error::is_lasting`] is true will come for any other request as well.
    fn reply(&self, request: &ChatRequest) -> Result<Reply>;

    /// Says that the reply to a request was of no use. Where replies are kept, this one is not from now on: the same
    /// request is asked anew.
    ///
    /// # Errors
    /// [`Error::Cache`] where the store of replies cannot be written.
    fn forget(&self, _request: &ChatRequest) -> Result<()> {
        Ok(())
    }
}

impl<M: ChatModel + ?Sized> ChatModel for std::sync::Arc<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn identity(&self) -> String {
        (**self).identity()
    }

    fn reply(&self, request: &ChatRequest) -> Result<Reply> {
        (**self).reply(request)
    }

    fn forget(&self, request: &ChatRequest) -> Result<()> {
        (**self).forget(request)
    }
}

/// Why a request must not be sent. It never holds what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What speaks against it.
    pub reason: String,
}

/// Why there is no reply. No text of a request and no key is ever part of it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answers at an address.
    #[error("{address}: no answer: {reason}")]
    Unreachable {
        /// Scheme, host and port.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The key is missing, wrong or has no right to the model.
    #[error("{address}: the key is refused (HTTP {status}): {reason}")]
    Key {
        /// Scheme, host and port.
        address: String,
        /// The status.
        status: u16,
        /// What the provider said.
        reason: String,
    },
    /// The account has nothing left.
    #[error("{address}: the account has no credit left (HTTP {status}): {reason}")]
    Credit {
        /// Scheme, host and port.
        address: String,
        /// The status.
        status: u16,
        /// What the provider said.
        reason: String,
    },
    /// There is no such model or no such path.
    #[error("{address}: not found (HTTP {status}): {reason}")]
    NotFound {
        /// Scheme, host and port.
        address: String,
        /// The status.
        status: u16,
        /// What the provider said.
        reason: String,
    },
    /// It was busy or broken every time.
    #[error("{address}: gave up after {attempts} attempts, the last one: {reason}")]
    Busy {
        /// Scheme, host and port.
        address: String,
        /// How often it was asked.
        attempts: u32,
        /// What came the last time.
        reason: String,
    },
    /// It does not take this request.
    #[error("{address}: the request is refused (HTTP {status}): {reason}")]
    Rejected {
        /// Scheme, host and port.
        address: String,
        /// The status.
        status: u16,
        /// What the provider said.
        reason: String,
    },
    /// The local model does not take this request.
    #[error("the request is refused: {0}")]
    Request(String),
    /// The reply is not in the form that was asked for.
    #[error("the reply is not in the form that was asked for: {0}")]
    Form(String),
    /// A gate keeps the request from being sent.
    #[error("not sent: {0}")]
    Gate(#[from] Refusal),
    /// What may be spent is spent.
    #[error("the budget is used up: {0}")]
    Budget(String),
    /// The store of replies cannot be used.
    #[error("{path}: {reason}")]
    Cache {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The model itself has ended.
    #[error("the model has stopped: {0}")]
    Stopped(String),
}

impl Error {
    /// Whether the next request would fail for the same reason.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Error::Rejected { .. } | Error::Request(_) | Error::Form(_) | Error::Gate(_))
    }

    /// Whether it may be of this request alone although it looks lasting: a server may break down over one text.
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Busy { .. })
    }
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
