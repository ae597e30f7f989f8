//! Test of a difference by exchanging the two models' results (approximate randomisation).
//!
//! Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses"; in groups, the results of a whole group are
//! exchanged together. For right-or-wrong answers with every item its own group it is McNemar's exact test.

use super::{Resampling, ratio};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One group's sums for both models, each `[numerator, denominator]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedSums {
    /// Of the base model.
    pub base: [f64; 2],
    /// Of the tuned model.
    pub tuned: [f64; 2],
}

/// Up to this many groups that differ, all exchanges are tried.
const EXACT_GROUPS: usize = 16;

/// Two-sided p for "the two ratios differ".
///
/// The share of exchanges whose difference is at least as large as the one seen: all `2^m` of them for up to 16
/// groups `m` whose results differ, otherwise `(hits + 1) / (draws + 1)` of random ones (Phipson & Smyth 2010, Stat.
/// Appl. Genet. Mol. Biol. 9:39), which is never 0.
pub fn permutation_p(groups: &[PairedSums], resampling: &Resampling) -> f64 {
    let mut base = [0.0; 2];
    let mut tuned = [0.0; 2];
    let mut differences = Vec::new();
    for group in groups {
        let difference = [group.tuned[0] - group.base[0], group.tuned[1] - group.base[1]];
        for part in 0..2 {
            base[part] += group.base[part];
            tuned[part] += group.tuned[part];
        }
        if difference != [0.0; 2] {
            differences.push(difference);
        }
    }
    let after = |moved: [f64; 2]| {
        ratio(&[tuned[0] - moved[0], tuned[1] - moved[1]]) - ratio(&[base[0] + moved[0], base[1] + moved[1]])
    };
    let seen = after([0.0; 2]).abs();
    if differences.is_empty() || !seen.is_finite() {
        return 1.0;
    }
    // Equal differences must count as equal whatever the order they were added up in.
    let threshold = seen * (1.0 - 1e-9) - 1e-14;
    let reaches = |exchange: &dyn Fn(usize) -> bool| {
        let mut moved = [0.0; 2];
        for (index, difference) in differences.iter().enumerate() {
            if exchange(index) {
                moved[0] += difference[0];
                moved[1] += difference[1];
            }
        }
        after(moved).abs() >= threshold
    };
    if differences.len() <= EXACT_GROUPS {
        let all = 1usize << differences.len();
        let hits = (0..all).filter(|bits| reaches(&|index| bits >> index & 1 == 1)).count();
        return hits as f64 / all as f64;
    }
    let mut random = StdRng::seed_from_u64(resampling.seed);
    let mut coins = vec![0u64; differences.len().div_ceil(64)];
    let mut hits = 0usize;
    for _ in 0..resampling.resamples {
        coins.iter_mut().for_each(|word| *word = random.next_u64());
        hits += usize::from(reaches(&|index| coins[index / 64] >> (index % 64) & 1 == 1));
    }
    (hits + 1) as f64 / (resampling.resamples + 1) as f64
}
