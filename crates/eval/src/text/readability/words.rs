//! Words and sentences by textstat's rules.

use crate::text::python::{is_space, split};
use regex::Regex;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Which apostrophes stay in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apostrophes {
    None,
    /// Those before t, s, d, ve, ll and re. What follows these letters does not matter to textstat.
    OfContractions,
}

/// Whether Python's `\w` matches: letters, numbers of any kind and the underscore. Unlike in Rust's, marks do not.
pub(super) fn is_word_character(c: char) -> bool {
    static LETTER_OR_NUMBER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[\p{L}\p{N}]$").expect("a fixed pattern"));
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    LETTER_OR_NUMBER.is_match(c.encode_utf8(&mut [0; 4]))
}

pub(super) fn word_characters(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| is_word_character(*c))
}

/// The text without punctuation; white space stays as it is.
pub(super) fn without_punctuation(text: &str, apostrophes: Apostrophes) -> String {
    let contraction = |rest: &str| ["t", "s", "d", "ve", "ll", "re"].iter().any(|end| rest.starts_with(end));
    let kept = |(at, c): &(usize, char)| match c {
        '\'' if apostrophes == Apostrophes::OfContractions => contraction(&text[at + 1..]),
        c => is_space(*c) || is_word_character(*c),
    };
    text.char_indices().filter(kept).map(|(_, c)| c).collect()
}

/// The words of a text in their own case.
pub(super) fn words(text: &str, apostrophes: Apostrophes) -> Vec<String> {
    split(&without_punctuation(text, apostrophes)).map(str::to_string).collect()
}

/// Number of sentences: a sentence begins with a word character and ends with a run of `.`, `!` and `?`. Those of
/// two words or fewer do not count; any text but the empty one has at least one.
pub(super) fn sentences(text: &str, count_words: impl Fn(&str) -> usize) -> usize {
    let ends = |c: char| matches!(c, '.' | '!' | '?');
    let (mut rest, mut count) = (text, 0);
    while let Some(start) = rest.find(is_word_character) {
        rest = &rest[start..];
        let body = rest.find(ends).unwrap_or(rest.len());
        let end = rest[body..].find(|c| !ends(c)).map_or(rest.len(), |stops| body + stops);
        count += usize::from(count_words(&rest[..end]) > 2);
        rest = &rest[end..];
    }
    if text.is_empty() { 0 } else { count.max(1) }
}

/// Whether a word in lower case is on the Dale-Chall list. Inflected forms are only where the list has them.
pub(super) fn is_easy(word: &str) -> bool {
    static EASY: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        include_str!("../../../data/readability/easy_words.txt").split_whitespace().collect()
    });
    EASY.contains(word)
}
