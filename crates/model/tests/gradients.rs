//! Loss and gradients of every architecture against PyTorch's (`tools/make_gradients.py`). The models' values follow
//! from the names of their tensors on both sides, so that only the gradients are stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::{Backend, Cpu, Segment};
use formats::SafetensorsFile;
use model::{
    Activations, Config, Context, Decoder, Features, Labels, LoraConfig, RandomStart, StoredTensor,
    TensorSource, Tokens, Trainable, read_range,
};
use serde_json::Value;

/// `‖Δ‖ / ‖reference‖` of each parameter. The references are stored in f16, which takes 3e-4 of it.
const TOLERANCE: f64 = 1e-3;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gradients")
}

/// Values in -1..1 that follow from a name: FNV-1a of the name, then splitmix64.
fn noise(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let hash = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let state = name.bytes().fold(0xCBF2_9CE4_8422_2325, hash);
    (1..=count as u64).map(move |i| {
        let z = state.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    })
}

/// The values of a parameter: matrices and biases in ±0.3, gains in ±0.3 around what multiplies by one.
fn parameter(features: &Features, name: &str, count: usize) -> Vec<f32> {
    let centre = if name.ends_with("norm.weight") { features.neutral_gain() } else { 0.0 };
    noise(name, count).map(|v| v * 0.3 + centre).collect()
}

/// Tensors of the right shapes with the values of their names.
struct Named(Config);

impl TensorSource for Named {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let shape = RandomStart::new(self.0.clone(), 0).tensor(name)?.shape;
        let values = parameter(&self.0.features, name, shape.iter().product());
        Ok(StoredTensor::from_f32(shape, &values))
    }

    fn origin(&self) -> String {
        "the tensors' names".into()
    }
}

/// One architecture's reference.
struct Reference {
    record: Value,
    gradients: SafetensorsFile,
}

impl Reference {
    fn read(path: &Path) -> Self {
        let record = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        Reference { record, gradients: SafetensorsFile::open(path.with_extension("safetensors")).unwrap() }
    }

    fn number(&self, key: &str) -> f64 {
        self.record[key].as_f64().unwrap()
    }

    fn texts(&self) -> Vec<(Vec<u32>, usize)> {
        let texts: Vec<Vec<u32>> = serde_json::from_value(self.record["texts"].clone()).unwrap();
        let first: Vec<usize> = serde_json::from_value(self.record["first_learned"].clone()).unwrap();
        texts.into_iter().zip(first).collect()
    }

    fn gradient(&self, name: &str) -> Vec<f64> {
        let exponent =
            self.record["exponents"][name].as_i64().unwrap_or_else(|| panic!("no gradient of {name}"));
        let factor = 2f64.powi(exponent as i32);
        self.gradients.f32(name).unwrap().iter().map(|v| f64::from(*v) * factor).collect()
    }
}

/// Loss, and the gradient of the mean over the learned tokens.
fn step(decoder: &Decoder<Cpu>, texts: &[(Vec<u32>, usize)]) -> (f64, <Cpu as Backend>::Buffer) {
    let (mut ids, mut positions, mut segments) = (vec![], vec![], vec![]);
    let (mut rows, mut labels) = (vec![], vec![]);
    for (text, first) in texts {
        let start = ids.len();
        segments.push(Segment::whole(start, text.len()));
        rows.extend((*first..text.len()).map(|i| (start + i - 1) as u32));
        labels.extend(&text[*first..]);
        ids.extend(text);
        positions.extend(0..text.len() as u32);
    }
    let weights = vec![1.0 / rows.len() as f32; rows.len()];
    let mut activations = Activations::for_training(decoder, ids.len()).unwrap();
    let mut gradients = decoder.backend().zeros("gradients", decoder.parameters.len()).unwrap();
    let tokens = Tokens { ids: &ids, positions: &positions };
    decoder.forward(tokens, Context::Segments(&segments), &mut activations, true);
    let labels = Labels { rows: &rows, labels: &labels, weights: &weights };
    let output = decoder.backward(tokens, &segments, labels, &mut activations, &mut gradients);
    let loss = -output.log_probs.iter().map(|l| f64::from(*l)).sum::<f64>() / rows.len() as f64;
    (loss, gradients)
}

/// Compares a step, parameter by parameter, and says how many there were.
fn compare(decoder: &Decoder<Cpu>, reference: &Reference, loss_key: &str) -> usize {
    let (loss, gradients) = step(decoder, &reference.texts());
    let family = decoder.config().features.family;
    let expected = reference.number(loss_key);
    assert!((loss - expected).abs() < 1e-6 * expected, "{family:?}: loss {loss}, expected {expected}");
    for p in &decoder.parameters.list {
        let expected = reference.gradient(&p.name);
        let got = read_range(&**decoder.backend(), &gradients, p);
        assert_eq!(got.len(), expected.len(), "{family:?} {}", p.name);
        let norm = expected.iter().map(|e| e * e).sum::<f64>().sqrt();
        let distance =
            got.iter().zip(&expected).map(|(g, e)| (f64::from(*g) - e).powi(2)).sum::<f64>().sqrt();
        assert!(norm > 0.0, "{family:?} {}: the reference is zero", p.name);
        let relative = distance / norm;
        assert!(relative < TOLERANCE, "{family:?} {}: {relative:.1e} of {norm:.1e}", p.name);
    }
    decoder.parameters.list.len()
}

#[test]
fn full_training_and_adapters_of_every_architecture_have_pytorchs_gradients() {
    let mut found = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        found += 1;
        let reference = Reference::read(&path);
        let config = Config::from_json(&reference.record["config"]).unwrap();
        let source = Named(config.clone());
        let device = Arc::new(Cpu::new(2));
        let full = Decoder::new(device.clone(), config.clone(), &source, &Trainable::Everything).unwrap();
        let parameters = compare(&full, &reference, "loss");

        let lora = LoraConfig::all(reference.number("rank") as usize, reference.number("alpha") as f32);
        let trainable = Trainable::Lora { config: lora, seed: 0 };
        let mut tuned = Decoder::new(device.clone(), config.clone(), &source, &trainable).unwrap();
        for p in tuned.parameters.list.clone() {
            let values = parameter(&config.features, &p.name, p.len());
            device.write(&mut tuned.parameters.values, p.offset, &values);
        }
        let adapters = compare(&tuned, &reference, "lora_loss");
        // Nothing that PyTorch has a gradient of is missing here.
        assert_eq!(parameters + adapters, reference.gradients.names().count(), "{}", path.display());
    }
    assert_eq!(found, 10);
}
