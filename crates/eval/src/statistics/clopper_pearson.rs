//! The exact interval of a single proportion.

use super::{Interval, TAIL};
use statrs::function::beta::beta_reg;

/// Clopper and Pearson's 95 % interval of `successes` out of `n` (1934, Biometrika 26:404-413): it holds its level
/// for every proportion and is therefore longer than Wilson's. `n = 0` gives [0, 1].
///
/// Its ends are quantiles of beta distributions: `B(0.025; k, n - k + 1)` and `B(0.975; k + 1, n - k)`.
pub fn clopper_pearson(successes: u64, n: u64) -> Interval {
    let (hits, n) = (successes.min(n) as f64, n as f64);
    let low = if hits == 0.0 { 0.0 } else { beta_quantile(TAIL, hits, n - hits + 1.0) };
    let high = if hits == n { 1.0 } else { beta_quantile(1.0 - TAIL, hits + 1.0, n - hits) };
    Interval { low, high }
}

/// By halving: exact to the last bits wherever the distribution function is.
fn beta_quantile(probability: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if beta_reg(a, b, middle) < probability { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}
