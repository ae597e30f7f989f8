//! The hashes by which the Hub names contents.

use std::fs::File;
use std::io::{self, Read};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// The hash that the Hub promises for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hash {
    /// SHA-256 of the bytes: large files.
    Sha256(String),
    /// Git's id of a blob, SHA-1 of `blob <length>\0` and the bytes: all others.
    Git(String),
}

impl Hash {
    /// The hash in an `ETag` or `X-Linked-Etag`, if it is one: `"…"` or `W/"…"`.
    pub(super) fn from_etag(etag: &str) -> Option<Self> {
        let text = etag.trim().trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
        let hex = text.chars().all(|c| c.is_ascii_hexdigit());
        match text.len() {
            64 if hex => Some(Hash::Sha256(text)),
            40 if hex => Some(Hash::Git(text)),
            _ => None,
        }
    }

    /// In hexadecimal digits; also the name of the blob.
    pub(super) fn text(&self) -> &str {
        match self {
            Hash::Sha256(text) | Hash::Git(text) => text,
        }
    }

    /// The hash of the same kind of what is in `file`, `bytes` long, from its beginning on.
    pub(super) fn of(&self, file: &mut File, bytes: u64) -> io::Result<String> {
        let mut context = match self {
            Hash::Sha256(_) => Context::new(&SHA256),
            Hash::Git(_) => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {bytes}\0").as_bytes());
                context
            }
        };
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => context.update(&buffer[..read]),
            }
        }
        Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn etags_are_hashes_or_nothing() {
        let sha256 = "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824";
        assert_eq!(Hash::from_etag(&format!("\"{sha256}\"")), Some(Hash::Sha256(sha256.to_lowercase())));
        let git = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        assert_eq!(Hash::from_etag(&format!("W/\"{git}\"")), Some(Hash::Git(git.to_owned())));
        for odd in
            ["", "\"\"", "../../../../../../../../../../etc/passwd", "d41d8cd98f00b204e9800998ecf8427e-38"]
        {
            assert_eq!(Hash::from_etag(odd), None, "{odd}");
        }
    }

    #[test]
    fn hashes_are_those_of_sha256sum_and_git() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"hello").expect("written");
        let mut of = |etag: &str| {
            file.rewind().expect("rewound");
            Hash::from_etag(etag).expect("a hash").of(&mut file, 5).expect("read")
        };
        // printf hello | sha256sum; printf hello | git hash-object --stdin
        assert_eq!(of(&"0".repeat(64)), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(of(&"0".repeat(40)), "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
    }
}
