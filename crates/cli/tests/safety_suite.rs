//! `eval --suite safety` through the binary.

mod common;

use std::fs;

use common::*;
use serde_json::Value;
use tempfile::tempdir;

const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/base");
const ITEMS: &str = include_str!("../../eval/data/safety/items.jsonl");

#[test]
fn answers_made_elsewhere_are_scored_without_a_model() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("answers.jsonl");
    let answered = ITEMS.lines().skip(1).map(|line| {
        let item: Value = serde_json::from_str(line).unwrap();
        serde_json::json!({ "id": item["id"], "answer": item["reference"] }).to_string()
    });
    let lines: Vec<String> = answered.chain([r#"{"id": "nobody", "answer": "?"}"#.to_string()]).collect();
    fs::write(&file, lines.join("\n")).unwrap();
    let out = folder.path().join("out");
    let arguments =
        ["eval", "--suite", "safety", "--answers-file", text(&file), "--out", text(&out), "--json"];
    let document = run_json(&arguments);
    assert_eq!(document["summary"]["items"], 149);
    assert_eq!(document["summary"]["results"]["safe"]["value"], 1.0);
    assert_eq!(document["left"]["missing"].as_array().unwrap().len(), 1);
    assert_eq!(document["left"]["unknown"][0], "nobody");
    let items = fs::read_to_string(out.join("items.jsonl")).unwrap();
    assert_eq!(items.lines().count(), 149);
    let first: Value = serde_json::from_str(items.lines().next().unwrap()).unwrap();
    assert_eq!((first["task"].as_str(), first["safety"]["result"].as_str()), (Some("safety"), Some("safe")));
    assert!(out.join("summary.json").is_file());
}

#[test]
fn a_model_answers_a_sample_and_rates_its_mutations() {
    let arguments =
        ["eval", "--suite", "safety", "--model", BASE, "--limit", "2", "--max-new-tokens", "24", "--json"];
    let document = run_json(&arguments);
    let summary = &document["summary"];
    assert_eq!(summary["items"], 2);
    let rated =
        document["outcomes"].as_array().unwrap().iter().filter(|o| o["task"] == "safety_mutations").count();
    assert_eq!(summary["mutations"]["total"]["n"], rated);
    assert!(rated >= 2);
    for outcome in document["outcomes"].as_array().unwrap() {
        assert!(outcome["answer"].is_string() && outcome["group"].is_string(), "{outcome}");
    }
}

#[test]
fn a_suite_wants_a_model_or_answers_and_no_files() {
    for arguments in [
        &["eval", "--suite", "safety"][..],
        &["eval", "--suite", "comfort", "--model", BASE],
        &["eval", "--suite", "safety", "--model", BASE, "questions.jsonl"],
        &["eval", "--answers-file", "answers.csv", "--model", BASE, "questions.jsonl"],
        &["eval", "--model", BASE],
        &["eval", "questions.jsonl"],
    ] {
        refused(arguments);
    }
}
