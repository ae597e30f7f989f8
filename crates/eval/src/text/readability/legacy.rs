//! The rules of textstat 0.7.4, for comparison with figures that were published with it or an earlier version.
//!
//! It has no dictionary of pronunciations, drops every apostrophe, counts each hard word once, and rounds means
//! before they enter a formula.

use super::hyphenation::hyphens;
use super::words::{Apostrophes, is_easy, is_word_character, sentences, without_punctuation, words};
use super::{Readability, smog};
use crate::text::python;
use std::collections::HashSet;

/// Readability of an English text, as textstat 0.7.4 computes it: rounded.
pub fn readability_0_7_4(text: &str) -> Readability {
    let count_words = |text: &str| words(text, Apostrophes::None).len();
    let words = count_words(text) as f64;
    if words == 0.0 {
        return Readability {
            flesch_reading_ease: 206.84,
            flesch_kincaid_grade: -15.6,
            ..Readability::default()
        };
    }
    let sentences = sentences(text, count_words) as f64;
    let characters = text.chars().filter(|c| !python::is_space(*c)).count() as f64;
    let letters = super::word_characters(text).count() as f64;
    let sentence_length = round(words / sentences, 1);
    let syllables_per_word = round(syllables(text) as f64 / words, 1);
    let polysyllables = python::split(text).filter(|word| syllables(word) >= 3).count() as f64;
    let hard = hard_words(text, 0) / words * 100.0;
    let dale_chall = 0.1579 * hard + 0.0496 * sentence_length + if hard > 5.0 { 3.6365 } else { 0.0 };
    let letters_per_100 = round(round(letters / words, 2) * 100.0, 2);
    let sentences_per_100 = round(round(sentences / words, 2) * 100.0, 2);
    let ari = 4.71 * round(characters / words, 2) + 0.5 * round(words / sentences, 2) - 21.43;
    let fog = 0.4 * (sentence_length + hard_words(text, 3) / words * 100.0);
    Readability {
        flesch_reading_ease: round(206.835 - 1.015 * sentence_length - 84.6 * syllables_per_word, 2),
        dale_chall: round(dale_chall, 2),
        flesch_kincaid_grade: round(0.39 * sentence_length + 11.8 * syllables_per_word - 15.59, 1),
        smog: if sentences < 3.0 { 0.0 } else { round(smog(polysyllables, sentences), 1) },
        automated_readability_index: round(ari, 1),
        coleman_liau: round(0.058 * letters_per_100 - 0.296 * sentences_per_100 - 15.8, 2),
        gunning_fog: round(fog, 2),
    }
}

fn syllables(text: &str) -> usize {
    let text = without_punctuation(&text.to_lowercase(), Apostrophes::None);
    python::split(&text).map(|word| hyphens(word) + 1).sum()
}

/// Number of different words of so many syllables that are not on the Dale-Chall list.
fn hard_words(text: &str, least_syllables: usize) -> f64 {
    let text = text.to_lowercase();
    let in_word = |c: char| is_word_character(c) || matches!(c, '=' | '\'' | '‘' | '’');
    let words: HashSet<&str> = text.split(|c| !in_word(c)).filter(|word| !word.is_empty()).collect();
    let hard = words.iter().filter(|word| !is_easy(word) && syllables(word) >= least_syllables);
    hard.count() as f64
}

/// textstat's `_legacy_round`: up from one half, and away from zero by one more step below it.
fn round(number: f64, points: i32) -> f64 {
    let scale = 10f64.powi(points);
    (number * scale + 0.5f64.copysign(number)).floor() / scale
}
