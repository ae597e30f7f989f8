//! `medtune verify`: what is served is what was trained, or it says where it is not.

mod common;

use std::fs;
use std::path::Path;

use common::runs::Workshop;
use common::{run, run_json, stderr, text};
use serde_json::Value;

/// A run of a few steps; its folder.
fn trained() -> (Workshop, std::path::PathBuf) {
    let workshop = Workshop::new("max_steps: 4");
    let output = workshop.command("run", &["--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let folder = workshop.path("run");
    (workshop, folder)
}

fn report(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("verify.json")).unwrap()).unwrap()
}

#[test]
fn a_run_is_what_it_was_trained_to_be() {
    let (_workshop, folder) = trained();
    let document = run_json(&["verify", text(&folder), "--json"]);
    assert_eq!(document, report(&folder));
    assert_eq!((&document["passed"], &document["golden_from_training"]), (&true.into(), &true.into()));
    assert!(document["golden_conversations"].as_u64().unwrap() >= 4, "{document}");
    let forms = document["forms"].as_array().unwrap();
    assert_eq!(forms.len(), 2, "as trained, and merged");
    let merged = &forms[1]["fidelity"];
    assert!(merged["positions"].as_u64().unwrap() > 0, "{document}");
    let (kl, change) = (merged["kl_mean"].as_f64().unwrap(), merged["loss_difference"].as_f64().unwrap());
    assert!(kl > 0.0 && kl < 1e-3, "bf16 changes little, and something: {kl}");
    assert!(change.abs() < 1e-2, "{change}");
    assert!(!folder.join(".verify-merged").exists(), "what was merged for the check goes away");
}

#[test]
fn one_character_of_the_template_is_caught() {
    let (_workshop, folder) = trained();
    let template = folder.join("adapter/chat_template.jinja");
    let source = fs::read_to_string(&template).unwrap();
    // The end of a turn and the line break behind it.
    let place = source.rfind("<|im_end|>").unwrap() + "<|im_end|>".len();
    let changed = format!("{} {}", &source[..place], &source[place..]);
    fs::write(&template, changed).unwrap();
    let output = run(&["verify", text(&folder)], 3);
    assert!(stderr(&output).contains("golden conversation 0") && stderr(&output).contains("hint:"));
    let document = report(&folder);
    assert_eq!(document["passed"], false);
    assert_eq!(document["forms"][0]["passed"], false, "{document}");
}

#[test]
fn an_end_of_turn_that_was_never_learned_is_caught() {
    let (_workshop, folder) = trained();
    let path = folder.join("adapter/golden.json");
    let mut golden: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    golden["conversations"][0]["learned"].as_array_mut().unwrap().pop();
    fs::write(&path, golden.to_string()).unwrap();
    let output = run(&["verify", text(&folder)], 3);
    assert!(stderr(&output).contains("learned place"), "{}", stderr(&output));
}

#[test]
fn another_model_is_not_the_one_that_was_trained() {
    let (workshop, folder) = trained();
    let other = workshop.path("other");
    common::write_model_of(&other, 32, 256);
    let output = run(&["verify", text(&folder), text(&other), "--max-kl", "1e-6"], 3);
    assert!(stderr(&output).contains("KL divergence"), "{}", stderr(&output));
    let forms = report(&folder)["forms"].as_array().unwrap().len();
    assert_eq!(forms, 3);
}

#[test]
fn a_run_without_a_model_is_refused() {
    let (_workshop, folder) = trained();
    fs::remove_dir_all(folder.join("adapter")).unwrap();
    let error = common::refused(&["verify", text(&folder)]);
    assert!(error.contains("no adapter") && error.contains("hint:"), "{error}");
}

#[test]
fn a_run_is_held_against_its_exports_and_their_modelfile() {
    let (_workshop, folder) = trained();
    run(&["export", text(&folder), "--to", "ollama", "--quant", "q8_0"], 0);
    let document = run_json(&["verify", text(&folder), "--json"]);
    let forms = document["forms"].as_array().unwrap();
    assert_eq!(forms.len(), 4, "{document}");
    assert!(forms[3]["name"].as_str().unwrap().ends_with("--fast"), "{document}");
    assert!(forms[2]["name"].as_str().unwrap().ends_with("run-Q8_0.gguf"), "{document}");

    let modelfile = folder.join("export/ollama/Modelfile");
    let source = fs::read_to_string(&modelfile).unwrap();
    fs::write(&modelfile, source.replacen("<|im_end|>\n", "<|im_end|>", 1)).unwrap();
    let output = run(&["verify", text(&folder)], 3);
    assert!(
        stderr(&output).contains("Modelfile") && stderr(&output).contains("at byte"),
        "{}",
        stderr(&output)
    );
}
