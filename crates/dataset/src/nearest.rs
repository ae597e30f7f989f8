//! The nearest neighbour of each set among others, exactly: the check on what MinHash joined.
//!
//! Two sets of similarity `t` or more share one of the first `n - ⌈t n⌉ + 1` features of each, where features are
//! ordered from rare to frequent (Bayardo, Ma and Srikant 2007). Only these are indexed.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::near_duplicate::Shingles;

/// A neighbour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// Its place among the others.
    pub index: usize,
    /// Its Jaccard similarity.
    pub similarity: f64,
}

/// For each of `sets` the most similar of `others` (the first of equals), if it reaches the threshold.
///
/// # Panics
/// The threshold is not in (0, 1].
pub fn nearest(sets: &[&Shingles], others: &[&Shingles], threshold: f64) -> Vec<Option<Match>> {
    assert!(threshold > 0.0 && threshold <= 1.0, "threshold {threshold}");
    let mut frequency: HashMap<u64, u32> = HashMap::new();
    for hash in sets.iter().chain(others).flat_map(|set| set.hashes()) {
        *frequency.entry(*hash).or_default() += 1;
    }
    let prefix = |set: &Shingles| {
        let mut hashes: Vec<_> = set.hashes().iter().map(|hash| (frequency[hash], *hash)).collect();
        hashes.sort_unstable();
        let kept = (threshold * hashes.len() as f64 - 1e-9).ceil() as usize;
        hashes.truncate((hashes.len() + 1).saturating_sub(kept.max(1)));
        hashes.into_iter().map(|(_, hash)| hash)
    };
    let mut index: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, set) in others.iter().enumerate() {
        for hash in prefix(set) {
            index.entry(hash).or_default().push(at);
        }
    }
    let find = |set: &&Shingles| {
        let mut candidates: Vec<_> =
            prefix(set).filter_map(|hash| index.get(&hash)).flatten().copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        let mut best: Option<Match> = None;
        for index in candidates {
            let (a, b) = (set.hashes().len() as f64, others[index].hashes().len() as f64);
            let reach = a.min(b) / a.max(b);
            if reach < threshold || best.is_some_and(|best| reach <= best.similarity) {
                continue;
            }
            let similarity = set.jaccard(others[index]);
            if similarity >= threshold && best.is_none_or(|best| similarity > best.similarity) {
                best = Some(Match { index, similarity });
            }
        }
        best
    };
    sets.par_iter().map(find).collect()
}
