//! Guessing how a text goes on from what stands in it (prompt lookup decoding, Saxena 2023): a forward pass over a few
//! tokens reads the weights once, as one over a single token does. Each guess that the sampler then chooses by itself
//! is a token for nothing; the first that it does not choose ends them, so texts have the bits that they have without.

use compute::Backend;

use super::{Engine, Ticket};

/// Tokens at the end of a text that must have stood in it before.
const SHORTEST: usize = 3;

/// Of two such places the one before which more is alike is taken; beyond so many tokens the nearer one.
const LONGEST: usize = 16;

/// Rows of a forward pass that guesses may fill up: reading the weights takes about as long as multiplying so many.
pub(super) const PASS_ROWS: usize = 8;

/// What a text is guessed to go on with.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The guesses of one step.
    pub(super) guesses: Vec<u32>,
    /// How many are worth making, going by the last ones.
    reach: usize,
}

impl Lookup {
    pub(super) fn new() -> Self {
        Lookup { guesses: Vec::with_capacity(PASS_ROWS), reach: 1 }
    }

    /// At most `most` guesses of what follows `ids`; none where their end has not stood there before.
    pub(super) fn guess(&mut self, ids: &[u32], most: usize) {
        self.guesses.clear();
        let wanted = most.min(self.reach);
        let Some(place) = (wanted > 0).then(|| earlier(ids)).flatten() else { return };
        for next in place..place + wanted {
            // A text that repeats itself goes on with what was just guessed.
            let guess = ids.get(next).copied().unwrap_or_else(|| self.guesses[next - ids.len()]);
            self.guesses.push(guess);
        }
    }

    /// The first `right` guesses were chosen.
    pub(super) fn learn(&mut self, right: usize) {
        let all = right == self.guesses.len();
        self.reach = if all { 2 * self.reach } else { right.max(1) }.min(PASS_ROWS);
    }
}

/// Where those of the last tokens of `ids` that have stood there before went on: the place with most of them, of equal
/// ones the last.
fn earlier(ids: &[u32]) -> Option<usize> {
    let end = ids.last_chunk::<SHORTEST>()?;
    let (mut best, mut length) = (None, SHORTEST - 1);
    for (start, _) in
        ids[..ids.len() - 1].array_windows().enumerate().rev().filter(|(_, window)| *window == end)
    {
        let place = start + SHORTEST;
        let alike = ids[..place].iter().rev().zip(ids.iter().rev());
        let alike = alike.take(LONGEST).take_while(|(a, b)| a == b).count();
        if alike > length {
            (best, length) = (Some(place), alike);
        }
        if length == LONGEST {
            break;
        }
    }
    best
}

impl<B: Backend> Engine<'_, B> {
    /// Guesses for the texts that are being written, as far as the pass and the cache have room.
    pub(super) fn guess(&mut self) {
        let writing = self.running.iter().filter(|sequence| sequence.uncomputed() == 1).count();
        let rows = PASS_ROWS.min(self.settings.step_tokens);
        // A prompt that is read makes the pass large, and a guess as dear as any token.
        let mut rows = if writing == self.running.len() { rows.saturating_sub(writing) } else { 0 };
        for place in 0..self.running.len() {
            let sequence = &mut self.running[place];
            let room = sequence.room(self.settings.context).saturating_sub(1);
            sequence.lookup.guess(&sequence.ids, self.settings.lookup.min(rows).min(room));
            let positions = sequence.ids.len() + sequence.lookup.guesses.len();
            // The last blocks are for tokens that are certain.
            if self.pool.available() < self.running.len() || !self.grow(place, positions) {
                let sequence = &mut self.running[place];
                let held = sequence.blocks.len() * compute::KV_BLOCK;
                sequence.lookup.guesses.truncate(held - sequence.ids.len());
            }
            rows -= self.running[place].lookup.guesses.len();
        }
    }

    /// Of the guesses for a text so many were right.
    pub(super) fn guessed(&mut self, ticket: Ticket, right: usize) {
        let Ok(place) = self.running.binary_search_by_key(&ticket, |s| s.ticket) else { return };
        let lookup = &mut self.running[place].lookup;
        if !lookup.guesses.is_empty() {
            lookup.learn(right);
            self.totals.guessed_tokens += lookup.guesses.len() as u64;
            self.totals.guessed_right += right as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guesses(ids: &[u32], most: usize) -> Vec<u32> {
        let mut lookup = Lookup { reach: PASS_ROWS, ..Lookup::new() };
        lookup.guess(ids, most);
        lookup.guesses
    }

    #[test]
    fn what_followed_the_same_tokens_before_is_guessed() {
        assert_eq!(guesses(&[9, 1, 2, 3, 4, 5, 8, 1, 2, 3], 2), [4, 5]);
        assert!(guesses(&[9, 1, 2, 3, 4, 5, 8, 1, 2, 3], 0).is_empty());
    }

    #[test]
    fn two_tokens_alike_are_too_few() {
        assert!(guesses(&[9, 1, 2, 4, 8, 1, 2], 2).is_empty());
        assert!(guesses(&[1, 2, 3], 2).is_empty());
        assert!(guesses(&[], 2).is_empty());
    }

    #[test]
    fn the_place_that_is_alike_for_longest_is_taken_and_of_equal_ones_the_last() {
        assert_eq!(guesses(&[7, 1, 2, 3, 4, 1, 2, 3, 5, 7, 1, 2, 3], 1), [4]);
        assert_eq!(guesses(&[7, 1, 2, 3, 4, 7, 1, 2, 3, 5, 7, 1, 2, 3], 1), [5]);
    }

    #[test]
    fn a_text_that_repeats_itself_is_guessed_to_go_on_so() {
        assert_eq!(guesses(&[1, 2, 1, 2, 1, 2, 1], 5), [2, 1, 2, 1, 2]);
        assert_eq!(guesses(&[4, 4, 4, 4], 3), [4, 4, 4]);
    }

    #[test]
    fn right_guesses_make_more_of_them_and_wrong_ones_fewer() {
        let mut lookup = Lookup::new();
        let ids = [5; 20];
        let mut made = |right: usize| {
            lookup.guess(&ids, 7);
            let made = lookup.guesses.len();
            lookup.learn(right.min(made));
            made
        };
        assert_eq!([made(9), made(9), made(9), made(9), made(2), made(0), made(1)], [1, 2, 4, 7, 7, 2, 1]);
    }
}
