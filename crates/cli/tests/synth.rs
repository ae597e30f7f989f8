//! `medtune synth` through the binary: with a server that has every fault, without one, and with the base that the
//! program carries.

mod common;
#[path = "../../synth/tests/corpus_of_drugs/mod.rs"]
mod corpus_of_drugs;
#[path = "../../endpoint/tests/scripted_server/mod.rs"]
#[allow(dead_code)]
mod scripted_server;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use corpus_of_drugs::questions;
use scripted_server::{Answer, Asked, ScriptedServer, completion};
use serde_json::Value;
use tempfile::tempdir;

const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/base");
const KEY: &str = "sk-nobody-may-see-this";
/// Chunks of the corpus: two of each document.
const CHUNKS: usize = 20;

/// A corpus, a file with the key, and the recipe that cuts small chunks.
fn corpus(folder: &Path) {
    corpus_of_drugs::write(folder, CHUNKS / 2);
    fs::write(folder.join("key"), KEY).unwrap();
    let recipe = "chunks: {max_tokens: 90, min_tokens: 0}\nquestions: {per_1000_tokens: 100}\n";
    fs::write(folder.join("recipe.yaml"), recipe).unwrap();
}

/// The arguments of a run against a server.
fn arguments(folder: &Path, server: &str, out: &str) -> Vec<String> {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut arguments = vec!["synth".to_owned(), at("."), "--recipe".to_owned(), at("recipe.yaml")];
    arguments.extend(["--out".to_owned(), at(out), "--api-key-file".to_owned(), at("key")]);
    arguments.extend(["--model", server, "--model-name", "scripted-1", "--json"].map(str::to_owned));
    arguments
}

fn as_text(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn good(asked: &Asked) -> Answer {
    let prompt = asked.body["messages"][1]["content"].as_str().unwrap();
    Answer::text(&questions(prompt, prompt.contains("distractors")).to_string())
}

/// Replies well, slowly, too often asked, broken off, in prose, and half.
fn with_every_fault(asked: &Asked, prompts: &Mutex<Vec<(Value, usize)>>) -> Answer {
    let right = good(asked);
    let text = || questions(asked.body["messages"][1]["content"].as_str().unwrap(), false).to_string();
    match asked.fault(8, prompts) {
        0 => Answer { delay: Duration::from_millis(50), ..right },
        1 => Answer::error(429, "slow down").header("retry-after", "0.05"),
        2 if asked.body["messages"].as_array().unwrap().len() == 2 => {
            Answer::text(&text()[..text().len() / 2])
        }
        3 => {
            Answer { body: completion(&text()).to_string(), cut: Some(30), status: 200, ..Answer::default() }
        }
        4 => Answer { body: "<html>".to_owned(), status: 200, ..Answer::default() },
        5 => Answer::text(&format!("Of course.\n```json\n{}\n```", text())),
        _ => right,
    }
}

#[test]
fn questions_come_out_of_a_server_with_every_fault_and_are_prepared_for_training() {
    let folder = tempdir().unwrap();
    corpus(folder.path());
    let server = ScriptedServer::start({
        let prompts = Mutex::default();
        move |asked| with_every_fault(asked, &prompts)
    });
    let report = run_json(&as_text(&arguments(folder.path(), &server.address, "out")));
    assert_eq!(
        (&report["complete"], &report["chunks"], &report["rows"]),
        (&true.into(), &CHUNKS.into(), &60.into())
    );
    assert_eq!(report["rejected"]["refers_to_source"], CHUNKS);
    assert!(report["replies"]["repaired"].as_u64().unwrap() > 0);
    assert!(
        server.asked().iter().all(|asked| asked.authorization.as_deref() == Some(&format!("Bearer {KEY}")))
    );

    let rows = folder.path().join("out/rows.jsonl");
    let prepared =
        run_json(&["prepare", text(&rows), "--out", text(&folder.path().join("prepared")), "--json"]);
    assert_eq!((&prepared["rows"], &prepared["dropped"]), (&60.into(), &serde_json::json!({})));
    for name in ["alpaca/train.jsonl", "sharegpt/val.jsonl", "messages/test.jsonl", "hub/README.md"] {
        assert!(folder.path().join("out").join(name).is_file(), "{name}");
    }

    // A second time nothing is asked.
    let before = server.asked().len();
    let again = run_json(&as_text(&arguments(folder.path(), &server.address, "out")));
    assert_eq!((server.asked().len(), &again["rows"]), (before, &report["rows"]));
    assert_eq!(again["replies"]["kept"], again["replies"]["total"]);
}

#[test]
fn a_key_that_expires_ends_it_and_the_same_command_goes_on() {
    let folder = tempdir().unwrap();
    corpus(folder.path());
    let valid = Arc::new(AtomicBool::new(false));
    let now = valid.clone();
    let server = ScriptedServer::start(move |asked| match asked.number < 5 || now.load(Ordering::SeqCst) {
        true => good(asked),
        false => Answer::error(401, &format!("Incorrect API key provided: {KEY}")),
    });
    let arguments = arguments(folder.path(), &server.address, "out");
    let error = refused(&as_text(&arguments));
    assert!(error.contains("the key is refused (HTTP 401): Incorrect API key provided: [key]"), "{error}");
    assert!(
        error.contains("5 of 20 chunks are done") && error.contains("hint: ") && !error.contains(KEY),
        "{error}"
    );
    assert_eq!(fs::read_to_string(folder.path().join("out/rows.jsonl")).unwrap().lines().count(), 15);

    valid.store(true, Ordering::SeqCst);
    let report = run_json(&as_text(&arguments));
    assert_eq!((&report["rows"], &report["replies"]["kept"]), (&60.into(), &5.into()));
    for entry in ["replies.sqlite", "rows.jsonl", "report.json", "hub/README.md"] {
        let bytes = fs::read(folder.path().join("out").join(entry)).unwrap();
        assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{entry}");
    }
}

#[test]
fn a_server_that_is_down_is_said_with_what_to_do() {
    let folder = tempdir().unwrap();
    corpus(folder.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&as_text(&arguments(folder.path(), &format!("http://127.0.0.1:{port}"), "out")));
    assert!(error.contains("no answer: the connection is refused; is the server running?"), "{error}");
    assert!(error.contains("hint: start the server"), "{error}");
}

#[test]
fn a_dry_run_says_what_it_would_take_and_asks_nothing() {
    let folder = tempdir().unwrap();
    corpus(folder.path());
    let server = ScriptedServer::start(good);
    let prices = folder.path().join("prices.yaml");
    fs::write(&prices, "scripted-1: {input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6}").unwrap();
    let mut arguments = arguments(folder.path(), &server.address, "out");
    arguments.extend(["--dry-run", "--prices", text(&prices)].map(str::to_owned));
    let plan = run_json(&as_text(&arguments));
    assert_eq!((&plan["estimate"]["requests"], &plan["estimate"]["kept"]), (&CHUNKS.into(), &0.into()));
    let tokens = |name: &str| plan["estimate"][name].as_f64().unwrap();
    let expected = 1e-6 * tokens("prompt_tokens") + 2e-6 * tokens("reply_tokens");
    assert!((plan["cost"]["usual"].as_f64().unwrap() - expected).abs() < 1e-9);
    assert!(server.asked().is_empty() && !folder.path().join("out").exists());
}

#[test]
fn the_shipped_base_writes_offline_and_a_second_run_asks_nothing() {
    let folder = tempdir().unwrap();
    corpus_of_drugs::write(folder.path(), 1);
    let out = folder.path().join("out");
    let arguments = [
        "synth",
        text(folder.path()),
        "--kind",
        "mc",
        "--model",
        BASE,
        "--out",
        text(&out),
        "--test",
        "0",
        "--val",
        "0",
        "--chunk-tokens",
        "120",
        "--temperature",
        "0",
        "--json",
    ];
    let report = run_json(&arguments);
    assert_eq!(report["complete"], true);
    let chunks = report["chunks"].as_u64().unwrap();
    assert!(
        chunks > 0
            && report["replies"]["total"].as_u64().unwrap() + 2 * report["failed_chunks"].as_u64().unwrap()
                >= chunks
    );
    let again = run_json(&arguments);
    assert_eq!(again["replies"]["kept"], again["replies"]["total"]);
    assert_eq!((&again["drafts"], &again["rejected"]), (&report["drafts"], &report["rejected"]));
}

#[test]
fn what_is_missing_is_asked_for() {
    let folder = tempdir().unwrap();
    corpus(folder.path());
    let out = folder.path().join("out");
    let corpus = text(folder.path()).to_owned();
    let error = refused(&["synth", &corpus, "--out", text(&out), "--model", "http://127.0.0.1:9"]);
    assert!(error.contains("needs the model's name there") && error.contains("--model-name"), "{error}");
    let error = refused(&["synth", "no-such-folder", "--out", text(&out), "--model", BASE]);
    assert!(error.contains("no-such-folder") && error.contains("medtune ingest"), "{error}");
    let error = refused(&["synth", &corpus, "--out", &corpus, "--model", BASE]);
    assert!(error.contains("was not written by synth"), "{error}");
    let recipe = folder.path().join("recipe.yaml");
    fs::write(&recipe, "chunk: {max_tokens: 90}").unwrap();
    let error = refused(&["synth", &corpus, "--out", text(&out), "--model", BASE, "--recipe", text(&recipe)]);
    assert!(error.contains("recipe.yaml") && error.contains("`chunk`"), "{error}");
    let prompt = run(&["synth", "--print-prompt", "mc"], 0);
    assert!(stdout(&prompt).starts_with("---\nname: mc\nversion: 1\n---\n# system\n"));
    let error = refused(&["synth", "--print-prompt", "mcq"]);
    assert!(error.contains("no shipped prompt `mcq`") && error.contains("qa, mc, ecg-qa"), "{error}");
}
