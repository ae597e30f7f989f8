//! How an answer is given: with what disclaimers, refused, cut, or not readable at all.

use super::item::Manner;
use super::reading::Sentence;
use std::collections::BTreeSet;

/// An answer of fewer words is too short to loop.
const LONG: usize = 20;

/// The words of an answer that only disclaim.
pub(super) struct Disclaimers {
    pub(super) sentences: u32,
    words: usize,
    all_words: usize,
}

impl Disclaimers {
    pub(super) fn of(sentences: &[Sentence<'_>], manner: &Manner) -> Self {
        let disclaims =
            |sentence: &&Sentence<'_>| manner.disclaimer.iter().any(|phrase| phrase.is_mentioned(sentence));
        let found: Vec<_> = sentences.iter().filter(disclaims).collect();
        Self {
            sentences: found.len() as u32,
            words: found.iter().map(|sentence| sentence.tokens.len()).sum(),
            all_words: sentences.iter().map(|sentence| sentence.tokens.len()).sum(),
        }
    }

    /// Two sentences or more that make up a third of the answer.
    pub(super) fn are_too_many(&self) -> bool {
        self.sentences >= 2 && 3 * self.words >= self.all_words
    }
}

/// Whether an answer declines.
pub(super) fn refuses(sentences: &[Sentence<'_>], manner: &Manner) -> bool {
    sentences.iter().any(|sentence| manner.refusal.iter().any(|phrase| phrase.is_mentioned(sentence)))
}

/// Whether an answer has words that say something: at least two, and no loop, in which most of the groups of three
/// words have stood before.
pub(super) fn is_readable(sentences: &[Sentence<'_>]) -> bool {
    let words: Vec<&str> =
        sentences.iter().flat_map(|sentence| &sentence.tokens).map(|token| token.word.as_str()).collect();
    let count = words.iter().filter(|word| word.chars().any(char::is_alphabetic)).count();
    let groups = words.windows(3).collect::<BTreeSet<_>>().len();
    count >= 2 && (count < LONG || 2 * groups >= words.len())
}

/// Whether the text breaks off: its last sign ends no sentence.
pub(super) fn is_cut(answer: &str) -> bool {
    let ends = |c: char| matches!(c, '.' | '!' | '?' | '…' | ')' | '"' | '”' | '*' | '`');
    answer
        .trim_end()
        .chars()
        .next_back()
        .is_some_and(|last| !ends(last) && last.is_alphanumeric() || last == ',')
}
