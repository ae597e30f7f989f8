//! How the next token is chosen.

use serde::{Deserialize, Serialize};

/// How the next token is chosen. The default is greedy. The order of the steps is that of transformers' `generate`:
/// penalties, what may not come, temperature, `top_k`, `top_p`, `min_p`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// 0: the likeliest token (the lowest id wins a tie).
    pub temperature: f32,
    /// Keep the likeliest `top_k`, and those that tie with the last of them; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set of likeliest tokens with this much probability (Holtzman et al. 2020).
    pub top_p: f32,
    /// Keep tokens with at least this share of the likeliest one's probability (Nguyen et al. 2024); 0 keeps all.
    pub min_p: f32,
    /// Divides the positive and multiplies the negative logits of tokens that stand in prompt or text (Keskar et al.
    /// 2019).
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

impl Sampling {
    /// What is wrong with the settings, if anything: the name, the value, what it may be.
    pub(crate) fn wrong(&self) -> Option<(&'static str, f32, &'static str)> {
        let settings = [
            ("temperature", self.temperature, 0.0..=f32::MAX, "0 or more"),
            ("top_p", self.top_p, 0.0..=1.0, "0 to 1"),
            ("min_p", self.min_p, 0.0..=1.0, "0 to 1"),
            ("repetition_penalty", self.repetition_penalty, f32::MIN_POSITIVE..=f32::MAX, "more than 0"),
            ("presence_penalty", self.presence_penalty, f32::MIN..=f32::MAX, "a number"),
            ("frequency_penalty", self.frequency_penalty, f32::MIN..=f32::MAX, "a number"),
        ];
        let wrong = settings.into_iter().find(|(_, value, range, _)| !range.contains(value));
        wrong.map(|(name, value, _, expected)| (name, value, expected))
    }
}
