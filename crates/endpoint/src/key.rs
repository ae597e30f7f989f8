//! A person's key. It goes into the header of a request and nowhere else.

use std::fmt;
use std::path::Path;

use chat::{Error, Result};

/// A key that no message, log or error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// From a text, blanks around it aside.
    ///
    /// # Errors
    /// [`Error::Request`] when it is empty or has characters that a header cannot carry.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Request(
                "a key is one line of printable ASCII characters without blanks".to_owned(),
            ));
        }
        Ok(ApiKey(text.to_owned()))
    }

    /// From the environment variable `name`; nothing where it is not set or empty.
    ///
    /// # Errors
    /// As [`ApiKey::new`].
    pub fn from_environment(name: &str) -> Result<Option<Self>> {
        match std::env::var(name) {
            Ok(text) if !text.trim().is_empty() => {
                Self::new(&text).map(Some).map_err(|error| Error::Request(format!("{name}: {error}")))
            }
            _ => Ok(None),
        }
    }

    /// From the only line of a file.
    ///
    /// # Errors
    /// As [`ApiKey::new`], or when the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self> {
        let named = |reason: String| Error::Request(format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        Self::new(&text).map_err(|error| named(error.to_string()))
    }

    /// For the header.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// A text in which the key, should a provider have repeated it, is not to be read any more.
    pub(crate) fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "[key]")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let key = ApiKey::new(" sk-secret\n").unwrap();
        assert_eq!(key.bearer(), "Bearer sk-secret");
        assert_eq!(format!("{key:?}"), "ApiKey(hidden)");
        assert_eq!(key.hidden_in("no such key: sk-secret"), "no such key: [key]");
    }

    #[test]
    fn what_no_header_can_carry_is_no_key() {
        for wrong in ["", "  ", "two words", "a\r\nx-other: b", "Schlüssel"] {
            let error = ApiKey::new(wrong).unwrap_err().to_string();
            assert!(
                error.contains("printable ASCII") && (wrong.len() < 3 || !error.contains(wrong)),
                "{error}"
            );
        }
    }
}
