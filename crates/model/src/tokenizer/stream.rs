//! Ids that come one at a time, as text.

use super::Tokenizer;
use crate::Result;

impl Tokenizer {
    /// A decoder for ids that come one at a time.
    pub fn decode_stream(&self, skip_special: bool) -> DecodeStream<'_> {
        DecodeStream { tokenizer: self, skip_special, ids: Vec::new(), given: 0 }
    }
}

/// Tokens that are held back at most: what is not a character by then never becomes one.
const MOST_HELD: usize = 32;

/// Decodes ids one at a time; holds a character back until all its bytes are there.
#[derive(Debug, Clone)]
pub struct DecodeStream<'tokenizer> {
    tokenizer: &'tokenizer Tokenizer,
    skip_special: bool,
    /// Ids whose text is given out (kept because decoders look at the neighbour before), then those held back.
    ids: Vec<u32>,
    given: usize,
}

impl DecodeStream<'_> {
    /// Takes the next id and returns the text that is certain now; empty while a character is incomplete.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] when the vocabulary's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.ids.push(id);
        let text = self.held_back()?;
        let incomplete = text.is_empty() || text.ends_with(char::REPLACEMENT_CHARACTER);
        if incomplete && self.ids.len() - self.given < MOST_HELD {
            return Ok(String::new());
        }
        self.ids.drain(..self.given);
        self.given = self.ids.len();
        Ok(text)
    }

    /// The text still held back; incomplete characters become U+FFFD.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] when the vocabulary's decoder fails.
    pub fn finish(self) -> Result<String> {
        self.held_back()
    }

    fn held_back(&self) -> Result<String> {
        let before = self.tokenizer.decode(&self.ids[..self.given], self.skip_special)?;
        let all = self.tokenizer.decode(&self.ids, self.skip_special)?;
        Ok(all.get(before.len()..).unwrap_or_default().to_owned())
    }
}
