//! From logits to the next token.

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

/// How the next token is chosen. The default is greedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// 0: the likeliest token (the lowest id wins a tie).
    pub temperature: f32,
    /// Keep the likeliest `top_k`; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set of likeliest tokens with this much probability (Holtzman et al. 2020).
    pub top_p: f32,
    /// Keep tokens with at least this share of the likeliest one's probability (Nguyen et al. 2024); 0 keeps all.
    pub min_p: f32,
    /// Divides the positive and multiplies the negative logits of tokens that stand in the text (Keskar et al. 2019).
    pub repetition_penalty: f32,
    /// Taken off the logits of tokens that were written, whatever their number.
    pub presence_penalty: f32,
    /// Taken off the logits of tokens that were written, so many times.
    pub frequency_penalty: f32,
    /// Tokens that would complete a run of so many tokens that stands in the text already are not chosen; 0: all may.
    pub no_repeat_ngram: usize,
    /// Seed of the choice.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            no_repeat_ngram: 0,
            seed: 42,
        }
    }
}

/// Chooses tokens for one text.
#[derive(Debug)]
pub(crate) struct Sampler {
    settings: Sampling,
    rng: StdRng,
    order: Vec<(f32, u32)>,
}

impl Sampler {
    /// A sampler for text number `text` of a batch: its choices do not depend on the others.
    pub(crate) fn new(settings: &Sampling, text: usize) -> Self {
        let rng = crate::random::stream(settings.seed, &format!("sample {text}"));
        Sampler { settings: settings.clone(), rng, order: Vec::new() }
    }

    /// The next token after `text`. Changes `logits`.
    pub(crate) fn choose(&mut self, logits: &mut [f32], text: &[u32]) -> u32 {
        if self.settings.repetition_penalty != 1.0 {
            penalise(logits, text, self.settings.repetition_penalty);
        }
        if self.settings.temperature <= 0.0 {
            return argmax(logits);
        }
        self.order.clear();
        self.order.extend(logits.iter().zip(0u32..).map(|(&l, id)| (l / self.settings.temperature, id)));
        self.order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        if self.settings.top_k > 0 {
            self.order.truncate(self.settings.top_k);
        }
        let highest = self.order.first().map_or(0.0, |o| o.0);
        let mass = |l: f32| f64::from((l - highest).exp());
        let total: f64 = self.order.iter().map(|o| mass(o.0)).sum();
        let nucleus = f64::from(self.settings.top_p) * total;
        let mut before = 0.0;
        let within = |o: &&(f32, u32)| {
            let inside = before < nucleus;
            before += mass(o.0);
            inside
        };
        let count = self.order.iter().take_while(within).count();
        self.order.truncate(count.max(1));
        let kept: f64 = self.order.iter().map(|o| mass(o.0)).sum();
        let mut point = self.rng.random::<f64>() * kept;
        for &(logit, id) in &self.order {
            point -= mass(logit);
            if point <= 0.0 {
                return id;
            }
        }
        self.order.last().map_or(0, |o| o.1)
    }
}

fn penalise(logits: &mut [f32], text: &[u32], penalty: f32) {
    let mut seen: Vec<u32> = text.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for id in seen {
        if let Some(l) = logits.get_mut(id as usize) {
            *l = if *l > 0.0 { *l / penalty } else { *l * penalty };
        }
    }
}

fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, &l) in logits.iter().enumerate() {
        if l > logits[best] {
            best = i;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_lowest_id_of_a_tie() {
        let mut sampler = Sampler::new(&Sampling::default(), 0);
        assert_eq!(sampler.choose(&mut [0.5, 2.0, 2.0, -1.0], &[]), 1);
    }

    #[test]
    fn a_nucleus_keeps_only_the_likeliest() {
        let settings = Sampling { temperature: 1.0, top_p: 0.5, ..Sampling::default() };
        let mut sampler = Sampler::new(&settings, 0);
        for _ in 0..50 {
            assert_eq!(sampler.choose(&mut [0.0, 3.0, 0.0], &[]), 1);
        }
    }

    #[test]
    fn sampled_frequencies_follow_the_probabilities() {
        let settings = Sampling { temperature: 1.0, ..Sampling::default() };
        let mut sampler = Sampler::new(&settings, 0);
        let ones = (0..20_000).filter(|_| sampler.choose(&mut [0.0, (3.0f32).ln()], &[]) == 1).count();
        assert!((ones as f64 / 20_000.0 - 0.75).abs() < 0.01, "{ones}");
    }

    #[test]
    fn repetition_is_penalised_on_both_sides_of_zero() {
        let mut logits = [2.0, -2.0, 1.5];
        penalise(&mut logits, &[0, 1, 1], 2.0);
        assert_eq!(logits, [1.0, -4.0, 1.5]);
    }
}
