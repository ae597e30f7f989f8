//! Krippendorff's alpha: agreement of any number of raters, on any scale, with ratings missing.

/// What a difference between two ratings means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Equal or not.
    Nominal,
    /// An order without distances, as of grades.
    Ordinal,
    /// Distances.
    Interval,
    /// Distances in proportion to the values, which are not negative.
    Ratio,
}

/// Krippendorff's alpha, `1 - observed / expected` disagreement (Krippendorff 2011, "Computing Krippendorff's
/// Alpha-Reliability"). A row is an item, a value the rating of one rater; items with fewer than two ratings do not
/// count.
///
/// `None` where it is not defined: without two ratings of an item, or where all ratings are equal. Ratings that are
/// not finite count as missing.
pub fn krippendorff_alpha(items: &[Vec<Option<f64>>], level: Level) -> Option<f64> {
    let rated = |item: &Vec<Option<f64>>| -> Vec<f64> {
        item.iter().flatten().copied().filter(|value| value.is_finite()).collect()
    };
    let items: Vec<Vec<f64>> = items.iter().map(rated).filter(|item| item.len() >= 2).collect();
    let mut values: Vec<f64> = items.concat();
    values.sort_by(f64::total_cmp);
    let counts: Vec<(f64, f64)> =
        values.chunk_by(|left, right| left == right).map(|run| (run[0], run.len() as f64)).collect();
    let position = |value: f64| counts.partition_point(|(other, _)| *other < value);
    let distances = Distances::new(&counts, level);
    let mut observed = 0.0;
    for item in &items {
        let mut disagreement = 0.0;
        for (index, first) in item.iter().enumerate() {
            for second in &item[..index] {
                disagreement += 2.0 * distances.squared(position(*first), position(*second));
            }
        }
        observed += disagreement / (item.len() - 1) as f64;
    }
    let mut expected = 0.0;
    for (first, (_, count)) in counts.iter().enumerate() {
        for (second, (_, other)) in counts[..first].iter().enumerate() {
            expected += 2.0 * count * other * distances.squared(first, second);
        }
    }
    expected /= values.len().saturating_sub(1) as f64;
    (expected > 0.0).then(|| 1.0 - observed / expected)
}

/// Squared differences between the different values, by their positions in order.
struct Distances {
    level: Level,
    values: Vec<f64>,
    /// For an order: ratings below each value and half of those of it.
    ranks: Vec<f64>,
}

impl Distances {
    fn new(counts: &[(f64, f64)], level: Level) -> Self {
        let mut below = 0.0;
        let rank = |(_, count): &(f64, f64)| {
            below += count;
            below - count / 2.0
        };
        let ranks = counts.iter().map(rank).collect();
        Self { level, values: counts.iter().map(|(value, _)| *value).collect(), ranks }
    }

    fn squared(&self, first: usize, second: usize) -> f64 {
        let (left, right) = (self.values[first], self.values[second]);
        match self.level {
            Level::Nominal => f64::from(first != second),
            Level::Ordinal => (self.ranks[first] - self.ranks[second]).powi(2),
            Level::Interval => (left - right).powi(2),
            Level::Ratio if left + right == 0.0 => 0.0,
            Level::Ratio => ((left - right) / (left + right)).powi(2),
        }
    }
}
