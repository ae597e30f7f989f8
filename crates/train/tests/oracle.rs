//! Five AdamW steps against PyTorch and PEFT (torch 2.15.0, transformers 5.23.0, peft 0.21.2, f32). The files are not
//! shipped; without them these tests say so and check nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::cpu::Precision;
use compute::{Cpu, Segment};
use dataset::Batch;
use formats::SafetensorsFile;
use formats::quant::{Bnb4Options, Bnb4Type};
use model::{Activations, Decoder, Trainable, read_range};
use serde_json::Value;
use train::{Optimizer, Settings};

fn oracles() -> Option<PathBuf> {
    let dir = std::env::var_os("MEDTUNE_ORACLES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("ORACLE ABSENT: {} is not there, nothing was compared", dir.display());
    None
}

/// The four conversations, their padding left out: our batches have none.
fn batch(oracle: &Value) -> Batch {
    let mut batch = Batch::default();
    let rows = |key: &str| oracle[key].as_array().unwrap().clone();
    for ((ids, labels), mask) in rows("input_ids").iter().zip(rows("labels")).zip(rows("attention_mask")) {
        let n = mask.as_array().unwrap().iter().filter(|m| m.as_u64() == Some(1)).count();
        let start = batch.ids.len();
        batch.segments.push(Segment::whole(start, n));
        for i in 0..n {
            batch.ids.push(ids[i].as_u64().unwrap() as u32);
            batch.positions.push(i as u32);
            if i > 0 && labels[i].as_i64().unwrap() >= 0 {
                batch.rows.push((start + i - 1) as u32);
                batch.labels.push(labels[i].as_u64().unwrap() as u32);
            }
        }
    }
    assert_eq!(batch.rows.len(), 126, "the oracle labels 126 tokens");
    batch
}

fn relative(got: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let square = |x: f64| x * x;
    let difference: f64 = got.iter().zip(expected).map(|(g, e)| square(f64::from(g - e))).sum();
    let norm: f64 = expected.iter().map(|e| square(f64::from(*e))).sum();
    (difference / norm).sqrt()
}

struct Steps {
    decoder: Decoder<Cpu>,
    losses: Vec<f64>,
}

/// Five steps; the gradients of the first are compared with `gradients`.
fn five_steps(decoder: Decoder<Cpu>, oracle: &Value, lr: f64, gradients: &Path, peft: bool) -> Steps {
    five_steps_within(decoder, oracle, lr, (gradients, 1e-3), peft)
}

fn five_steps_within(
    mut decoder: Decoder<Cpu>,
    oracle: &Value,
    lr: f64,
    (gradients, tolerance): (&Path, f64),
    peft: bool,
) -> Steps {
    let batch = batch(oracle);
    let settings =
        Settings { weight_decay: 0.01, max_grad_norm: 0.0, ..Settings::from(&train::Recipe::default()) };
    let mut optimizer = Optimizer::new(&decoder, settings).unwrap();
    let mut activations = Activations::for_training(&decoder, batch.ids.len()).unwrap();
    let reference = SafetensorsFile::open(gradients).unwrap();
    let mut losses = Vec::new();
    for step in 0..6 {
        optimizer.clear(&decoder);
        optimizer.accumulate(&decoder, &batch, &mut activations);
        let sums = optimizer.sums();
        losses.push(sums.loss / sums.labels as f64);
        if step == 0 {
            let mut distances = Vec::new();
            assert_eq!(reference.names().count(), decoder.parameters.list.len());
            for p in &decoder.parameters.list {
                let name = match peft {
                    true => format!("base_model.model.{}", p.name.replace(".weight", ".default.weight")),
                    false => p.name.clone(),
                };
                let mut got = read_range(&**decoder.backend(), optimizer.gradients(), p);
                got.iter_mut().for_each(|g| *g /= sums.labels as f32);
                let distance = relative(&got, &reference.f32(&name).unwrap());
                assert!(distance < tolerance, "gradient of {name} is {distance} away");
                distances.push(distance);
            }
            distances.sort_by(f64::total_cmp);
            let (median, most) = (distances[distances.len() / 2], distances[distances.len() - 1]);
            eprintln!("gradients are {median:.2e} away in the median, {most:.2e} at most");
        }
        if step < 5 {
            let norm = optimizer.grad_norm(&decoder);
            optimizer.step(&mut decoder, lr, norm);
        }
    }
    Steps { decoder, losses }
}

fn assert_losses(losses: &[f64], run: &Value) {
    let log = run["log"].as_array().unwrap().iter().map(|s| s["loss"].as_f64().unwrap());
    let expected: Vec<f64> = log.chain([run["final_loss"].as_f64().unwrap()]).collect();
    assert_eq!(losses.len(), expected.len());
    assert!((losses[0] / expected[0] - 1.0).abs() < 1e-5, "step 0: {} is not {}", losses[0], expected[0]);
    for (step, (got, expected)) in losses.iter().zip(&expected).enumerate() {
        assert!((got - expected).abs() < 1e-4, "step {step}: {got} is not {expected}");
    }
}

fn read(path: PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn full_training_follows_pytorch() {
    let Some(data) = oracles() else { return };
    let oracle = read(data.join("numerics/training_oracle.json"));
    let base = data.join("weights/stories260K/hf");
    let decoder = Decoder::load(Arc::new(Cpu::new(2)), &base, &Trainable::Everything).unwrap();
    let gradients = data.join("numerics/full_step0_grads.safetensors");
    let steps = five_steps(decoder, &oracle, 1e-3, &gradients, false);
    assert_losses(&steps.losses, &oracle["full"]);
}

#[test]
fn lora_training_follows_peft() {
    let Some(data) = oracles() else { return };
    let oracle = read(data.join("numerics/training_oracle.json"));
    let base = data.join("weights/stories260K/hf");
    let backend = Arc::new(Cpu::new(2));
    let decoder = Decoder::load_with_adapter(backend, &base, &data.join("numerics/lora_init"), None).unwrap();
    assert_eq!(decoder.parameters.len() as u64, oracle["lora"]["trainable"].as_u64().unwrap());
    let before: Vec<_> = frozen(&decoder);
    let gradients = data.join("numerics/lora_step0_grads.safetensors");
    let steps = five_steps(decoder, &oracle, 1e-2, &gradients, true);
    assert_losses(&steps.losses, &oracle["lora"]);
    assert_eq!(before, frozen(&steps.decoder), "the base has changed");

    let trained = SafetensorsFile::open(data.join("numerics/lora_final/adapter_model.safetensors")).unwrap();
    let merged = SafetensorsFile::open(data.join("numerics/lora_merged.safetensors")).unwrap();
    for p in &steps.decoder.parameters.list {
        let expected = trained.f32(&format!("base_model.model.{}", p.name)).unwrap();
        let distance = relative(&steps.decoder.parameters.read(steps.decoder.backend(), p), &expected);
        assert!(distance < 1e-3, "{} is {distance} away after five steps", p.name);
    }
    for (name, tensor) in steps.decoder.merged() {
        let distance = relative(&tensor.to_f32(), &merged.f32(&name).unwrap());
        assert!(distance < 1e-3, "merged {name} is {distance} away");
    }
}

#[test]
fn qlora_training_follows_bitsandbytes_and_peft() {
    let Some(data) = oracles() else { return };
    let oracle = read(data.join("numerics/training_oracle.json"));
    let base = data.join("weights/stories260K/hf");
    for (name, double) in [("qlora_nf4", false), ("qlora_nf4_dq", true)] {
        let numerics = data.join("numerics");
        let options = Bnb4Options { kind: Bnb4Type::Nf4, block: 64, double };
        let init = numerics.join(format!("{name}_init"));
        let decoder =
            Decoder::load_with_adapter(Arc::new(Cpu::new(2)), &base, &init, Some(options.into())).unwrap();
        let before = frozen(&decoder);
        let gradients = numerics.join(format!("{name}_step0_grads.safetensors"));
        let steps = five_steps(decoder, &oracle, 1e-2, &gradients, true);
        assert_losses(&steps.losses, &oracle[name]);
        assert_eq!(before, frozen(&steps.decoder), "the base has changed");
    }
}

/// Factors, and what waits for the backward, are rounded to eight bits of mantissa, so a gradient is off by some
/// hundredths, and the way down is the same. PyTorch's autocast is 0.044 from the same gradients in the median and 0.128
/// at most (`tools/bf16_gradients.py`).
#[test]
fn training_in_bf16_follows_that_in_f32() {
    follows_f32(0.05, |cpu| cpu);
}

/// The backward sees codes of what the forward has read: nearer all the same than PyTorch's autocast.
#[test]
fn training_with_activations_in_8_bits_follows_that_in_f32() {
    follows_f32(0.08, Cpu::with_8bit_activations);
}

fn follows_f32(far: f64, device: impl Fn(Cpu) -> Cpu) {
    let Some(data) = oracles() else { return };
    if !Precision::Bf16.available() {
        eprintln!("NO BF16: this processor has no products of bf16 pairs, nothing was compared");
        return;
    }
    let oracle = read(data.join("numerics/training_oracle.json"));
    let base = data.join("weights/stories260K/hf");
    let backend = Arc::new(device(Cpu::new(2).with_precision(Precision::Bf16)));
    assert_eq!(backend.precision(), Precision::Bf16);
    let decoder = Decoder::load_with_adapter(backend, &base, &data.join("numerics/lora_init"), None).unwrap();
    let gradients = data.join("numerics/lora_step0_grads.safetensors");
    let steps = five_steps_within(decoder, &oracle, 1e-2, (&gradients, far), true);
    let log = oracle["lora"]["log"].as_array().unwrap().iter().map(|s| s["loss"].as_f64().unwrap());
    for (step, (got, expected)) in steps.losses.iter().zip(log).enumerate() {
        assert!((got - expected).abs() < 0.02, "step {step}: {got} is not {expected}");
        assert!((got - expected).abs() > 1e-6, "step {step}: as exact as f32");
    }
}

/// The base's weights, which no step may touch.
fn frozen(decoder: &Decoder<Cpu>) -> Vec<(String, Vec<u32>)> {
    decoder.base().map(|(name, t)| (name, t.to_f32().iter().map(|v| v.to_bits()).collect())).collect()
}
