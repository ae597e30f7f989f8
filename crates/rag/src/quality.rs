//! How good a search is, where it is known which passages answer a question.

use std::collections::HashMap;

/// A question with the passages that answer it, each with its grade from 1; passages that are not named do not.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Name of the question.
    pub id: String,
    /// The question.
    pub question: String,
    /// Name and grade.
    pub relevant: HashMap<String, u32>,
}

/// Of the passages that answer, the share among the first `k` that were found. `ranked` holds no name twice.
pub fn recall(ranked: &[&str], relevant: &HashMap<String, u32>, k: usize) -> f64 {
    let found = ranked.iter().take(k).filter(|name| relevant.contains_key(**name)).count();
    found as f64 / relevant.len().max(1) as f64
}

/// One over the rank of the first passage that answers, 0 where none does among the first `k`.
pub fn reciprocal_rank(ranked: &[&str], relevant: &HashMap<String, u32>, k: usize) -> f64 {
    let first = ranked.iter().take(k).position(|name| relevant.contains_key(*name));
    first.map_or(0.0, |at| 1.0 / (at + 1) as f64)
}

/// Normalised discounted cumulative gain of the first `k` (Järvelin and Kekäläinen 2002), with grades as gains and
/// log₂(1 + rank) as discount, as trec_eval's `ndcg_cut`.
pub fn ndcg(ranked: &[&str], relevant: &HashMap<String, u32>, k: usize) -> f64 {
    let gain = |grades: &mut dyn Iterator<Item = u32>| -> f64 {
        grades.take(k).enumerate().map(|(at, grade)| f64::from(grade) / ((at + 2) as f64).log2()).sum()
    };
    let mut best: Vec<u32> = relevant.values().copied().collect();
    best.sort_unstable_by(|a, b| b.cmp(a));
    let ideal = gain(&mut best.into_iter());
    let found = gain(&mut ranked.iter().map(|name| relevant.get(*name).copied().unwrap_or(0)));
    if ideal > 0.0 { found / ideal } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relevant() -> HashMap<String, u32> {
        [("a", 3), ("b", 2), ("c", 1)].map(|(name, grade)| (name.to_owned(), grade)).into()
    }

    #[test]
    fn recall_and_first_rank_count_what_was_found() {
        let ranked = ["x", "b", "y", "a"];
        assert_eq!(
            (recall(&ranked, &relevant(), 3), recall(&ranked, &relevant(), 4)),
            (1.0 / 3.0, 2.0 / 3.0)
        );
        assert_eq!(reciprocal_rank(&ranked, &relevant(), 10), 0.5);
        assert_eq!(reciprocal_rank(&ranked, &relevant(), 1), 0.0);
    }

    #[test]
    fn ndcg_is_that_of_trec_eval() {
        // (2 / log₂3 + 3 / log₂5) / (3 + 2 / log₂3 + 1 / 2)
        let expected = (2.0 / 3f64.log2() + 3.0 / 5f64.log2()) / (3.5 + 2.0 / 3f64.log2());
        assert!((ndcg(&["x", "b", "y", "a"], &relevant(), 10) - expected).abs() < 1e-12);
        assert_eq!(ndcg(&["a", "b", "c"], &relevant(), 10), 1.0);
        assert_eq!(ndcg(&["a"], &HashMap::new(), 10), 0.0);
    }
}
