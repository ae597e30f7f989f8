//! How hard a text is to read, by the formulas of textstat.
//!
//! The numbers are those of textstat 0.7.13 for `en_US`, whose rules for words, sentences and syllables differ from
//! the textbook and between versions: always name the version ([`TEXTSTAT_VERSION`]) beside a score. The formulas:
//! Flesch 1948; Kincaid et al. 1975; McLaughlin 1969 (SMOG); Smith & Senter 1967 (ARI); Coleman & Liau 1975; Dale &
//! Chall 1948; Gunning 1952.

mod hyphenation;
mod legacy;
mod syllables;
#[cfg(test)]
mod tests;
mod words;

pub use legacy::readability_0_7_4;
pub use syllables::syllables;

use serde::{Deserialize, Serialize};
use words::{Apostrophes, is_easy, sentences, word_characters, words};

/// The version of textstat whose numbers [`readability`] gives.
pub const TEXTSTAT_VERSION: &str = "0.7.13";

/// What is counted in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextCounts {
    /// Characters except white space.
    pub characters: usize,
    /// Letters, digits and underscores.
    pub letters: usize,
    /// Words; a word with hyphens is one.
    pub words: usize,
    /// Runs between white space, whether they hold a letter or not.
    pub whitespace_words: usize,
    /// Sentences of more than two words, at least 1; 0 in an empty text.
    pub sentences: usize,
    /// Syllables by the CMU dictionary, of words that it lacks by Pyphen's hyphenation.
    pub syllables: usize,
    /// Words of three syllables or more.
    pub polysyllables: usize,
    /// Words that are not on the Dale-Chall list.
    pub hard_words: usize,
    /// Words of three syllables or more that are not on the Dale-Chall list.
    pub hard_polysyllables: usize,
}

/// Readability scores. All but the first two are school grades; a text without words scores 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Readability {
    /// Flesch reading ease: 100 is very easy, 0 very hard, and it may pass both.
    pub flesch_reading_ease: f64,
    /// Dale-Chall: below 5 is fourth grade, above 9 college.
    pub dale_chall: f64,
    /// Flesch-Kincaid grade.
    pub flesch_kincaid_grade: f64,
    /// SMOG grade. Meant for 30 sentences and more.
    pub smog: f64,
    /// Automated readability index.
    pub automated_readability_index: f64,
    /// Coleman-Liau index.
    pub coleman_liau: f64,
    /// Gunning's fog index.
    pub gunning_fog: f64,
}

impl TextCounts {
    /// Counts as textstat 0.7.13 does.
    pub fn of(text: &str) -> Self {
        let mut counts = Self {
            characters: text.chars().filter(|c| !super::python::is_space(*c)).count(),
            letters: word_characters(text).count(),
            whitespace_words: super::python::split(text).count(),
            sentences: sentences(text, |sentence| words(sentence, Apostrophes::OfContractions).len()),
            ..Self::default()
        };
        for word in words(text, Apostrophes::OfContractions) {
            let word = word.to_lowercase();
            let syllables = syllables::of_word(&word);
            counts.words += 1;
            counts.syllables += syllables;
            counts.polysyllables += usize::from(syllables >= 3);
            if !is_easy(&word) {
                counts.hard_words += 1;
                counts.hard_polysyllables += usize::from(syllables >= 3);
            }
        }
        counts
    }

    /// The scores of a text with these counts.
    pub fn readability(&self) -> Readability {
        if self.words == 0 {
            return self.without_words();
        }
        let (words, sentences) = (self.words as f64, self.sentences as f64);
        let sentence_length = words / sentences;
        let syllables = self.syllables as f64 / words;
        let hard = 100.0 * self.hard_words as f64 / words;
        let letters = 100.0 * self.letters as f64 / words;
        Readability {
            flesch_reading_ease: 206.835 - 1.015 * sentence_length - 84.6 * syllables,
            dale_chall: 0.1579 * hard + 0.0496 * sentence_length + if hard > 5.0 { 3.6365 } else { 0.0 },
            flesch_kincaid_grade: 0.39 * sentence_length + 11.8 * syllables - 15.59,
            smog: smog(self.polysyllables as f64, sentences),
            automated_readability_index: 4.71 * self.characters as f64 / self.whitespace_words as f64
                + 0.5 * sentence_length
                - 21.43,
            coleman_liau: 0.058 * letters - 0.296 * 100.0 * sentences / words - 15.8,
            gunning_fog: 0.4 * (sentence_length + 100.0 * self.hard_polysyllables as f64 / words),
        }
    }

    /// textstat takes punctuation without words for one sentence, of which SMOG alone makes a grade.
    fn without_words(&self) -> Readability {
        let smog = if self.sentences == 0 { 0.0 } else { smog(0.0, self.sentences as f64) };
        Readability { smog, ..Readability::default() }
    }
}

/// Readability of an English text, as textstat 0.7.13 computes it.
pub fn readability(text: &str) -> Readability {
    TextCounts::of(text).readability()
}

fn smog(polysyllables: f64, sentences: f64) -> f64 {
    1.043 * (30.0 * polysyllables / sentences).sqrt() + 3.1291
}
