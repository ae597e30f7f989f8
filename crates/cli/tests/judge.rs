//! `medtune judge` through the binary: with a server that says what a test wants, with the base that the program carries,
//! and with grades of people.

mod common;
#[path = "../../endpoint/tests/scripted_server/mod.rs"]
#[allow(dead_code)]
mod scripted_server;

use std::fs;
use std::path::Path;

use common::*;
use scripted_server::{Answer, Asked, ScriptedServer};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/base");
const ITEMS: usize = 24;

/// The answers of two systems, one as outcomes of an evaluation and one as a table.
fn answers() -> TempDir {
    let folder = tempdir().unwrap();
    let (mut lines, mut table) = (String::new(), "id,question,reference,answer\n".to_owned());
    for item in 0..ITEMS {
        let outcome = json!({ "id": format!("q{item}"), "question": format!("Question {item}?"), "reference": "It is so.",
            "answer": format!("strong answer {item}") });
        lines += &format!("{outcome}\n");
        table += &format!("q{item},Question {item}?,It is so.,weak answer {item}\n");
    }
    fs::write(folder.path().join("strong.jsonl"), lines).unwrap();
    fs::write(folder.path().join("weak.csv"), table).unwrap();
    folder
}

fn arguments(folder: &Path, server: &str, more: &[&str]) -> Vec<String> {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut arguments = vec!["judge".to_owned(), at("strong.jsonl"), at("weak.csv")];
    arguments.extend(["--judge", server, "--model-name", "scripted-1", "--json", "--out"].map(str::to_owned));
    arguments.push(at("out"));
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    arguments
}

fn as_text(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn point_wise(asked: &Asked) -> Answer {
    let score = if asked.question().contains("strong answer") { 5 } else { 2 };
    let scores =
        ["correctness", "completeness", "relevance", "safety"].map(|name| (name.to_owned(), json!(score)));
    let scores: serde_json::Map<String, Value> = scores.into_iter().collect();
    Answer::text(&json!({ "rationale": "so", "scores": scores }).to_string())
}

fn human(folder: &Path, strong: u32) -> String {
    let mut text = "item,system,grader,grade\n".to_owned();
    for item in 0..ITEMS {
        let (one, other) = if item.is_multiple_of(4) { (2, 2) } else { (strong, 4 - strong) };
        text += &format!("q{item},strong,doctor,{one}\nq{item},weak,doctor,{other}\n");
    }
    let path = folder.join("human.csv");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn scores_are_written_and_a_second_run_asks_nothing() {
    let folder = answers();
    let server = ScriptedServer::start(point_wise);
    let arguments = arguments(folder.path(), &server.address, &[]);
    let summary = run_json(&as_text(&arguments));
    assert_eq!((&summary["judge"], &summary["calls"]["judged"]), (&"scripted-1".into(), &(2 * ITEMS).into()));
    assert_eq!(summary["ranking"]["systems"][0]["system"], "strong");
    assert_eq!(server.asked().len(), 2 * ITEMS);
    let first = &server.asked()[0].body;
    assert_eq!(
        (&first["temperature"], &first["response_format"]["type"]),
        (&json!(0.0), &"json_schema".into())
    );
    let out = folder.path().join("out");
    let lines = fs::read_to_string(out.join("judgements.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 2 * ITEMS);
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&line["systems"], &line["verdict"]["scores"]["safety"]), (&json!(["strong"]), &json!(5.0)));
    assert!(out.join("judge.json").is_file());
    assert!(fs::read_to_string(out.join("judge.txt")).unwrap().contains("strong − weak: +3.00"));

    let again = run_json(&as_text(&arguments));
    assert_eq!((server.asked().len(), &again["scores"]), (2 * ITEMS, &summary["scores"]));
    assert_eq!(again["calls"]["kept"], again["calls"]["replies"]);

    // Another judge, of the family of one of the systems, is held against the first one.
    let (first, second) = (out.join("judgements.jsonl"), folder.path().join("second"));
    let other = self::arguments(folder.path(), &server.address, &["--other-judge", text(&first)]);
    let mut other: Vec<&str> = as_text(&other);
    for (option, value) in [("--model-name", "Strong"), ("--out", text(&second))] {
        let place = other.iter().position(|argument| *argument == option).unwrap();
        other[place + 1] = value;
    }
    let held = &run_json(&other)["self_preference"]["measured"];
    assert_eq!((&held["against"], &held["advantage"]), (&"other_judges".into(), &json!(0.0)));
}

#[test]
fn a_judge_that_disagrees_with_people_is_not_let_through_the_gate() {
    let folder = answers();
    let server = ScriptedServer::start(point_wise);
    let agrees = human(folder.path(), 4);
    let arguments = |out: &str, human: &str| {
        let mut arguments = arguments(folder.path(), &server.address, &["--calibration", human]);
        let place = arguments.iter().position(|argument| argument == "--out").unwrap();
        arguments[place + 1] = folder.path().join(out).to_str().unwrap().to_owned();
        arguments
    };
    let summary = run_json(&as_text(&arguments("agrees", &agrees)));
    assert_eq!(summary["calibration"]["passed"], true);
    assert!(summary["ranking"].is_object());

    let contradicts = human(folder.path(), 0);
    let output = run(&as_text(&arguments("contradicts", &contradicts)), 3);
    let error = stderr(&output);
    assert!(
        error.contains("the systems are not ranked: agreement with people on which of two answers"),
        "{error}"
    );
    assert!(error.contains("less than 0.4") && error.contains("hint: "), "{error}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(summary["ranking"].is_null() && summary["scores"].as_array().unwrap().len() == 10);
    let written = fs::read_to_string(folder.path().join("contradicts/judge.txt")).unwrap();
    assert!(written.contains("NOT CALIBRATED") && written.contains("no ranking: "), "{written}");
}

#[test]
fn a_judge_that_takes_the_first_answer_is_named() {
    let folder = answers();
    let server =
        ScriptedServer::start(|_| Answer::text(&json!({ "rationale": "", "winner": "A" }).to_string()));
    let summary = run_json(&as_text(&arguments(folder.path(), &server.address, &["--mode", "pairwise"])));
    assert_eq!(
        (&summary["pairs"][0]["ties"], &summary["pairs"][0]["disagreed"]),
        (&ITEMS.into(), &ITEMS.into())
    );
    assert_eq!(summary["position"]["verdict"], "prefers the answer that is shown earlier");
}

#[test]
fn nonsense_is_counted_and_a_server_without_credit_ends_it() {
    let folder = answers();
    let server = ScriptedServer::start(|asked| match asked.question().contains("Question 3?") {
        true => Answer::text("I like turtles."),
        false => match asked.body["messages"].as_array().unwrap().len() {
            2 => point_wise(asked),
            _ => Answer::text("Still turtles."),
        },
    });
    let summary = run_json(&as_text(&arguments(folder.path(), &server.address, &[])));
    assert_eq!(summary["calls"]["failed"], json!({ "unparsable": 2 }));
    assert_eq!(summary["scores"][0]["failed"], 1);
    let lines = fs::read_to_string(folder.path().join("out/judgements.jsonl")).unwrap();
    assert!(lines.contains("\"raw\":\"Still turtles.\""), "the reply is there word for word");
    let before = server.asked().len();
    run_json(&as_text(&arguments(folder.path(), &server.address, &[])));
    assert_eq!(server.asked().len(), before + 4, "what failed is asked again, and nothing else");

    let broke = ScriptedServer::start(|_| Answer::error(402, "no credit"));
    let mut arguments = arguments(folder.path(), &broke.address, &[]);
    let place = arguments.iter().position(|argument| argument == "--out").unwrap();
    arguments[place + 1] = folder.path().join("broke").to_str().unwrap().to_owned();
    let error = refused(&as_text(&arguments));
    assert!(error.contains("no credit left") && error.contains("0 of 48 calls are done"), "{error}");
    let written: Value =
        serde_json::from_slice(&fs::read(folder.path().join("broke/judge.json")).unwrap()).unwrap();
    assert_eq!(written["calls"]["not_asked"], 2 * ITEMS);
}

#[test]
fn a_dry_run_shows_prompts_and_costs_and_asks_nothing() {
    let folder = answers();
    let server = ScriptedServer::start(point_wise);
    let prices = folder.path().join("prices.yaml");
    fs::write(&prices, "scripted-1: {input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6}").unwrap();
    let more = ["--dry-run", "--mode", "pairwise", "--prices", text(&prices)];
    let plan = run_json(&as_text(&arguments(folder.path(), &server.address, &more)));
    assert_eq!((&plan["calls"], &plan["estimate"]["requests"]), (&(2 * ITEMS).into(), &(2 * ITEMS).into()));
    let prompts = plan["prompts"].as_array().unwrap();
    assert_eq!(prompts.len(), 2);
    let shown = |at: usize| prompts[at][1]["content"].as_str().unwrap();
    let earlier =
        |at: usize| shown(at).find("strong answer 0").unwrap() < shown(at).find("weak answer 0").unwrap();
    assert!(earlier(0) && !earlier(1), "both orders");
    let tokens = |name: &str| plan["estimate"][name].as_f64().unwrap();
    let expected = 1e-6 * tokens("prompt_tokens") + 2e-6 * tokens("reply_tokens");
    assert!((plan["cost"]["usual"].as_f64().unwrap() - expected).abs() < 1e-9);
    assert!(server.asked().is_empty() && !folder.path().join("out").exists());

    let mut arguments = arguments(folder.path(), &server.address, &more);
    let place = arguments.iter().position(|argument| argument == "--out").unwrap();
    arguments.drain(place..place + 2);
    assert_eq!(run_json(&as_text(&arguments)), plan, "it writes nothing, so it needs no folder");
    arguments.retain(|argument| argument != "--dry-run");
    assert!(stderr(&medtune().args(&arguments).output().unwrap()).contains("--out <DIR>"));
}

#[test]
fn the_shipped_base_judges_offline_and_every_call_is_accounted_for() {
    let folder = tempdir().unwrap();
    let answers = |name: &str, answer: &str| {
        let file = folder.path().join(name);
        let rows = format!("question,reference,answer\nIs it so?,Yes.,{answer}\nAnd now?,No.,{answer}\n");
        fs::write(&file, rows).unwrap();
        file
    };
    let (mine, theirs) = (answers("mine.csv", "Yes it is."), answers("theirs.csv", "It is not."));
    let judge = format!("local:{BASE}");
    let ask = |out: &str, more: &[&str]| {
        let out = folder.path().join(out);
        let first = ["judge", text(&mine), text(&theirs), "--judge", &judge, "--out", text(&out), "--json"];
        run_json(&[&first[..], more].concat())
    };
    let whole = ask("pairs", &["--mode", "pairwise", "--max-tokens", "200"]);
    assert_eq!((&whole["calls"]["judged"], &whole["judge"]), (&4.into(), &"base".into()), "{whole}");
    assert_eq!(whole["position"]["compared"], 2, "{whole}");

    let cut = ask("scores", &["--max-tokens", "24"]);
    let failed: u64 = cut["calls"]["failed"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!((cut["calls"]["judged"].as_u64().unwrap(), failed), (0, 4), "no verdict fits, and all say so");
}

#[test]
fn rows_that_cannot_be_read_are_counted_and_named_and_the_rest_is_judged() {
    let folder = answers();
    let (strong, weak) = (folder.path().join("strong.jsonl"), folder.path().join("weak.csv"));
    let lines: Vec<String> = fs::read_to_string(&strong).unwrap().lines().map(str::to_owned).collect();
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line.to_owned();
        lines.join("\n")
    };
    fs::write(&strong, with(2, &lines[2][..20])).unwrap();
    let table =
        fs::read_to_string(&weak).unwrap().replace("q5,Question 5?,", "q5,") + "q0,Question 0?,,again\n";
    fs::write(&weak, table).unwrap();

    let server = ScriptedServer::start(point_wise);
    let arguments = arguments(folder.path(), &server.address, &[]);
    let summary = run_json(&as_text(&arguments));
    let faults = summary["faults"].as_array().unwrap();
    let named = |at: usize| (faults[at]["file"].as_str().unwrap(), faults[at]["row"].as_u64().unwrap());
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert_eq!([named(0), named(1), named(2)], [(text(&strong), 3), (text(&weak), 6), (text(&weak), 25)]);
    assert_eq!(
        (&summary["items"], &summary["calls"]["judged"]),
        (&(ITEMS - 2).into(), &(2 * (ITEMS - 2)).into())
    );
    let asked = server.asked();
    assert!(
        asked
            .iter()
            .all(|asked| !["Question 2?", "Question 5?"].iter().any(|q| asked.question().contains(q)))
    );
    let written = fs::read_to_string(folder.path().join("out/judge.txt")).unwrap();
    assert!(written.contains("rows with something wrong: 1 duplicate id, 2 unreadable\n"), "{written}");
    assert!(written.contains("weak.csv, row 6: 3 cells, the header has 4\n"), "{written}");

    fs::write(&strong, r#"{"id": "q1", "answer": ["one", "two"]}"#).unwrap();
    let error = refused(&as_text(&arguments));
    assert!(error.contains("strong.jsonl: no row can be read; row 1: `answer` is a list of 2"), "{error}");
}

#[test]
fn grades_of_people_are_tabulated_without_a_judge() {
    let folder = tempdir().unwrap();
    let grades = human(folder.path(), 4);
    let document = run_json(&["judge", "--human", &grades, "--json"]);
    assert_eq!(document["table"]["systems"][0]["system"], "strong");
    assert_eq!(
        (&document["table"]["rows"], &document["table"]["pairs"][0]["verdict"]),
        (&(2 * ITEMS).into(), &"better".into())
    );
    let text = stdout(&run(&["judge", "--human", &grades, "--against", "weak"], 0));
    assert!(text.contains("strong − weak: +75 points, 18 : 0 of 24"), "{text}");
    assert!(refused(&["judge", "--human", &grades, "--against", "nobody"]).contains("no grades of `nobody`"));
}

#[test]
fn what_is_missing_is_asked_for() {
    let folder = answers();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let error =
        refused(&["judge", &at("weak.csv"), "--judge", BASE, "--out", &at("out"), "--mode", "pairwise"]);
    assert!(error.contains("two systems or more"), "{error}");
    let judge = ["--judge", "http://127.0.0.1:9", "--model-name", "x", "--dry-run"];
    fs::write(at("other.csv"), "question,answer\nAnother question?,yes\n").unwrap();
    fs::write(at("bare.csv"), "question,reference\nQuestion?,yes\n").unwrap();
    for (files, hint) in [
        (vec![at("weak.csv"), at("weak.csv")], "hint: name them: `medtune judge NAME=FILE"),
        (vec![at("weak.csv"), at("other.csv")], "hint: answers are put together by the column `id`"),
        (vec![at("bare.csv")], "hint: rename the column of the answers"),
        (vec![at("nothing.csv")], "hint: look at the path"),
    ] {
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let error = refused(&[&["judge"], &files[..], &judge].concat());
        assert!(error.contains(hint), "{error}");
    }
    let error = refused(&["judge", &at("weak.csv"), "--judge", "http://127.0.0.1:9", "--out", &at("out")]);
    assert!(error.contains("needs the model's name there"), "{error}");
    let prompt = stdout(&run(&["judge", "--print-prompt", "rubric"], 0));
    assert!(prompt.starts_with("---\nname: rubric\nversion: 1\n---\n"), "{prompt}");
    fs::write(at("rubric.yaml"), "criterion: []").unwrap();
    let error = refused(&[
        "judge",
        &at("weak.csv"),
        "--judge",
        BASE,
        "--out",
        &at("out"),
        "--rubric",
        &at("rubric.yaml"),
    ]);
    assert!(error.contains("rubric.yaml") && error.contains("criterion"), "{error}");
}

#[test]
fn judgements_of_other_programs_are_counted_by_our_rules() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("tuned.csv");
    fs::write(&path, "model_response,score_mixtral\nx,2.5\ny,4\nz,5\n").unwrap();
    let out = folder.path().join("out");
    let document = run_json(&["judge", "--import", text(&path), "--out", text(&out), "--json"]);
    assert_eq!(document[0]["calls"]["failed"], json!({ "placeholder": 1 }));
    assert_eq!(document[0]["scores"][0]["mean"]["value"], 4.5);
    assert_eq!(fs::read_to_string(out.join("judgements-1.jsonl")).unwrap().lines().count(), 3);
}
