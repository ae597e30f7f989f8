//! Measures what a frozen base costs in training by its storage: forward and backward of SmolLM2-135M's shape with adapters
//! of rank 16 on all projections, 4 x 256 tokens, every next one learned. The bases take turns at each step.
//!
//! `cargo run --release -p model --example train_peak [rounds [layers [bf16]]]`, the last for products in bf16.

use std::sync::Arc;
use std::time::Instant;

use compute::cpu::Precision;
use compute::{Backend, Cpu, DType, Segment};
use formats::quant::{Bnb4Options, Bnb4Type};
use model::{Activations, Config, Context, Decoder, Labels, LoraConfig, QuantizeOnLoad, RandomStart};
use model::{StoredTensor, TensorSource, Tokens, Trainable, Training};
use serde_json::json;

const TEXTS: usize = 4;
const LENGTH: usize = 256;

/// Random matrices in bf16.
struct Halves(RandomStart);

impl TensorSource for Halves {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let tensor = self.0.tensor(name)?;
        Ok(if tensor.shape.len() == 2 { tensor.to(DType::Bf16) } else { tensor })
    }

    fn origin(&self) -> String {
        self.0.origin()
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |or: usize| arguments.next().map_or(or, |n| n.parse().expect("a number"));
    let (rounds, layers) = (number(5), number(30));
    let mut device = Cpu::new(2);
    if arguments.next().as_deref() == Some("bf16") {
        assert!(Precision::Bf16.available(), "no products in bf16 on this machine");
        device = device.with_precision(Precision::Bf16);
    }
    let device = Arc::new(device);
    let config = Config::from_json(&json!({
        "model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
        "num_hidden_layers": layers, "num_attention_heads": 9, "num_key_value_heads": 3,
        "max_position_embeddings": LENGTH, "rms_norm_eps": 1e-5, "rope_theta": 100_000.0, "tie_word_embeddings": true,
    }))
    .expect("a config");
    let random = RandomStart::new(config.clone(), 1);
    let halves = Halves(RandomStart::new(config.clone(), 1));
    let options = Bnb4Options { kind: Bnb4Type::Nf4, block: 64, double: true };
    let four_bit = QuantizeOnLoad::new(&random, options.into());
    let trainable = Trainable::Lora { config: LoraConfig::all(16, 32.0), seed: 1 };
    let sources: [(&str, &dyn TensorSource); 3] = [("f32", &random), ("bf16", &halves), ("nf4", &four_bit)];
    let mut bases = sources.map(|(name, source)| {
        let decoder = Decoder::new(device.clone(), config.clone(), source, &trainable).expect("room");
        (name, decoder, Vec::new())
    });

    let tokens = TEXTS * LENGTH;
    let ids: Vec<u32> = (0..tokens).map(|i| (i * 7919 % 49_152) as u32).collect();
    let positions: Vec<u32> = (0..tokens).map(|i| (i % LENGTH) as u32).collect();
    let segments: Vec<Segment> = (0..TEXTS).map(|text| Segment::whole(text * LENGTH, LENGTH)).collect();
    let rows: Vec<u32> =
        (0..tokens as u32).filter(|row| !(*row as usize + 1).is_multiple_of(LENGTH)).collect();
    let labels: Vec<u32> = rows.iter().map(|&row| ids[row as usize + 1]).collect();
    let weights = vec![1.0; rows.len()];
    let mut activations = Activations::for_training(&bases[0].1, tokens).expect("room");
    let mut gradients = device.zeros("gradients", bases[0].1.parameters.len()).expect("room");
    for round in 0..=rounds {
        for (_, decoder, seconds) in &mut bases {
            let tokens = Tokens { ids: &ids, positions: &positions };
            let labels = Labels { rows: &rows, labels: &labels, weights: &weights };
            let clock = Instant::now();
            let training = Training { dropout_keys: &[], perturb: None };
            decoder.forward_training(tokens, Context::Segments(&segments), &mut activations, training);
            let forward = clock.elapsed().as_secs_f64();
            decoder.backward(tokens, &segments, labels, &mut activations, &mut gradients);
            // The first round touches memory.
            if round > 0 {
                seconds.push([forward, clock.elapsed().as_secs_f64() - forward]);
            }
        }
    }
    println!(
        "products in {:?}, {layers} layers, {rounds} rounds; ms, best and median: forward, backward",
        device.precision()
    );
    for (name, _, seconds) in &bases {
        let of = |part: usize| {
            let mut seconds: Vec<f64> = seconds.iter().map(|seconds| seconds[part] * 1e3).collect();
            seconds.sort_by(f64::total_cmp);
            (seconds[0], seconds[seconds.len() / 2])
        };
        let ((forward, forward_median), (backward, backward_median)) = (of(0), of(1));
        println!(
            "{name:<5} {forward:>8.1} {forward_median:>8.1} {backward:>8.1} {backward_median:>8.1}; together {:>8.1} {:>8.1}",
            forward + backward,
            forward_median + backward_median
        );
    }
}
