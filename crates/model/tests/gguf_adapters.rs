//! A LoRA trained on a GGUF base runs on that base from both of its forms, and llama.cpp's formula gives its weights.

mod gguf_writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::{Backend, Cpu};
use formats::GgufFile;
use formats::quant::BlockType;
use gguf_writer::Model;
use model::{Config, Decoder, Family, Features, InitLoraWeights, LoraConfig, RandomStart, Trainable};

fn config(family: Family) -> Config {
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
        features: Features::of(family),
    }
}

/// A base of random weights as a GGUF file.
fn write_base(folder: &Path, family: Family, kind: BlockType) -> PathBuf {
    let start = RandomStart::new(config(family), 3);
    let decoder = Decoder::new(Arc::new(Cpu::new(1)), config(family), &start, &Trainable::Nothing).unwrap();
    let path = folder.join(format!("{family:?}-{}.gguf", kind.name()));
    Model { config: config(family), tensors: decoder.base().collect(), metadata: vec![] }.write(&path, kind);
    path
}

/// The base with an adapter that has an effect.
fn tuned(base: &Path, config: LoraConfig) -> Decoder<Cpu> {
    let trainable = Trainable::Lora { config, seed: 7 };
    let mut decoder = Decoder::load(Arc::new(Cpu::new(1)), base, &trainable).unwrap();
    let backend = decoder.backend().clone();
    for p in decoder.parameters.list.clone() {
        let values: Vec<f32> = model::random::normal(5, &p.name, p.len()).map(|z| 0.2 * z).collect();
        backend.write(&mut decoder.parameters.values, p.offset, &values);
    }
    decoder
}

fn logits(decoder: &Decoder<Cpu>) -> Vec<f32> {
    let ids: Vec<u32> = (0..30).map(|i| (i * 37 + 5) % 97).collect();
    decoder.next_logits(&ids, true).unwrap()
}

fn with_adapter(base: &Path, adapter: &Path) -> model::Result<Decoder<Cpu>> {
    Decoder::load_with_adapter(Arc::new(Cpu::new(1)), base, adapter, None)
}

/// Ranks and alphas, one of them scaled as in rsLoRA, one on two projections only.
fn shapes() -> [LoraConfig; 3] {
    let some = LoraConfig { targets: vec!["k_proj".into(), "down_proj".into()], ..LoraConfig::all(3, 5.0) };
    [LoraConfig::all(4, 8.0), LoraConfig { rslora: true, ..LoraConfig::all(4, 6.0) }, some]
}

/// Modules that differ in rank and scale, and a start whose adapter is saved with twice the rank.
fn uneven_shapes() -> [LoraConfig; 2] {
    let patterns = LoraConfig {
        rank_pattern: [("v_proj".to_owned(), 5), (r"layers\.1\..*".to_owned(), 2)].into(),
        alpha_pattern: [("gate_proj".to_owned(), 1.0)].into(),
        ..LoraConfig::all(3, 6.0)
    };
    let pissa = LoraConfig { init: InitLoraWeights::Pissa { passes: Some(2) }, ..patterns.clone() };
    [patterns, pissa]
}

#[test]
fn both_forms_of_an_adapter_answer_like_the_one_that_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    for family in [Family::Llama, Family::Qwen2, Family::Gemma2] {
        for kind in [BlockType::F32, BlockType::Q8_0] {
            let base = write_base(folder.path(), family, kind);
            for shape in shapes() {
                let tuned = tuned(&base, shape.clone());
                let (peft, gguf) = (folder.path().join("peft"), folder.path().join("adapter.gguf"));
                tuned.save_adapter(&peft, "base.gguf").unwrap();
                tuned.save_gguf_adapter(&gguf, "test").unwrap();
                let expected = logits(&tuned);
                let what = format!("{family:?} {} {shape:?}", kind.name());
                assert_eq!(logits(&with_adapter(&base, &peft).unwrap()), expected, "{what}");
                let got = logits(&with_adapter(&base, &gguf).unwrap());
                // alpha / sqrt(r) becomes alpha' / r, rounded to f32 once more.
                let largest = expected.iter().fold(0.0f32, |largest, logit| largest.max(logit.abs()));
                for (got, expected) in got.iter().zip(&expected) {
                    assert!((got - expected).abs() <= 1e-6 * largest, "{what}: {got} is not {expected}");
                }
                if !shape.rslora {
                    assert_eq!(got, expected, "{what}");
                }
            }
        }
    }
}

#[test]
fn llama_cpps_sum_of_base_and_factors_is_the_merged_weight() {
    let folder = tempfile::tempdir().unwrap();
    for family in [Family::Llama, Family::Qwen3] {
        for shape in shapes().into_iter().chain(uneven_shapes()) {
            let base = write_base(folder.path(), family, BlockType::F32);
            let tuned = tuned(&base, shape);
            let path = folder.path().join("adapter.gguf");
            tuned.save_gguf_adapter(&path, "test").unwrap();
            let merged = folder.path().join("merged.gguf");
            let tensors = tuned.merged().collect();
            Model { config: config(family), tensors, metadata: vec![] }.write(&merged, BlockType::F32);
            let [base, adapter, merged] = [&base, &path, &merged].map(|path| GgufFile::open(path).unwrap());
            let alpha: f64 = adapter.require("adapter.lora.alpha").unwrap();
            for name in adapter.names().filter_map(|name| name.strip_suffix(".lora_a")) {
                let [down, up] =
                    ["lora_a", "lora_b"].map(|side| adapter.f32(&format!("{name}.{side}")).unwrap());
                let rank = adapter.info(&format!("{name}.lora_a")).unwrap().shape[0];
                let cols = down.len() / rank;
                let (plain, expected) = (base.f32(name).unwrap(), merged.f32(name).unwrap());
                for (i, (plain, expected)) in plain.iter().zip(&expected).enumerate() {
                    let (row, col) = (i / cols, i % cols);
                    let product = |r: usize| f64::from(up[row * rank + r]) * f64::from(down[r * cols + col]);
                    let sum = f64::from(*plain) + alpha / rank as f64 * (0..rank).map(product).sum::<f64>();
                    assert!((sum - f64::from(*expected)).abs() < 1e-5, "{family:?} {name} [{row}, {col}]");
                }
            }
        }
    }
}

#[test]
fn uneven_adapters_answer_alike_from_both_forms() {
    let folder = tempfile::tempdir().unwrap();
    let base = write_base(folder.path(), Family::Llama, BlockType::Q8_0);
    for shape in uneven_shapes() {
        let tuned = tuned(&base, shape.clone());
        let (peft, gguf) = (folder.path().join("peft"), folder.path().join("adapter.gguf"));
        tuned.save_adapter(&peft, "base.gguf").unwrap();
        tuned.save_gguf_adapter(&gguf, "test").unwrap();
        let expected = logits(&tuned);
        let largest = expected.iter().fold(0.0f32, |largest, logit| largest.max(logit.abs()));
        for form in [&peft, &gguf] {
            let got = logits(&with_adapter(&base, form).unwrap());
            let off = got.iter().zip(&expected).fold(0.0f32, |off, (a, b)| off.max((a - b).abs()));
            assert!(off < 2e-5 * largest, "{shape:?} from {form:?}: off by {off} of {largest}");
        }
    }
}

#[test]
fn what_gguf_has_no_place_for_is_refused_and_not_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let base = write_base(folder.path(), Family::Llama, BlockType::F32);
    let plain = || LoraConfig::all(2, 4.0);
    let with = |end: &str| LoraConfig { targets: vec!["q_proj".into(), end.into()], ..plain() };
    for (shape, named) in [
        (LoraConfig { dora: true, ..plain() }, "lora_magnitude_vector"),
        (LoraConfig { modules_to_save: vec!["lm_head".into()], ..plain() }, "lm_head.weight"),
        (with("embed_tokens"), "model.embed_tokens.lora_embedding_A"),
        (with("lm_head"), "lm_head.lora_A.weight"),
    ] {
        let path = folder.path().join("adapter.gguf");
        let error = tuned(&base, shape).save_gguf_adapter(&path, "test").unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn modules_of_lower_rank_or_none_are_filled_up() {
    use formats::gguf::{AdapterTensor, GgufAdapter, write_adapter};
    let folder = tempfile::tempdir().unwrap();
    let base = write_base(folder.path(), Family::Llama, BlockType::F32);
    let path = folder.path().join("adapter.gguf");
    let numbers = |n: usize| (0..n).map(|i| (i as f32).sin() / 4.0).collect::<Vec<f32>>();
    let (a2, b2, a1, b1) = (numbers(64), numbers(64), numbers(32), numbers(32));
    let q = AdapterTensor { module: "model.layers.0.self_attn.q_proj", scale: 2.0, rank: 2, a: &a2, b: &b2 };
    let o = AdapterTensor { module: "model.layers.1.self_attn.o_proj", scale: 0.5, rank: 1, a: &a1, b: &b1 };
    let tensors = [q, o];
    let adapter =
        GgufAdapter { architecture: "llama", name: "a", interleaved_heads: Some(8), tensors: &tensors };
    write_adapter(&path, &adapter).unwrap();
    let tuned = with_adapter(&base, &path).unwrap();
    let plain: Vec<_> = tuned.base().collect();
    for ((name, merged), (_, plain)) in tuned.merged().zip(&plain) {
        let (merged, plain) = (merged.to_f32(), plain.to_f32());
        let change = |t: &AdapterTensor<'_>, i: usize| {
            let (row, col) = (i / 32, i % 32);
            let products = (0..t.rank).map(|r| f64::from(t.b[row * t.rank + r] * t.a[r * 32 + col]));
            t.scale * products.sum::<f64>()
        };
        let tensor = tensors.iter().find(|t| name == format!("{}.weight", t.module));
        for (i, (merged, plain)) in merged.iter().zip(&plain).enumerate() {
            let expected = f64::from(*plain) + tensor.map_or(0.0, |t| change(t, i));
            assert!((f64::from(*merged) - expected).abs() < 1e-6, "{name}: {merged} is not {expected}");
        }
    }
}

#[test]
fn an_adapter_for_another_base_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let llama = write_base(folder.path(), Family::Llama, BlockType::F32);
    let qwen = write_base(folder.path(), Family::Qwen2, BlockType::F32);
    let path = folder.path().join("adapter.gguf");
    tuned(&llama, LoraConfig::all(2, 4.0)).save_gguf_adapter(&path, "test").unwrap();
    let error = with_adapter(&qwen, &path).unwrap_err().to_string();
    assert!(error.contains("llama") && error.contains("qwen2"), "{error}");
    let error = with_adapter(&llama, &llama).unwrap_err().to_string();
    assert!(error.contains("general.type"), "{error}");
    let wide = Config { hidden_size: 64, ..config(Family::Llama) };
    let start = RandomStart::new(wide.clone(), 3);
    let decoder = Decoder::new(Arc::new(Cpu::new(1)), wide.clone(), &start, &Trainable::Nothing).unwrap();
    let other = folder.path().join("wide.gguf");
    Model { config: wide, tensors: decoder.base().collect(), metadata: vec![] }.write(&other, BlockType::F32);
    let error = with_adapter(&other, &path).unwrap_err().to_string();
    assert!(error.contains("lora_A.weight") && error.contains("[2, 64]"), "{error}");
    assert!(Decoder::<Cpu>::load(Arc::new(Cpu::new(1)), &path, &Trainable::Nothing).is_err());
}
