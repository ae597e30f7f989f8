//! Counts of n-grams of all orders from one sort.
//!
//! Every position of a text gives one key: the units from there on, most significant first. In sorted order the
//! n-grams of each order stand together, so counting and comparing are walks along sorted lists and nothing is
//! hashed.

use std::collections::HashMap;

/// The longest n-gram. Six units of 21 bits fill a key.
pub(super) const MAX_ORDER: usize = 6;

/// Wide enough for every `char` plus one.
const UNIT_BITS: u32 = 21;

/// The n-grams of a sequence of units, up to [`MAX_ORDER`].
pub(super) struct Grams {
    /// Sorted; a unit is stored plus one, 0 is "past the end".
    keys: Vec<u128>,
}

impl Grams {
    /// Of the characters of a text.
    pub(super) fn of_chars(chars: impl IntoIterator<Item = char>) -> Self {
        Self::of_units(chars.into_iter().map(u32::from))
    }

    /// Of units below `2^21 - 1`.
    pub(super) fn of_units(units: impl IntoIterator<Item = u32>) -> Self {
        let units: Vec<u128> = units.into_iter().map(|unit| u128::from(unit) + 1).collect();
        let mut keys = vec![0; units.len()];
        let mut following = 0u128;
        for (key, unit) in keys.iter_mut().zip(&units).rev() {
            following = following >> UNIT_BITS | unit << (UNIT_BITS * (MAX_ORDER as u32 - 1));
            *key = following;
        }
        keys.sort_unstable();
        Self { keys }
    }

    /// Number of n-grams of an order.
    pub(super) fn total(&self, order: usize) -> usize {
        (self.keys.len() + 1).saturating_sub(order)
    }

    /// Number of this text's n-grams that occur in a reference, each at most as often as in the reference where it
    /// is most frequent.
    pub(super) fn clipped_matches(&self, references: &[Self], order: usize) -> usize {
        let mut rests: Vec<_> = references.iter().map(|reference| reference.runs(order).peekable()).collect();
        let mut matches = 0;
        for (gram, count) in self.runs(order) {
            let mut most = 0;
            for rest in &mut rests {
                while rest.next_if(|(other, _)| *other < gram).is_some() {}
                if let Some((_, other)) = rest.next_if(|(other, _)| *other == gram) {
                    most = most.max(other);
                }
            }
            matches += count.min(most);
        }
        matches
    }

    /// Each different n-gram with its count, sorted.
    fn runs(&self, order: usize) -> impl Iterator<Item = (u128, usize)> {
        let dropped = UNIT_BITS * (MAX_ORDER - order) as u32;
        let last_unit = (1u128 << UNIT_BITS) - 1;
        self.keys
            .chunk_by(move |left, right| left >> dropped == right >> dropped)
            .map(move |run| (run[0] >> dropped, run.len()))
            .filter(move |(gram, _)| gram & last_unit != 0)
    }
}

/// Numbers for the different words of a few texts.
#[derive(Default)]
pub(super) struct WordNumbers<'a> {
    numbers: HashMap<&'a str, u32>,
}

impl<'a> WordNumbers<'a> {
    pub(super) fn grams(&mut self, words: impl IntoIterator<Item = &'a str>) -> Grams {
        Grams::of_units(words.into_iter().map(|word| {
            let next = self.numbers.len() as u32;
            *self.numbers.entry(word).or_insert(next)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_is_counted_and_clipped() {
        let text = Grams::of_chars("abababc".chars());
        assert_eq!((1..=MAX_ORDER).map(|order| text.total(order)).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2]);
        let reference = [Grams::of_chars("abab".chars())];
        // a 2, b 2 | ab 2, ba 1 | aba 1, bab 1 | abab 1.
        let matches = (1..=MAX_ORDER).map(|order| text.clipped_matches(&reference, order));
        assert_eq!(matches.collect::<Vec<_>>(), [4, 3, 2, 1, 0, 0]);
        assert_eq!(reference[0].total(6), 0);
    }

    #[test]
    fn the_most_generous_reference_counts() {
        let mut numbers = WordNumbers::default();
        let text = numbers.grams(["the", "the", "the", "cat"]);
        let references = [numbers.grams(["the", "the"]), numbers.grams(["cat", "the"])];
        assert_eq!(text.clipped_matches(&references, 1), 3);
        assert_eq!(text.clipped_matches(&[], 1), 0);
    }
}
