//! What is exported as GGUF is what was there: the same logits, the same ids, the formats that were asked for.

mod reference;
mod small_vocabulary;

use std::path::Path;
use std::sync::Arc;

use compute::Cpu;
use formats::GgufFile;
use formats::gguf::{FileType, Importance, InputSquares};
use formats::quant::BlockType;
use model::{
    ChatTemplate, Config, Decoder, Family, Features, GgufModel, Golden, LoraConfig, RandomStart, RopeScaling,
    Tokenizer, Trainable,
};
use reference::{oracle, oracle_json};
use tempfile::TempDir;

fn config() -> Config {
    Config {
        vocab_size: 256,
        hidden_size: 64,
        intermediate_size: 96,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        max_positions: 256,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        tie_word_embeddings: true,
        features: Features::default(),
    }
}

fn random(config: &Config) -> Decoder<Cpu> {
    let start = RandomStart::new(config.clone(), 5);
    Decoder::new(Arc::new(Cpu::new(1)), config.clone(), &start, &Trainable::Nothing).unwrap()
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

/// How far apart, of the largest logit.
fn difference(expected: &[f32], got: &[f32]) -> f32 {
    assert_eq!(expected.len(), got.len());
    largest(expected.iter().zip(got).map(|(a, b)| a - b)) / largest(expected.iter().copied())
}

/// A vocabulary, a template and a place for files.
struct Text {
    folder: TempDir,
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

impl Text {
    fn small() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = small_vocabulary::tokenizer(folder.path());
        let template = ChatTemplate::from_dir(folder.path()).unwrap();
        Text { folder, tokenizer, template }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("model.gguf")
    }

    fn model(&self, file_type: FileType) -> GgufModel<'_> {
        let (tokenizer, template) = (&self.tokenizer, &self.template);
        let (license, importance) = (Some("apache-2.0"), None);
        GgufModel { name: "test", license, tokenizer, template, file_type, importance, threads: 3 }
    }

    /// No file but the vocabulary's own is left.
    fn assert_nothing_written(&self) {
        let mut names: Vec<_> =
            std::fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["tokenizer.json", "tokenizer_config.json"]);
    }
}

#[test]
fn every_architecture_of_the_oracle_is_exported_with_its_logits() {
    let Some(oracle_of) = oracle_json("numerics/arch/oracle.json") else { return };
    let Some(arch) = oracle("numerics/arch") else { return };
    let text = Text::small();
    let ids: Vec<u32> =
        oracle_of["input_ids"][0].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect();
    let models = oracle_of["models"].as_object().unwrap();
    for (name, expected) in models {
        let original = load(&arch.join(name));
        original.save_gguf(&text.path(), &text.model(FileType::F32)).unwrap();
        let exported = load(&text.path());
        let got = logits(&exported, &ids);
        let off = difference(&logits(&original, &ids), &got);
        // Gemma's gains lose their last bit to the one that is added to them.
        let bound = if original.config().features.one_plus_gain { 1e-6 } else { 0.0 };
        assert!(off <= bound, "{name}: off by {off} of the largest logit");
        let reference = expected["logits_row0_last"].as_array().unwrap();
        let reference: Vec<f32> = reference.iter().map(|v| v.as_f64().unwrap() as f32).collect();
        assert!(difference(&reference, &got) < 1e-4, "{name}");
    }
    assert_eq!(models.len(), 9);
}

#[test]
fn an_adapter_is_merged_into_what_is_exported() {
    let text = Text::small();
    let trainable = Trainable::Lora { config: LoraConfig::all(4, 8.0), seed: 1 };
    let start = RandomStart::new(config(), 5);
    let mut decoder = Decoder::new(Arc::new(Cpu::new(1)), config(), &start, &trainable).unwrap();
    let (backend, count) = (Arc::clone(decoder.backend()), decoder.parameters.len());
    let noise: Vec<f32> = model::random::normal(7, "adapter", count).map(|z| 0.1 * z).collect();
    compute::Backend::write(&*backend, &mut decoder.parameters.values, 0, &noise);
    decoder.save_gguf(&text.path(), &text.model(FileType::F32)).unwrap();
    let ids: Vec<u32> = (0..40).map(|i| (i * 37 + 5) % 256).collect();
    let with = logits(&decoder, &ids);
    let without = logits(&random(&config()), &ids);
    assert!(difference(&with, &logits(&load(&text.path()), &ids)) < 1e-5);
    assert!(difference(&with, &without) > 0.1, "the adapter does nothing");
}

#[test]
fn each_file_type_has_the_formats_of_its_mix() {
    let text = Text::small();
    // Rows of 256 and of 320: the second are no multiple of 256.
    let wide = Config { hidden_size: 256, intermediate_size: 320, head_dim: 64, ..config() };
    let decoder = random(&wide);
    let ids: Vec<u32> = (0..40).map(|i| (i * 37 + 5) % 256).collect();
    let expected = logits(&decoder, &ids);
    let mut previous = f32::INFINITY;
    for (file_type, query, down) in [
        (FileType::Q4_0, BlockType::Q4_0, BlockType::Q4_0),
        (FileType::Q4_K_M, BlockType::Q4_K, BlockType::Q8_0),
        (FileType::Q5_K_M, BlockType::Q5_K, BlockType::Q8_0),
        (FileType::Q6_K, BlockType::Q6_K, BlockType::Q8_0),
        (FileType::Q8_0, BlockType::Q8_0, BlockType::Q8_0),
        (FileType::Bf16, BlockType::Bf16, BlockType::Bf16),
        (FileType::F16, BlockType::F16, BlockType::F16),
        (FileType::F32, BlockType::F32, BlockType::F32),
    ] {
        let kinds = decoder.save_gguf(&text.path(), &text.model(file_type)).unwrap();
        let file = GgufFile::open(text.path()).unwrap();
        assert_eq!(file.get::<u64>("general.file_type").unwrap(), Some(file_type.number().into()));
        assert_eq!(file.info("blk.1.attn_q.weight").unwrap().kind, query, "{}", file_type.name());
        assert_eq!(file.info("blk.1.ffn_down.weight").unwrap().kind, down, "{}", file_type.name());
        assert_eq!(kinds.values().sum::<usize>(), file.names().count());
        let off = difference(&expected, &logits(&load(&text.path()), &ids));
        assert!(off < previous, "{}: {off} away, with fewer bits {previous}", file_type.name());
        previous = off;
    }
    assert_eq!(previous, 0.0);
}

#[test]
fn importance_changes_the_matrices_that_it_knows() {
    let text = Text::small();
    let decoder = random(&Config { hidden_size: 256, intermediate_size: 256, head_dim: 64, ..config() });
    decoder.save_gguf(&text.path(), &text.model(FileType::Q4_K_M)).unwrap();
    let plain = GgufFile::open(text.path()).unwrap();
    let mut importance = Importance::default();
    let sums = (0..256).map(|i| f64::from(i % 7)).collect();
    importance.insert("blk.0.attn_q.weight".into(), InputSquares { sums, count: 3 });
    let path = text.folder.path().join("weighted.gguf");
    let model = GgufModel { importance: Some(&importance), ..text.model(FileType::Q4_K_M) };
    decoder.save_gguf(&path, &model).unwrap();
    let weighted = GgufFile::open(&path).unwrap();
    for name in plain.names() {
        let changed = plain.bytes(name).unwrap() != weighted.bytes(name).unwrap();
        assert_eq!(changed, name == "blk.0.attn_q.weight", "{name}");
    }
}

#[test]
fn what_llama_cpp_has_no_place_for_is_refused_by_name_and_nothing_is_written() {
    let text = Text::small();
    let of = |family| Config { features: Features::of(family), ..config() };
    let mut biased = of(Family::Qwen3);
    biased.features.out_bias = true;
    let mut windows = of(Family::Qwen2);
    windows.features.windows = vec![None, Some(8)];
    let head = Config { tie_word_embeddings: false, ..of(Family::Gemma) };
    let wide_heads = Config { head_dim: 24, ..of(Family::Qwen2) };
    let llama3 = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 64.0,
    };
    let scaled = Config { rope_scaling: Some(llama3), ..of(Family::Qwen3) };
    for (config, what) in [
        (biased, "bias"),
        (windows, "sliding windows"),
        (head, "head apart"),
        (wide_heads, "heads"),
        (scaled, "rope_scaling"),
    ] {
        let error =
            random(&config).save_gguf(&text.path(), &text.model(FileType::F32)).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    let small = Config { vocab_size: 200, ..config() };
    let error = random(&small).save_gguf(&text.path(), &text.model(FileType::F32)).unwrap_err().to_string();
    assert!(error.contains("256 tokens") && error.contains("200 rows"), "{error}");
    text.assert_nothing_written();
}

/// Exports a decoder around the vocabulary in `folder`, and compares what comes back on `texts` and conversations.
fn survives(what: &str, folder: &Path, template: &str, texts: &[String]) {
    let tokenizer = Tokenizer::from_dir(folder).unwrap();
    let bos = tokenizer.bos().and_then(|id| tokenizer.id_to_token(id));
    let eos = tokenizer.eos().and_then(|id| tokenizer.id_to_token(id));
    let source = ChatTemplate::builtin(template).unwrap();
    let template = ChatTemplate::from_source(source.source(), bos.as_deref(), eos.as_deref()).unwrap();
    let text = Text { folder: tempfile::tempdir().unwrap(), tokenizer, template };
    let rows = text.tokenizer.vocab_size() + 3;
    let tiny = Config {
        vocab_size: rows,
        hidden_size: 8,
        heads: 1,
        kv_heads: 1,
        head_dim: 8,
        layers: 1,
        intermediate_size: 8,
        ..config()
    };
    random(&tiny)
        .save_gguf(&text.path(), &text.model(FileType::F16))
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    let file = GgufFile::open(text.path()).unwrap();
    let (again, template) = (Tokenizer::from_gguf(&file).unwrap(), ChatTemplate::from_gguf(&file).unwrap());
    assert_eq!(again.vocab_size(), rows, "{what}: one token a row");
    for text_of in texts {
        let ids = text.tokenizer.encode_ordinary(text_of).unwrap();
        assert_eq!(again.encode_ordinary(text_of).unwrap(), ids, "{what}: {text_of:?}");
        assert_eq!(again.decode(&ids, false).unwrap(), text.tokenizer.decode(&ids, false).unwrap(), "{what}");
    }
    let golden = Golden::record(&text.tokenizer, &text.template).unwrap();
    assert_eq!(Golden::record(&again, &template).unwrap(), golden, "{what}");
    assert!(golden.conversations.len() >= 4, "{what}: {} conversations", golden.conversations.len());
    assert_eq!((again.bos(), again.eos(), again.pad()), {
        let t = &text.tokenizer;
        (t.bos(), t.eos(), t.pad())
    });
}

/// llama.cpp's 47 texts for vocabularies.
fn texts() -> Option<Vec<String>> {
    let path = oracle("tokenizers/llama.cpp/ggml-vocab-llama-spm.gguf.inp")?;
    let all = std::fs::read_to_string(path).unwrap();
    Some(all.split("\n__ggml_vocab_test__\n").map(str::to_owned).collect())
}

#[test]
fn the_shipped_vocabulary_survives_gguf() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/base");
    survives("the shipped base", &folder, "chatml", &[" 12.5 mg/dL  of\n\nnaïve β-blocker's".to_owned()]);
}

#[test]
fn vocabularies_of_every_kind_survive_gguf() {
    let Some(texts) = texts() else { return };
    let folders = tempfile::tempdir().unwrap();
    let file = |what: &str, path: &str, name: &str, roles: &str| {
        let folder = folders.path().join(what);
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(oracle(path)?, folder.join(name)).unwrap();
        std::fs::write(folder.join("tokenizer_config.json"), roles).unwrap();
        Some(folder)
    };
    let sentencepiece = r#"{"bos_token": "<s>", "eos_token": "</s>"}"#;
    let llama3 = r#"{"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}"#;
    let chatml = r#"{"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}"#;
    let qwen = r#"{"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}"#;
    for (what, path, name, roles, template) in [
        ("smollm2", "tokenizers/smollm2/tokenizer.json", "tokenizer.json", chatml, "smollm2"),
        ("llama 3", "tokenizers/llama3/tokenizer.model", "tokenizer.model", llama3, "llama3"),
        ("qwen", "tokenizers/qwen/qwen.tiktoken", "qwen.tiktoken", qwen, "qwen"),
        ("llama 2", "tokenizers/llama2_tokenizer.model", "tokenizer.model", sentencepiece, "mistral"),
        ("mistral v1", "tokenizers/mistral/tokenizer.model.v1", "tokenizer.model", sentencepiece, "mistral"),
        (
            "mistral v3",
            "tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3",
            "tokenizer.model",
            sentencepiece,
            "mistral",
        ),
    ] {
        let Some(folder) = file(what, path, name, roles) else { return };
        survives(what, &folder, template, &texts);
    }
    let Some(stories) = oracle("weights/stories260K/hf") else { return };
    survives("stories260K", &stories, "mistral", &texts);
}
