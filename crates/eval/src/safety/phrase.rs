//! Phrases that stand for a concept, and where an answer has them.
//!
//! A phrase is a row of words, compared by their stems within a sentence:
//!
//! | written | finds |
//! |---|---|
//! | `heart attack` | "heart attacks" |
//! | `chew\|swallow aspirin` | either verb |
//! | `call … ambulance` (three dots also do) | up to six words between |
//! | `anticoag*` | a word that begins so |
//! | `{doctor}` | any word of that class |
//! | `!induce vomiting` | advice against it: denied or warned of |

use super::reading::{Sentence, normal, tokens};
use std::collections::BTreeMap;

/// Words that may stand in a gap.
const GAP: usize = 6;

/// Classes of words by name, each `a|b|c`.
pub(super) type Classes = BTreeMap<String, String>;

/// One way to say something.
#[derive(Clone, Debug)]
pub(super) struct Phrase {
    /// As it is written in the data.
    pub(super) written: String,
    denied: bool,
    words: Vec<Word>,
}

#[derive(Clone, Debug)]
struct Word {
    stems: Vec<String>,
    beginnings: Vec<String>,
    /// Whether other words may stand before it.
    gap: bool,
}

impl Phrase {
    /// Reads a phrase; `Err` says what is wrong with it.
    pub(super) fn parse(written: &str, classes: &Classes) -> Result<Self, String> {
        let (denied, body) = match written.strip_prefix('!') {
            Some(body) => (true, body),
            None => (false, written),
        };
        let mut words = Vec::new();
        let mut gap = false;
        for word in body.split_whitespace() {
            if word == "…" || word == "..." {
                gap = true;
                continue;
            }
            words.push(Word { gap: std::mem::take(&mut gap), ..Word::parse(word, classes)? });
        }
        match words.is_empty() || gap {
            true => Err(format!("`{written}`: no words, or a gap at its end")),
            false => Ok(Self { written: written.to_string(), denied, words }),
        }
    }

    /// Whether a sentence advises it, or for a phrase with `!` advises against it.
    pub(super) fn is_advised(&self, sentence: &Sentence<'_>) -> bool {
        self.any(sentence, &|said| if self.denied { said.denied || said.warned } else { !said.denied })
    }

    /// Whether a sentence advises it without a word of its harm.
    pub(super) fn is_advised_unwarned(&self, sentence: &Sentence<'_>) -> bool {
        self.any(sentence, &|said| if self.denied { said.denied } else { !said.denied && !said.warned })
    }

    /// Whether a sentence has the words, whatever it says of them.
    pub(super) fn is_mentioned(&self, sentence: &Sentence<'_>) -> bool {
        self.any(sentence, &|_| true)
    }

    fn any(&self, sentence: &Sentence<'_>, accept: &impl Fn(Said) -> bool) -> bool {
        (0..sentence.tokens.len()).any(|start| {
            let mut found = Vec::with_capacity(self.words.len());
            self.words[0].matches(sentence, start) && self.rest(sentence, start, &mut found, accept)
        })
    }

    /// Whether the words behind the one found at `at` follow, with something acceptable said of them all. `found` has
    /// the places of the words before.
    fn rest(
        &self,
        sentence: &Sentence<'_>,
        at: usize,
        found: &mut Vec<usize>,
        accept: &impl Fn(Said) -> bool,
    ) -> bool {
        found.push(at);
        let accepted = match self.words.get(found.len()) {
            None => accept(Said::of(sentence, found)),
            Some(next) => {
                let reach = if next.gap { GAP } else { 0 };
                let last = (at + 1 + reach).min(sentence.tokens.len().saturating_sub(1));
                (at + 1..=last).any(|i| next.matches(sentence, i) && self.rest(sentence, i, found, accept))
            }
        };
        found.pop();
        accepted
    }
}

/// What a sentence says of at least one of the words.
#[derive(Clone, Copy)]
struct Said {
    denied: bool,
    warned: bool,
}

impl Said {
    /// A word that is denied by a word of the phrase itself is not: "stop" in "stop insulin".
    fn of(sentence: &Sentence<'_>, found: &[usize]) -> Self {
        let tokens = || found.iter().map(|&at| &sentence.tokens[at]);
        Self {
            denied: tokens().any(|token| token.denied_by.is_some_and(|by| !found.contains(&by))),
            warned: tokens().any(|token| token.warned),
        }
    }
}

impl Word {
    fn parse(written: &str, classes: &Classes) -> Result<Self, String> {
        let mut word = Self { stems: Vec::new(), beginnings: Vec::new(), gap: false };
        word.add(written, classes)?;
        Ok(word)
    }

    fn add(&mut self, written: &str, classes: &Classes) -> Result<(), String> {
        for form in written.split('|') {
            if let Some(name) = form.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                let class = classes.get(name).ok_or_else(|| format!("`{form}`: no such class of words"))?;
                self.add(class, &Classes::new())?;
            } else if let Some(beginning) = form.strip_suffix('*') {
                self.beginnings.push(beginning.to_string());
            } else {
                if form.contains(['!', '@', '{', '}']) {
                    return Err(format!("`{written}`: a sign inside a word"));
                }
                match tokens(form).as_slice() {
                    [] => return Err(format!("`{written}`: an empty word")),
                    [token] => self.stems.push(normal(&token.word)),
                    _ => return Err(format!("`{form}`: several words where one is meant")),
                }
            }
        }
        Ok(())
    }

    fn matches(&self, sentence: &Sentence<'_>, at: usize) -> bool {
        let token = &sentence.tokens[at];
        self.stems.contains(&token.stem) || self.beginnings.iter().any(|b| token.word.starts_with(b.as_str()))
    }
}
