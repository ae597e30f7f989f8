//! Multiple-choice tasks through the binary, with the base that it carries.

mod common;

use std::fs;

use common::*;
use serde_json::Value;
use tempfile::tempdir;

const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/base");
const ROWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../eval/tests/data/tasks");

#[test]
fn tasks_are_asked_and_every_item_is_kept() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("eval");
    let arguments =
        ["eval", "--model", BASE, "--tasks", "medmcqa,pubmedqa", "--data", ROWS, "--out", text(&out)];
    let output = run(&arguments, 0);
    let plan = stderr(&output);
    assert!(plan.contains("medmcqa: 4 items of 4 documents can show differences from"), "{plan}");
    let table = stdout(&output);
    assert!(table.contains("medmcqa") && table.contains("acc_norm"), "{table}");
    let items: Vec<Value> = fs::read_to_string(out.join("items.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(items.len(), 7);
    assert_eq!(items[0]["id"], "medmcqa/b1");
    assert_eq!(items[0]["choice"]["rated"].as_array().unwrap().len(), 4);
    let results: Value = serde_json::from_slice(&fs::read(out.join("choices.json")).unwrap()).unwrap();
    assert_eq!(results[1]["task"], "pubmedqa");
    assert_eq!(results[1]["acc"]["n"], 3);
    let settings: Value = serde_json::from_slice(&fs::read(out.join("settings.json")).unwrap()).unwrap();
    assert_eq!(settings["tasks"]["pubmedqa"]["mode"], "loglikelihood");
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert_eq!(report.matches(": as sure as right?").count(), 2);
}

#[test]
fn a_file_of_ones_own_is_a_task() {
    let file = format!("{ROWS}/own.jsonl");
    let ask = |more: &[&str]| {
        run_json(&[&["eval", "--model", BASE, "--tasks", &file, "--json"][..], more].concat())
    };
    let texts = ask(&[]);
    assert_eq!(texts["tasks"][0]["task"], "own");
    assert_eq!(texts["items"][0]["choice"]["rated"][0]["bytes"], "Iron tablets taken by mouth".len());
    let letters = ask(&["--mode", "letter", "--shuffle-options", "3", "--limit", "1"]);
    assert_eq!(letters["items"].as_array().unwrap().len(), 1);
    assert_eq!(letters["items"][0]["choice"]["rated"][0]["bytes"], 1);
    let written = ask(&["--mode", "generation", "--apply-chat-template", "--max-new-tokens", "8"]);
    assert!(written["items"][0]["answer"].is_string());
}

#[test]
fn wrong_wishes_are_refused() {
    let eval = |more: &[&str]| refused(&[&["eval", "--model", BASE][..], more].concat());
    assert!(eval(&["--tasks", "mmlu_astronomy"]).contains("mmlu_anatomy"));
    assert!(eval(&["--tasks", "medmcqa"]).contains("none is named"));
    assert!(
        eval(&["--tasks", "medmcqa", "--data", ROWS, "--num-fewshot", "3"]).contains("2 few-shot examples")
    );
    assert!(eval(&["--mode", "letter", "x.jsonl"]).contains("--tasks"));
    assert!(
        eval(&["--tasks", "medmcqa", "--data", ROWS, "x.jsonl"]).contains("x.jsonl: a file beside --tasks")
    );
    let file = format!("{ROWS}/own.jsonl");
    let with_examples = ["--tasks", &file, "--num-fewshot", "1"];
    assert!(eval(&with_examples).contains("0 few-shot examples"));
    let itself = eval(&[&with_examples[..], &["--fewshot-file", &file]].concat());
    assert!(itself.contains("is among the few-shot examples"), "{itself}");
    let medqa = format!("{ROWS}/medqa_4options/train.jsonl");
    run_json(&[&["eval", "--model", BASE, "--json", "--fewshot-file", &medqa][..], &with_examples].concat());
}
