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
fn written_answers_are_read_again_by_the_rule_that_read_them_and_by_others() {
    let folder = tempdir().unwrap();
    let [ours, other] = ["ours", "other"].map(|name| folder.path().join(name));
    let asked =
        ["--tasks", "medmcqa,pubmedqa", "--data", ROWS, "--mode", "generation", "--max-new-tokens", "8"];
    run(&[&["eval", "--model", BASE, "--out", text(&ours)][..], &asked].concat(), 0);
    let found = run_json(&["rescore", text(&ours), "--rule", "medtune", "--json"]);
    assert_eq!(
        (&found["reread"]["answers"], &found["reread"]["changed"]),
        (&7.into(), &serde_json::json!([]))
    );
    let found = run_json(&["rescore", text(&ours), "--rule", "flowertune", "--out", text(&other), "--json"]);
    assert_eq!(found["reread"]["answers"], 7);
    let settings: Value = serde_json::from_slice(&fs::read(other.join("settings.json")).unwrap()).unwrap();
    assert_eq!(settings["rule"], "flowertune");
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
fn the_arithmetic_is_named_and_integers_are_those_of_the_exported_file() {
    let folder = tempdir().unwrap();
    let exported = folder.path().join("exported");
    run(&["export", BASE, "--to", "gguf", "--quant", "q8_0", "--no-verify", "--out", text(&exported)], 0);
    let file = exported.join("base-Q8_0.gguf");
    let ask = |model: &str, more: &[&str]| {
        run_json(
            &[&["eval", "--model", model, "--tasks", "medmcqa", "--data", ROWS, "--json"][..], more].concat(),
        )
    };
    let rated = |document: &Value| {
        document["items"].as_array().unwrap().iter().map(|i| i["choice"]["rated"].clone()).collect()
    };
    let exact: Vec<Value> = rated(&ask(BASE, &[]));
    let fast = ask(BASE, &["--fast"]);
    assert_eq!(fast["settings"]["arithmetic"], "int8");
    // Rounded as it is loaded, a base is what it is in a file.
    let of_folder: Vec<Value> = rated(&fast);
    let of_file: Vec<Value> = rated(&ask(text(&file), &["--fast"]));
    assert_eq!(of_folder, of_file);
    let far = |ratings: &[Value]| {
        let pairs = ratings
            .iter()
            .zip(&exact)
            .flat_map(|(a, b)| a.as_array().unwrap().iter().zip(b.as_array().unwrap()));
        let value = |rating: &Value| rating["log_likelihood"].as_f64().unwrap();
        pairs.map(|(a, b)| (value(a) - value(b)).abs()).fold(0.0, f64::max)
    };
    let distance = far(&of_folder);
    assert!(distance > 0.0 && distance < 0.5, "{distance}");

    if compute::cpu::Precision::Bf16.available() {
        let out = folder.path().join("bf16");
        let output = run(
            &["eval", "--model", BASE, "--tasks", "medmcqa", "--data", ROWS, "--bf16", "--out", text(&out)],
            0,
        );
        assert!(stdout(&output).contains("products in bf16 (sums in f32)"), "{}", stdout(&output));
        let report = fs::read_to_string(out.join("report.html")).unwrap();
        assert!(report.contains("Matrix products were computed in bf16"));
        let results: Value = serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap();
        assert_eq!(results["config"]["model_dtype"], "bfloat16");
        let other = folder.path().join("f32");
        run(&["eval", "--model", BASE, "--tasks", "medmcqa", "--data", ROWS, "--out", text(&other)], 0);
        let said = stdout(&run(&["compare", text(&other), text(&out)], 0));
        assert!(
            said.contains("products were computed in different ways")
                && said.contains("f32 in f32; bf16 in bf16"),
            "{said}"
        );
    } else {
        let said = refused(&["eval", "--model", BASE, "--tasks", "medmcqa", "--data", ROWS, "--bf16"]);
        assert!(said.contains("no products of bf16 pairs"), "{said}");
    }
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

#[test]
fn rows_that_cannot_be_asked_are_named_and_in_no_number() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("exam.jsonl");
    let row = |id: &str, rest: &str| {
        format!("{{\"id\":\"{id}\",\"question\":\"Which one is it, {id}?\",{rest}}}\n")
    };
    let rows = [
        row("1", r#""options":["gout","asthma"],"answer":"B""#),
        row("2", r#""options":["gout","asthma"],"answer":"D""#),
        row("3", r#""answer":"B""#),
        row("4", r#""options":["gout","gout","asthma"],"answer":"A""#),
        row("1", r#""options":["fever","cough"],"answer":"A""#),
        "{\"id\":\"6\",".to_owned(),
    ];
    fs::write(&file, rows.concat()).unwrap();
    let arguments = ["eval", "--model", BASE, "--tasks", text(&file), "--json"];
    let document = run_json(&arguments);
    assert_eq!(document["tasks"][0]["acc"]["n"], 1);
    let left_out: Vec<String> = document["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|left| left["reason"].as_str().unwrap().to_owned())
        .collect();
    let said = [
        "no letter (A, B)",
        "no options",
        "a wrong option has the text of the right one",
        "its id occurs twice",
        "",
    ];
    assert_eq!(left_out.len(), said.len(), "{left_out:?}");
    assert!(left_out.iter().zip(said).all(|(reason, said)| reason.contains(said)), "{left_out:?}");

    let refused_as = |content: &[u8], said: &str| {
        fs::write(&file, content).unwrap();
        let error = refused(&["eval", "--model", BASE, "--tasks", text(&file)]);
        assert!(error.contains(said) && error.contains("hint:"), "{error}");
    };
    refused_as(b"", "the file has no rows");
    refused_as(rows[1].as_bytes(), "1 row left out, the first (");
    refused_as(rows[2].as_bytes(), "no options");
    refused_as(b"{\"prompt\": \"q\", \"completion\": \"a\"}\n", "its rows have no options");
}
