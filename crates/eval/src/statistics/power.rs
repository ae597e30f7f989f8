//! What a test set of a given size can show at all.

use super::Z_95;
use crate::wording::counted;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Quantile of the standard normal distribution at 0.8: power of 80 %.
const Z_POWER: f64 = 0.841_621_233_572_914_3;

/// The smallest difference in accuracy that a paired test at 5 % finds with a power of 80 %, when the two models
/// disagree on a share `discordant` of `n` questions: `(z₀.₉₇₅ + z₀.₈) sqrt(discordant / n)` (Miettinen 1968,
/// Biometrics 24:339-352, first order), at most 1.
pub fn minimal_detectable_difference(n: u64, discordant: f64) -> f64 {
    if n == 0 {
        return 1.0;
    }
    detectable_from_standard_error((discordant / n as f64).sqrt()).min(1.0)
}

/// The smallest difference that a test at 5 % finds with a power of 80 %, from the standard error of the difference.
pub fn detectable_from_standard_error(standard_error: f64) -> f64 {
    (Z_95 + Z_POWER) * standard_error
}

/// What is assumed before anything is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assumptions {
    /// Share of the items that only one of the two models will have right.
    pub discordant: f64,
    /// Correlation of the differences within a document, 0 for none (the intraclass correlation).
    pub within_group: f64,
}

impl Default for Assumptions {
    /// Two versions of one model rarely disagree on more than a fifth of the items.
    fn default() -> Self {
        Self { discordant: 0.2, within_group: 0.1 }
    }
}

/// What a comparison on given items can show, to be printed before the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Items.
    pub n: u64,
    /// Documents that they come from.
    pub groups: u64,
    /// How many times as many items as independent ones are needed: `1 + (Σm²/Σm - 1) ρ` for groups of `m` items
    /// (Kish 1965, "Survey Sampling", §5.4).
    pub design_effect: f64,
    /// What was assumed.
    pub assumptions: Assumptions,
    /// The smallest difference in accuracy that is found with a power of 80 %, at 5 %.
    pub detectable: f64,
}

impl Plan {
    /// The plan for groups with these numbers of items.
    pub fn of(group_sizes: &[u64], assumptions: Assumptions) -> Self {
        let n: u64 = group_sizes.iter().sum();
        let squares: f64 = group_sizes.iter().map(|size| (*size as f64).powi(2)).sum();
        let mean_size = if n == 0 { 1.0 } else { squares / n as f64 };
        let design_effect = 1.0 + (mean_size - 1.0) * assumptions.within_group;
        let discordant = (assumptions.discordant * design_effect).max(0.0);
        Self {
            n,
            groups: group_sizes.iter().filter(|size| **size > 0).count() as u64,
            design_effect,
            assumptions,
            detectable: minimal_detectable_difference(n, discordant),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n, groups, detectable, assumptions, .. } = self;
        write!(
            f,
            "{} of {} can show differences from {:.1} percentage points up (80 % power at 5 %, \
             if the models disagree on {:.0} % of the items); smaller ones are likely to be missed",
            counted(*n as usize, "item"),
            counted(*groups as usize, "document"),
            100.0 * detectable,
            100.0 * assumptions.discordant,
        )
    }
}
