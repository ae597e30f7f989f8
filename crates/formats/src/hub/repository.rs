//! What a repository of the Hub may be called, and its folder in the cache.

use std::fmt;

use crate::hf::is_plain_name;

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Weights, tokenizer, configuration.
    Model,
    /// Rows.
    Dataset,
}

impl Kind {
    fn plural(self) -> &'static str {
        match self {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Model => "model",
            Kind::Dataset => "data set",
        })
    }
}

/// A repository: `org/name`, or `name` for the oldest ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    kind: Kind,
    name: String,
}

impl Repository {
    /// The repository of that name, if it can be one: letters, digits, `-`, `_` and `.` only, and no `--`, which
    /// separates the parts in the cache.
    pub fn new(kind: Kind, name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('/').collect();
        let allowed = |part: &&str| {
            is_plain_name(part)
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        let sound = parts.len() <= 2 && parts.iter().all(allowed) && !name.contains("--");
        sound.then(|| Repository { kind, name: name.to_owned() })
    }

    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder in the cache.
    pub(crate) fn folder(&self) -> String {
        format!("{}--{}", self.kind.plural(), self.name.replace('/', "--"))
    }

    /// Its path in the Hub's API.
    #[cfg(feature = "hub")]
    pub(crate) fn api_path(&self) -> String {
        format!("api/{}/{}", self.kind.plural(), self.name)
    }

    /// The path of its page, under which its files are.
    #[cfg(feature = "hub")]
    pub(crate) fn page_path(&self) -> String {
        match self.kind {
            Kind::Model => self.name.clone(),
            Kind::Dataset => format!("datasets/{}", self.name),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Whether a branch, tag or commit can be called that.
pub(crate) fn is_revision(revision: &str) -> bool {
    revision.split('/').all(is_plain_name)
        && !revision.contains(|c: char| c.is_control() || c.is_whitespace())
}
