//! How far two forms of one model are apart on the same questions: the loss of the reference answers, in pairs, and the
//! logits after each question and inside its answer.

use ::chat::Role;
use dataset::Example;
use eval::Wanted;
use eval::comparison::{Metric, Outcome as Item, compare};
use eval::statistics::Resampling;
use model::{TrainOn, encode_conversation};
use serde::Serialize;

use super::base::Model;
use crate::failure::Outcome;

/// Seed of the sample of questions.
const SEED: u64 = 42;
/// Places of an answer whose logits are compared.
const PLACES: usize = 4;

/// What a model makes of questions.
#[derive(Debug)]
pub(crate) struct Measured {
    items: Vec<Item>,
    /// At [`PLACES`] places of every answer, its beginning first.
    logits: Vec<Vec<f32>>,
}

/// Two forms of a model on the same questions: the one that was trained, and another.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Fidelity {
    pub(crate) questions: usize,
    /// Tokens of the reference answers.
    pub(crate) tokens: u64,
    /// −log p per token.
    pub(crate) loss_before: f64,
    pub(crate) loss_after: f64,
    /// After less before: above zero where the other form is worse.
    pub(crate) loss_difference: f64,
    /// 95 % interval of the difference, where there are questions enough.
    pub(crate) loss_difference_interval: Option<[f64; 2]>,
    /// Places at which logits were compared.
    pub(crate) positions: usize,
    /// KL divergence of the other form's distribution from the trained one's, in nats.
    pub(crate) kl_mean: f64,
    pub(crate) kl_max: f64,
    /// Over all tokens of the vocabulary.
    pub(crate) logits_max_difference: f64,
    pub(crate) logits_mean_difference: f64,
    /// The largest magnitude of a logit before.
    pub(crate) logits_largest: f64,
    /// Positions at which both would write the same token.
    pub(crate) same_likeliest_token: usize,
}

/// At most `limit` of the examples, drawn with a fixed seed; 0: all.
pub(crate) fn sample(examples: Vec<Example>, limit: usize) -> Vec<Example> {
    let limit = if limit == 0 { examples.len() } else { limit };
    let drawn = dataset::shuffled(examples.len(), SEED, 0);
    drawn.into_iter().take(limit).map(|i| examples[i].clone()).collect()
}

impl Measured {
    pub(crate) fn of(model: &Model, examples: &[Example]) -> Outcome<Self> {
        let wanted = Wanted { answers: 0, max_new_tokens: 1 };
        let mut measured = Measured { items: Vec::new(), logits: Vec::new() };
        if examples.is_empty() {
            return Ok(measured);
        }
        let adapter = model.decoder.adapter().is_some();
        measured.items = model.subject(adapter).questions(examples, wanted, &mut |_, _, _| {})?;
        for example in examples {
            let last = example.messages.iter().rposition(|m| m.role == Role::Assistant).unwrap_or(0);
            let messages = &example.messages[..=last];
            let encoded = encode_conversation(&model.tokenizer, &model.template, messages, TrainOn::Answers)?;
            // The row before a learned token is the one that predicts it.
            let learned: Vec<u32> =
                (1..encoded.ids.len()).filter(|&i| encoded.labels[i]).map(|i| i as u32 - 1).collect();
            let places: Vec<u32> = (0..PLACES).map(|p| learned[p * learned.len() / PLACES]).collect();
            measured.logits.extend(model.decoder.logits(&encoded.ids, &places, adapter)?);
        }
        Ok(measured)
    }

    /// The other form beside this one.
    pub(crate) fn compare(&self, other: &Measured) -> Outcome<Fidelity> {
        let pairs = || self.logits.iter().zip(&other.logits);
        let values = || pairs().flat_map(|(a, b)| a.iter().zip(b));
        let differences = || values().map(|(a, b)| f64::from((a - b).abs()));
        let loss = |items: &[Item]| {
            let losses = || items.iter().filter_map(|item| item.loss);
            let tokens: u64 = losses().map(|loss| loss.tokens).sum();
            (losses().map(|loss| loss.loss_sum).sum::<f64>() / tokens.max(1) as f64, tokens)
        };
        let ((loss_before, tokens), (loss_after, _)) = (loss(&self.items), loss(&other.items));
        let comparison = compare(&self.items, &other.items, &Resampling::default())?;
        let interval = comparison.metric(Metric::Loss).and_then(|paired| Some([paired.low?, paired.high?]));
        let divergences: Vec<f64> = pairs().map(|(a, b)| divergence(a, b)).collect();
        Ok(Fidelity {
            questions: self.items.len(),
            tokens,
            loss_before,
            loss_after,
            loss_difference: loss_after - loss_before,
            loss_difference_interval: interval,
            positions: divergences.len(),
            kl_mean: divergences.iter().sum::<f64>() / divergences.len().max(1) as f64,
            kl_max: divergences.iter().copied().fold(0.0, f64::max),
            logits_max_difference: differences().fold(0.0, f64::max),
            logits_mean_difference: differences().sum::<f64>() / differences().count().max(1) as f64,
            logits_largest: values().fold(0.0, |largest, (a, _)| largest.max(f64::from(a.abs()))),
            same_likeliest_token: pairs().filter(|(a, b)| likeliest(a) == likeliest(b)).count(),
        })
    }
}

fn likeliest(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
}

/// `Σ p (log p − log q)` in nats of the distributions of two rows of logits.
fn divergence(p: &[f32], q: &[f32]) -> f64 {
    let log_sum = |logits: &[f32]| {
        let largest = logits.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let sum: f64 = logits.iter().map(|l| f64::from(l - largest).exp()).sum();
        f64::from(largest) + sum.ln()
    };
    let (p_sum, q_sum) = (log_sum(p), log_sum(q));
    let term = |(p, q): (&f32, &f32)| {
        let log_p = f64::from(*p) - p_sum;
        log_p.exp() * (log_p - (f64::from(*q) - q_sum))
    };
    p.iter().zip(q).map(term).sum::<f64>().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_divergence_of_two_coins_is_what_it_should_be() {
        let (p, q) = ([0.5f32.ln(), 0.5f32.ln()], [0.25f32.ln(), 0.75f32.ln()]);
        // 0.5 ln(0.5 / 0.25) + 0.5 ln(0.5 / 0.75)
        assert!((divergence(&p, &q) - 0.143_841_036).abs() < 1e-7);
        assert_eq!(divergence(&p, &p), 0.0);
        assert!(
            (divergence(&p, &q.map(|l| l + 3.0)) - divergence(&p, &q)).abs() < 1e-6,
            "a shift says nothing"
        );
    }
}
