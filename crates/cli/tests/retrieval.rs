//! Passages from documents to answers: `index`, `search`, and what reads before it answers.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/base");
/// A tiny BERT with random weights that encodes texts and scores pairs.
const BERT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/encoder_vectors/bert");
const ROBERTA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/encoder_vectors/roberta");

/// Rows of text, and the index made of them with `more` arguments.
fn indexed(more: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let rows = [
        ("asthma", "Asthma", "Salbutamol opens the airways. Adults inhale 2.5 mg every 4 hours."),
        ("stroke", "Stroke", "Thrombolysis dissolves the clot. It begins within 4.5 hours."),
        ("migraine", "Migraine", "Triptans end an attack. Beta blockers prevent attacks."),
    ];
    let lines = rows.map(|(id, title, text)| json!({ "id": id, "title": title, "text": text }).to_string());
    let file = folder.path().join("rows.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    let index = folder.path().join("index");
    run(&[&["index", text(&file), "--out", text(&index)][..], more].concat(), 0);
    (folder, index)
}

fn found(index: &Path, query: &str, more: &[&str]) -> Vec<String> {
    let document = run_json(&[&["search", text(index), query, "--json"][..], more].concat());
    let hits = document["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_document_becomes_passages_that_name_their_pages_and_headings() {
    let folder = tempdir().unwrap();
    let [documents, corpus, index] = ["documents", "corpus", "index"].map(|name| folder.path().join(name));
    fs::create_dir(&documents).unwrap();
    let page = "# Asthma\n\n## Treatment\n\nSalbutamol opens the airways of adults within minutes.\n\n\
                ## Prevention\n\nBeclometasone every day prevents attacks.\n";
    fs::write(documents.join("asthma.md"), page).unwrap();
    run(&["ingest", text(&documents), "--out", text(&corpus)], 0);
    let made = stdout(&run(&["index", text(&corpus), "--out", text(&index), "--passage-tokens", "16"], 0));
    assert!(made.contains("2 passages of 1 document; 2 added"), "{made}");
    let shown = stdout(&run(&["search", text(&index), "what prevents attacks?"], 0));
    assert!(shown.starts_with("1. asthma: Asthma › Prevention  (words 1:"), "{shown}");
    fs::remove_file(documents.join("asthma.md")).unwrap();
    fs::write(documents.join("stroke.md"), "# Stroke\n\nThrombolysis.\n").unwrap();
    run(&["ingest", text(&documents), "--out", text(&corpus)], 0);
    let changes = run_json(&["index", text(&corpus), "--out", text(&index), "--json"]);
    assert_eq!(changes["changes"], json!({ "added": 1, "kept": 0, "removed": 2 }));
}

#[test]
fn vectors_and_a_reranker_take_part_and_are_named() {
    let (folder, index) = indexed(&["--encoder", BERT]);
    assert_eq!(found(&index, "unheard of", &[]).len(), 3, "vectors rank every passage");
    let again =
        run_json(&["index", text(&folder.path().join("rows.jsonl")), "--out", text(&index), "--json"]);
    assert_eq!(
        (&again["changes"]["kept"], &again["vectors"]["made"]),
        (&3.into(), &0.into()),
        "they are kept"
    );
    assert!(found(&index, "unheard of", &["--retrieval", "words"]).is_empty());
    let judged = folder.path().join("judged.jsonl");
    fs::write(
        &judged,
        "{\"question\": \"migraine attack\", \"relevant\": {\"migraine\": 2, \"asthma\": 0}}\n{}\n",
    )
    .unwrap();
    let ask = ["search", text(&index), "--questions", text(&judged), "--reranker", BERT, "--json"];
    let document = run_json(&ask);
    assert_eq!(document["retrieval"]["settings"]["method"], "hybrid");
    assert_eq!(
        (&document["retrieval"]["encoder"], &document["retrieval"]["reranker"]),
        (&"bert".into(), &"bert".into())
    );
    assert_eq!(document["results"]["recall@5"]["value"], 1.0);
    assert_eq!(document["skipped"].as_array().unwrap().len(), 1);
    let hits = run_json(&["search", text(&index), "migraine", "--reranker", BERT, "--json"]);
    let scores: Vec<f64> =
        hits["hits"].as_array().unwrap().iter().map(|hit| hit["reranked"].as_f64().unwrap()).collect();
    assert!(scores.len() == 3 && scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    let long = folder.path().join("long.jsonl");
    fs::write(&long, json!({ "text": "asthma ".repeat(200) }).to_string()).unwrap();
    let made = run_json(&[
        "index",
        text(&long),
        "--out",
        text(&folder.path().join("long")),
        "--encoder",
        BERT,
        "--passage-tokens",
        "10000",
        "--json",
    ]);
    assert_eq!(
        (&made["vectors"]["cut"], made["vectors"]["tokens_cut"].as_u64() > Some(100)),
        (&1.into(), true),
        "{made}"
    );
    let other = refused(&["search", text(&index), "migraine", "--encoder", ROBERTA]);
    assert!(other.contains("its vectors were made by bert, this is roberta"), "{other}");
}

#[test]
fn an_answer_from_passages_shows_its_sources_or_that_there_is_none() {
    let (_folder, index) = indexed(&[]);
    let asked =
        ["ask", "How is asthma treated?", "--model", BASE, "--rag", text(&index), "--max-new-tokens", "24"];
    let document = run_json(&[&asked[..], &["--json"]].concat());
    assert_eq!(document["passages"][0]["name"], "asthma");
    assert!(document["prompt_tokens"].as_u64().unwrap() > 60, "{document}");
    assert!(document["sentences"].is_array() && document["cited"].is_array());
    let shown = stdout(&run(&asked, 0));
    assert!(shown.contains("[1] asthma: Asthma"), "{shown}");
    let nothing = ["ask", "xylophone?", "--model", BASE, "--rag", text(&index)];
    assert!(stdout(&run(&nothing, 0)).starts_with("nothing found in 3 passages of "));
    assert_eq!(run_json(&[&nothing[..], &["--json"]].concat())["answer"], Value::Null);
    let room = refused(&[&asked[..6], &["--max-new-tokens", "2000"]].concat());
    assert!(room.contains("no room for a passage") && room.contains("hint:"), "{room}");
}

#[test]
fn an_evaluation_with_passages_is_compared_with_one_without() {
    let (folder, index) = indexed(&[]);
    let tasks = folder.path().join("exam.jsonl");
    let question = |id: &str, question: &str, right: &str| {
        json!({ "id": id, "question": question, "options": { "A": "Salbutamol", "B": "Triptans", "C": "Thrombolysis" },
                "answer": right })
        .to_string()
    };
    let questions = [
        question("1", "What opens the airways in asthma?", "A"),
        question("2", "What ends an attack of migraine?", "B"),
        question("3", "Xylophone?", "C"),
    ];
    fs::write(&tasks, questions.join("\n")).unwrap();
    let [plain, read, page] = ["plain", "read", "page"].map(|name| folder.path().join(name));
    let asked = ["eval", "--model", BASE, "--tasks", text(&tasks), "--mode", "letter"];
    run(&[&asked[..], &["--out", text(&plain)]].concat(), 0);
    let rag = ["--rag", text(&index), "--passages", "2", "--out", text(&read)];
    let table = stdout(&run(&[&asked[..], &rag].concat(), 0));
    assert!(table.contains("before the questions up to 2 passages of index (BM25)"), "{table}");
    assert!(table.contains("none before 1"), "{table}");
    let items: Vec<Value> = fs::read_to_string(read.join("items.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(items[0]["evidence"]["passages"][0], "asthma");
    assert_eq!(items[2]["evidence"]["passages"], json!([]));
    assert!(items[0]["question"].as_str().unwrap().starts_with("Question: What opens"), "{}", items[0]);
    let settings: Value = serde_json::from_slice(&fs::read(read.join("settings.json")).unwrap()).unwrap();
    assert_eq!(
        (&settings["retrieval"]["settings"]["method"], &settings["retrieval"]["settings"]["passages"]),
        (&"words".into(), &2.into())
    );
    run(&["rescore", text(&read)], 0);
    run(&["compare", text(&plain), text(&read), "--out", text(&page)], 0);
    let report = fs::read_to_string(page.join("report.html")).unwrap();
    assert!(report.contains("stood up to 2 passages of index (BM25), index "));
    assert!(report.contains("\"scores\":\"read asthma") && report.contains("\"scores\":\"read no passage\""));
    let rated = |items: &[Value]| items[0]["choice"]["rated"].clone();
    let before: Vec<Value> = fs::read_to_string(plain.join("items.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_ne!(rated(&items), rated(&before), "the model has read the passages");
    assert_eq!(
        items[2]["choice"]["rated"], before[2]["choice"]["rated"],
        "and nothing where nothing was found"
    );
}

#[test]
fn held_out_questions_are_answered_from_passages_too() {
    let (folder, index) = indexed(&[]);
    let [test, choices] = ["test.jsonl", "choices.jsonl"].map(|name| folder.path().join(name));
    let turns = json!([{ "role": "user", "content": "What opens the airways in asthma?" },
                       { "role": "assistant", "content": "Salbutamol does." }]);
    fs::write(&test, json!({ "id": "q1", "group": "g", "messages": turns }).to_string()).unwrap();
    let item = json!({ "id": "c1", "question": "What ends an attack of migraine?", "answer_idx": "A",
                       "options": { "A": "Triptans", "B": "Salbutamol" } });
    fs::write(&choices, item.to_string()).unwrap();
    let asked = ["eval", "--model", BASE, text(folder.path()), "--max-new-tokens", "8", "--json"];
    let plain = run_json(&asked);
    let out = folder.path().join("read");
    let rag = ["--rag", text(&index), "--passages", "1", "--out", text(&out)];
    let read = run_json(&[&asked[..], &rag].concat());
    let (before, after) = (&plain["outcomes"], &read["outcomes"]);
    for (at, passage) in [(0, "asthma"), (1, "migraine")] {
        assert_eq!(after[at]["evidence"], json!({ "passages": [passage] }));
        assert_eq!(after[at]["question"], before[at]["question"], "the question is shown as it was");
    }
    assert_ne!(after[0]["loss"]["loss_sum"], before[0]["loss"]["loss_sum"]);
    assert_eq!(after[0]["loss"]["tokens"], before[0]["loss"]["tokens"]);
    assert_ne!(after[1]["choice"]["rated"], before[1]["choice"]["rated"]);
    let settings: Value = serde_json::from_slice(&fs::read(out.join("settings.json")).unwrap()).unwrap();
    assert_eq!(settings["retrieval"]["settings"]["passages"], 1);
}

#[test]
fn passages_have_room_left_for_the_question() {
    let folder = tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    let long = "Salbutamol opens the airways of adults. ".repeat(200);
    let lines =
        (0..3).map(|at| json!({ "id": at, "text": format!("{long}{at}") }).to_string()).collect::<Vec<_>>();
    fs::write(&rows, lines.join("\n")).unwrap();
    let index = folder.path().join("index");
    run(&["index", text(&rows), "--out", text(&index), "--passage-tokens", "100000"], 0);
    let tasks = folder.path().join("exam.jsonl");
    let question = json!({ "id": "1", "question": "What opens airways?", "options": ["Salbutamol", "Rest"], "answer": "Salbutamol" });
    fs::write(&tasks, question.to_string()).unwrap();
    let document =
        run_json(&["eval", "--model", BASE, "--tasks", text(&tasks), "--rag", text(&index), "--json"]);
    let evidence = &document["items"][0]["evidence"];
    assert_eq!(evidence, &json!({ "passages": ["0"], "left_out": 2, "cut": true }));
    assert_eq!(document["items"][0]["choice"]["cut"], Value::Null, "the question is whole");
}

#[test]
fn names_that_are_numbers_are_names() {
    let folder = tempdir().unwrap();
    let [rows, judged, index] = ["rows.jsonl", "judged.jsonl", "index"].map(|name| folder.path().join(name));
    fs::write(&rows, "{\"pmid\": 7, \"text\": \"Sleep.\"}\n{\"pmid\": 8, \"text\": \"Pain.\"}\n").unwrap();
    fs::write(&judged, "{\"id\": 1, \"question\": \"pain\", \"relevant\": [8]}\n").unwrap();
    run(&["index", text(&rows), "--out", text(&index)], 0);
    let measured = run_json(&["search", text(&index), "--questions", text(&judged), "--json"]);
    assert_eq!(
        (&measured["items"][0]["id"], &measured["results"]["recall@1"]["value"]),
        (&"1".into(), &1.0.into())
    );
}

#[test]
fn what_cannot_be_indexed_or_searched_is_named() {
    let folder = tempdir().unwrap();
    let rows = folder.path().join("rows.csv");
    fs::write(&rows, "Frage,Antwort\nWas?,Das.\n").unwrap();
    let index = folder.path().join("index");
    let none = refused(&["index", text(&rows), "--out", text(&index)]);
    assert!(none.contains("no passage; 1 row skipped") && none.contains("--column text=answer"), "{none}");
    run(&["index", text(&rows), "--out", text(&index), "--column", "text=Antwort"], 0);
    assert!(
        refused(&["search", text(&index), "x", "--retrieval", "vectors"])
            .contains("the index has no vectors")
    );
    assert!(refused(&["search", text(&rows), "x"]).contains("not a database"));
    let unused = refused(&["search", text(&index), "x", "--encoder", BERT]);
    assert!(unused.contains("no vectors of") && unused.contains("are looked for"), "{unused}");
    let folders = [("absent", "there is no such file"), (".", "a folder that is no corpus")];
    for (name, reason) in folders {
        let source = folder.path().join(name);
        assert!(refused(&["index", text(&source), "--out", text(&index)]).contains(reason), "{name}");
    }
    let suite = refused(&["eval", "--model", BASE, "--suite", "safety", "--rag", text(&index)]);
    assert!(suite.contains("nothing is asked here that passages could be read before"), "{suite}");
    let twice = folder.path().join("twice.jsonl");
    fs::write(&twice, "{\"id\": 1, \"text\": \"a\"}\n{\"id\": 1, \"text\": \"b\"}\n").unwrap();
    assert!(refused(&["index", text(&twice), "--out", text(&index)]).contains("two passages are called `1`"));
    assert_eq!(found(&index, "das", &[]), ["rows-1"], "an index that could not be changed is as it was");
}
