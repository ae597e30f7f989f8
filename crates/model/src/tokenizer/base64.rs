//! Base64, as tiktoken's files and sentencepiece's maps are written.

/// The bytes of a text in Base64 with its padding.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn vectors_of_rfc_4648() {
        let vectors =
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar"), ("+/8=", "")];
        for (text, wanted) in &vectors[..5] {
            assert_eq!(decode(text).as_deref(), Some(wanted.as_bytes()));
        }
        assert_eq!(decode(vectors[5].0), Some(vec![0xfb, 0xff]));
        for wrong in ["Z", "Zg=", "Zg", "Z===", "Zm9v!AAA", "=m9v"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
