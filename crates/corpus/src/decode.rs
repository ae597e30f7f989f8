//! Bytes to text.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How far into a file its declared encoding is looked for, as browsers do.
const DECLARED_WITHIN: usize = 1024;

/// The text of a file.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) text: String,
    /// What a person should know: bytes that are no text in this encoding.
    pub(crate) warning: Option<String>,
}

/// By byte order mark, then by what the file declares (`charset=`, `encoding=`), then UTF-8 if it is that, and
/// Windows-1252 otherwise, which every sequence of bytes is.
pub(crate) fn decode(bytes: &[u8]) -> Decoded {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let declared = || declared(bytes).filter(|_| std::str::from_utf8(bytes).is_err());
    let encoding = marked.or_else(declared).unwrap_or(match std::str::from_utf8(bytes) {
        Ok(_) => UTF_8,
        // One torn character in a long UTF-8 text does not make it another encoding.
        Err(_) if mostly_utf8(bytes) => UTF_8,
        Err(_) => WINDOWS_1252,
    });
    let (text, encoding, broken) = encoding.decode(bytes);
    let warning = broken.then(|| format!("some bytes are no text in {} and became U+FFFD", encoding.name()));
    Decoded { text: text.into_owned(), warning }
}

fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARED_WITHIN)]).to_ascii_lowercase();
    let at =
        ["charset=", "encoding="].iter().filter_map(|key| head.find(key).map(|at| at + key.len())).min()?;
    let label = head[at..].trim_start_matches(['"', '\'']);
    let end = label.find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c))).unwrap_or(label.len());
    Encoding::for_label(&label.as_bytes()[..end])
}

/// Whether fewer than one in a hundred of the non-ASCII bytes are broken.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut broken, mut rest) = (0, bytes);
    while let Err(error) = std::str::from_utf8(rest) {
        broken += 1;
        rest = &rest[error.valid_up_to() + error.error_len().unwrap_or(rest.len() - error.valid_up_to())..];
    }
    100 * broken < bytes.iter().filter(|byte| !byte.is_ascii()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_mark_the_declaration_or_the_bytes() {
        assert_eq!(decode("Fièvre".as_bytes()).text, "Fièvre");
        assert_eq!(decode(b"Fi\xe8vre").text, "Fièvre");
        assert_eq!(decode(b"\xff\xfeF\0\xe8\0").text, "Fè");
        let greek = b"<?xml version='1.0' encoding='iso-8859-7'?><p>\xe1</p>";
        assert!(decode(greek).text.ends_with("<p>α</p>"));
    }

    #[test]
    fn a_torn_character_in_a_long_text_is_reported_and_the_rest_is_kept() {
        let mut bytes = "é".repeat(200).into_bytes();
        bytes.push(0xc3);
        let decoded = decode(&bytes);
        assert_eq!(decoded.text, "é".repeat(200) + "\u{fffd}");
        assert!(decoded.warning.unwrap().contains("UTF-8"));
    }
}
