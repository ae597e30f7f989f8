//! Test of a difference by exchanging the two models' results (approximate randomisation).
//!
//! Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses"; in groups, the results of a whole group are
//! exchanged together. For right-or-wrong answers with every item its own group it is McNemar's exact test.

use super::{Resampling, add, ratio};
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
    let sums: Vec<_> = groups.iter().map(|group| (group.base, group.tuned)).collect();
    permutation_p_of(&sums, ratio, resampling)
}

/// As [`permutation_p`] for any function of the sums, such as BLEU of a corpus: a group's sums for both models.
pub fn permutation_p_of<const K: usize>(
    groups: &[([f64; K], [f64; K])],
    value: impl Fn(&[f64; K]) -> f64,
    resampling: &Resampling,
) -> f64 {
    let mut base = [0.0; K];
    let mut tuned = [0.0; K];
    let mut differences = Vec::new();
    for (of_base, of_tuned) in groups {
        let difference: [f64; K] = std::array::from_fn(|part| of_tuned[part] - of_base[part]);
        add(&mut base, of_base);
        add(&mut tuned, of_tuned);
        if difference != [0.0; K] {
            differences.push(difference);
        }
    }
    let after = |moved: [f64; K]| {
        value(&std::array::from_fn(|part| tuned[part] - moved[part]))
            - value(&std::array::from_fn(|part| base[part] + moved[part]))
    };
    let seen = after([0.0; K]).abs();
    if differences.is_empty() || !seen.is_finite() {
        return 1.0;
    }
    // Equal differences must count as equal whatever the order they were added up in.
    let threshold = seen * (1.0 - 1e-9) - 1e-14;
    let reaches = |exchange: &dyn Fn(usize) -> bool| {
        let mut moved = [0.0; K];
        for (index, difference) in differences.iter().enumerate() {
            if exchange(index) {
                add(&mut moved, difference);
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
