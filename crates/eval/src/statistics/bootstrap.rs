//! Bootstrap intervals, bias-corrected and accelerated (BCa).
//!
//! Efron 1987, "Better Bootstrap Confidence Intervals", J. Am. Stat. Assoc. 82:171-185; Efron & Tibshirani 1993,
//! "An Introduction to the Bootstrap", ch. 14. Groups are the units of resampling (the cluster bootstrap of
//! Davison & Hinkley 1997, §3.8). A limit it shares with every bootstrap: fewer than about 20 groups give intervals
//! that are too short.

use super::{Interval, Resampling, Z_95, add, total};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use statrs::distribution::{ContinuousCDF, Normal};

/// The 95 % BCa interval of a statistic of the groups' total, or `None` for fewer than two groups.
///
/// With draws `t*`, estimate `t` and `z = ±1.96`, the ends are the quantiles of the draws at
/// `Φ(z0 + (z0 + z) / (1 - a (z0 + z)))`, where `z0 = Φ⁻¹(share of t* < t)` (ties count half) corrects the bias and
/// the acceleration `a = Σd³ / (6 (Σd²)^1.5)`, `d = mean - jackknife value`, corrects the skewness.
///
/// A statistic that is not finite in a draw (a resample without any token) leaves that draw out.
pub fn bca_interval<const K: usize>(
    groups: &[[f64; K]],
    statistic: impl Fn(&[f64; K]) -> f64,
    resampling: &Resampling,
) -> Option<Interval> {
    if groups.len() < 2 || resampling.resamples == 0 {
        return None;
    }
    let estimate = statistic(&total(groups));
    let mut draws = draw(groups, &statistic, resampling);
    if !estimate.is_finite() || draws.is_empty() {
        return None;
    }
    draws.sort_unstable_by(f64::total_cmp);
    let (first, last) = (draws[0], draws[draws.len() - 1]);
    if first == last {
        return Some(Interval { low: first, high: last });
    }
    let normal = Normal::standard();
    let below = draws.iter().filter(|draw| **draw < estimate).count() as f64;
    let ties = draws.iter().filter(|draw| **draw == estimate).count() as f64;
    let count = draws.len() as f64;
    // An estimate outside all draws would send z0 to infinity; half a draw keeps it finite.
    let share = ((below + 0.5 * ties) / count).clamp(0.5 / count, 1.0 - 0.5 / count);
    let bias = normal.inverse_cdf(share);
    let acceleration = acceleration(groups, &statistic);
    let end = |z: f64| {
        let shifted = bias + z;
        quantile(&draws, normal.cdf(bias + shifted / (1.0 - acceleration * shifted)))
    };
    Some(Interval { low: end(-Z_95), high: end(Z_95) })
}

/// Standard error of a statistic of the groups' total by leaving out one group at a time,
/// `sqrt((G-1)/G Σ(value - mean)²)` (Tukey 1958), or `None` for fewer than two groups.
pub fn jackknife_standard_error<const K: usize>(
    groups: &[[f64; K]],
    statistic: impl Fn(&[f64; K]) -> f64,
) -> Option<f64> {
    let deviations = jackknife_deviations(groups, &statistic);
    let count = deviations.len() as f64;
    let squares: f64 = deviations.iter().map(|deviation| deviation * deviation).sum();
    (groups.len() >= 2 && count >= 2.0).then(|| ((count - 1.0) / count * squares).sqrt())
}

fn draw<const K: usize>(
    groups: &[[f64; K]],
    statistic: impl Fn(&[f64; K]) -> f64,
    resampling: &Resampling,
) -> Vec<f64> {
    let mut random = StdRng::seed_from_u64(resampling.seed);
    let one = |_| {
        let mut sum = [0.0; K];
        for _ in 0..groups.len() {
            add(&mut sum, &groups[random.random_range(0..groups.len())]);
        }
        statistic(&sum)
    };
    (0..resampling.resamples).map(one).filter(|value| value.is_finite()).collect()
}

/// `mean - value` of the statistic without each group in turn; without values that are not finite.
fn jackknife_deviations<const K: usize>(
    groups: &[[f64; K]],
    statistic: impl Fn(&[f64; K]) -> f64,
) -> Vec<f64> {
    let all = total(groups);
    let without = |group: &[f64; K]| {
        let mut rest = all;
        rest.iter_mut().zip(group).for_each(|(rest, value)| *rest -= value);
        statistic(&rest)
    };
    let mut values: Vec<f64> = groups.iter().map(without).filter(|value| value.is_finite()).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|value| *value = mean - *value);
    values
}

fn acceleration<const K: usize>(groups: &[[f64; K]], statistic: impl Fn(&[f64; K]) -> f64) -> f64 {
    let deviations = jackknife_deviations(groups, statistic);
    let squares: f64 = deviations.iter().map(|deviation| deviation.powi(2)).sum();
    let cubes: f64 = deviations.iter().map(|deviation| deviation.powi(3)).sum();
    if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 }
}

/// The quantile at `probability` of sorted values, at rank `probability (B + 1)`, between neighbours linearly.
fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let last = sorted.len() - 1;
    let rank = (probability * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, last as f64);
    let below = rank.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (rank - rank.floor()) * (sorted[above] - sorted[below])
}
