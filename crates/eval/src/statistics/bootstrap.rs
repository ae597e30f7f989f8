//! Bootstrap intervals, bias-corrected and accelerated (BCa).
//!
//! Efron 1987, "Better Bootstrap Confidence Intervals", J. Am. Stat. Assoc. 82:171-185; Efron & Tibshirani 1993,
//! "An Introduction to the Bootstrap", ch. 14. Groups are the units of resampling (the cluster bootstrap of
//! Davison & Hinkley 1997, §3.8). A limit it shares with every bootstrap: fewer than about 20 groups give intervals
//! that are too short.

use super::draws::resample;
use super::{Interval, Resampling, Z_95, add, total};
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
    statistic: impl Fn(&[f64; K]) -> f64 + Sync,
    resampling: &Resampling,
) -> Option<Interval> {
    bca(groups, statistic, resampling, Z_95)
}

/// The 95 % BCa interval of any statistic of items that are drawn one by one, such as a rank correlation, or `None`
/// for fewer than two items. A statistic that is not defined for a resample leaves it out.
///
/// It computes the statistic once for each resample and each item: a few thousand resamples do.
pub fn bca_interval_of<T: Sync>(
    items: &[T],
    statistic: impl Fn(&[&T]) -> Option<f64> + Sync,
    resampling: &Resampling,
) -> Option<Interval> {
    if items.len() < 2 {
        return None;
    }
    let all: Vec<&T> = items.iter().collect();
    let value = |items: &[&T]| statistic(items).unwrap_or(f64::NAN);
    let draws = resample(items.len(), resampling, |draw| {
        let mut drawn = Vec::with_capacity(items.len());
        draw.each(|index| drawn.push(&items[index]));
        value(&drawn)
    });
    let without = |index: usize| value(&[&all[..index], &all[index + 1..]].concat());
    let left_out = deviations((0..items.len()).map(without).collect());
    interval(statistic(&all)?, draws, &left_out, Z_95)
}

/// The BCa interval whose ends are `z` standard deviations from the middle of a normal distribution.
fn bca<const K: usize>(
    groups: &[[f64; K]],
    statistic: impl Fn(&[f64; K]) -> f64 + Sync,
    resampling: &Resampling,
    z: f64,
) -> Option<Interval> {
    if groups.len() < 2 {
        return None;
    }
    let draws = resample(groups.len(), resampling, |draw| {
        let mut sum = [0.0; K];
        draw.each(|index| add(&mut sum, &groups[index]));
        statistic(&sum)
    });
    interval(statistic(&total(groups)), draws, &jackknife_deviations(groups, &statistic), z)
}

/// The interval from the estimate, its values in resamples and the deviations of the jackknife.
fn interval(estimate: f64, mut draws: Vec<f64>, deviations: &[f64], z: f64) -> Option<Interval> {
    draws.retain(|value| value.is_finite());
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
    let acceleration = acceleration(deviations);
    let end = |z: f64| {
        let shifted = bias + z;
        quantile(&draws, normal.cdf(bias + shifted / (1.0 - acceleration * shifted)))
    };
    Some(Interval { low: end(-z), high: end(z) })
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
    deviations(groups.iter().map(without).collect())
}

/// `mean - value` of the values that are finite.
fn deviations(mut values: Vec<f64>) -> Vec<f64> {
    values.retain(|value| value.is_finite());
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|value| *value = mean - *value);
    values
}

fn acceleration(deviations: &[f64]) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Efron & Tibshirani 1993, table 14.1, test A; rows of 1, x, x².
    fn spatial_test() -> Vec<[f64; 3]> {
        let scores = [
            48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30,
            41,
        ];
        scores.map(f64::from).map(|score| [1.0, score, score * score]).to_vec()
    }

    fn variance([n, sum, squares]: &[f64; 3]) -> f64 {
        squares / n - (sum / n).powi(2)
    }

    #[test]
    fn the_textbook_example_comes_out_as_printed() {
        let scores = spatial_test();
        assert!((variance(&total(&scores)) - 171.5).abs() < 0.05);
        // Their table 14.2: acceleration 0.061, 90 % BCa interval (115.8, 259.6) from 2000 draws.
        let acceleration = acceleration(&jackknife_deviations(&scores, variance));
        assert!((acceleration - 0.061).abs() < 0.0006);
        let resampling = Resampling { seed: 1, resamples: 20_000 };
        let interval = bca(&scores, variance, &resampling, 1.644_853_627).unwrap();
        assert!((interval.low - 115.8).abs() < 4.0, "{interval:?}");
        assert!((interval.high - 259.6).abs() < 6.0, "{interval:?}");
    }

    #[test]
    fn the_jackknife_of_a_mean_is_its_standard_error() {
        let rows = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].map(|value| [value, 1.0]);
        let error = jackknife_standard_error(&rows, |sums| sums[0] / sums[1]).unwrap();
        // Sample variance 32/7, so the error of the mean is sqrt(32/7/8).
        assert!((error - (4.0f64 / 7.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn ranks_are_interpolated_and_stay_inside() {
        let sorted = [1.0, 2.0, 3.0];
        assert_eq!([0.0, 0.25, 0.5, 0.625, 1.0].map(|p| quantile(&sorted, p)), [1.0, 1.0, 2.0, 2.5, 3.0]);
    }
}
