//! The move of a run of words that brings a hypothesis nearest to its reference.

use super::distance::{Edit, EditDistance};
use std::cmp::Reverse;

const MAX_SHIFT_SIZE: usize = 10;
const MAX_SHIFT_DISTANCE: usize = 50;
/// Moves that are tried for one pair of texts.
pub(super) const MAX_CANDIDATES: usize = 1000;

/// Where the words of the reference stand in the hypothesis, and which words are wrong.
struct Alignment {
    /// For each word of the reference, one past the word of the hypothesis at which it stands.
    after: Vec<usize>,
    reference_errors: Vec<bool>,
    hypothesis_errors: Vec<bool>,
}

impl Alignment {
    fn of(edits: &[Edit]) -> Self {
        let mut alignment =
            Self { after: Vec::new(), reference_errors: Vec::new(), hypothesis_errors: Vec::new() };
        for edit in edits {
            let wrong = *edit != Edit::Keep;
            if *edit != Edit::Insert {
                alignment.hypothesis_errors.push(wrong);
            }
            if *edit != Edit::Delete {
                alignment.after.push(alignment.hypothesis_errors.len());
                alignment.reference_errors.push(wrong);
            }
        }
        alignment
    }
}

/// The hypothesis after the move that shortens the distance most, `None` where no move does.
pub(super) fn best_shift(
    words: &[u32],
    distance: &EditDistance<'_>,
    candidates: &mut usize,
) -> Option<Vec<u32>> {
    let mut table = distance.table(words);
    let before = table.distance() as i64;
    let alignment = Alignment::of(&table.edits());
    let mut tried = words.to_vec();
    let mut best = None;
    for (start, target, length) in equal_runs(words, distance.reference()) {
        let wrong = |errors: &[bool], from: usize| errors[from..from + length].contains(&true);
        let inside = (start + 1..=start + length).contains(&alignment.after[target]);
        if !wrong(&alignment.hypothesis_errors, start)
            || !wrong(&alignment.reference_errors, target)
            || inside
        {
            continue;
        }
        let mut previous = None;
        // Before the target, and behind each of its words.
        for position in target..=target + length {
            let index = match position.checked_sub(1).map(|at| alignment.after.get(at)) {
                None => 0,
                Some(Some(after)) => *after,
                Some(None) => break,
            };
            if previous.replace(index) == Some(index) {
                continue;
            }
            let shifted = shift(words, start, length, index);
            let changed = tried.iter().zip(&shifted).take_while(|(left, right)| left == right).count();
            let gain = before - distance.update(&mut table, &shifted, changed) as i64;
            tried.clone_from(&shifted);
            *candidates += 1;
            // Largest gain, then longest run, then earliest start, then earliest target.
            let rank = (gain, length, Reverse(start), Reverse(index));
            if best.as_ref().is_none_or(|(highest, _)| rank > *highest) {
                best = Some((rank, shifted));
            }
        }
        if *candidates >= MAX_CANDIDATES {
            break;
        }
    }
    best.filter(|((gain, ..), _)| *gain > 0).map(|(_, shifted)| shifted)
}

/// All runs of words that both have, as start in the hypothesis, start in the reference, length.
fn equal_runs(words: &[u32], reference: &[u32]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..words.len()).flat_map(move |start| {
        let near =
            start.saturating_sub(MAX_SHIFT_DISTANCE)..reference.len().min(start + MAX_SHIFT_DISTANCE + 1);
        near.flat_map(move |target| {
            let pairs = words[start..].iter().zip(&reference[target..]).take(MAX_SHIFT_SIZE);
            let equal = pairs.take_while(|(left, right)| left == right).count();
            (1..=equal).map(move |length| (start, target, length))
        })
    })
}

/// Moves `length` words at `start` to before the word at `target`.
fn shift(words: &[u32], start: usize, length: usize, target: usize) -> Vec<u32> {
    let end = start + length;
    let run = &words[start..end];
    if target < start {
        [&words[..target], run, &words[target..start], &words[end..]].concat()
    } else if target > end {
        [&words[..start], &words[end..target], run, &words[target..]].concat()
    } else {
        let behind = words.len().min(length + target);
        [&words[..start], &words[end..behind], run, &words[behind..]].concat()
    }
}
