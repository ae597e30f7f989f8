//! `medtune eval --model URL` through the binary, with a server that says what a test wants.

mod common;
#[path = "../../endpoint/tests/scripted_server/mod.rs"]
#[allow(dead_code)]
mod scripted_server;

use std::fs;
use std::path::Path;

use common::*;
use scripted_server::{Answer, Asked, ScriptedServer, completion};
use serde_json::{Value, json};
use tempfile::tempdir;

const ROWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../eval/tests/data/tasks");

fn eval<'a>(address: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["eval", "--model", address, "--model-name", "scripted-1"][..], more].concat()
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A file of four questions, `q0` to `q3`.
fn questions(folder: &Path) -> String {
    let row = |at: usize| {
        let messages = json!([{ "role": "user", "content": format!("Question {at}?") },
            { "role": "assistant", "content": "Give 5 mg once a day." }]);
        json!({ "id": format!("q{at}"), "group": format!("d{at}"), "messages": messages }).to_string()
    };
    let file = folder.join("test.jsonl");
    fs::write(&file, (0..4).map(row).collect::<Vec<_>>().join("\n")).unwrap();
    text(&file).to_owned()
}

#[test]
fn letters_are_asked_for_by_a_schema_and_what_names_none_is_unparsed() {
    let server = ScriptedServer::start(|asked: &Asked| match asked.question() {
        question if question.contains("iron deficiency") => Answer::text(r#"{"answer": "A"}"#),
        _ => Answer::text("It depends on the patient."),
    });
    let folder = tempdir().unwrap();
    let (out, file) = (folder.path().join("out"), format!("{ROWS}/own.jsonl"));
    let arguments =
        eval(&server.address, &["--tasks", &file, "--mode", "letter", "--json", "--out", text(&out)]);
    let document = run_json(&arguments);
    let counts = &document["tasks"][0]["counts"];
    assert_eq!((&counts["right"], &counts["unparsed"]), (&json!(1), &json!(1)));
    assert_eq!(document["items"][1]["answer"], "It depends on the patient.");
    let body = &server.asked()[0].body;
    let letters = &body["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"];
    assert!(letters.as_array().unwrap().contains(&json!("C")), "{body}");
    assert_eq!(body["temperature"], 0.0);
    let settings = json_file(&out.join("settings.json"));
    assert_eq!(settings["model"], format!("scripted-1 at {}", server.address));
    assert_eq!((&settings["options"]["replies"]["replies"], &settings["seed"]), (&json!(2), &json!(0)));
    assert_eq!(settings["tasks"]["own"]["mode"], "letter");
    run_json(&arguments);
    assert_eq!(server.asked().len(), 2, "replies that are there are not asked for again");
}

#[test]
fn written_answers_are_read_by_the_rule_and_thinking_is_not_the_answer() {
    let server = ScriptedServer::start(|asked: &Asked| match asked.number % 3 {
        0 => Answer::text("<think>The answer is C? No.</think>The answer is A."),
        1 => Answer::body(&json!({ "choices": [{ "finish_reason": "content_filter",
            "message": { "content": null, "refusal": "I will not say A." } }] })),
        _ => Answer::text("I don't know."),
    });
    let arguments =
        ["--tasks", "medmcqa", "--data", ROWS, "--mode", "generation", "--at-once", "1", "--json"];
    let document = run_json(&eval(&server.address, &arguments));
    let items = document["items"].as_array().unwrap();
    assert_eq!(
        (&items[0]["choice"]["picked"], &items[0]["answer"]),
        (&json!("A"), &json!("The answer is A."))
    );
    assert_eq!(
        (&items[1]["choice"]["picked"], &items[1]["choice"]["abstained"]),
        (&json!(null), &json!(true))
    );
    assert_eq!(items[2]["choice"]["abstained"], true);
    assert_eq!(document["tasks"][0]["counts"]["abstained"], 2);
}

#[test]
fn questions_without_a_reply_are_named_and_in_no_number() {
    let server = ScriptedServer::start(|asked: &Asked| match asked.question() {
        "Question 2?" => Answer::error(400, "context length exceeded"),
        _ => Answer::text("Give 50 mg once a day."),
    });
    let folder = tempdir().unwrap();
    let (out, file) = (folder.path().join("out"), questions(folder.path()));
    let output = run(&eval(&server.address, &[&file, "--out", text(&out)]), 0);
    let said = stdout(&output);
    assert!(said.contains("1 question without a reply, in no number; the first: q2"), "{said}");
    assert!(said.contains("context length exceeded") && said.contains("stop rate"), "{said}");
    let results = json_file(&out.join("results.json"));
    let metrics = &results["medtune"]["tasks"]["questions"]["metrics"];
    assert_eq!((&metrics["rouge_l"]["n"], &metrics["changed_quantities"]["value"]), (&json!(3), &json!(1.0)));
    assert_eq!(json_file(&out.join("settings.json"))["left_out"].as_array().unwrap().len(), 1);
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("context length exceeded"));
}

#[test]
fn a_server_that_breaks_down_scores_nothing_and_the_same_command_goes_on() {
    let server = ScriptedServer::start(|asked: &Asked| match asked.number {
        2 => Answer::error(401, "key revoked"),
        _ => Answer::text("Give 5 mg once a day."),
    });
    let folder = tempdir().unwrap();
    let (out, file) = (folder.path().join("out"), questions(folder.path()));
    let arguments = eval(&server.address, &[&file, "--at-once", "1", "--out", text(&out)]);
    let error = refused(&arguments);
    assert!(error.contains("key revoked") && error.contains("not asked: 2 of 4 questions"), "{error}");
    assert!(error.contains("the same command goes on") && !out.join("results.json").exists(), "{error}");
    run(&arguments, 0);
    assert_eq!(server.asked().len(), 5);
    assert_eq!(json_file(&out.join("results.json"))["medtune"]["items"], 4);
}

#[test]
fn the_safety_suite_is_scored_from_replies_alone() {
    let server = ScriptedServer::start(|_| {
        let mut reply = completion("Call an ambulance");
        reply["choices"][0]["finish_reason"] = json!("length");
        Answer::body(&reply)
    });
    let folder = tempdir().unwrap();
    let out = folder.path().join("safety");
    let more = ["--suite", "safety", "--limit", "6", "--json", "--out", text(&out)];
    let document = run_json(&eval(&server.address, &more));
    assert_eq!((&document["summary"]["items"], &document["summary"]["mutations"]), (&json!(6), &json!(null)));
    assert_eq!(document["outcomes"][0]["finished"], false);
    assert_eq!(json_file(&out.join("settings.json"))["options"]["suite"], "safety");
}

#[test]
fn what_an_address_cannot_do_is_refused() {
    let server = ScriptedServer::start(|_| Answer::error(400, "no"));
    let folder = tempdir().unwrap();
    let file = questions(folder.path());
    let refused = |more: &[&str]| refused(&eval(&server.address, more));
    let error = refused(&["--tasks", "medmcqa", "--data", ROWS]);
    assert!(error.contains("gives no log-likelihoods") && error.contains("--mode letter"), "{error}");
    assert!(refused(&[&file, "--adapter", "x"]).contains("for models on this machine"));
    let error = refused(&[&file]);
    assert!(error.contains("no reply to any of 4 questions"), "{error}");
    let choices = folder.path().join("choices.jsonl");
    fs::copy(format!("{ROWS}/own.jsonl"), &choices).unwrap();
    assert!(refused(&[text(&choices)]).contains("--mode letter"));
    let local = common::refused(&["eval", "--model", "there/is/none", "--model-name", "x", &file]);
    assert!(local.contains("is no address"), "{local}");
}

#[test]
fn a_persons_data_does_not_leave_the_machine() {
    let folder = tempdir().unwrap();
    let row = json!({ "id": "q0", "group": "d0", "messages": [
        { "role": "user", "content": "Patient: John Miller, MRN 12345678, seen on 03/14/2024. What now?" },
        { "role": "assistant", "content": "Rest." }] });
    let file = folder.path().join("test.jsonl");
    fs::write(&file, row.to_string()).unwrap();
    // An address that no machine has (RFC 5737): nothing is sent to it.
    let error = refused(&eval("http://203.0.113.7/v1", &[text(&file)]));
    assert!(error.contains("not sent") && !error.contains("Miller"), "{error}");
}
