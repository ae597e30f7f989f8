//! A text as words with their shapes.

use std::collections::HashSet;

use super::lists;

/// How a word is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `Carter`, `O'Neil`, `McAllister`, `Mary-Jo`.
    Title,
    /// `CARTER`.
    Capitals,
    /// `J`, `J.`
    Initial,
    /// `carter`.
    Lower,
    /// Digits.
    Number,
}

/// A word: letters with apostrophes and hyphens inside, or digits. A possessive `'s` is no part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) shape: Shape,
    /// Whether `'s` follows it.
    pub(super) possessive: bool,
}

impl<'a> Word<'a> {
    fn new(text: &'a str, start: usize, possessive: bool) -> Self {
        let (mut letters, mut capitals, mut first_is_capital) = (0, 0, false);
        for (at, c) in text.chars().filter(|c| c.is_alphabetic()).enumerate() {
            letters += 1;
            capitals += usize::from(c.is_uppercase());
            first_is_capital |= at == 0 && c.is_uppercase();
        }
        let shape = match (letters, capitals) {
            (0, _) => Shape::Number,
            (1, 1) => Shape::Initial,
            (letters, capitals) if letters == capitals => Shape::Capitals,
            _ if first_is_capital => Shape::Title,
            _ => Shape::Lower,
        };
        Word { text, start, end: start + text.len(), shape, possessive }
    }

    /// In small letters.
    pub(super) fn lower(&self) -> String {
        self.text.to_lowercase()
    }

    /// As a name is written: `CARTER` as `Carter`.
    pub(super) fn title(&self) -> String {
        if self.shape != Shape::Capitals {
            return self.text.to_owned();
        }
        let mut letters = self.text.chars();
        letters.next().map_or_else(String::new, |first| format!("{first}{}", letters.as_str().to_lowercase()))
    }
}

/// The words of a text.
#[derive(Debug)]
pub(super) struct Words<'a> {
    pub(super) text: &'a str,
    pub(super) all: Vec<Word<'a>>,
    /// Those that stand in small letters somewhere.
    lowered: HashSet<&'a str>,
}

impl<'a> Words<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut all = Vec::new();
        let mut from: Option<usize> = None;
        let mut letters = text.char_indices().peekable();
        while let Some((at, c)) = letters.next() {
            let next = letters.peek().map(|(_, c)| *c);
            let inside = match from {
                None => c.is_alphanumeric(),
                Some(_) if c.is_alphanumeric() => true,
                Some(_) if is_apostrophe(c) => {
                    next.is_some_and(char::is_alphabetic) && !ends_possessive(&text[at..])
                }
                // An accent that stands alone belongs to the letter before it.
                Some(_) => (c == '-' && next.is_some_and(char::is_alphabetic)) || is_accent(c),
            };
            match (from, inside) {
                (None, true) => from = Some(at),
                (Some(start), false) => {
                    all.push(Word::new(&text[start..at], start, ends_possessive(&text[at..])));
                    from = None;
                }
                _ => {}
            }
        }
        if let Some(start) = from {
            all.push(Word::new(&text[start..], start, false));
        }
        let lowered = all.iter().filter(|word| word.shape == Shape::Lower).map(|word| word.text).collect();
        Words { text, all, lowered }
    }

    pub(super) fn get(&self, at: usize) -> Option<&Word<'a>> {
        self.all.get(at)
    }

    /// The word `back` words before the one at `at`.
    pub(super) fn before(&self, at: usize, back: usize) -> Option<&Word<'a>> {
        at.checked_sub(back).and_then(|at| self.all.get(at))
    }

    /// What stands between the word at `at` and the one before it.
    pub(super) fn gap(&self, at: usize) -> &'a str {
        match (self.before(at, 1), self.get(at)) {
            (Some(before), Some(word)) => &self.text[before.end..word.start],
            _ => "\n",
        }
    }

    /// Whether a word stands elsewhere in small letters.
    pub(super) fn lowered(&self, word: &Word<'_>) -> bool {
        self.lowered.contains(word.lower().as_str())
    }

    /// Whether a word is of the language and not of a person: it is in the list, ends like a disease or a drug, or stands
    /// elsewhere in small letters.
    pub(super) fn is_ordinary(&self, word: &Word<'_>) -> bool {
        if lists::is_given(word.text) || lists::is_surname(word.text) {
            return false;
        }
        let lower = word.lower();
        lists::is_ordinary(&lower) || self.lowered(word) || lists::is_medical(&lower)
    }
}

fn is_apostrophe(c: char) -> bool {
    c == '\'' || c == '’'
}

fn is_accent(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

/// Whether a text begins with `'s` and the word ends there.
fn ends_possessive(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(is_apostrophe)
        && letters.next().is_some_and(|c| c == 's' || c == 'S')
        && !letters.next().is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_shapes_and_lose_their_possessive() {
        let words = Words::of("Dr. O'Neil's son, J. McAllister-Ro, 58, saw KOVACS today.");
        let shapes: Vec<(&str, Shape)> = words.all.iter().map(|word| (word.text, word.shape)).collect();
        let expected = [
            ("Dr", Shape::Title),
            ("O'Neil", Shape::Title),
            ("s", Shape::Lower),
            ("son", Shape::Lower),
            ("J", Shape::Initial),
            ("McAllister-Ro", Shape::Title),
            ("58", Shape::Number),
            ("saw", Shape::Lower),
            ("KOVACS", Shape::Capitals),
            ("today", Shape::Lower),
        ];
        assert_eq!(shapes, expected);
        assert!(words.all[1].possessive && !words.all[3].possessive);
        assert_eq!((words.gap(1), words.gap(0)), (". ", "\n"));
    }
}
