//! Why a download failed, and what to do about it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Repository;

/// Why a download failed. No message holds the token, nor anything that the server wrote for people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The person has forbidden the network.
    #[error("{variable} is set, so nothing is downloaded")]
    Offline {
        /// The variable.
        variable: &'static str,
    },
    /// A variable of the environment with a value that makes no sense. The value is not told: it may be a secret.
    #[error("{variable}: {reason}")]
    Setting {
        /// The variable, or the file.
        variable: String,
        /// What is wrong.
        reason: String,
    },
    /// Nothing on the Hub can be called that.
    #[error("{name:?} cannot be the name of a repository or of a revision")]
    Name {
        /// The name as given.
        name: String,
    },
    /// No variable names a place for the cache.
    #[error("there is no folder to download to: neither HF_HOME nor HF_HUB_CACHE nor HOME is set")]
    NoCache,
    /// The repository exists, and its licence has to be accepted first.
    #[error("{repository} is gated: its authors want its licence to be accepted first")]
    Gated {
        /// The repository.
        repository: Repository,
        /// Its page.
        page: String,
        /// Whether a token was sent.
        token: bool,
    },
    /// The Hub does not show the repository to this person.
    #[error("{host} does not show {repository}{}", if *token { " to the owner of the token" } else { " without a token" })]
    Refused {
        /// The repository.
        repository: Repository,
        /// The Hub.
        host: String,
        /// Whether a token was sent.
        token: bool,
    },
    /// The repository, the revision or the file is not there.
    #[error("{host} has no {what} in {repository} at revision {revision}")]
    NotFound {
        /// What is missing.
        what: String,
        /// The repository.
        repository: Repository,
        /// The revision.
        revision: String,
        /// The Hub.
        host: String,
    },
    /// An answer with an unexpected status.
    #[error("{host} answered with status {status}{}", if *status == 429 { " (too many requests)" } else { "" })]
    Status {
        /// The host.
        host: String,
        /// The status of HTTP.
        status: u16,
    },
    /// The host cannot be reached, or the connection broke.
    #[error("{host}: {reason}")]
    Network {
        /// The host.
        host: String,
        /// The reason.
        reason: String,
    },
    /// An answer that does not make sense.
    #[error("{host}: {what}")]
    Answer {
        /// The host.
        host: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file name that would leave the cache.
    #[error("{repository} lists the file {name:?}, which is no plain path; nothing was downloaded")]
    UnsafeName {
        /// The repository.
        repository: Repository,
        /// The name.
        name: String,
    },
    /// No file fits.
    #[error("{repository}: no file fits {pattern:?}; it has {}", some(files))]
    NoMatch {
        /// The repository.
        repository: Repository,
        /// The pattern.
        pattern: String,
        /// The files that there are.
        files: Vec<String>,
    },
    /// Nothing in the repository is of a kind that is read here.
    #[error("{repository} has no {wanted}; it has {}", some(files))]
    NothingUseful {
        /// The repository.
        repository: Repository,
        /// What is read here.
        wanted: &'static str,
        /// The files that there are.
        files: Vec<String>,
    },
    /// The connection broke off again and again.
    #[error("{path}: {got} of {expected} bytes came before the connection broke ({reason})")]
    Incomplete {
        /// The file.
        path: String,
        /// Bytes received.
        got: u64,
        /// Bytes expected.
        expected: u64,
        /// The last reason.
        reason: String,
    },
    /// The bytes are not those that the Hub promised.
    #[error("{path}: expected the hash {expected}, got {got}; the file was deleted")]
    WrongHash {
        /// The file.
        path: String,
        /// The hash that the Hub named.
        expected: String,
        /// The hash of what came.
        got: String,
    },
    /// Another process downloads the same file.
    #[error("{path}: another process is downloading it")]
    Busy {
        /// The file.
        path: String,
    },
    /// No room.
    #[error("{path}: the disk is full")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses to read or write.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Something else is wrong with the cache.
    #[error(transparent)]
    Cache(crate::Error),
}

impl PullError {
    /// The system's error about a file.
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => PullError::DiskFull { path },
            _ => PullError::File { path, source },
        }
    }

    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            PullError::Offline { variable } => format!("unset {variable} to download"),
            PullError::Name { .. } => "a name is org/name, a revision a branch, a tag or a commit".to_owned(),
            PullError::Gated { page, token: false, .. } => {
                format!("accept it at {page}, then set HF_TOKEN to a token of your account")
            }
            PullError::Gated { page, token: true, .. } => {
                format!("accept it at {page} with the account that HF_TOKEN belongs to, and wait for the permission")
            }
            PullError::Refused { token, .. } => {
                let token = if *token { "check that the token may read it" } else { "set HF_TOKEN to a token that may read it" };
                format!("check the spelling; if it is private or gated, {token}")
            }
            PullError::NotFound { repository, .. } => {
                let other = match repository.kind() {
                    super::Kind::Model => "for a data set add --dataset",
                    super::Kind::Dataset => "for a model leave out --dataset",
                };
                format!("check the spelling and the revision; {other}")
            }
            PullError::Network { .. } => {
                "is there a network? HTTPS_PROXY names a proxy, SSL_CERT_FILE its certificates, HF_ENDPOINT another Hub"
                    .to_owned()
            }
            PullError::Status { .. } => "try again later; what came is kept".to_owned(),
            PullError::NoMatch { .. } | PullError::NothingUseful { .. } => {
                "--file '*.json' names files by pattern".to_owned()
            }
            PullError::Incomplete { .. } => "run it again: it goes on where it stopped".to_owned(),
            PullError::WrongHash { .. } => {
                "run it again; if it happens twice, something between you and the Hub changes files".to_owned()
            }
            PullError::DiskFull { .. } => {
                "make room and run it again, or set HF_HOME to a larger disk; what came is kept".to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }
}

/// The first few names.
fn some(files: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = files.iter().take(SHOWN).map(String::as_str).collect();
    match files.len() {
        0 => "no files".to_owned(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}
