//! The interval of a single proportion.

use super::{Interval, Z_95};

/// Wilson's 95 % score interval of `successes` out of `n` (Wilson 1927, J. Am. Stat. Assoc. 22:209-212); `n = 0`
/// gives [0, 1].
///
/// With `p = successes / n`: centre `(p + z²/2n) / (1 + z²/n)`, half width
/// `z / (1 + z²/n) · sqrt(p (1-p) / n + z²/4n²)`. Unlike `p ± 1.96 se` it has a width where all answers are right.
pub fn wilson(successes: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    wilson_effective(successes as f64 / n as f64, n as f64)
}

/// Wilson's interval of a proportion that carries as much information as `n` independent items.
///
/// For items in groups `n` is the number of items divided by the design effect (Dean & Pagano 2015, J. Surv. Stat.
/// Methodol. 3:484-503).
pub fn wilson_effective(proportion: f64, n: f64) -> Interval {
    let (z2, p) = (Z_95 * Z_95, proportion);
    let scale = 1.0 + z2 / n;
    let centre = (p + z2 / (2.0 * n)) / scale;
    let half = Z_95 / scale * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At 0 and 1 the two terms are equal; rounding must not move the end past them.
    let low = if p <= 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if p >= 1.0 { 1.0 } else { (centre + half).min(1.0) };
    Interval { low, high }
}
