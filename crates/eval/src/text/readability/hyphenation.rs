//! Hyphenation by Liang's patterns.
//!
//! Liang 1983, "Word Hy-phen-a-tion by Com-put-er"; Pyphen 0.18.1 with `hyph_en_US.dic`.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Letters of a pattern → where its first weight stands, and the weights.
type Patterns = HashMap<String, (usize, Vec<u8>)>;

/// Fewest letters before the first and behind the last hyphen. Pyphen's defaults, not those of the file.
const MARGIN: usize = 2;

static PATTERNS: LazyLock<(Patterns, usize)> = LazyLock::new(|| {
    let patterns: Patterns = include_str!("../../../data/readability/hyphenation.txt")
        .lines()
        .map(|line| {
            let (mut letters, mut weights) = (String::new(), vec![0]);
            for c in line.chars() {
                match c.to_digit(10) {
                    Some(weight) => *weights.last_mut().expect("never empty") = weight as u8,
                    None => {
                        letters.push(c);
                        weights.push(0);
                    }
                }
            }
            let start = weights.iter().take_while(|weight| **weight == 0).count();
            (letters, (start, weights.split_off(start.min(weights.len()))))
        })
        .collect();
    let longest = patterns.keys().map(|letters| letters.chars().count()).max().unwrap_or(0);
    (patterns, longest)
});

/// Number of places at which a word in lower case may be hyphenated.
pub(super) fn hyphens(word: &str) -> usize {
    let (patterns, longest) = &*PATTERNS;
    let dotted = format!(".{word}.");
    let starts: Vec<usize> = dotted.char_indices().map(|(at, _)| at).chain([dotted.len()]).collect();
    let characters = starts.len() - 1;
    let mut weights = vec![0u8; characters + 1];
    for from in 0..characters {
        for to in from + 1..=characters.min(from + longest) {
            let Some((start, pattern)) = patterns.get(&dotted[starts[from]..starts[to]]) else { continue };
            for (weight, new) in weights[from + start..].iter_mut().zip(pattern) {
                *weight = (*weight).max(*new);
            }
        }
    }
    let letters = characters - 2;
    // A weight stands before the character of its index; the dot in front shifts it by one.
    let places = weights.iter().enumerate().filter(|(_, weight)| **weight % 2 == 1);
    places.filter(|(at, _)| (MARGIN..=letters.saturating_sub(MARGIN)).contains(&at.wrapping_sub(1))).count()
}
