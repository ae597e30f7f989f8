//! METEOR without synonyms.
//!
//! Banerjee & Lavie 2005, "METEOR: An Automatic Metric for MT Evaluation with Improved Correlation with Human
//! Judgments"; NLTK 3.10.4, `translate/meteor_score.py`, with the parameters of Denkowski & Lavie that NLTK has by
//! default. Two of its three stages: equal words, then equal stems. The third, synonyms, needs WordNet; scores with
//! it are higher, so always name the stages beside a score.

use super::porter::stem;
use super::python;
use super::tokenize::BleuTokenizer;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Weight of precision against recall in the mean.
const ALPHA: f64 = 0.9;
/// How steeply fragmentation is penalized.
const BETA: f64 = 3.0;
/// The largest penalty.
const GAMMA: f64 = 0.5;

/// METEOR with its settings, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meteor {
    /// How texts become words. NLTK leaves that to its caller.
    pub tokenizer: BleuTokenizer,
}

impl Meteor {
    /// The best score of a hypothesis against any of its references; 0 without a common word.
    pub fn sentence(&self, hypothesis: &str, references: &[&str]) -> f64 {
        let hypothesis = self.words(hypothesis);
        references.iter().map(|reference| score(&hypothesis, &self.words(reference))).fold(0.0, f64::max)
    }

    /// What must stand beside a score: `stages:exact+stem|tok:13a|alpha:0.9|beta:3|gamma:0.5|like:nltk3.10.4`.
    pub fn signature(&self) -> String {
        let tokenizer = self.tokenizer.name();
        format!("stages:exact+stem|tok:{tokenizer}|alpha:{ALPHA}|beta:{BETA}|gamma:{GAMMA}|like:nltk3.10.4")
    }

    fn words(&self, text: &str) -> Vec<String> {
        python::split(&self.tokenizer.spaced(text)).map(str::to_lowercase).collect()
    }
}

fn score(hypothesis: &[String], reference: &[String]) -> f64 {
    let pairs = align(hypothesis, reference);
    if pairs.is_empty() {
        return 0.0;
    }
    let matches = pairs.len() as f64;
    let (precision, recall) = (matches / hypothesis.len() as f64, matches / reference.len() as f64);
    let mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
    let breaks = pairs.windows(2).filter(|pair| pair[1] != (pair[0].0 + 1, pair[0].1 + 1)).count();
    let fragmentation = (breaks + 1) as f64 / matches;
    (1.0 - GAMMA * fragmentation.powf(BETA)) * mean
}

/// Pairs of positions of words that match, in the order of the hypothesis.
fn align(hypothesis: &[String], reference: &[String]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut left: Vec<(usize, String)> = hypothesis.iter().cloned().enumerate().collect();
    let mut right: Vec<(usize, String)> = reference.iter().cloned().enumerate().collect();
    take_equal(&mut left, &mut right, &mut pairs);
    left.iter_mut().chain(&mut right).for_each(|(_, word)| *word = stem(word));
    take_equal(&mut left, &mut right, &mut pairs);
    pairs.sort_unstable();
    pairs
}

/// Moves equal words to the pairs: from the last word of the hypothesis to the first, each with the last equal word
/// of the reference that is still free.
fn take_equal(
    left: &mut Vec<(usize, String)>,
    right: &mut Vec<(usize, String)>,
    pairs: &mut Vec<(usize, usize)>,
) {
    let mut free: HashMap<&str, Vec<usize>> = HashMap::new();
    right.iter().for_each(|(at, word)| free.entry(word).or_default().push(*at));
    let found = pairs.len();
    for (at, word) in left.iter().rev() {
        if let Some(other) = free.get_mut(word.as_str()).and_then(Vec::pop) {
            pairs.push((*at, other));
        }
    }
    let new = &pairs[found..];
    left.retain(|(at, _)| !new.iter().any(|(taken, _)| taken == at));
    right.retain(|(at, _)| !new.iter().any(|(_, taken)| taken == at));
}
