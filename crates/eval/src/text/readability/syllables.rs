//! Syllables as textstat counts them: by the CMU dictionary's first pronunciation, otherwise by hyphenation.

use super::hyphenation::hyphens;
use super::words::{Apostrophes, words};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Number of syllables of an English text.
pub fn syllables(text: &str) -> usize {
    words(text, Apostrophes::OfContractions).iter().map(|word| of_word(&word.to_lowercase())).sum()
}

/// Number of syllables of a word in lower case.
pub(super) fn of_word(word: &str) -> usize {
    match EXCEPTIONS.get(word) {
        Some(syllables) => usize::from(*syllables),
        None => hyphens(word) + 1,
    }
}

/// The words of the dictionary that hyphenation counts differently. `tools/make_syllables.py` says how they are kept.
static EXCEPTIONS: LazyLock<HashMap<Box<str>, u8>> = LazyLock::new(|| {
    let table = include_bytes!("../../../data/readability/syllables.bin");
    let mut exceptions = HashMap::with_capacity(50_000);
    let (mut word, mut starts) = (String::new(), true);
    for byte in table {
        if starts {
            word.truncate(usize::from(*byte));
        } else if byte & 0x80 == 0 {
            word.push(char::from(*byte));
        } else {
            exceptions.insert(word.as_str().into(), byte & 0x7f);
        }
        starts = byte & 0x80 != 0 && !starts;
    }
    exceptions
});
