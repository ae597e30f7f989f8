//! Agreement of two rankings.

/// Kendall's tau-b (1945, Biometrika 33:239-251): concordant minus discordant pairs, over the pairs that are not tied
/// in the one and those that are not tied in the other, geometric mean.
///
/// `None` where it is not defined: where one of the two ties all pairs. Counted in `O(n log n)` (Knight 1966, J. Am.
/// Stat. Assoc. 61:436-439).
pub fn kendall_tau(pairs: &[(f64, f64)]) -> Option<f64> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1)));
    let choose = |run: usize| (run * (run.saturating_sub(1)) / 2) as f64;
    let all = choose(pairs.len());
    let tied_first: f64 = sorted.chunk_by(|left, right| left.0 == right.0).map(|run| choose(run.len())).sum();
    let tied_both: f64 = sorted.chunk_by(|left, right| left == right).map(|run| choose(run.len())).sum();
    let mut seconds: Vec<f64> = sorted.iter().map(|pair| pair.1).collect();
    let discordant = sort_and_count(&mut seconds);
    let tied_second: f64 = seconds.chunk_by(|left, right| left == right).map(|run| choose(run.len())).sum();
    let untied = (all - tied_first).sqrt() * (all - tied_second).sqrt();
    let difference = all - tied_first - tied_second + tied_both - 2.0 * discordant;
    (untied > 0.0).then(|| (difference / untied).clamp(-1.0, 1.0))
}

/// Sorts by merging and counts the pairs that stood in the wrong order.
fn sort_and_count(values: &mut [f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let middle = values.len() / 2;
    let (left, right) = values.split_at_mut(middle);
    let mut inversions = sort_and_count(left) + sort_and_count(right);
    let (mut i, mut j) = (0, 0);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while i < left.len() && j < right.len() {
        if left[i] <= right[j] {
            merged.push(left[i]);
            i += 1;
        } else {
            inversions += (left.len() - i) as f64;
            merged.push(right[j]);
            j += 1;
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    values.copy_from_slice(&merged);
    inversions
}
