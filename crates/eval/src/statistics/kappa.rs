//! Agreement of raters on categories, beyond chance.

/// How much a disagreement between two ordered categories counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KappaWeights {
    /// All disagreements alike.
    #[default]
    None,
    /// By their distance.
    Linear,
    /// By the square of their distance.
    Quadratic,
}

/// Cohen's kappa of two raters, with ratings as categories `0..categories` (Cohen 1960, Educ. Psychol. Meas.
/// 20:37-46; weighted: 1968, Psychol. Bull. 70:213-220): `1 - observed / expected` disagreement.
///
/// `None` where it is not defined: without items, or where chance alone agrees always. A rating out of range is a
/// category of its own beyond the last.
pub fn cohen_kappa(pairs: &[(usize, usize)], categories: usize, weights: KappaWeights) -> Option<f64> {
    let last = pairs.iter().map(|(first, second)| first.max(second) + 1).max()?.max(categories);
    let (mut firsts, mut seconds) = (vec![0.0; last], vec![0.0; last]);
    let weight = |first: usize, second: usize| match weights {
        KappaWeights::None => f64::from(first != second),
        KappaWeights::Linear => first.abs_diff(second) as f64,
        KappaWeights::Quadratic => (first.abs_diff(second) as f64).powi(2),
    };
    let mut observed = 0.0;
    for (first, second) in pairs {
        observed += weight(*first, *second);
        firsts[*first] += 1.0;
        seconds[*second] += 1.0;
    }
    let mut expected = 0.0;
    for (first, count) in firsts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        for (second, other) in seconds.iter().enumerate() {
            expected += weight(first, second) * count * other;
        }
    }
    expected /= pairs.len() as f64;
    (expected > 0.0).then(|| 1.0 - observed / expected)
}

/// Fleiss' kappa of many raters (1971, Psychol. Bull. 76:378-382). A row is an item, its values how many raters chose
/// each category.
///
/// `None` where it is not defined: without items, with fewer than two ratings an item, with unequal numbers of
/// ratings, or where all ratings are of one category.
pub fn fleiss_kappa(table: &[Vec<u64>]) -> Option<f64> {
    let raters: u64 = table.first()?.iter().sum();
    let width = table.iter().map(Vec::len).max()?;
    if raters < 2 || table.iter().any(|row| row.iter().sum::<u64>() != raters) {
        return None;
    }
    let (items, n) = (table.len() as f64, raters as f64);
    let agreement = |row: &Vec<u64>| {
        let squares: f64 = row.iter().map(|count| (*count as f64).powi(2)).sum();
        (squares - n) / (n * (n - 1.0))
    };
    let observed = table.iter().map(agreement).sum::<f64>() / items;
    let share = |category: usize| {
        table.iter().map(|row| row.get(category).copied().unwrap_or(0) as f64).sum::<f64>() / (items * n)
    };
    let expected: f64 = (0..width).map(|category| share(category).powi(2)).sum();
    (expected < 1.0).then(|| (observed - expected) / (1.0 - expected))
}
