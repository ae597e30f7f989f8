//! The online softmax (Milakov & Gimelshein 2018) of some queries over a block of keys.

use std::ops::Range;

use super::attention::{KEYS, TALLEST};
use super::math::{Arithmetic, exp, larger, largest_of, sum_lanes};
use super::tile::PANEL;

/// Up to so few rows are reduced one by one; more of them would wait for each other.
const FEW: usize = 3;

/// Scores of `R` queries with the keys of a block.
pub(super) type Scores<const R: usize> = [[f32; KEYS]; R];

/// Turns the scores of queries with a block, of which each has `seen` some keys, all in the first `panels` panels, into
/// probabilities up to a factor, carries maxima and totals on, and returns the factors on what was summed before.
#[inline(always)]
pub(super) fn softmax_step<A: Arithmetic, const R: usize>(
    scores: &mut Scores<R>,
    (seen, panels): ([Range<usize>; R], usize),
    (maxima, totals): (&mut [f32], &mut [f32]),
) -> [f32; R] {
    let mut lanes = [[f32::NEG_INFINITY; PANEL]; R];
    for r in 0..R {
        let scores = &mut scores[r].as_chunks_mut::<PANEL>().0[..panels];
        if seen[r].start > 0 || seen[r].end < panels * PANEL {
            for (panel, first) in scores.iter_mut().zip((0..).step_by(PANEL)) {
                mask(panel, first, &seen[r]);
            }
        }
        for panel in scores {
            for l in 0..PANEL {
                lanes[r][l] = larger(panel[l], lanes[r][l]);
            }
        }
    }
    let mut largest = [0.0; R];
    if R <= FEW {
        for (largest, lanes) in largest.iter_mut().zip(lanes) {
            *largest = largest_of(lanes);
        }
    } else {
        largest.copy_from_slice(&A::largest_lanes(vectors::<A, R>(&lanes))[..R]);
    }
    // A whole vector of exponentials, whose last lanes nobody reads.
    let (mut shift, mut factors) = ([0.0; R], [0.0; PANEL]);
    for r in 0..R {
        let new = larger(largest[r], maxima[r]);
        // Who has seen nothing yet has no sum either, and infinity less infinity would be no number.
        shift[r] = if new == f32::NEG_INFINITY { 0.0 } else { new };
        factors[r] = maxima[r] - shift[r];
        maxima[r] = new;
    }
    for factor in &mut factors {
        *factor = exp::<A>(*factor);
    }
    let mut rescale = [0.0; R];
    rescale.copy_from_slice(&factors[..R]);
    let mut lanes = [[0.0; PANEL]; R];
    for r in 0..R {
        for panel in &mut scores[r].as_chunks_mut::<PANEL>().0[..panels] {
            for l in 0..PANEL {
                panel[l] = exp::<A>(panel[l] - shift[r]);
                lanes[r][l] += panel[l];
            }
        }
    }
    let mut sums = [0.0; R];
    if R <= FEW {
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            *sum = sum_lanes(lanes);
        }
    } else {
        sums.copy_from_slice(&A::sums_of_lanes(vectors::<A, R>(&lanes))[..R]);
    }
    for r in 0..R {
        totals[r] = totals[r] * rescale[r] + sums[r];
    }
    rescale
}

/// Rows as vectors, with as many more as make eight.
#[inline(always)]
fn vectors<A: Arithmetic, const R: usize>(rows: &[[f32; PANEL]; R]) -> [A::Vector; TALLEST] {
    let mut vectors = [A::splat(0.0); TALLEST];
    for (vector, row) in vectors.iter_mut().zip(rows) {
        *vector = A::load(row);
    }
    vectors
}

/// Keeps the scores of the keys that are `seen`, of those from `first` on; the others get no probability.
#[inline(always)]
fn mask(panel: &mut [f32; PANEL], first: u32, seen: &Range<usize>) {
    let (start, end) = (seen.start as u32, seen.end as u32);
    for (key, score) in (first..).zip(panel) {
        *score = if key < end && key >= start { *score } else { f32::NEG_INFINITY };
    }
}
