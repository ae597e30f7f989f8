//! Intervals and tests for measurements of models, paired and in groups.
//!
//! Questions from one document are not independent, so whole groups are resampled, left out or exchanged, never
//! single items of a group. What enters here is one row of sums per group; a metric is a function of the rows'
//! total. That covers means (sum of values / items) and ratios (sum of losses / tokens) alike.
//!
//! All random draws come from a seed: the same outcomes give the same interval.

mod bootstrap;
mod bradley_terry;
mod clopper_pearson;
mod draws;
mod holm;
mod kappa;
mod kendall;
mod krippendorff;
mod logistic;
mod mcnemar;
mod permutation;
mod power;
mod wilson;

pub use bootstrap::{bca_interval, bca_interval_of, jackknife_standard_error};
pub use bradley_terry::bradley_terry;
pub use clopper_pearson::clopper_pearson;
pub use holm::holm;
pub use kappa::{KappaWeights, cohen_kappa, fleiss_kappa};
pub use kendall::kendall_tau;
pub use krippendorff::{Level, krippendorff_alpha};
pub use logistic::logistic_slope;
pub use mcnemar::Discordant;
pub use permutation::{PairedSums, permutation_p, permutation_p_of};
pub use power::{Assumptions, Plan, detectable_from_standard_error, minimal_detectable_difference};
pub use wilson::{wilson, wilson_effective};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Quantile of the standard normal distribution at 0.975: a two-sided 95 % interval.
pub(crate) const Z_95: f64 = 1.959_963_984_540_054;

/// What a two-sided 95 % interval leaves out on either side.
const TAIL: f64 = 0.025;

/// A two-sided 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether zero lies outside.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }

    /// Whether the value lies inside or on an end.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// How often to resample, and from which seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resampling {
    /// Seed of the draws.
    pub seed: u64,
    /// Number of draws.
    pub resamples: usize,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { seed: 42, resamples: 10_000 }
    }
}

/// Adds up the rows of each group. The order of the result follows the groups' names, so it does not depend on the
/// order of the items.
pub fn sums_by_group<G: Ord, const K: usize>(rows: impl IntoIterator<Item = (G, [f64; K])>) -> Vec<[f64; K]> {
    let mut groups: BTreeMap<G, [f64; K]> = BTreeMap::new();
    for (group, row) in rows {
        add(groups.entry(group).or_insert([0.0; K]), &row);
    }
    groups.into_values().collect()
}

/// The sum of all rows.
pub fn total<const K: usize>(rows: &[[f64; K]]) -> [f64; K] {
    let mut total = [0.0; K];
    rows.iter().for_each(|row| add(&mut total, row));
    total
}

/// `numerator / denominator`: the value of a mean or a ratio from its sums.
pub fn ratio(sums: &[f64; 2]) -> f64 {
    sums[0] / sums[1]
}

/// The second ratio minus the first: the value of a paired difference from its sums.
pub fn ratio_difference(sums: &[f64; 4]) -> f64 {
    sums[2] / sums[3] - sums[0] / sums[1]
}

fn add<const K: usize>(total: &mut [f64; K], row: &[f64; K]) {
    total.iter_mut().zip(row).for_each(|(total, value)| *total += value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_added_up_in_any_order() {
        let forward = sums_by_group([("b", [1.0, 1.0]), ("a", [2.0, 1.0]), ("b", [4.0, 1.0])]);
        let backward = sums_by_group([("b", [4.0, 1.0]), ("a", [2.0, 1.0]), ("b", [1.0, 1.0])]);
        assert_eq!(forward, [[2.0, 1.0], [5.0, 2.0]]);
        assert_eq!(forward, backward);
        assert_eq!(total(&forward), [7.0, 3.0]);
    }
}
