//! What an answer may look like, through the binary, with the base that it carries.

mod common;

use std::fs;

use common::*;
use serde_json::Value;
use tempfile::tempdir;

const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/base");

fn ask(more: &[&str]) -> Value {
    let question = ["ask", "What are the symptoms of gout?", "--model", BASE, "--json"];
    run_json(&[&question[..], more].concat())
}

#[test]
fn an_answer_is_one_of_the_choices() {
    for seed in ["1", "2", "3"] {
        let answer = ask(&["--choices", "A,B,C,D", "--temperature", "1.5", "--seed", seed]);
        assert!(["A", "B", "C", "D"].contains(&answer["answer"].as_str().unwrap()), "{answer}");
        assert_eq!(answer["complete"], true);
    }
}

#[test]
fn an_answer_is_json_that_the_schema_accepts() {
    let folder = tempdir().unwrap();
    let schema = folder.path().join("schema.json");
    let text_of = r#"{"type": "object", "properties": {"letter": {"enum": ["A", "B"]},
        "reason": {"type": "string", "maxLength": 30}}, "required": ["letter", "reason"],
        "additionalProperties": false}"#;
    fs::write(&schema, text_of).unwrap();
    let answer = ask(&["--json-schema", text(&schema)]);
    let object: Value = serde_json::from_str(answer["answer"].as_str().unwrap()).unwrap();
    assert!(["A", "B"].contains(&object["letter"].as_str().unwrap()), "{object}");
    assert!(object["reason"].is_string());
    fs::write(&schema, "no JSON").unwrap();
    let error = refused(&["ask", "Why?", "--model", BASE, "--json-schema", text(&schema)]);
    assert!(error.contains("schema.json") && error.contains("not valid JSON"), "{error}");
}

#[test]
fn an_answer_ends_before_a_stop_text() {
    let plain = ask(&["--max-new-tokens", "40"]);
    let plain = plain["answer"].as_str().unwrap();
    let word = plain.split_whitespace().nth(4).unwrap();
    let stopped = ask(&["--max-new-tokens", "40", "--stop", "never said", "--stop", word]);
    let before = plain[..plain.find(word).unwrap()].trim();
    assert_eq!((stopped["answer"].as_str().unwrap(), &stopped["complete"]), (before, &Value::Bool(true)));
}

#[test]
fn a_form_that_makes_no_sense_is_refused() {
    let error = refused(&["ask", "Why?", "--model", BASE, "--regex", "("]);
    assert!(error.contains("constraint"), "{error}");
    let error = refused(&["ask", "Why?", "--model", BASE, "--top-p", "2"]);
    assert!(error.contains("top_p is 2, expected 0 to 1"), "{error}");
}
