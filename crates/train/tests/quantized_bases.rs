//! Quantized Hugging Face folders as training bases, against PyTorch and PEFT on the weights that bitsandbytes and the
//! formula of AutoGPTQ decode (`tools/quantized_checkpoints.py`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::{Backend, Cpu, Segment};
use dataset::Batch;
use formats::QuantizedMatrix;
use model::{Activations, Base, Decoder, LoraConfig, Quantize, QuantizeOnLoad, TensorSource, Trainable};
use serde_json::Value;
use train::{Optimizer, Settings};

const FOLDERS: [&str; 6] = ["nf4", "nf4_double", "fp4_double", "int8", "gptq", "gptq_act_order"];
const PROJECTION: &str = "model.layers.1.mlp.down_proj.weight";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/quantized").join(name)
}

fn expected(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder(name).join("expected.json")).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn ids(expected: &Value) -> Vec<u32> {
    floats(&expected["ids"]).into_iter().map(|id| id as u32).collect()
}

/// An adapter on all projections that starts from cosines and sines, as the script's does.
fn with_adapter(name: &str) -> Decoder<Cpu> {
    let trainable = Trainable::Lora { config: LoraConfig::all(2, 4.0), seed: 0 };
    let mut decoder = Decoder::load(Arc::new(Cpu::new(2)), &folder(name), &trainable).unwrap();
    let backend = decoder.backend().clone();
    for p in decoder.parameters.list.clone() {
        let places = (0..p.len()).map(|place| place as f64);
        let values: Vec<f32> = match p.name.contains("lora_A") {
            true => places.map(|place| (place.cos() / 8.0) as f32).collect(),
            false => places.map(|place| (place.sin() / 32.0) as f32).collect(),
        };
        backend.write(&mut decoder.parameters.values, p.offset, &values);
    }
    decoder
}

fn batch(ids: &[u32]) -> Batch {
    let n = ids.len();
    Batch {
        ids: ids.to_vec(),
        positions: (0..n as u32).collect(),
        segments: vec![Segment::whole(0, n)],
        rows: (0..n as u32 - 1).collect(),
        labels: ids[1..].to_vec(),
    }
}

/// The base's weights, which no step may touch.
fn frozen(decoder: &Decoder<Cpu>) -> Vec<(String, Vec<u32>)> {
    decoder.base().map(|(name, t)| (name, t.to_f32().iter().map(|v| v.to_bits()).collect())).collect()
}

#[test]
fn a_quantized_folder_has_the_logits_of_its_decoded_weights() {
    for name in FOLDERS {
        let expected = expected(name);
        let decoder = Decoder::load(Arc::new(Cpu::new(2)), &folder(name), &Trainable::Nothing).unwrap();
        let ids = ids(&expected);
        let logits = decoder.next_logits(&ids, true).unwrap();
        let reference = floats(&expected["logits"]);
        let largest = reference.iter().fold(0.0f64, |largest, logit| largest.max(logit.abs()));
        assert_eq!(logits.len(), reference.len());
        for (got, expected) in logits.iter().zip(&reference) {
            let off = (f64::from(*got) - expected).abs();
            assert!(off < 1e-5 * largest, "{name}: {got} is not {expected} (largest {largest})");
        }
    }
}

#[test]
fn its_matrices_stay_in_their_own_bits() {
    for name in FOLDERS {
        let base = Base::open(&folder(name)).unwrap();
        let matrix = base.quantized(PROJECTION).unwrap().unwrap();
        match (name, &matrix) {
            ("int8", QuantizedMatrix::Int8(_)) | ("gptq" | "gptq_act_order", QuantizedMatrix::Gptq(_)) => {}
            ("nf4" | "nf4_double" | "fp4_double", QuantizedMatrix::Bnb4(_)) => {}
            _ => panic!("{name} is {matrix:?}"),
        }
        assert!(matrix.bytes() < 2 * matrix.rows() * matrix.cols(), "{name}: fewer than 16 bits a value");
        assert_eq!(base.quantized("model.embed_tokens.weight").unwrap(), None, "{name}");
        // `adapter: qlora` on a base that is quantized already takes the bits that are there.
        let again = QuantizeOnLoad::new(&base, Quantize::EightBit);
        assert_eq!(again.quantized(PROJECTION).unwrap(), Some(matrix), "{name}");
    }
}

#[test]
fn an_adapter_learns_on_it_as_with_peft_and_the_base_keeps_its_bits() {
    for name in FOLDERS {
        let expected = expected(name);
        let mut decoder = with_adapter(name);
        let before = frozen(&decoder);
        let batch = batch(&ids(&expected));
        let settings =
            Settings { weight_decay: 0.0, max_grad_norm: 0.0, ..Settings::from(&train::Recipe::default()) };
        let mut optimizer = Optimizer::new(&decoder, settings).unwrap();
        let mut activations = Activations::for_training(&decoder, batch.ids.len()).unwrap();
        let mut losses = Vec::new();
        for step in 0..6 {
            optimizer.clear(&decoder);
            optimizer.accumulate(&decoder, &batch, &mut activations);
            let sums = optimizer.sums();
            losses.push(sums.loss / sums.labels as f64);
            if step < 5 {
                let norm = optimizer.grad_norm(&decoder);
                optimizer.step(&mut decoder, 1e-2, norm);
            }
        }
        for (step, (got, expected)) in losses.iter().zip(floats(&expected["losses"])).enumerate() {
            assert!((got - expected).abs() < 1e-4, "{name}, step {step}: {got} is not {expected}");
        }
        assert!(losses[5] < losses[0] - 0.1, "{name}: the loss falls: {losses:?}");
        assert_eq!(before, frozen(&decoder), "{name}: the base has changed");
    }
}

#[test]
fn all_of_a_quantized_base_cannot_be_trained() {
    for name in FOLDERS {
        let error = Decoder::load(Arc::new(Cpu::new(1)), &folder(name), &Trainable::Everything).unwrap_err();
        assert!(error.to_string().contains("q_proj.weight is quantized"), "{name}: {error}");
    }
}

#[test]
fn eight_bits_on_load_are_those_of_bitsandbytes() {
    // The script's base in 16 bits is not kept; what it was quantized to is, and quantizing that again changes nothing.
    let base = Base::open(&folder("int8")).unwrap();
    let Some(QuantizedMatrix::Int8(stored)) = base.quantized(PROJECTION).unwrap() else { panic!("no int8") };
    let shape = [stored.rows(), stored.cols()];
    let values = QuantizedMatrix::from(stored.clone()).to_f32();
    let again = formats::quant::Int8Matrix::quantize(shape, &values).unwrap();
    assert_eq!(again.codes(), stored.codes());
    for (again, stored) in again.scales().iter().zip(stored.scales()) {
        assert!((again / stored - 1.0).abs() < 1e-6, "{again} is not {stored}");
    }
}
