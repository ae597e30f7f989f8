//! The bytes that each token stands for.

use super::Tokenizer;

/// How a vocabulary writes bytes as text, read off its decoder.
#[derive(Debug, Default)]
struct Spelling {
    /// Every byte is a printable character (GPT-2's `bytes_to_unicode`).
    byte_level: bool,
    /// `<0x0A>` is a byte (sentencepiece's byte fallback).
    byte_fallback: bool,
    /// Stands for a blank.
    blank: Option<char>,
}

impl Spelling {
    fn read(&mut self, decoder: &serde_json::Value) {
        match decoder["type"].as_str() {
            Some("Sequence") => {
                decoder["decoders"].as_array().into_iter().flatten().for_each(|d| self.read(d))
            }
            Some("ByteLevel") => self.byte_level = true,
            Some("ByteFallback") => self.byte_fallback = true,
            Some("Metaspace") => self.blank = first_char(&decoder["replacement"]),
            Some("Replace") if decoder["content"] == " " => {
                self.blank = first_char(&decoder["pattern"]["String"]);
            }
            _ => {}
        }
    }

    fn bytes(&self, token: &str) -> Vec<u8> {
        if self.byte_level {
            // A token with other characters is not made of bytes; the library's decoder takes it as it is written.
            return token.chars().map(byte_of).collect::<Option<_>>().unwrap_or_else(|| token.into());
        }
        let byte = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        let byte = byte.filter(|digits| self.byte_fallback && digits.len() == 2);
        if let Some(byte) = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            return vec![byte];
        }
        match self.blank {
            Some(blank) => token.replace(blank, " ").into(),
            None => token.into(),
        }
    }
}

fn first_char(text: &serde_json::Value) -> Option<char> {
    text.as_str()?.chars().next()
}

/// The byte that a character stands for in GPT-2's `bytes_to_unicode`.
fn byte_of(c: char) -> Option<u8> {
    let code = u32::from(c);
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => Some(code as u8),
        0x100..=0x120 => Some((code - 0x100) as u8),
        0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        _ => None,
    }
}

impl Tokenizer {
    /// The bytes that each token of a text stands for, by id. `None`: no such token, or a special one, which is no
    /// text. A blank that some vocabularies drop before the first word is there.
    pub fn token_bytes(&self) -> Vec<Option<Vec<u8>>> {
        let mut spelling = Spelling::default();
        let decoder = self.inner.get_decoder().and_then(|decoder| serde_json::to_value(decoder).ok());
        spelling.read(&decoder.unwrap_or_default());
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let bytes = |id: u32| match added.get(&id) {
            Some(token) if token.special => None,
            Some(token) => Some(token.content.clone().into_bytes()),
            None => Some(spelling.bytes(&self.inner.id_to_token(id)?)),
        };
        (0..self.vocab_size as u32).map(bytes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_character() {
        let mut found: Vec<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte_of).collect();
        found.sort_unstable();
        assert_eq!(found, (0..=255).collect::<Vec<u8>>());
        assert_eq!(['Ġ', 'Ċ', 'ł'].map(byte_of), [Some(b' '), Some(b'\n'), Some(0xa0)]);
    }

    #[test]
    fn sentencepiece_has_blanks_and_bytes() {
        let spelling = Spelling { byte_level: false, byte_fallback: true, blank: Some('▁') };
        assert_eq!(spelling.bytes("▁a▁"), b" a ");
        assert_eq!(spelling.bytes("<0xC3>"), [0xc3]);
        assert_eq!(spelling.bytes("<0xZZ>"), b"<0xZZ>");
    }
}
