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
        error.contains("5 of 20 chunks done") && error.contains("hint: ") && !error.contains(KEY),
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

    let place = arguments.iter().position(|argument| argument == "--out").unwrap();
    arguments.drain(place..place + 2);
    assert_eq!(run_json(&as_text(&arguments)), plan, "it writes nothing, so it needs no folder");
}

/// The report of a run whose rows nobody can foretell: the status is 1 where there is none.
fn report_whatever_comes(arguments: &[&str]) -> Value {
    let output = medtune().args(arguments).output().unwrap();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let status = if report["rows"] == 0 { 1 } else { 0 };
    assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    assert_eq!(stderr(&output).contains("no question to train with"), status == 1);
    report
}

/// A document without end: a row of a table and a word that no small model reads.
fn add_a_document_without_end(folder: &Path, times: usize) {
    let blocks = folder.join("blocks.jsonl");
    let row: String = (0..times).map(|number| format!("much{number} and more ")).collect();
    let word: String = (0..times).map(|number| format!("ha{number}")).collect();
    let table = format!("| Drug | Effect |\n|---|---|\n| aspirin | {row} |");
    let lines = [("table", table), ("paragraph", word)].iter().enumerate().map(|(at, (kind, text))| {
        serde_json::json!({ "document": format!("{:064x}", 255), "block": at, "kind": kind, "text": text }).to_string() + "\n"
    }).collect::<String>();
    fs::write(&blocks, fs::read_to_string(&blocks).unwrap() + &lines).unwrap();
}

#[test]
fn the_shipped_base_is_asked_about_every_chunk_offline_and_a_second_run_asks_nothing() {
    let folder = tempdir().unwrap();
    corpus_of_drugs::write(folder.path(), 1);
    add_a_document_without_end(folder.path(), 20);
    let out = folder.path().join("out");
    let arguments = ["synth", text(folder.path()), "--model", BASE, "--out", text(&out), "--json"];
    let arguments = [&arguments[..], &["--test", "0", "--val", "0", "--temperature", "0"]].concat();
    let report = report_whatever_comes(&arguments);
    assert_eq!((&report["complete"], &report["failed_chunks"]), (&true.into(), &0.into()), "{report}");
    let chunks = report["chunks"].as_u64().unwrap();
    assert!(chunks > 3 && report["replies"]["total"].as_u64().unwrap() >= chunks, "{report}");
    // It is small, but it cannot leave the form.
    assert!(report["drafts"].as_u64().unwrap() >= chunks && report["silent_chunks"] == 0, "{report}");
    let again = report_whatever_comes(&arguments);
    assert_eq!(again["replies"]["kept"], again["replies"]["total"]);
    assert_eq!((&again["drafts"], &again["rejected"]), (&report["drafts"], &report["rejected"]));
}

#[test]
fn a_chunk_that_is_too_long_for_the_model_is_left_out_alone() {
    let folder = tempdir().unwrap();
    corpus_of_drugs::write(folder.path(), 1);
    add_a_document_without_end(folder.path(), 200);
    let out = folder.path().join("out");
    let arguments = ["synth", text(folder.path()), "--model", BASE, "--out", text(&out), "--json"];
    let arguments = [&arguments[..], &["--test", "0", "--val", "0", "--chunk-tokens", "100000"]].concat();
    let report = report_whatever_comes(&arguments);
    assert_eq!(report["complete"], true);
    assert_eq!((&report["chunks"], &report["obstacles"]["refused"]), (&2.into(), &1.into()), "{report}");
    assert!(report["replies"]["total"].as_u64().unwrap() > 0, "{report}");
    let failed = fs::read_to_string(out.join("failed.jsonl")).unwrap();
    assert!(failed.contains("expected at most 1023") && failed.lines().count() == 1, "{failed}");
}

#[test]
fn what_the_gate_holds_back_is_counted_and_named_and_the_rest_is_done() {
    let folder = tempdir().unwrap();
    corpus(folder.path());
    let blocks = folder.path().join("blocks.jsonl");
    let lines = fs::read_to_string(&blocks).unwrap();
    let known = format!("Oral {} lowers", corpus_of_drugs::name(0));
    assert!(lines.contains(&known));
    fs::write(&blocks, lines.replace(&known, &format!("Patient: John Miller, MRN 12345678. {known}")))
        .unwrap();
    let server = ScriptedServer::start(good);
    // Not the address of this machine alone, so that it counts as another one's.
    let address = server.address.replace("127.0.0.1", "0.0.0.0");
    let arguments = arguments(folder.path(), &address, "out");
    let arguments: Vec<&str> =
        as_text(&arguments).into_iter().filter(|argument| *argument != "--json").collect();
    let output = run(&arguments, 3);
    assert!(stdout(&output).contains("1  not sent: the PHI gate"), "{}", stdout(&output));
    assert!(stdout(&output).contains("57 rows from 20 chunks of 10 documents"), "{}", stdout(&output));
    let said = stderr(&output);
    assert!(said.contains("the PHI gate held back 1 of 20 chunks") && said.contains("--allow-phi"), "{said}");
    let failed = fs::read_to_string(folder.path().join("out/failed.jsonl")).unwrap();
    assert!(failed.contains("\"obstacle\":\"not_sent\"") && failed.contains("1 name"), "{failed}");
    assert!(!failed.contains("Miller"), "{failed}");
    assert!(server.asked().iter().all(|asked| !asked.question().contains("Miller")));
}

#[test]
fn nothing_to_train_with_is_a_failure_in_words() {
    let folder = tempdir().unwrap();
    corpus(folder.path());
    let silent = ScriptedServer::start(|_| Answer::text("{\"questions\": []}"));
    let said = |server: &ScriptedServer, out: &str| {
        let output = run(&as_text(&arguments(folder.path(), &server.address, out)), 1);
        serde_json::from_slice::<Value>(&output.stdout).unwrap();
        stderr(&output)
    };
    let error = said(&silent, "silent");
    assert!(error.contains("the model proposed none for 20 chunks"), "{error}");
    let question = serde_json::json!({ "question": "What does the figure show?", "answer": "A curve." });
    let wrong = ScriptedServer::start(move |_| {
        Answer::text(&serde_json::json!({ "questions": [question] }).to_string())
    });
    let error = said(&wrong, "wrong");
    assert!(error.contains("20 proposed questions, and none passed the checks"), "{error}");
    assert!(error.contains("rejected.jsonl"), "{error}");
}

#[test]
fn the_recipes_of_the_ecg_project_send_whole_documents_with_its_settings() {
    let folder = tempdir().unwrap();
    let book: String = ["Signs", "Causes", "Treatment"]
        .iter()
        .map(|chapter| format!("# {chapter}\n\n{chapter} of hyperkalaemia.\n\n"))
        .collect();
    fs::write(folder.path().join("book.md"), book).unwrap();
    let corpus = folder.path().join("corpus");
    run(&["ingest", text(&folder.path().join("book.md")), "--out", text(&corpus)], 0);
    let server = ScriptedServer::start(good);
    for (name, prompt) in
        [("qa", "in which students answer in free text"), ("mc", "multiple-choice examination")]
    {
        let recipe = format!("{}/../../recipes/synth-ecg-{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let out = folder.path().join(name);
        let arguments =
            ["synth", text(&corpus), "--recipe", &recipe, "--out", text(&out), "--model", &server.address];
        run(&[&arguments[..], &["--model-name", "scripted-1", "--test", "0", "--val", "0"]].concat(), 1);
        let asked = server.asked().pop().unwrap();
        let [system, user] =
            [0, 1].map(|at| asked.body["messages"][at]["content"].as_str().unwrap().to_owned());
        assert!(system.contains(prompt), "{system}");
        assert!(["Signs of", "Causes of", "Treatment of"].iter().all(|part| user.contains(part)), "{user}");
        assert!(
            user.contains("one question for every important medical fact") && user.contains("in English"),
            "{user}"
        );
        assert_eq!((&asked.body["temperature"], &asked.body["max_tokens"]), (&0.1.into(), &50_000.into()));
    }
    assert_eq!(server.asked().len(), 2, "one request a document");
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
