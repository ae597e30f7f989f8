//! Near-duplicate texts: MinHash signatures, a locality-sensitive index over them, exact Jaccard to verify
//! (Broder 1997; Leskovec, Rajaraman and Ullman, *Mining of Massive Datasets*, chapter 3).
//!
//! **Answers** are compared by the set of their word 5-shingles.
//!
//! **Questions** are compared by their content words (all but a short list of English function words) and the pairs
//! of neighbours among these. So the template of a question ("What is (are) X ?") weighs little, and by arithmetic
//! two questions of fewer than ten content words that differ in one of them stay below 0.8: one changed word of `n`
//! changes at least 2 of `2n - 1` features on each side. Paraphrases in other words are out of reach of any such
//! measure; what keeps those together is the document.
//!
//! The index finds a pair of similarity `s` with probability `1 - (1 - s^r)^b`. Rows `r` and bands `b` are chosen for
//! a recall of at least 99.9 % at the threshold; a pair that it names is always verified.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::groups::Components;
use crate::normalise::{lower, words};

/// Questions from this similarity on are near-duplicates.
pub const QUESTION_SIMILARITY: f64 = 0.8;
/// Answers from this similarity on are near-duplicates.
pub const ANSWER_SIMILARITY: f64 = 0.9;

/// Number of hash functions of a signature.
const PERMUTATIONS: usize = 128;
const SHINGLE_WORDS: usize = 5;
const RECALL: f64 = 0.999;

/// Words that a question can gain or lose without asking for something else.
pub const FUNCTION_WORDS: [&str; 60] = [
    "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "been", "being", "by", "can", "could",
    "did", "do", "does", "for", "from", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it",
    "its", "me", "my", "of", "on", "or", "please", "should", "so", "some", "tell", "that", "the", "their",
    "there", "these", "they", "this", "to", "was", "were", "what", "when", "which", "who", "with", "would",
    "you", "your", "s",
];

/// The features of a text: a set of hashes, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shingles(Vec<u64>);

impl Shingles {
    /// The 5-shingles of the words of an answer; a shorter answer is one shingle.
    pub fn of_answer(text: &str) -> Self {
        let words: Vec<_> = words(&lower(text)).map(hash_word).collect();
        let width = SHINGLE_WORDS.min(words.len()).max(1);
        Shingles::new(words.windows(width).map(hash_words).collect())
    }

    /// The content words of a question and the pairs of neighbours among these; of all words where there is no content
    /// word.
    pub fn of_question(text: &str) -> Self {
        let words = content_words(text);
        Shingles::new(words.windows(1).chain(words.windows(2)).map(hash_words).collect())
    }

    /// A set of features.
    pub fn new(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        Shingles(hashes)
    }

    /// The features of both.
    pub fn union(&self, other: &Shingles) -> Self {
        Shingles::new(self.0.iter().chain(&other.0).copied().collect())
    }

    /// The features, sorted.
    pub fn hashes(&self) -> &[u64] {
        &self.0
    }

    /// Shared features by all features of both; 0 where there are none.
    pub fn jaccard(&self, other: &Shingles) -> f64 {
        let (mut a, mut b, mut shared) = (&self.0[..], &other.0[..], 0usize);
        while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b) {
            shared += usize::from(x == y);
            if x <= y {
                a = rest_a;
            }
            if y <= x {
                b = rest_b;
            }
        }
        let all = self.0.len() + other.0.len() - shared;
        if all == 0 { 0.0 } else { shared as f64 / all as f64 }
    }
}

/// Hashes of the content words of a text, in their order; of all words where there is no content word.
pub(crate) fn content_words(text: &str) -> Vec<u64> {
    let text = lower(text);
    let content: Vec<_> = words(&text).filter(|word| !FUNCTION_WORDS.contains(word)).map(hash_word).collect();
    if content.is_empty() { words(&text).map(hash_word).collect() } else { content }
}

fn hash_word(word: &str) -> u64 {
    word.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn hash_words(words: &[u64]) -> u64 {
    words.iter().fold(words.len() as u64, |hash, word| mix(hash.rotate_left(23) ^ word))
}

/// The finalizer of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The smallest hash of a set under each of 128 hash functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(Box<[u32]>);

impl Signature {
    /// The smallest hashes; the share of equal ones in two signatures estimates their Jaccard similarity.
    pub fn values(&self) -> &[u32] {
        &self.0
    }

    /// The signature of a set.
    pub fn of(set: &Shingles) -> Self {
        let mut smallest = vec![u32::MAX; PERMUTATIONS].into_boxed_slice();
        let factors: Vec<u64> =
            (1..=PERMUTATIONS as u64).map(|at| mix(at.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1).collect();
        for &hash in &set.0 {
            for (smallest, factor) in smallest.iter_mut().zip(&factors) {
                *smallest = (*smallest).min(((hash ^ (factor >> 32)).wrapping_mul(*factor) >> 32) as u32);
            }
        }
        Signature(smallest)
    }
}

/// Signatures by band: two that agree in a whole band are candidates.
#[derive(Debug)]
pub struct Index {
    rows: usize,
    bands: Vec<HashMap<u64, Vec<usize>>>,
}

impl Index {
    /// An empty index for pairs of at least this similarity.
    pub fn new(threshold: f64) -> Self {
        let (bands, rows) = shape(threshold);
        Index { rows, bands: vec![HashMap::new(); bands] }
    }

    /// Probability that a pair of this similarity is found.
    pub fn recall(&self, similarity: f64) -> f64 {
        recall(similarity, self.bands.len(), self.rows)
    }

    /// Adds a signature under a number.
    pub fn insert(&mut self, number: usize, signature: &Signature) {
        for (band, rows) in self.bands.iter_mut().zip(signature.0.chunks_exact(self.rows)) {
            band.entry(band_key(rows)).or_default().push(number);
        }
    }

    /// Numbers of the signatures that agree in a band, ascending.
    pub fn candidates(&self, signature: &Signature) -> Vec<usize> {
        let bands = self.bands.iter().zip(signature.0.chunks_exact(self.rows));
        let mut found: Vec<_> =
            bands.filter_map(|(band, rows)| band.get(&band_key(rows))).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Joins all sets that are linked by pairs of at least this similarity. Sets without features stay alone.
pub fn join(sets: &[Shingles], threshold: f64, components: &mut Components) {
    // Equal sets are joined without a comparison: thousands of equal answers are common.
    let mut first: HashMap<&Shingles, usize> = HashMap::new();
    let mut distinct = Vec::new();
    for (at, set) in sets.iter().enumerate().filter(|(_, set)| !set.0.is_empty()) {
        match first.get(set) {
            Some(&earlier) => components.join(earlier, at),
            None => {
                first.insert(set, at);
                distinct.push(at);
            }
        }
    }
    let signatures: Vec<_> = distinct.par_iter().map(|&at| Signature::of(&sets[at])).collect();
    let (bands, rows) = shape(threshold);
    for band in 0..bands {
        let key = |signature: &Signature| band_key(&signature.0[band * rows..(band + 1) * rows]);
        let mut keyed: Vec<_> = signatures.iter().map(key).zip(distinct.iter().copied()).collect();
        keyed.sort_unstable();
        for bucket in keyed.chunk_by(|a, b| a.0 == b.0) {
            for (at, &(_, a)) in bucket.iter().enumerate() {
                for &(_, b) in &bucket[at + 1..] {
                    if !components.joined(a, b) && sets[a].jaccard(&sets[b]) >= threshold {
                        components.join(a, b);
                    }
                }
            }
        }
    }
}

fn band_key(rows: &[u32]) -> u64 {
    rows.iter().fold(rows.len() as u64, |key, &row| mix(key.rotate_left(17) ^ u64::from(row)))
}

fn recall(similarity: f64, bands: usize, rows: usize) -> f64 {
    1.0 - (1.0 - similarity.powi(rows as i32)).powi(bands as i32)
}

/// Bands and rows for a threshold: the most rows, thus the fewest false candidates, that keep the recall.
fn shape(threshold: f64) -> (usize, usize) {
    let choices = (1..=PERMUTATIONS / 4).rev().map(|rows| (PERMUTATIONS / rows, rows));
    let mut enough = choices.filter(|&(bands, rows)| recall(threshold, bands, rows) >= RECALL);
    enough.next().unwrap_or((PERMUTATIONS, 1))
}
