//! BERTScore: how well each token of one text is matched by some token of the other, in an encoder's states.
//!
//! Zhang et al. 2020, "BERTScore: Evaluating Text Generation with BERT"; bert_score 0.3.13. The state after one block
//! is compared, tokens may count by how rare they are among the references, and scores may be stretched so that
//! unrelated texts score about 0.

mod tables;

pub use tables::{default_baseline, default_layer, read_baseline};

use super::rouge::PrecisionRecall;
use crate::{Error, Result};
use compute::EncoderBackend;
use model::{Encoder, EncoderText, HiddenStates};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// Texts whose states are in memory at a time.
const BATCH: usize = 64;

/// Settings of a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BertScore {
    /// The state after this many blocks is compared. [`default_layer`] knows the customary ones.
    pub layer: usize,
    /// Weigh each token by `ln((N + 1) / (n + 1))`, with `n` of `N` references that have it; otherwise equally.
    pub idf: bool,
    /// Scores of unrelated texts: a score `x` becomes `(x - b) / (1 - b)`.
    pub baseline: Option<PrecisionRecall>,
}

/// The score of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BertScoreItem {
    /// The score; `None` where one of the texts has no token, which bert_score averages in as 0.
    pub score: Option<PrecisionRecall>,
    /// Tokens of both texts that the encoder could not read because the text is too long.
    pub cut: usize,
}

impl BertScore {
    /// What must stand beside a score, as bert_score writes it, with the baseline where scores are rescaled:
    /// `roberta-large_L17_no-idf-rescaled|baseline:0.83151,0.83149,0.83123|like:bert_score0.3.13`.
    pub fn signature(&self, model: &str) -> String {
        let idf = if self.idf { "idf" } else { "no-idf" };
        let (rescaled, baseline) = match self.baseline {
            None => ("", String::new()),
            Some(PrecisionRecall { precision, recall, f1 }) => {
                ("-rescaled", format!("|baseline:{precision:.5},{recall:.5},{f1:.5}"))
            }
        };
        format!("{model}_L{}_{idf}{rescaled}{baseline}|like:bert_score0.3.13", self.layer)
    }

    /// Scores pairs of a candidate and its reference.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`] when the encoder has fewer blocks; the encoder's errors.
    pub fn score<B: EncoderBackend>(
        &self,
        encoder: &Encoder<B>,
        pairs: &[(&str, &str)],
    ) -> Result<Vec<BertScoreItem>> {
        if self.layer > encoder.config().layers {
            return Err(Error::Layer { layer: self.layer, layers: encoder.config().layers });
        }
        let tokens = |text: &str| encoder.tokens(text).map_err(Error::from);
        let candidates = pairs.iter().map(|(candidate, _)| tokens(candidate)).collect::<Result<Vec<_>>>()?;
        let references = pairs.iter().map(|(_, reference)| tokens(reference)).collect::<Result<Vec<_>>>()?;
        let rarity = self.idf.then(|| Rarity::among(&references));
        let weights = |text: &EncoderText| -> Vec<f64> {
            let weight = |id: &u32| match &rarity {
                Some(rarity) => rarity.weight(*id),
                None => f64::from(!encoder.is_end(*id)),
            };
            text.ids.iter().map(weight).collect()
        };
        let mut items = Vec::with_capacity(pairs.len());
        for (candidates, references) in candidates.chunks(BATCH).zip(references.chunks(BATCH)) {
            let ids: Vec<&[u32]> =
                candidates.iter().chain(references).map(|text| text.ids.as_slice()).collect();
            let mut states = encoder.hidden_states(&ids, self.layer)?;
            states.iter_mut().for_each(normalize);
            let (left, right) = states.split_at(candidates.len());
            for (index, (candidate, reference)) in candidates.iter().zip(references).enumerate() {
                let empty = candidate.ids.len() <= 2 || reference.ids.len() <= 2;
                let score = (!empty).then(|| {
                    let matched = greedy(&left[index], &right[index]);
                    self.rescaled(matched.score(&weights(candidate), &weights(reference)))
                });
                items.push(BertScoreItem { score, cut: candidate.cut + reference.cut });
            }
        }
        Ok(items)
    }

    fn rescaled(&self, score: PrecisionRecall) -> PrecisionRecall {
        let Some(baseline) = self.baseline else { return score };
        let stretch = |value: f64, baseline: f64| (value - baseline) / (1.0 - baseline);
        PrecisionRecall {
            precision: stretch(score.precision, baseline.precision),
            recall: stretch(score.recall, baseline.recall),
            f1: stretch(score.f1, baseline.f1),
        }
    }
}

/// How rare tokens are among texts.
struct Rarity {
    texts: f64,
    containing: HashMap<u32, f64>,
}

impl Rarity {
    fn among(texts: &[EncoderText]) -> Self {
        let mut containing = HashMap::new();
        for text in texts {
            for id in text.ids.iter().collect::<BTreeSet<_>>() {
                *containing.entry(*id).or_insert(0.0) += 1.0;
            }
        }
        Self { texts: texts.len() as f64, containing }
    }

    fn weight(&self, id: u32) -> f64 {
        ((self.texts + 1.0) / (self.containing.get(&id).copied().unwrap_or(0.0) + 1.0)).ln()
    }
}

/// For every token of both texts the cosine to its nearest token of the other.
struct Matched {
    candidate: Vec<f64>,
    reference: Vec<f64>,
}

impl Matched {
    /// Weighted means. Where no token has a weight, all are equal.
    fn score(&self, candidate: &[f64], reference: &[f64]) -> PrecisionRecall {
        let mean = |cosines: &[f64], weights: &[f64]| {
            let sum: f64 = weights.iter().sum();
            if sum > 0.0 {
                cosines.iter().zip(weights).map(|(cosine, weight)| cosine * weight).sum::<f64>() / sum
            } else {
                cosines.iter().sum::<f64>() / cosines.len() as f64
            }
        };
        let (precision, recall) = (mean(&self.candidate, candidate), mean(&self.reference, reference));
        let sum = precision + recall;
        PrecisionRecall {
            precision,
            recall,
            f1: if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum },
        }
    }
}

fn normalize(states: &mut HiddenStates) {
    for row in states.values.chunks_exact_mut(states.width) {
        let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        row.iter_mut().for_each(|value| *value /= norm);
    }
}

/// Greedy matching of unit vectors. The tokens that begin and end a text may be matched, too; only their own weight
/// is 0.
fn greedy(candidate: &HiddenStates, reference: &HiddenStates) -> Matched {
    let mut matched = Matched {
        candidate: vec![f64::NEG_INFINITY; candidate.rows().len()],
        reference: vec![f64::NEG_INFINITY; reference.rows().len()],
    };
    for (left, precision) in candidate.rows().zip(&mut matched.candidate) {
        for (right, recall) in reference.rows().zip(&mut matched.reference) {
            let cosine = f64::from(dot(left, right));
            *precision = precision.max(cosine);
            *recall = recall.max(cosine);
        }
    }
    matched
}

/// Sum of products in eight lanes, which the compiler makes a vector of.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (left, left_rest) = left.as_chunks::<8>();
    let (right, right_rest) = right.as_chunks::<8>();
    for (left, right) in left.iter().zip(right) {
        for lane in 0..8 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    lanes.iter().sum::<f32>() + rest
}
