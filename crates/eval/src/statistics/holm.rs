//! Several tests at once.

/// Adjusts p-values for the number of tests (Holm 1979, Scand. J. Stat. 6:65-70): the i-th smallest of m becomes
/// the largest `(m - j + 1) p_(j)` over `j ≤ i`, at most 1. The chance of any false finding stays below the level.
///
/// The result is in the order of the input.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|left, right| p_values[*left].total_cmp(&p_values[*right]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}
