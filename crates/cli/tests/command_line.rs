//! The command line as a whole: help, exit status, and what no other file covers.

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::{medtune, refused, run, run_json, stderr, stdout, text, write_model};
use tempfile::tempdir;

#[test]
fn every_verb_has_help() {
    let verbs: [&[&str]; 21] = [
        &[],
        &["quickstart"],
        &["prepare"],
        &["train"],
        &["eval"],
        &["judge"],
        &["compare"],
        &["ask"],
        &["chat"],
        &["merge"],
        &["inspect"],
        &["inspect", "tokens"],
        &["inspect", "template"],
        &["inspect", "split"],
        &["inspect", "model"],
        &["inspect", "logits"],
        &["bench"],
        &["bench", "train"],
        &["bench", "generate"],
        &["pull"],
        &["doctor"],
    ];
    for verb in verbs {
        let page = stdout(&run(&[verb, &["--help"]].concat(), 0));
        assert!(page.contains("Usage: medtune") && !page.contains('\u{1b}'), "{verb:?}: {page}");
    }
    assert!(stdout(&run(&["--version"], 0)).starts_with("medtune "));
}

#[test]
fn a_wrong_command_line_is_the_persons_input() {
    assert!(refused(&["prepair"]).contains("prepare"));
    assert!(refused(&["prepare"]).contains("FILES"));
    assert!(refused(&["bench", "train", "--steps", "0"]).contains("--steps 0"));
}

#[test]
fn an_unknown_key_of_a_recipe_is_refused_with_the_nearest() {
    let folder = tempdir().unwrap();
    let recipe = folder.path().join("recipe.yaml");
    fs::write(&recipe, "base_model: base\nlearning_rat: 1e-4\ndatasets: [{path: rows.csv}]\n").unwrap();
    let error = refused(&["train", text(&recipe)]);
    assert!(error.contains("unknown key `learning_rat`"), "{error}");
    assert!(error.contains("did you mean `learning_rate`?"), "{error}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = tempdir().unwrap();
    write_model(folder.path(), 16);
    let mut child = Command::new(env!("CARGO_BIN_EXE_medtune"))
        .args(["inspect", "model", "--model", text(folder.path()), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", common::stderr(&output));
    assert_eq!(common::stderr(&output), "");
}

#[test]
fn the_doctor_looks_at_the_machine() {
    let document = run_json(&["doctor", "--json"]);
    assert_eq!(document["threads"], 1);
    assert!(document["gigaflops"].as_f64().unwrap() > 0.01);
    let checks = document["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["processor", "instructions", "memory", "disk", "hub cache", "speed"]);
    let cache = checks.iter().find(|check| check["name"] == "hub cache").unwrap();
    assert_eq!(cache["ok"], false, "{cache}");
    assert!(cache["text"].as_str().unwrap().contains("no-cache-here"), "{cache}");
}

#[test]
fn the_doctor_sees_instructions_that_are_switched_off() {
    let output = medtune().arg("doctor").env("MEDTUNE_ISA", "plain").output().unwrap();
    let page = stdout(&output);
    assert!(page.lines().any(|line| line.starts_with("warn  instructions plain")), "{page}");
    assert!(page.contains("Largest model for LoRA with bf16 weights:"), "{page}");
}

#[test]
fn training_is_measured() {
    let arguments =
        ["bench", "train", "--shape", "base", "--rank", "2", "--batch", "2", "--length", "8", "--steps", "2"];
    let document = run_json(&[&arguments[..], &["--json"]].concat());
    assert_eq!((&document["shape"], &document["threads"]), (&"base".into(), &1.into()));
    assert_eq!((&document["batch"], &document["length"]), (&2.into(), &8.into()));
    let ms = &document["step_ms"];
    assert!(ms["best"].as_f64().unwrap() <= ms["median"].as_f64().unwrap(), "{document}");
    let speed = document["tokens_per_second"]["median"].as_f64().unwrap();
    assert!((speed * ms["median"].as_f64().unwrap() / 1e3 - 16.0).abs() < 1e-6, "{document}");
    // A random start knows nothing: its loss is near that of a guess.
    assert!((document["loss"].as_f64().unwrap() - 8192f64.ln()).abs() < 1.0, "{document}");
    #[cfg(target_os = "linux")]
    assert!(document["peak_rss_bytes"].as_u64().unwrap() > 30 << 20, "{document}");
}

#[test]
fn writing_is_measured() {
    let arguments =
        ["bench", "generate", "--shape", "base", "--batch", "2", "--prompt", "8", "--tokens", "3"];
    let document = run_json(&[&arguments[..], &["--json"]].concat());
    for key in ["prefill_tokens_per_second", "decode_tokens_per_second", "prefill_ms"] {
        assert!(document[key]["median"].as_f64().unwrap() > 0.0, "{document}");
    }
    let page = stdout(&run(&arguments, 0));
    assert!(page.contains("decode tokens per second"), "{page}");
}

#[test]
fn products_in_bf16_are_refused_where_the_processor_has_none() {
    let arguments = ["bench", "train", "--shape", "base", "--bf16", "--steps", "1"];
    let output = medtune().args(arguments).env("MEDTUNE_ISA", "plain").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("no products of bf16 pairs") && text.contains("hint:"), "{text}");
}

#[test]
#[cfg(not(feature = "mpi"))]
fn several_processes_of_a_build_that_trains_with_one_are_refused() {
    for launcher in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"] {
        let output = medtune().env(launcher, "2").args(["train", "recipe.yaml"]).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("started as 2 processes") && said.contains("--features mpi"), "{said}");
    }
}
