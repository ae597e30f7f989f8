//! Why a server does not start, or ends.

use std::net::SocketAddr;

/// What can go wrong with a server as a whole. What is wrong with a request is told to its client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or variable of keys that has none, or a bad one.
    #[error("line {line} of the API keys: {reason}")]
    Key {
        /// Its line.
        line: usize,
        /// What is expected.
        reason: String,
    },
    /// Others could reach it, and no key is set.
    #[error("{bind} can be reached from other machines, so an API key is needed")]
    Open {
        /// The address.
        bind: SocketAddr,
    },
    /// It cannot listen there.
    #[error("cannot listen on {bind}: {source}")]
    Bind {
        /// The address.
        bind: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The system refuses threads or signals.
    #[error("cannot start the server: {0}")]
    Start(std::io::Error),
    /// The engine has no room, or its vocabulary contradicts itself.
    #[error("cannot start the engine: {0}")]
    Engine(#[from] model::Error),
    /// The engine gave up while it was serving.
    #[error("the engine has stopped because of a defect")]
    EngineDied,
}
