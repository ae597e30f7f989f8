//! API keys.

use std::fmt;

use crate::Error;

/// The shortest key.
const SHORTEST: usize = 16;

/// The keys with which a client may ask. Only their hashes are kept, and they are compared in constant time.
#[derive(Clone, Default)]
pub struct Keys(Vec<blake3::Hash>);

impl Keys {
    /// The keys of a text, one on each line; blank lines and those that begin with `#` do not count.
    ///
    /// # Errors
    /// When there is none, or one is shorter than 16 bytes or not of printable ASCII. The error does not show it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for (line, key) in text.lines().map(str::trim).enumerate() {
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            if key.len() < SHORTEST || !key.bytes().all(|b| b.is_ascii_graphic()) {
                let reason =
                    format!("expected at least {SHORTEST} printable ASCII characters without blanks");
                return Err(Error::Key { line: line + 1, reason });
            }
            keys.push(blake3::hash(key.as_bytes()));
        }
        match keys.is_empty() {
            true => Err(Error::Key { line: 1, reason: "there is no key".to_owned() }),
            false => Ok(Keys(keys)),
        }
    }

    /// Whether nobody has to show a key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `key` is one of them. Takes as long for each of them, and however much of one is right.
    pub(crate) fn contain(&self, key: &[u8]) -> bool {
        let given = blake3::hash(key);
        // `blake3::Hash` compares in constant time.
        self.0.iter().fold(false, |found, hash| found | (*hash == given))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_counts() {
        let keys = Keys::parse("# for the ward\n0123456789abcdefX\n\nsecond-key-of-the-house\n").unwrap();
        assert!(keys.contain(b"0123456789abcdefX") && keys.contain(b"second-key-of-the-house"));
        for wrong in ["", "0123456789abcdef", "0123456789abcdefx", "0123456789abcdefXY", "# for the ward"] {
            assert!(!keys.contain(wrong.as_bytes()), "{wrong:?}");
        }
    }

    #[test]
    fn short_and_absent_keys_are_refused_and_never_shown() {
        for (text, line) in
            [("", 1), ("# nothing\n", 1), ("0123456789abcdef\nshort-secret", 2), ("a key with blanks", 1)]
        {
            let error = Keys::parse(text).unwrap_err();
            assert!(matches!(&error, Error::Key { line: l, .. } if *l == line), "{text:?}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert_eq!(format!("{:?}", Keys::parse("0123456789abcdef").unwrap()), "1 keys");
    }
}
