//! The prepared folder: complete or not there, readable again, and never someone else's.

use std::fs;
use std::path::Path;

use dataset::{Error, Input, PrepareOptions, load, load_choices, prepare};

fn write_inputs(folder: &Path) -> Vec<Input> {
    let mut talks = String::new();
    for at in 0..40 {
        talks += &format!(
            "{{\"id\":\"q{at}\",\"document\":\"d{}\",\"topic\":\"t\",\"question\":\"What is condition{at}?\",\"answer\":\"It is  number {at}.\"}}\n",
            at / 2
        );
    }
    talks += "{broken\n";
    let choices = "{\"id\":\"c1\",\"document\":\"e\",\"topic\":\"t\",\"question\":\"Which is it?\",\"options\":{\"A\":\"x\",\"B\":\"y\"},\"answer_idx\":\"B\"}\n\
        {\"id\":\"c2\",\"question\":\"What is  condition3 ?\",\"options\":{\"A\":\"x\",\"B\":\"y\"},\"answer_idx\":\"A\"}\n";
    fs::write(folder.join("talks.jsonl"), talks).expect("written");
    fs::write(folder.join("choices.jsonl"), choices).expect("written");
    ["talks.jsonl", "choices.jsonl"].map(|name| Input::new(folder.join(name))).into()
}

#[test]
fn a_prepared_folder_holds_every_row_once_and_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (inputs, out) = (write_inputs(folder.path()), folder.path().join("out"));
    let prepared = prepare(&inputs, &out, &PrepareOptions::default()).expect("prepared");

    let [train, val, test] =
        ["train", "val", "test"].map(|side| load(&out.join(format!("{side}.jsonl"))).expect("readable"));
    assert_eq!((&train, &val, &test), (&prepared.train, &prepared.val, &prepared.test));
    assert_eq!((train.len(), val.len(), test.len()), (32, 4, 4));
    assert_eq!(train[0].messages[1].content.matches("  ").count(), 0);
    let choices = load_choices(&out.join("choices.jsonl")).expect("readable");
    assert_eq!((choices.len(), choices[0].answer_idx.as_str(), choices == prepared.choices), (2, "B", true));
    assert_eq!(fs::read_to_string(out.join("dropped.jsonl")).expect("readable").lines().count(), 1);

    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).expect("readable")).expect("JSON");
    assert_eq!(
        (&report["rows"], &report["kept"], &report["dropped"]["json_syntax"]),
        (&43.into(), &42.into(), &1.into())
    );
    assert_eq!(
        (&report["groups"], &report["splits"]["train"], &report["choices"]),
        (&20.into(), &32.into(), &2.into())
    );
    for field in ["exact_questions", "near_duplicates", "shared_documents"] {
        assert_eq!(report["leak"][field], 0);
        assert!(report["row_split_leak"][field].is_number());
    }
    let hash = blake3::hash(&fs::read(out.join("train.jsonl")).expect("readable")).to_hex().to_string();
    assert_eq!(report["outputs"][0]["blake3"], hash);
    let three_trains = train.iter().any(|example| example.id == "q3");
    assert_eq!(prepared.certificate.choices.exact_questions, usize::from(three_trains));
    assert!(fs::read_dir(folder.path()).expect("readable").count() == 3, "no hidden folder is left");
}

#[test]
fn preparing_again_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (inputs, out) = (write_inputs(folder.path()), folder.path().join("out"));
    let files = || {
        let entries = fs::read_dir(&out).expect("readable").map(|entry| entry.expect("readable").path());
        let mut files: Vec<_> =
            entries.map(|path| (path.clone(), fs::read(path).expect("readable"))).collect();
        files.sort();
        files
    };
    prepare(&inputs, &out, &PrepareOptions::default()).expect("prepared");
    let first = files();
    prepare(&inputs, &out, &PrepareOptions::default()).expect("prepared again");
    assert_eq!(first, files());
}

#[test]
fn a_folder_of_someone_else_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (inputs, out) = (write_inputs(folder.path()), folder.path().join("out"));
    fs::create_dir(&out).expect("created");
    prepare(&inputs, &out, &PrepareOptions::default()).expect("an empty folder is free");
    fs::write(out.join("notes.txt"), "mine").expect("written");
    let error = prepare(&inputs, &out, &PrepareOptions::default()).expect_err("not ours alone");
    assert!(matches!(error, Error::OutputExists { .. }), "{error}");
    assert_eq!(fs::read_to_string(out.join("notes.txt")).expect("readable"), "mine");
    let other = folder.path().join("other");
    fs::create_dir(&other).expect("created");
    fs::write(other.join("train.jsonl"), "{}").expect("written");
    let error = prepare(&inputs, &other, &PrepareOptions::default()).expect_err("no report");
    assert!(matches!(error, Error::OutputExists { .. }), "{error}");
}

#[test]
fn a_call_that_fails_leaves_the_earlier_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut inputs, out) = (write_inputs(folder.path()), folder.path().join("out"));
    prepare(&inputs, &out, &PrepareOptions::default()).expect("prepared");
    let before = fs::read(out.join("train.jsonl")).expect("readable");
    inputs.push(Input::new(folder.path().join("missing.csv")));
    prepare(&inputs, &out, &PrepareOptions::default()).expect_err("a file is missing");
    assert_eq!(before, fs::read(out.join("train.jsonl")).expect("readable"));
}

#[test]
fn a_line_that_is_no_example_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("train.jsonl");
    for line in ["{}", "{\"messages\":[]}", "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}", "x"] {
        let good = "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}]}";
        fs::write(&path, format!("{good}\n\n{line}\n")).expect("written");
        let error = load(&path).expect_err("no example");
        assert!(matches!(error, Error::Prepared { line: 3, .. }), "{line}: {error}");
    }
}

#[test]
fn options_that_are_not_known_are_refused() {
    let known =
        r#"{"cleaning":{"max_answer_words":1500},"split":{"by":["document"],"test":0.2,"stratify":"topic"}}"#;
    assert!(serde_json::from_str::<PrepareOptions>(known).is_ok());
    assert!(serde_json::from_str::<PrepareOptions>(r#"{"cleaning":{"max_words":1}}"#).is_err());
}
