//! A small random model, samples for it, and a recipe.

#![allow(dead_code, reason = "every test file takes what it needs")]

pub(crate) mod thread_ranks;

use std::sync::Arc;

use compute::{Backend, Cpu};
use dataset::Sample;
use model::{Config, Decoder, RandomStart, TensorSource};
use track::StepRow;
use train::{Observer, Recipe};

pub(crate) fn config() -> Config {
    Config {
        vocab_size: 61,
        hidden_size: 24,
        intermediate_size: 40,
        layers: 2,
        heads: 3,
        kv_heads: 1,
        head_dim: 8,
        max_positions: 64,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        tie_word_embeddings: true,
        features: model::Features::default(),
    }
}

/// The random weights that every test starts from.
pub(crate) fn base(config: &Config) -> RandomStart {
    RandomStart::new(config.clone(), 1)
}

pub(crate) fn decoder(recipe: &Recipe) -> Decoder<Cpu> {
    decoder_of(&base(&config()), &config(), recipe)
}

pub(crate) fn decoder_of(source: &dyn TensorSource, config: &Config, recipe: &Recipe) -> Decoder<Cpu> {
    Decoder::new(Arc::new(Cpu::new(2)), config.clone(), source, &recipe.trainable()).unwrap()
}

pub(crate) fn samples(n: usize) -> Vec<Sample> {
    (0..n)
        .map(|i| {
            let length = 6 + (i * 7) % 20;
            let ids =
                model::random::uniform(i as u64, "sample", 30.0, length).map(|u| (u + 30.0) as u32).collect();
            let learned = (0..length).map(|at| at > 2).collect();
            Sample { id: format!("{i}"), ids, learned }
        })
        .collect()
}

pub(crate) fn recipe() -> Recipe {
    Recipe {
        lora_r: 4,
        micro_batch_tokens: 64,
        num_epochs: 2,
        save_steps: 3,
        learning_rate: 1e-2,
        ..Recipe::default()
    }
}

pub(crate) struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &StepRow, _: u64) {}
    fn validated(&mut self, _: u64, _: f64) {}
    fn note(&mut self, _: &str) {}
}

pub(crate) fn values(decoder: &Decoder<Cpu>) -> Vec<u32> {
    let mut out = vec![0.0; decoder.parameters.len()];
    decoder.backend().read(&decoder.parameters.values, 0, &mut out);
    out.iter().map(|v| v.to_bits()).collect()
}
