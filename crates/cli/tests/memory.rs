//! A run takes the memory that it was planned to take, and is refused where there is less.
#![cfg(target_os = "linux")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::*;
use serde_json::Value;

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The peak of a finished run within a tenth of its plan, which its manifest has by purpose.
fn assert_as_planned(run: &Path) {
    let (stats, memory) = (json(run.join("stats.json")), json(run.join("manifest.json"))["memory"].clone());
    let planned = stats["planned_memory_bytes"].as_f64().unwrap();
    let peak = stats["peak_memory_bytes"].as_f64().unwrap();
    println!(
        "{}: planned {:.1} MiB, peak {:.1} MiB; {memory}",
        run.display(),
        planned / 1048576.0,
        peak / 1048576.0
    );
    assert!((0.9..=1.1).contains(&(peak / planned)), "peak {peak}, planned {planned}: {memory}");
    let bytes = |part: &str| memory[part].as_u64().unwrap();
    let parts = ["weights", "trained", "activations", "scratch", "loss", "other", "examinations"];
    assert!(bytes("training") >= parts.iter().map(|part| bytes(part)).sum());
    assert_eq!(bytes("training") as f64, planned);
    assert_eq!(bytes("total"), bytes("training").max(bytes("evaluation")));
}

/// The peak of a whole run, with the evaluation after its last step, within a tenth of the whole plan.
fn assert_whole_run_as_planned(document: &Value) {
    let planned = document["memory"]["total"].as_f64().unwrap();
    let peak = document["peak_memory_bytes"].as_f64().unwrap();
    println!("whole run: planned {:.1} MiB, peak {:.1} MiB", planned / 1048576.0, peak / 1048576.0);
    assert!(
        (0.9..=1.1).contains(&(peak / planned)),
        "peak {peak}, planned {planned}: {}",
        document["memory"]
    );
}

#[test]
fn the_shipped_base_takes_what_was_planned() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("quickstart");
    run_json(&["quickstart", "--short", "--out", text(&run), "--json"]);
    assert_as_planned(&run);
}

/// A model of the 135M shape on disk, in bf16, with a small tokenizer.
fn large_base(folder: &Path) {
    write_model(folder, 16);
    for file in ["config.json", "model.safetensors"] {
        std::fs::remove_file(folder.join(file)).unwrap();
    }
    run(&["bench", "model", "--shape", "smollm2135m", "--out", text(folder)], 0);
}

fn recipe(dir: &Path, base: &Path, name: &str, keys: &str) -> PathBuf {
    let (rows, recipe) = (dir.join("rows.csv"), dir.join(format!("{name}.yaml")));
    std::fs::write(&rows, questions()).unwrap();
    let yaml = format!(
        "base_model: {}\ndatasets: [{{path: {}}}]\nsplit: {{test: 0.1, val: 0.1}}\nmax_steps: 2\n\
         evaluation: {{max_examples: 1, max_answers: 0}}\noutput_dir: {}\n{keys}\n",
        text(base),
        text(&rows),
        text(&dir.join(name)),
    );
    std::fs::write(&recipe, yaml).unwrap();
    recipe
}

#[test]
fn the_135m_shape_takes_what_was_planned_in_every_way_of_training() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base");
    large_base(&base);
    let narrow = [("bf16", "bf16: true"), ("activations-8bit", "bf16: true\nactivations_8bit: true")];
    let narrow = if compute::cpu::Precision::Bf16.available() { &narrow[..] } else { &[] };
    for &(name, keys) in narrow.iter().chain(&[
        ("lora", "adapter: lora\nmicro_batch_tokens: 768"),
        ("qlora", "adapter: qlora\nmicro_batch_tokens: 512\ngradient_checkpointing: attention"),
        ("full", "adapter: full\nmicro_batch_tokens: 256\nsave_steps: 1\ngradient_checkpointing: true"),
        ("full-8bit", "adapter: full\nmicro_batch_tokens: 256\noptimizer: adamw_8bit"),
    ]) {
        let recipe = recipe(dir.path(), &base, name, keys);
        let document = run_json(&["train", text(&recipe), "--json"]);
        let run = dir.path().join(name);
        assert_as_planned(&run);
        assert_eq!(document["memory"], json(run.join("manifest.json"))["memory"]);
        assert_whole_run_as_planned(&document);
        std::fs::remove_dir_all(run).unwrap();
    }
}

#[test]
fn a_run_without_room_is_refused_with_the_settings_that_would_fit() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base");
    large_base(&base);
    let train = |keys: &str, mib: &str, more: &[&str]| {
        let recipe = recipe(dir.path(), &base, "run", keys);
        let _ = std::fs::remove_dir_all(dir.path().join("run"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_medtune"));
        command.args(["train", text(&recipe)]).args(more).env("MEDTUNE_MEMORY_MIB", mib);
        let output = command.output().unwrap();
        (output.status.code(), stderr(&output))
    };
    // 257 MiB of weights, about 30 of the program, 75 of the adapter, 30 of labelled logits, 1.1 a kept token.
    let keys = "micro_batch_tokens: 768\n";
    let (status, said) = train(&format!("{keys}gradient_checkpointing: none"), "800", &[]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("MiB of memory, 800 MiB are available"), "{said}");
    assert!(said.contains("`gradient_checkpointing: full`") && said.contains("memory_check=false"), "{said}");
    assert!(!dir.path().join("run/stats.json").exists());

    let (status, said) = train(keys, "800", &[]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("layers compute"), "auto computes again what has no room: {said}");
    assert_as_planned(&dir.path().join("run"));

    if compute::cpu::Precision::Bf16.available() {
        let keys = format!("{keys}gradient_checkpointing: none\nbf16: true\n");
        let (status, said) = train(&keys, "630", &[]);
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("`activations_8bit: true`"), "{said}");
        let (status, said) = train(&format!("{keys}activations_8bit: true"), "630", &[]);
        assert_eq!(status, Some(0), "{said}");
    }

    let (status, said) = train(keys, "200", &[]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("the weights of") && said.contains("`adapter: qlora`"), "{said}");
}
