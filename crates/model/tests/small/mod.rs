//! A small random model whose texts differ from prompt to prompt.
#![allow(dead_code)]

use std::sync::Arc;

use compute::{Backend, Cpu};
use model::{Config, Decoder, Features, LoraConfig, RandomStart, StoredTensor, TensorSource, Trainable};

pub(crate) fn config(vocab_size: usize) -> Config {
    Config {
        vocab_size,
        hidden_size: 32,
        intermediate_size: 56,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        max_positions: 256,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        tie_word_embeddings: true,
        features: Features::default(),
    }
}

/// A start with larger weights than a training start, so that every part matters.
struct Loud(RandomStart);

impl TensorSource for Loud {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let t = self.0.tensor(name)?;
        let factor = if t.shape.len() == 1 { 1.0 } else { 8.0 };
        let values: Vec<f32> = t.to_f32().iter().map(|v| v * factor).collect();
        Ok(StoredTensor::from_f32(t.shape, &values))
    }

    fn origin(&self) -> String {
        "test".into()
    }
}

/// With an adapter that has moved from its start.
pub(crate) fn adapted(config: &Config, threads: usize) -> Decoder<Cpu> {
    let lora = Trainable::Lora { config: LoraConfig::all(4, 8.0), seed: 7 };
    let start = Loud(RandomStart::new(config.clone(), 3));
    let mut decoder = Decoder::new(Arc::new(Cpu::new(threads)), config.clone(), &start, &lora).unwrap();
    for p in decoder.parameters.list.clone() {
        if p.name.ends_with("lora_B.weight") {
            let values: Vec<f32> = model::random::normal(5, &p.name, p.len()).map(|z| 0.1 * z).collect();
            let backend = decoder.backend().clone();
            backend.write(&mut decoder.parameters.values, p.offset, &values);
        }
    }
    decoder
}

/// `length` tokens below `vocabulary`.
pub(crate) fn text(length: usize, seed: u64, vocabulary: usize) -> Vec<u32> {
    let values = model::random::uniform(seed, "text", 1.0, length);
    values.map(|v| ((v + 1.0) / 2.0 * (vocabulary - 1) as f32) as u32).collect()
}
