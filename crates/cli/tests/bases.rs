//! Bases as they come, through the binary: quantized Hugging Face folders and GGUF files are trained on and asked,
//! their adapters run on them, and merging into a quantized base says what it cost.

mod common;
#[path = "../../model/tests/gguf_writer/mod.rs"]
mod gguf_writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::runs::metrics;
use common::*;
use compute::Cpu;
use formats::gguf::{Array, Value as GgufValue};
use formats::quant::BlockType;
use model::{ChatTemplate, Decoder, Tokenizer, Trainable};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// A model of random weights in `folder/hf`, and the GGUF file with all of it, vocabulary and template included.
fn write_gguf(folder: &Path, kind: BlockType) -> PathBuf {
    let original = folder.join("hf");
    write_model_of(&original, 32, 256);
    let decoder = Decoder::load(Arc::new(Cpu::new(1)), &original, &Trainable::Nothing).unwrap();
    let path = folder.join("base.gguf");
    let (config, tensors) = (decoder.config().clone(), decoder.base().collect());
    gguf_writer::Model { config, tensors, metadata: vocabulary(&original) }.write(&path, kind);
    path
}

/// The vocabulary and template of a folder as llama.cpp's converter would write them.
fn vocabulary(folder: &Path) -> Vec<(String, GgufValue)> {
    let json: Value = serde_json::from_slice(&fs::read(folder.join("tokenizer.json")).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut tokens: Vec<(u64, String, i32)> = Vec::new();
    for (token, id) in json["model"]["vocab"].as_object().unwrap() {
        tokens.push((id.as_u64().unwrap(), token.clone(), 1));
    }
    let control: Vec<u64> =
        json["added_tokens"].as_array().unwrap().iter().map(|t| t["id"].as_u64().unwrap()).collect();
    tokens.iter_mut().filter(|(id, ..)| control.contains(id)).for_each(|token| token.2 = 3);
    tokens.sort();
    assert!(tokens.iter().zip(0..).all(|(token, id)| token.0 == id), "ids without a gap");
    let merge = |pair: &Value| match pair.as_array() {
        Some(pair) => format!("{} {}", text(&pair[0]), text(&pair[1])),
        None => text(pair),
    };
    let merges = json["model"]["merges"].as_array().unwrap().iter().map(merge).collect();
    let tokenizer = Tokenizer::from_dir(folder).unwrap();
    let template = ChatTemplate::from_dir(folder).unwrap();
    let strings = |values| GgufValue::Array(Array::String(values));
    [
        ("tokenizer.ggml.model", "gpt2".into()),
        // Digits one by one, then GPT-2's words: how our own vocabularies are cut.
        ("tokenizer.ggml.pre", "smollm".into()),
        ("tokenizer.ggml.tokens", strings(tokens.iter().map(|token| token.1.clone()).collect())),
        ("tokenizer.ggml.token_type", GgufValue::Array(Array::I32(tokens.iter().map(|t| t.2).collect()))),
        ("tokenizer.ggml.merges", strings(merges)),
        ("tokenizer.ggml.eos_token_id", tokenizer.eos().unwrap().into()),
        ("tokenizer.chat_template", template.source().into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// One of the quantized folders that PyTorch wrote, with a vocabulary.
fn write_quantized(folder: &Path, name: &str) {
    write_model_of(folder, 32, 256);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../train/tests/quantized").join(name);
    for file in ["model.safetensors", "config.json"] {
        fs::copy(source.join(file), folder.join(file)).unwrap();
    }
}

/// Trains four steps on `base` with these keys; the run folder.
fn train(folder: &Path, base: &Path, keys: &str) -> PathBuf {
    let (rows, recipe, run) = (folder.join("rows.csv"), folder.join("recipe.yaml"), folder.join("run"));
    let topics = ["asthma", "anemia", "gout", "measles", "scurvy", "malaria", "eczema", "tetanus", "rickets"];
    let short = topics.map(|topic| format!("Is {topic} bad?,Yes: {topic}.,{topic}\n")).concat();
    fs::write(&rows, format!("question,answer,document\n{short}")).unwrap();
    let yaml = format!(
        "base_model: {}\ndatasets: [{{path: {}}}]\nlora_r: 4\nlora_alpha: 8\nsequence_len: 64\n\
         micro_batch_tokens: 512\nnum_epochs: 4\nmax_steps: 4\nwarmup_steps: 0\nlearning_rate: 0.01\n\
         evaluation: {{max_answers: 0}}\noutput_dir: {}\n{keys}\n",
        text(base),
        text(&rows),
        text(&run)
    );
    fs::write(&recipe, yaml).unwrap();
    run_json(&["train", text(&recipe), "--json"]);
    run
}

fn losses(run: &Path) -> Vec<f64> {
    metrics(run).iter().filter_map(|row| row["loss"].as_f64()).collect()
}

fn ask(base: &Path, adapter: &Path) -> Value {
    let (model, adapter) = (text(base), text(adapter));
    let arguments = ["--model", model, "--adapter", adapter, "--max-new-tokens", "8", "--json"];
    run_json(&[&["ask", "Is gout bad?"], &arguments[..]].concat())["answer"].clone()
}

fn logits(base: &Path, adapter: Option<&Path>) -> Vec<f64> {
    let mut arguments = vec!["inspect", "logits", "--model", text(base), "--ids", "5,9,12", "--json"];
    if let Some(adapter) = adapter {
        arguments.extend(["--adapter", text(adapter)]);
    }
    run_json(&arguments)["logits"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn hashes(base: &Path) -> Vec<blake3::Hash> {
    let files = if base.is_file() { vec![base.to_owned()] } else { vec![base.join("model.safetensors")] };
    files.iter().map(|file| blake3::hash(&fs::read(file).unwrap())).collect()
}

#[test]
fn quantized_folders_are_trained_on_and_answer() {
    for name in ["nf4", "nf4_double", "fp4_double", "int8", "gptq", "gptq_act_order"] {
        let folder = tempdir().unwrap();
        let base = folder.path().join(name);
        write_quantized(&base, name);
        let before = hashes(&base);
        let run = train(folder.path(), &base, "adapter: lora");
        let losses = losses(&run);
        assert!(losses.len() >= 4 && losses[3] < losses[0], "{name}: {losses:?}");
        let adapter = run.join("adapter");
        assert!(ask(&base, &adapter).is_string(), "{name}");
        assert_ne!(logits(&base, None), logits(&base, Some(&adapter)), "{name}: the adapter has an effect");
        assert_eq!(before, hashes(&base), "{name}: the base has changed");
        assert!(!adapter.join("adapter.gguf").exists(), "{name}: only a GGUF base has such an adapter");
    }
}

#[test]
fn eight_bits_on_load_are_named_beside_the_adapter() {
    let folder = tempdir().unwrap();
    let base = folder.path().join("base");
    write_model_of(&base, 32, 256);
    let adapter = train(folder.path(), &base, "adapter: lora\nload_in_8bit: true").join("adapter");
    let file = adapter.join("base_quantization.json");
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(written, serde_json::json!({"load_in_8bit": true, "load_in_4bit": false}));
    let quantized = logits(&base, Some(&adapter));
    fs::remove_file(&file).unwrap();
    assert_ne!(quantized, logits(&base, Some(&adapter)), "without the file the base is not quantized");
    let recipe = folder.path().join("recipe.yaml");
    let error = refused(&["train", text(&recipe), "--set", "adapter=qlora"]);
    assert!(error.contains("load_in_8bit"), "{error}");
}

#[test]
fn a_gguf_file_is_a_base_for_every_verb() {
    for kind in [BlockType::F16, BlockType::Q8_0, BlockType::Q4_0] {
        let folder = tempdir().unwrap();
        let base = write_gguf(&folder.path().join("base"), kind);
        let before = hashes(&base);
        let run = train(folder.path(), &base, "adapter: lora\npeft_use_rslora: true");
        let losses = losses(&run);
        assert!(losses.len() >= 4 && losses[3] < losses[0], "{}: {losses:?}", kind.name());
        assert_eq!(before, hashes(&base), "{}: the base has changed", kind.name());
        let (peft, gguf) = (run.join("adapter"), run.join("adapter/adapter.gguf"));
        assert_eq!(ask(&base, &peft), ask(&base, &gguf), "{}", kind.name());
        let (a, b) = (logits(&base, Some(&peft)), logits(&base, Some(&gguf)));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6), "{}: both forms", kind.name());
        assert_ne!(a, logits(&base, None), "{}: the adapter has an effect", kind.name());

        let model = ["--model", text(&base)];
        let shown = run_json(&[&["inspect", "model", "--json"], &model[..]].concat());
        let tensors = shown["tensors"].as_array().unwrap();
        let query = tensors.iter().find(|t| t["name"] == "blk.0.attn_q.weight").unwrap();
        assert_eq!(query["dtype"], kind.name());
        let original = folder.path().join("base/hf");
        let original = ["--model", text(&original)];
        for look in ["tokens", "template"] {
            let of = |model: &[&str]| run_json(&[&["inspect", look, "--json"], model].concat());
            assert_eq!(of(&model), of(&original), "{look}: vocabulary and template are those of the folder");
        }
        // The adapter's folder is of use by itself: it has the vocabulary of the file.
        let tokens = |model: &[&str]| run_json(&[&["inspect", "tokens", "--json"], model].concat());
        assert_eq!(tokens(&["--model", text(&peft)]), tokens(&original));
        let test = run.join("data/test.jsonl");
        let measured = ["eval", text(&test), "--answers", "1", "--max-new-tokens", "4", "--json"];
        run_json(&[&measured[..], &model[..], &["--adapter", text(&gguf)]].concat());
    }
}

#[test]
fn merging_into_a_plain_base_writes_a_folder_that_answers_alike() {
    let folder = tempdir().unwrap();
    let base = folder.path().join("base");
    write_model_of(&base, 32, 256);
    let adapter = train(folder.path(), &base, "adapter: lora").join("adapter");
    for (dtype, most) in [("f32", 1e-6), ("bf16", 1e-2), ("f16", 1e-2)] {
        let out = folder.path().join(dtype);
        let arguments = ["--model", text(&base), "--adapter", text(&adapter), "--out", text(&out)];
        let rows = folder.path().join("rows.csv");
        let more = ["--dtype", dtype, "--data", text(&rows), "--json"];
        let merged = run_json(&[&["merge"], &arguments[..], &more[..]].concat());
        assert_eq!(merged["base_quantized"], false);
        assert_eq!(merged["quality"]["questions"], 9);
        let difference = merged["quality"]["logits_max_difference"].as_f64().unwrap();
        assert!(difference <= most, "{dtype}: {difference}");
        let (unmerged, merged) = (logits(&base, Some(&adapter)), logits(&out, None));
        let off = unmerged.iter().zip(&merged).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
        assert!(off <= most, "{dtype}: {off}");
        let asked =
            run_json(&["ask", "Is gout bad?", "--model", text(&out), "--max-new-tokens", "8", "--json"]);
        if dtype == "f32" {
            assert_eq!(asked["answer"], ask(&base, &adapter));
        }
        let again = refused(&[&["merge"], &arguments[..]].concat());
        assert!(again.contains("is not empty") && again.contains("hint:"), "{again}");
    }
}

/// A quantized base and an adapter that was trained on it.
fn quantized_bases() -> Vec<(TempDir, PathBuf, PathBuf)> {
    let mut all = Vec::new();
    let folder = tempdir().unwrap();
    let base = write_gguf(&folder.path().join("base"), BlockType::Q4_0);
    let adapter = train(folder.path(), &base, "adapter: lora").join("adapter/adapter.gguf");
    all.push((folder, base, adapter));
    let folder = tempdir().unwrap();
    let base = folder.path().join("base");
    write_quantized(&base, "gptq");
    let adapter = train(folder.path(), &base, "adapter: lora").join("adapter");
    all.push((folder, base, adapter));
    let folder = tempdir().unwrap();
    let base = folder.path().join("base");
    write_model_of(&base, 32, 256);
    let adapter = train(folder.path(), &base, "adapter: qlora").join("adapter");
    all.push((folder, base, adapter));
    all
}

#[test]
fn merging_into_a_quantized_base_needs_the_flag_and_tells_the_loss_of_quality() {
    for (folder, base, adapter) in quantized_bases() {
        let (out, rows) = (folder.path().join("merged"), folder.path().join("rows.csv"));
        let arguments = ["merge", "--model", text(&base), "--adapter", text(&adapter), "--out", text(&out)];
        let export =
            ["export", text(&base), "--adapter", text(&adapter), "--to", "safetensors", "--out", text(&out)];
        assert!(refused(&export).contains("quantized base"));
        let error = refused(&arguments);
        assert!(error.contains("quantized base") && error.contains("--allow-quantized-base"), "{error}");
        assert!(!out.exists(), "nothing is written");
        let page =
            stdout(&run(&[&arguments[..], &["--allow-quantized-base", "--data", text(&rows)]].concat(), 0));
        assert!(page.contains("unmerged") && page.contains("logits differ"), "{page}");
        // Decoded weights and adapter, rounded to 16 bits: near the model that was trained, not equal to it.
        let (unmerged, merged) = (logits(&base, Some(&adapter)), logits(&out, None));
        let largest = unmerged.iter().fold(0.0f64, |most, logit| most.max(logit.abs()));
        let off = unmerged.iter().zip(&merged).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
        assert!(off > 0.0 && off < 0.05 * largest, "{off} of {largest}");
        let config: Value = serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
        assert!(config.get("quantization_config").is_none(), "16 bits or more are written");
    }
}

#[test]
fn a_broken_gguf_base_is_an_error_with_a_name_and_a_hint() {
    let folder = tempdir().unwrap();
    let base = write_gguf(&folder.path().join("base"), BlockType::Q8_0);
    let good = fs::read(&base).unwrap();
    let bad = folder.path().join("base/bad.gguf");
    let refuse = |bytes: &[u8]| {
        fs::write(&bad, bytes).unwrap();
        for verb in [
            &["ask", "Why?", "--model", text(&bad)][..],
            &["inspect", "logits", "--ids", "1", "--model", text(&bad)],
        ] {
            let error = refused(verb);
            assert!(error.contains("bad.gguf") && error.contains("hint:"), "{error}");
        }
        refused(&["ask", "Why?", "--model", text(&bad)])
    };
    for length in [0, 3, 20, good.len() / 2, good.len() - 1] {
        refuse(&good[..length]);
    }
    assert!(refuse(&good[..good.len() - 1]).contains("bytes long"));
    // In its place, of the same length: an architecture, a block type, a name that nobody knows.
    let patched = |from: &[u8], to: &[u8]| {
        let at = good.windows(from.len()).position(|window| window == from).unwrap();
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    let error = refuse(&patched(b"llama", b"mamba"));
    assert!(error.contains("mamba") && error.contains("llama, qwen2, qwen3, gemma, gemma2"), "{error}");
    let error = refuse(&patched(b"blk.1.ffn_up.weight", b"blk.1.ffn_xy.weight"));
    assert!(error.contains("blk.1.ffn_up.weight"), "{error}");
    let name = b"blk.1.ffn_up.weight";
    let at = good.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    // Number of dimensions (4 bytes), two dimensions of 8 bytes, then the type.
    let mut other = good.clone();
    other[at + 20..at + 24].copy_from_slice(&16u32.to_le_bytes());
    let error = refuse(&other);
    assert!(error.contains("blk.1.ffn_up.weight") && error.contains("Q4_K"), "{error}");
    let mut narrow = good.clone();
    narrow[at + 12..at + 20].copy_from_slice(&32u64.to_le_bytes());
    let error = refuse(&narrow);
    assert!(error.contains("up_proj.weight") && error.contains("[64, 32]"), "{error}");
}

#[test]
fn what_is_no_model_or_no_adapter_is_refused() {
    let folder = tempdir().unwrap();
    let base = write_gguf(&folder.path().join("base"), BlockType::F16);
    let other = folder.path().join("notes.txt");
    fs::write(&other, "no model").unwrap();
    let error = refused(&["ask", "Why?", "--model", text(&other)]);
    assert!(error.contains("notes.txt") && error.contains(".gguf"), "{error}");
    for adapter in [&base, &other] {
        let error = refused(&["ask", "Why?", "--model", text(&base), "--adapter", text(adapter)]);
        assert!(error.contains("hint:"), "{error}");
    }
    let awq = folder.path().join("awq");
    write_quantized(&awq, "gptq");
    let config = fs::read_to_string(awq.join("config.json")).unwrap().replace("\"gptq\"", "\"awq\"");
    fs::write(awq.join("config.json"), config).unwrap();
    let error = refused(&["ask", "Why?", "--model", text(&awq)]);
    assert!(error.contains("awq") && error.contains("bitsandbytes and gptq"), "{error}");
    let full = folder.path().join("recipe.yaml");
    write_quantized(&folder.path().join("int8"), "int8");
    fs::write(folder.path().join("rows.csv"), questions()).unwrap();
    let yaml = format!(
        "base_model: {}\nadapter: full\ndatasets: [{{path: {}}}]\noutput_dir: {}\n",
        text(&folder.path().join("int8")),
        text(&folder.path().join("rows.csv")),
        text(&folder.path().join("run"))
    );
    fs::write(&full, yaml).unwrap();
    let error = refused(&["train", text(&full), "--json"]);
    assert!(error.contains("quantized") && error.contains("adapter: lora"), "{error}");
}

/// Only ggml's blocks are multiplied as integers: elsewhere `--fast` would be a name without a thing.
#[test]
fn fast_is_refused_where_no_integers_are_multiplied() {
    let folder = tempdir().unwrap();
    let rows = folder.path().join("exam.jsonl");
    fs::write(&rows, "{\"question\": \"Why?\", \"options\": [\"asthma\", \"gout\"], \"answer\": \"B\"}\n")
        .unwrap();
    let is_refused = |arguments: &[&str]| {
        let said = refused(&[arguments, &["--fast"]].concat());
        assert!(
            said.contains("--fast: no projection of") && said.contains("hint: leave --fast out"),
            "{said}"
        );
    };
    let served = |base: &Path| is_refused(&["serve", text(base), "--bind", "127.0.0.1:0"]);
    for name in ["gptq", "nf4", "int8"] {
        let base = folder.path().join(name);
        write_quantized(&base, name);
        is_refused(&["ask", "Why?", "--model", text(&base)]);
        is_refused(&["eval", "--model", text(&base), "--tasks", text(&rows)]);
        is_refused(&["inspect", "logits", "--model", text(&base), "--ids", "1,2"]);
        is_refused(&["bench", "generate", "--model", text(&base), "--prompt", "4", "--tokens", "2"]);
        served(&base);
    }
    // A plain base is rounded to blocks by whoever asks it, but served as it is.
    let plain = folder.path().join("plain");
    write_model_of(&plain, 32, 256);
    let fast = run_json(&["eval", "--model", text(&plain), "--tasks", text(&rows), "--fast", "--json"]);
    assert_eq!(fast["settings"]["arithmetic"], "int8");
    assert_eq!(fast["settings"]["options"].get("projections_in_integers"), None);
    let bench = ["bench", "generate", "--model", text(&plain), "--prompt", "4", "--tokens", "2", "--fast"];
    assert_eq!(run_json(&[&bench[..], &["--json"]].concat())["integer_products"], true);
    served(&plain);
    served(&write_gguf(folder.path(), BlockType::F16));
}

/// Rows of sixteen values are no whole blocks, so of this model only what reads the wider middle is rounded.
#[test]
fn fast_in_part_is_said() {
    let folder = tempdir().unwrap();
    let (base, rows) = (folder.path().join("base"), folder.path().join("exam.csv"));
    write_model_of(&base, 16, 256);
    fs::write(&rows, "question,A,B,answer\nWhy?,asthma,gout,A\n").unwrap();
    let output = run(&["eval", "--model", text(&base), "--tasks", text(&rows), "--fast", "--json"], 0);
    assert!(stderr(&output).contains("--fast multiplies 2 of 14 projections"), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["settings"]["options"]["projections_in_integers"], "2 of 14");
}
