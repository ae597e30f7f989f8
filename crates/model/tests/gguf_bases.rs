//! GGUF files as bases: the decoder of a file is the decoder of the folder that it was converted from, and quantized
//! tensors stay in their own blocks.

mod gguf_writer;
mod reference;

use std::path::Path;
use std::sync::Arc;

use compute::{Cpu, Segment};
use formats::quant::{BlockType, QuantizedMatrix};
use gguf_writer::{Encoded, Model, write_tensors};
use model::engine::{Engine, EngineSettings, Request, Stop};
use model::{
    Activations, Base, Config, Context, Decoder, Family, Features, Labels, RandomStart, RopeScaling,
    StoredTensor, TensorSource, Tokens, Trainable,
};
use reference::{oracle, oracle_json};

fn config() -> Config {
    Config {
        vocab_size: 97,
        hidden_size: 32,
        intermediate_size: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        max_positions: 128,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        tie_word_embeddings: true,
        features: Features::default(),
    }
}

/// What GGUF can describe of every family.
fn families() -> Vec<Config> {
    let of = |family| Config { features: Features::of(family), ..config() };
    let mut llama = Config { tie_word_embeddings: false, ..config() };
    (llama.features.qkv_bias, llama.features.out_bias, llama.features.mlp_bias) = (true, true, true);
    let linear = Config { rope_scaling: Some(RopeScaling::Linear { factor: 4.0 }), ..config() };
    let llama3 = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 64.0,
    };
    let llama3 = Config { rope_scaling: Some(llama3), rope_theta: 500_000.0, head_dim: 16, ..config() };
    let mut mistral = of(Family::Mistral);
    mistral.features.windows = vec![Some(6); 2];
    let gemma = Config { kv_heads: 1, head_dim: 12, ..of(Family::Gemma) };
    let mut gemma2 = Config { head_dim: 12, ..of(Family::Gemma2) };
    gemma2.features.windows = vec![Some(6), None];
    gemma2.features.attention_softcap = Some(2.0);
    gemma2.features.logit_softcap = Some(3.0);
    gemma2.features.query_scalar = Some(12.0);
    let qwen3 = Config { head_dim: 12, ..of(Family::Qwen3) };
    vec![config(), llama, linear, llama3, mistral, of(Family::Qwen2), qwen3, gemma, gemma2]
}

/// Random weights whose gains and biases matter, too.
struct Loud(RandomStart);

impl TensorSource for Loud {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let t = self.0.tensor(name)?;
        let values: Vec<f32> = match t.shape.len() {
            1 => {
                let noise = model::random::normal(1, name, t.shape[0]).map(|z| 0.2 * z);
                noise.zip(t.to_f32()).map(|(noise, value)| value + noise).collect()
            }
            _ => t.to_f32().iter().map(|v| v * 8.0).collect(),
        };
        Ok(StoredTensor::from_f32(t.shape, &values))
    }

    fn origin(&self) -> String {
        "test".into()
    }
}

fn decoder(config: &Config) -> Decoder<Cpu> {
    let source = Loud(RandomStart::new(config.clone(), 3));
    Decoder::new(Arc::new(Cpu::new(1)), config.clone(), &source, &Trainable::Nothing).unwrap()
}

fn load(path: &Path) -> Decoder<Cpu> {
    Decoder::load(Arc::new(Cpu::new(2)), path, &Trainable::Nothing).unwrap()
}

fn logits(decoder: &Decoder<Cpu>, ids: &[u32]) -> Vec<f32> {
    decoder.next_logits(ids, true).unwrap()
}

fn largest(values: impl IntoIterator<Item = f32>) -> f32 {
    values.into_iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    largest(a.iter().zip(b).map(|(a, b)| a - b))
}

fn model_of(decoder: &Decoder<Cpu>) -> Model {
    Model { config: decoder.config().clone(), tensors: decoder.base().collect(), metadata: vec![] }
}

#[test]
fn every_family_comes_back_from_a_gguf_file() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<u32> = (0..40).map(|i| (i * 37 + 5) % 97).collect();
    for config in families() {
        let base = decoder(&config);
        let path = folder.path().join("base.gguf");
        model_of(&base).write(&path, BlockType::F32);
        let loaded = load(&path);
        assert_eq!(*loaded.config(), config, "{:?}", config.features.family);
        let (expected, got) = (logits(&base, &ids), logits(&loaded, &ids));
        // Gemma's gains lose their last bit to the one that the converter adds.
        let off = difference(&expected, &got) / largest(expected.iter().copied());
        let tolerance = if config.features.one_plus_gain { 1e-6 } else { 0.0 };
        assert!(off <= tolerance, "{:?}: off by {off}", config.features.family);
    }
}

#[test]
fn a_quantized_file_gives_the_bits_of_its_decoded_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let (path, decoded) = (folder.path().join("base.gguf"), folder.path().join("decoded.gguf"));
    let ids: Vec<u32> = (0..40).map(|i| (i * 37 + 5) % 97).collect();
    // The widths of K-quants are multiples of 256, and so are those of a model that has them.
    let wide = Config {
        hidden_size: 256,
        kv_heads: 4,
        intermediate_size: 256,
        head_dim: 64,
        layers: 1,
        tie_word_embeddings: false,
        ..config()
    };
    let simple = [BlockType::F16, BlockType::Bf16, BlockType::Q8_0, BlockType::Q5_0, BlockType::Q4_0];
    let k_quants = [BlockType::Q4_K, BlockType::Q5_K, BlockType::Q6_K];
    for kind in simple.into_iter().chain(k_quants) {
        let config = if k_quants.contains(&kind) { wide.clone() } else { config() };
        let model = model_of(&decoder(&config));
        let tensors = match k_quants.contains(&kind) {
            true => model.encoded(BlockType::F32).into_iter().map(|t| random_blocks(t, kind)).collect(),
            false => model.encoded(kind),
        };
        write_tensors(&path, &model.metadata(), &tensors);
        let plain: Vec<Encoded> = tensors.into_iter().map(decode).collect();
        write_tensors(&decoded, &model.metadata(), &plain);
        let (kept, plain) = (load(&path), load(&decoded));
        let (got, expected) = (logits(&kept, &ids), logits(&plain, &ids));
        assert!(expected.iter().all(|logit| logit.is_finite()), "{}", kind.name());
        assert_eq!(got, expected, "{}", kind.name());
        let base = Base::open(&path).unwrap();
        for name in ["model.layers.0.self_attn.q_proj.weight", "model.embed_tokens.weight"] {
            let bits = base.quantized(name).unwrap();
            match kind {
                BlockType::F16 | BlockType::Bf16 => assert_eq!(bits, None),
                _ => assert!(matches!(bits, Some(QuantizedMatrix::Blocks(m)) if m.kind() == kind)),
            }
        }
    }
}

/// A matrix of arbitrary codes with small scales, since K-quants are only decoded here; the scales are those of 16 bits
/// at the block's beginning, or at its end for Q6_K.
fn random_blocks(tensor: Encoded, kind: BlockType) -> Encoded {
    if tensor.shape.len() != 2 {
        return tensor;
    }
    let bytes = tensor.bytes.len() / 4 / kind.elements() * kind.bytes();
    let noise = model::random::uniform(9, &tensor.name, 128.0, bytes);
    let mut data: Vec<u8> = noise.map(|value| (value + 128.0) as u8).collect();
    let scale = BlockType::F16.encode(&[2e-4]).unwrap();
    for block in data.chunks_exact_mut(kind.bytes()) {
        match kind {
            BlockType::Q6_K => block[kind.bytes() - 2..].copy_from_slice(&scale),
            _ => (block[..2].copy_from_slice(&scale), block[2..4].copy_from_slice(&scale)).0,
        }
    }
    Encoded { kind, bytes: data, ..tensor }
}

fn decode(tensor: Encoded) -> Encoded {
    let mut values = vec![0.0; tensor.shape.iter().product()];
    tensor.kind.decode(&tensor.bytes, &mut values);
    Encoded { kind: BlockType::F32, bytes: BlockType::F32.encode(&values).unwrap(), ..tensor }
}

type Metadata = Vec<(String, formats::gguf::Value)>;

#[test]
fn a_file_that_does_not_fit_its_metadata_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base.gguf");
    let model = model_of(&decoder(&config()));
    let refused = |change: &dyn Fn(&mut Metadata, &mut Vec<Encoded>)| {
        let (mut metadata, mut tensors) = (model.metadata(), model.encoded(BlockType::F32));
        change(&mut metadata, &mut tensors);
        write_tensors(&path, &metadata, &tensors);
        Decoder::load(Arc::new(Cpu::new(1)), &path, &Trainable::Nothing).unwrap_err().to_string()
    };
    let set = |metadata: &mut Metadata, key: &str, value| {
        metadata.retain(|(own, _)| own != key);
        metadata.push((key.to_owned(), value));
    };
    let unknown = refused(&|m, _| set(m, "general.architecture", "mamba".into()));
    assert!(unknown.contains("mamba") && unknown.contains("llama, qwen2, qwen3, gemma, gemma2"), "{unknown}");
    for (key, value) in [
        ("llama.expert_count", 8u32.into()),
        ("llama.rope.dimension_count", 4u32.into()),
        ("llama.rope.scaling.type", "yarn".into()),
        ("llama.block_count", u32::MAX.into()),
        ("llama.attention.head_count", "four".into()),
        ("llama.residual_scale", 0.5f32.into()),
    ] {
        let error = refused(&|m, _| set(m, key, formats::gguf::Value::clone(&value)));
        assert!(error.contains(key), "{key}: {error}");
    }
    let missing = refused(&|m, _| m.retain(|(key, _)| key != "llama.embedding_length"));
    assert!(missing.contains("llama.embedding_length"), "{missing}");
    let missing = refused(&|_, t| t.retain(|t| t.name != "blk.1.ffn_up.weight"));
    assert!(missing.contains("blk.1.ffn_up.weight is missing"), "{missing}");
    let shape = refused(&|m, _| set(m, "llama.feed_forward_length", 32u32.into()));
    assert!(shape.contains("gate_proj.weight") && shape.contains("[32, 32]"), "{shape}");
    let stray = refused(&|_, t| {
        t.push(Encoded {
            name: "blk.0.ssm_a".into(),
            kind: BlockType::F32,
            shape: vec![1],
            bytes: vec![0; 4],
        });
    });
    assert!(stray.contains("blk.0.ssm_a"), "{stray}");
    let factors = refused(&|_, t| {
        let bytes = BlockType::F32.encode(&[1.0, 5.0, 2.0, 3.0]).unwrap();
        t.push(Encoded { name: "rope_freqs.weight".into(), kind: BlockType::F32, shape: vec![4], bytes });
    });
    assert!(factors.contains("rope_freqs.weight"), "{factors}");
    let adapter = refused(&|m, _| set(m, "general.type", "adapter".into()));
    assert!(adapter.contains("adapter"), "{adapter}");
    let part = refused(&|m, _| m.push(("split.count".into(), formats::gguf::Value::U16(3))));
    assert!(part.contains("one of 3 parts"), "{part}");
}

#[test]
fn all_of_a_plain_file_can_be_trained_and_of_a_quantized_one_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base.gguf");
    let model = model_of(&decoder(&config()));
    model.write(&path, BlockType::F16);
    let full = Decoder::load(Arc::new(Cpu::new(1)), &path, &Trainable::Everything).unwrap();
    assert_eq!(full.parameters.len(), config().parameters());
    model.write(&path, BlockType::Q8_0);
    let error = Decoder::load(Arc::new(Cpu::new(1)), &path, &Trainable::Everything).unwrap_err();
    assert!(error.to_string().contains("quantized"), "{error}");
}

/// Mean loss of every next token.
fn mean_loss(decoder: &Decoder<Cpu>, ids: &[u32]) -> f64 {
    let positions: Vec<u32> = (0..ids.len() as u32).collect();
    let mut activations = Activations::for_inference(decoder, ids.len()).unwrap();
    let segments = [Segment::whole(0, ids.len())];
    let tokens = Tokens { ids, positions: &positions };
    decoder.forward(tokens, Context::Segments(&segments), &mut activations, true);
    let rows = &positions[..ids.len() - 1];
    let labels = Labels { rows, labels: &ids[1..], weights: &vec![0.0; rows.len()] };
    let log_probs = decoder.loss(labels, ids.len(), &activations).log_probs;
    -log_probs.iter().map(|l| f64::from(*l)).sum::<f64>() / log_probs.len() as f64
}

#[test]
fn stories260k_in_gguf_is_what_transformers_make_of_it() {
    let Some(oracle_of) = oracle_json("weights/stories260K/oracle_gguf.json") else { return };
    let Some(folder) = oracle("weights/stories260K") else { return };
    let ids = |value: &serde_json::Value| -> Vec<u32> {
        value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
    };
    let text = ids(&oracle_of["text_ids"]);
    let original = load(&folder.join("hf"));
    // The oracle's difference is the largest over all positions of the text.
    let all = |decoder: &Decoder<Cpu>| -> Vec<f32> {
        (1..=text.len()).flat_map(|end| logits(decoder, &text[..end])).collect()
    };
    let results = oracle_of["results"].as_object().unwrap();
    assert_eq!(results.len(), 4);
    for (name, expected) in results {
        let decoder = load(&folder.join("gguf").join(name));
        let number = |key: &str| expected[key].as_f64().unwrap();
        let off = f64::from(difference(&all(&original), &all(&decoder)));
        let reference = number("max_abs_logit_diff_vs_fp32");
        assert!(
            (off - reference).abs() < 1e-4 + 1e-4 * reference,
            "{name}: {off} away, expected {reference}"
        );
        let loss = mean_loss(&decoder, &text);
        assert!((loss / number("loss") - 1.0).abs() < 1e-4, "{name}: the loss is {loss}");
        let mut engine = Engine::new(&decoder, EngineSettings::new(1, 64)).unwrap();
        let stop = Stop { max_tokens: 60, ..Stop::default() };
        let texts = engine.write([Request::greedy(vec![1], stop)], &mut |_, _| {}).unwrap();
        let expected = ids(&expected["greedy60_from_bos"]);
        assert_eq!(texts[0].ids[..expected.len() - 1], expected[1..], "{name}");
        assert!(decoder.config().tie_word_embeddings, "{name}: the second copy of the head is not kept");
    }
}

#[test]
fn every_architecture_of_the_oracle_survives_gguf() {
    let Some(oracle_of) = oracle_json("numerics/arch/oracle.json") else { return };
    let Some(arch) = oracle("numerics/arch") else { return };
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<u32> =
        oracle_of["input_ids"][0].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect();
    for (name, expected) in oracle_of["models"].as_object().unwrap() {
        let path = folder.path().join("base.gguf");
        model_of(&load(&arch.join(name))).write(&path, BlockType::F32);
        let got = logits(&load(&path), &ids);
        let reference: Vec<f32> = expected["logits_row0_last"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap() as f32)
            .collect();
        let off = difference(&got, &reference) / largest(reference.iter().copied());
        assert!(off < 1e-4, "{name}: off by {off} of the largest logit");
    }
}
