//! Adapters as PEFT saves them (`tools/make_adapters.py`): they load, their first gradients and the losses of five steps
//! of AdamW are PEFT's, and what is saved again is what PEFT would save. The base's values follow from the names of its
//! tensors on both sides.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::{Backend, Cpu, DType, Segment};
use dataset::Batch;
use formats::SafetensorsFile;
use formats::quant::{Bnb4Options, Bnb4Type};
use model::{
    Activations, Config, Decoder, InitLoraWeights, LoraConfig, RandomStart, StoredTensor, TensorSource,
    Trainable, read_range,
};
use serde_json::Value;
use train::{Optimizer, Settings};

/// `‖Δ‖ / ‖reference‖` of each gradient. The references are stored in f16, which takes 3e-4 of it.
const TOLERANCE: f64 = 1e-3;

/// What `tools/make_adapters.py` writes.
const WAYS: &[&str] = &[
    "patterns",
    "patterns_rslora",
    "regex",
    "one_layer",
    "excluded",
    "all_linear",
    "ends_saved",
    "tied_head_saved",
    "tied_embedding_saved",
    "ends_adapted",
    "tied_ends_adapted",
    "dora",
    "dora_patterns",
];

fn folder(way: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adapters").join(way)
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

/// The base: matrices and biases in ±0.3, gains in ±0.3 around one.
struct Named(Config);

impl TensorSource for Named {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let shape = RandomStart::new(self.0.clone(), 0).tensor(name)?.shape;
        let centre = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
        let values: Vec<f32> = noise(name, shape.iter().product()).map(|v| v * 0.3 + centre).collect();
        Ok(StoredTensor::from_f32(shape, &values))
    }

    fn origin(&self) -> String {
        "the tensors' names".into()
    }
}

/// One way of adapting, as PEFT does it.
struct Reference {
    folder: PathBuf,
    record: Value,
    /// The base on disk.
    base: tempfile::TempDir,
}

impl Reference {
    fn of(way: &str) -> Self {
        let folder = folder(way);
        let text = std::fs::read_to_string(folder.join("record.json")).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let config = Config::from_json(&record["config"]).unwrap();
        let base = tempfile::tempdir().unwrap();
        let source = Named(config.clone());
        let decoder = Decoder::new(Arc::new(Cpu::new(1)), config, &source, &Trainable::Nothing).unwrap();
        decoder.save(base.path(), DType::F32, (None, None)).unwrap();
        Reference { folder, record, base }
    }

    fn load(&self, adapter: &Path) -> Decoder<Cpu> {
        Decoder::load_with_adapter(Arc::new(Cpu::new(2)), self.base.path(), adapter, None).unwrap()
    }

    fn batch(&self) -> Batch {
        let texts: Vec<Vec<u32>> = serde_json::from_value(self.record["texts"].clone()).unwrap();
        let first: Vec<usize> = serde_json::from_value(self.record["first_learned"].clone()).unwrap();
        let mut batch = Batch::default();
        for (text, first) in texts.iter().zip(first) {
            let start = batch.ids.len();
            batch.segments.push(Segment::whole(start, text.len()));
            batch.rows.extend((first..text.len()).map(|i| (start + i - 1) as u32));
            batch.labels.extend(&text[first..]);
            batch.ids.extend(text);
            batch.positions.extend(0..text.len() as u32);
        }
        batch
    }

    fn losses(&self) -> Vec<f64> {
        serde_json::from_value(self.record["losses"].clone()).unwrap()
    }

    /// The gradients by PEFT's names.
    fn gradients(&self) -> BTreeMap<String, Vec<f64>> {
        let file = SafetensorsFile::open(self.folder.join("gradients.safetensors")).unwrap();
        let gradient = |name: &str| {
            let factor = 2f64.powi(self.record["exponents"][name].as_i64().unwrap() as i32);
            file.f32(name).unwrap().iter().map(|v| f64::from(*v) * factor).collect()
        };
        file.names().map(|name| (name.to_owned(), gradient(name))).collect()
    }

    /// Five steps; the first one's gradients are compared where `compared`, the losses always.
    fn follow(&self, way: &str, decoder: &mut Decoder<Cpu>, compared: bool) {
        let batch = self.batch();
        let settings =
            Settings { weight_decay: 0.01, max_grad_norm: 0.0, ..Settings::from(&train::Recipe::default()) };
        let mut optimizer = Optimizer::new(decoder, settings).unwrap();
        let mut activations = Activations::for_training(decoder, batch.ids.len()).unwrap();
        let rate = self.record["learning_rate"].as_f64().unwrap();
        for (step, expected) in self.losses().into_iter().enumerate() {
            optimizer.clear(decoder);
            optimizer.accumulate(decoder, &batch, &mut activations);
            let sums = optimizer.sums();
            let loss = sums.loss / sums.labels as f64;
            assert!((loss - expected).abs() < 1e-4, "{way}, step {step}: {loss} is not {expected}");
            if step == 0 {
                assert!((loss / expected - 1.0).abs() < 1e-6, "{way}: {loss} is not {expected}");
                if compared {
                    self.compare(way, decoder, &optimizer);
                }
            }
            if step < 5 {
                let norm = optimizer.grad_norm(decoder);
                optimizer.step(decoder, rate, norm);
            }
        }
    }

    fn compare(&self, way: &str, decoder: &Decoder<Cpu>, optimizer: &Optimizer<Cpu>) {
        let references = self.gradients();
        assert_eq!(references.len(), decoder.parameters.list.len(), "{way}");
        let labels = optimizer.sums().labels as f64;
        for p in &decoder.parameters.list {
            let expected = &references[&model::peft_name(p)];
            let got = p.on_disk(read_range(&**decoder.backend(), optimizer.gradients(), p));
            assert_eq!(got.len(), expected.len(), "{way}: {}", p.name);
            let square = |x: f64| x * x;
            let distance =
                got.iter().zip(expected).map(|(g, e)| square(f64::from(*g) / labels - e)).sum::<f64>();
            let relative = (distance / expected.iter().map(|e| square(*e)).sum::<f64>()).sqrt();
            assert!(relative < TOLERANCE, "{way}: the gradient of {} is {relative:.1e} away", p.name);
        }
    }
}

/// Names, shapes and values of an adapter's tensors.
fn tensors(folder: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let file = SafetensorsFile::open(folder.join("adapter_model.safetensors")).unwrap();
    let tensor = |name: &str| (file.info(name).unwrap().1.to_vec(), file.f32(name).unwrap());
    file.names().map(|name| (name.to_owned(), tensor(name))).collect()
}

#[test]
fn every_way_of_adapting_follows_peft_and_is_saved_as_peft_saves_it() {
    for way in WAYS {
        let reference = Reference::of(way);
        let mut decoder = reference.load(&reference.folder);
        let saved = tempfile::tempdir().unwrap();
        decoder.save_adapter(saved.path(), "base").unwrap();
        // PEFT saves the base below the adapter of an embedding or head beside it; it is checked and not saved again.
        let mut expected = tensors(&reference.folder);
        expected.retain(|name, _| !name.ends_with(".base_layer.weight"));
        assert_eq!(tensors(saved.path()), expected, "{way}");
        let again = reference.load(saved.path());
        assert_eq!(decoder.adapter(), again.adapter(), "{way}");
        reference.follow(way, &mut decoder, true);
    }
}

/// Tensors as they are.
struct Tensors(BTreeMap<String, StoredTensor>);

impl TensorSource for Tensors {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        Ok(self.0[name].clone())
    }

    fn origin(&self) -> String {
        "a base that was decoded".into()
    }
}

#[test]
fn on_four_bits_every_adapter_does_what_it_does_on_the_values_that_they_stand_for() {
    for way in ["patterns", "ends_saved", "ends_adapted", "dora", "dora_patterns", "pissa"] {
        let reference = Reference::of(way);
        let options = Bnb4Options { kind: Bnb4Type::Nf4, block: 64, double: true };
        let device = Arc::new(Cpu::new(2));
        let quantized = match way {
            "pissa" => {
                let init = InitLoraWeights::Pissa { passes: Some(3) };
                let config = LoraConfig { init, dropout: 0.25, ..LoraConfig::all(2, 5.0) };
                let trainable = Trainable::Lora { config, seed: 1 };
                Decoder::load_as(device.clone(), reference.base.path(), &trainable, Some(options.into()))
            }
            _ => Decoder::load_with_adapter(
                device.clone(),
                reference.base.path(),
                &reference.folder,
                Some(options.into()),
            ),
        }
        .unwrap();
        let config = quantized.adapter().unwrap().clone();
        let source = Tensors(quantized.base().collect());
        let trainable = Trainable::Lora { config, seed: 1 };
        let shape = quantized.config().clone();
        let mut decoded = Decoder::new(device.clone(), shape, &source, &trainable).unwrap();
        for p in quantized.parameters.list.iter().filter(|_| way != "pissa") {
            let values = quantized.parameters.read(&device, p);
            device.write(&mut decoded.parameters.values, p.offset, &values);
        }
        let step = |decoder: &Decoder<Cpu>| {
            let batch = reference.batch();
            let mut activations = Activations::for_training(decoder, batch.ids.len()).unwrap();
            let mut optimizer = Optimizer::new(decoder, Settings::from(&train::Recipe::default())).unwrap();
            let keys: Vec<u64> = (0..batch.ids.len() as u64).collect();
            let regularisation = train::Regularisation { dropout_keys: &keys, noise: None };
            optimizer.accumulate_regularised(decoder, &batch, &mut activations, regularisation);
            let mut gradients = vec![0.0; decoder.parameters.len()];
            device.read(optimizer.gradients(), 0, &mut gradients);
            (optimizer.sums().loss, gradients)
        };
        let ((loss, gradients), (expected, expected_gradients)) = (step(&quantized), step(&decoded));
        assert!((loss / expected - 1.0).abs() < 1e-6, "{way}: {loss} and {expected}");
        let distance = relative(&gradients, &expected_gradients);
        assert!(distance < 1e-5, "{way}: the gradients are {distance} apart");
    }
}

#[test]
fn pissa_starts_where_pefts_does_and_its_adapter_fits_the_original_base() {
    let reference = Reference::of("pissa");
    let mut config = LoraConfig::all(2, 5.0);
    config.init = InitLoraWeights::Pissa { passes: None };
    config.rank_pattern = [("o_proj".to_owned(), 5)].into();
    let trainable = Trainable::Lora { config, seed: 1 };
    let mut decoder = Decoder::load(Arc::new(Cpu::new(2)), reference.base.path(), &trainable).unwrap();

    // Both sides of the start up to the signs of the singular vectors, which do not change the product.
    let initial = tensors(&reference.folder.join("initial"));
    for p in decoder.parameters.list.iter().filter(|p| p.name.contains("lora_A")) {
        let b =
            decoder.parameters.list.iter().find(|q| q.name == p.name.replace("lora_A", "lora_B")).unwrap();
        let read = |p| decoder.parameters.read(decoder.backend(), p);
        let ours = product(&read(p), &read(b), p.cols);
        let (a, other) = (&initial[&model::peft_name(p)].1, &initial[&model::peft_name(b)].1);
        let theirs = product(a, other, p.cols);
        assert!(relative(&ours, &theirs) < 1e-4, "{}: {}", p.name, relative(&ours, &theirs));
    }
    reference.follow("pissa", &mut decoder, false);

    // PEFT's converted adapter, of twice the rank, and ours, on the base as it is.
    let saved = tempfile::tempdir().unwrap();
    decoder.save_adapter(saved.path(), "base").unwrap();
    let settings = |folder: &Path| -> Value {
        serde_json::from_str(&std::fs::read_to_string(folder.join("adapter_config.json")).unwrap()).unwrap()
    };
    for key in ["r", "lora_alpha", "rank_pattern", "init_lora_weights"] {
        assert_eq!(settings(saved.path())[key], settings(&reference.folder)[key], "{key}");
    }
    let merged =
        |decoder: &Decoder<Cpu>| -> Vec<f32> { decoder.merged().flat_map(|(_, t)| t.to_f32()).collect() };
    let (ours, theirs) = (reference.load(saved.path()), reference.load(&reference.folder));
    assert!(
        relative(&merged(&ours), &merged(&decoder)) < 1e-6,
        "{}",
        relative(&merged(&ours), &merged(&decoder))
    );
    let distance = relative(&merged(&ours), &merged(&theirs));
    assert!(distance < 1e-3, "{distance} away after five steps");
}

/// `B A`.
fn product(a: &[f32], b: &[f32], cols: usize) -> Vec<f32> {
    let rank = a.len() / cols;
    let element = |row: &[f32], j: usize| (0..rank).map(|q| row[q] * a[q * cols + j]).sum();
    b.chunks_exact(rank).flat_map(|row| (0..cols).map(move |j| element(row, j))).collect()
}

/// `‖a - b‖ / ‖b‖`.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f64| x * x;
    let distance: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(a - b))).sum();
    (distance / b.iter().map(|b| square(f64::from(*b))).sum::<f64>()).sqrt()
}
