//! Models that are looked at, and models that are refused.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{POSITIONS, refused, run, run_json, stdout, text, write_adapter, write_model};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

fn tiny() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let model = folder.path().join("tiny");
    write_model(&model, 16);
    (folder, model)
}

fn change_config(model: &Path, change: impl FnOnce(&mut Value)) {
    let path = model.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
}

#[test]
fn there_is_a_logit_for_every_token() {
    let folder = tempdir().unwrap();
    let config = write_model(folder.path(), 16);
    let logits = |ids: &str| {
        let document =
            run_json(&["inspect", "logits", "--model", text(folder.path()), "--ids", ids, "--json"]);
        document["logits"].as_array().unwrap().clone()
    };
    assert_eq!(logits("1,5,9").len(), config.vocab_size);
    assert!(logits("1,5,9").iter().all(Value::is_f64));
    assert_eq!(logits("1,5,9"), logits("1,5,9"));
    assert_ne!(logits("1,5,9"), logits("1,9,5"));
    let page = stdout(&run(&["inspect", "logits", "--model", text(folder.path()), "--ids", "1"], 0));
    assert_eq!(page.lines().count(), 11, "{page}");
}

#[test]
fn a_new_adapter_leaves_the_logits_as_they_are() {
    let (folder, model) = tiny();
    let adapter = folder.path().join("adapter");
    write_adapter(&adapter, 16);
    let base = ["inspect", "logits", "--model", text(&model), "--ids", "3,4", "--json"];
    let adapted = [&base[..], &["--adapter", text(&adapter)]].concat();
    assert_eq!(run_json(&base), run_json(&adapted));
}

#[test]
fn ids_that_the_model_does_not_know_are_refused() {
    let (_folder, model) = tiny();
    let asked = |ids: &str| refused(&["inspect", "logits", "--model", text(&model), "--ids", ids]);
    assert!(asked("1,99999").contains("99999 is no token"));
    assert!(asked(&vec!["1"; POSITIONS + 1].join(",")).contains("65 ids, the model has 64 positions"));
    assert!(asked("").contains("--ids"));
    assert!(asked("1,x").contains("--ids"));
}

#[test]
fn the_tensors_of_a_model_are_listed() {
    let (_folder, model) = tiny();
    let document = run_json(&["inspect", "model", "--model", text(&model), "--json"]);
    assert_eq!(document["config"]["num_hidden_layers"], 2);
    let tensors = document["tensors"].as_array().unwrap();
    assert_eq!(tensors.len(), 2 + 2 * 9);
    let down = tensors.iter().find(|t| t["name"] == "model.layers.1.mlp.down_proj.weight").unwrap();
    assert_eq!((&down["dtype"], &down["shape"]), (&"F32".into(), &json!([16, 32])));
    let sum: u64 = tensors.iter().map(|t| t["parameters"].as_u64().unwrap()).sum();
    assert_eq!((&document["parameters"], &document["bytes"]), (&sum.into(), &(4 * sum).into()));
    let page = stdout(&run(&["inspect", "model", "--model", text(&model)], 0));
    assert!(page.contains(&format!("20 tensors, {sum} parameters")), "{page}");
}

#[test]
fn tokens_are_shown_with_what_is_learned() {
    let (folder, model) = tiny();
    let document = run_json(&["inspect", "tokens", "--model", text(&model), "--json"]);
    let tokens = document["tokens"].as_array().unwrap();
    let whole: String = tokens.iter().map(|t| t["text"].as_str().unwrap()).collect();
    let learned: String =
        tokens.iter().filter(|t| t["learned"] == true).map(|t| t["text"].as_str().unwrap()).collect();
    assert_eq!(learned, "Anemia means that the blood carries too little hemoglobin.<|im_end|>");
    let rendered = run_json(&["inspect", "template", "--model", text(&model), "--json"]);
    assert_eq!(rendered["text"], whole);
    assert!(whole.starts_with(rendered["prompt"].as_str().unwrap()));

    let file = folder.path().join("train.jsonl");
    let turns = json!([{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]);
    fs::write(&file, format!("{}\n", json!({"id": "row-7", "messages": turns}))).unwrap();
    let page = stdout(&run(&["inspect", "tokens", "--model", text(&model), text(&file)], 0));
    assert!(page.starts_with("row-7\n") && page.contains("[[So.<|im_end|>]]"), "{page}");
    assert!(!page.contains('\u{1b}'), "no colours in a file: {page}");
    let error = refused(&["inspect", "template", "--model", text(&model), text(&file), "--index", "1"]);
    assert!(error.contains("holds 1 examples"), "{error}");
}

#[test]
fn a_truncated_file_is_named() {
    let (_folder, model) = tiny();
    let path = model.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    for what in ["model", "logits"] {
        let ids = if what == "logits" { &["--ids", "1"][..] } else { &[] };
        let error = refused(&[&["inspect", what, "--model", text(&model)], ids].concat());
        assert!(error.contains("model.safetensors") && error.contains("bytes long"), "{error}");
    }
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let (_folder, model) = tiny();
    change_config(&model, |config| config["intermediate_size"] = 48.into());
    let error = refused(&["inspect", "logits", "--model", text(&model), "--ids", "1"]);
    for part in ["model.layers.0.mlp.gate_proj.weight", "[32, 16]", "[48, 16]"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_model_of_another_kind_is_refused_with_the_supported_kinds() {
    let (_folder, model) = tiny();
    change_config(&model, |config| config["model_type"] = "mamba".into());
    for arguments in
        [&["model", "--model", text(&model)][..], &["logits", "--ids", "1", "--model", text(&model)]]
    {
        let error = refused(&[&["inspect"], arguments].concat());
        assert!(error.contains("mamba") && error.contains("supported: llama"), "{error}");
    }
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let (folder, model) = tiny();
    let adapter = folder.path().join("adapter");
    write_adapter(&adapter, 32);
    let arguments = ["inspect", "logits", "--model", text(&model), "--adapter", text(&adapter), "--ids", "1"];
    let error = refused(&arguments);
    for part in ["q_proj.lora_A.weight", "[2, 32]", "[2, 16]"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_model_that_is_not_there_is_refused_with_the_places() {
    let error = refused(&["inspect", "model", "--model", "nobody/nothing"]);
    assert!(error.contains("no model nobody/nothing") && error.contains("no-cache-here"), "{error}");
}
