//! `medtune prepare`, from the outside.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{questions, refused, run, run_json, stdout, text};
use serde_json::Value;
use tempfile::tempdir;

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_row_of_a_file_is_kept_or_on_file_with_its_reason() {
    let folder = tempdir().unwrap();
    let (file, out) = (folder.path().join("rows.csv"), folder.path().join("prepared"));
    let mut csv = questions();
    let again = csv.lines().nth(1).unwrap().to_owned();
    // A repeated row, a row without an answer, and one with a field too many.
    csv.push_str(&format!("{again}\n\"What is sepsis?\",,sepsis\n\"What is a cold?\",a,b,c\n"));
    fs::write(&file, csv).unwrap();

    let report = run_json(&["prepare", text(&file), "--out", text(&out), "--json"]);
    assert_eq!((&report["rows"], &report["kept"]), (&43.into(), &40.into()));
    let dropped = serde_json::json!({"column_count": 1, "empty_answer": 1, "exact_duplicate": 1});
    assert_eq!(report["dropped"], dropped);
    let splits: u64 = ["train", "val", "test"].iter().map(|s| report["splits"][s].as_u64().unwrap()).sum();
    assert_eq!(splits, 40);
    for (name, value) in report["leak"].as_object().unwrap() {
        assert_eq!(value, 0, "{name}");
    }
    assert!(report["groups"].as_u64().unwrap() <= 10);
    assert!(report["row_split_leak"]["shared_documents_share"].as_f64().unwrap() > 0.5);

    let known =
        ["certificate.json", "dropped.jsonl", "report.json", "test.jsonl", "train.jsonl", "val.jsonl"];
    assert_eq!(names(&out), known);
    for side in ["train", "val", "test"] {
        let rows = lines(&out.join(format!("{side}.jsonl")));
        assert_eq!(rows.len() as u64, report["splits"][side].as_u64().unwrap(), "{side}");
    }
    let dropped = lines(&out.join("dropped.jsonl"));
    let broken = dropped.iter().find(|row| row["rule"] == "column_count").unwrap();
    assert_eq!((&broken["origin"]["row"], &broken["origin"]["line"]), (&43.into(), &44.into()));
}

#[test]
fn a_person_reads_counts_rules_and_the_certificate_in_words() {
    let folder = tempdir().unwrap();
    let (file, out) = (folder.path().join("rows.csv"), folder.path().join("prepared"));
    fs::write(&file, questions() + "\"What is sepsis?\",,sepsis\n").unwrap();
    let page = stdout(&run(&["prepare", text(&file), "--out", text(&out)], 0));
    assert!(page.contains("41 rows read, 40 kept, 1 dropped"), "{page}");
    assert!(page.contains("dropped       1  empty_answer"), "{page}");
    assert!(page.contains("0 shared documents, 0 equal questions, 0 near-duplicates."), "{page}");
    assert!(page.contains("A plain split by rows would have leaked:"), "{page}");
    assert!(!page.contains('\u{1b}'), "no colours in a file: {page}");
}

#[test]
fn the_same_seed_gives_the_same_split_and_another_seed_another() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    fs::write(&file, questions()).unwrap();
    let split = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        run(&["prepare", text(&file), "--out", text(&out), "--seed", seed], 0);
        fs::read_to_string(out.join("test.jsonl")).unwrap()
    };
    let first = split("a", "1");
    assert_eq!(first, split("b", "1"));
    assert!((2..6).any(|seed| split(&format!("seed-{seed}"), &seed.to_string()) != first));
}

#[test]
fn a_missing_column_is_named_with_those_that_exist() {
    let folder = tempdir().unwrap();
    let (file, out) = (folder.path().join("rows.csv"), folder.path().join("prepared"));
    fs::write(&file, questions().replacen("question,", "Frage,", 1)).unwrap();
    let error = refused(&["prepare", text(&file), "--out", text(&out)]);
    assert!(error.contains("column `question`") && error.contains("Frage, answer, document"), "{error}");
    assert!(!out.exists());
    let renamed = ["prepare", text(&file), "--out", text(&out), "--column", "question=Frage", "--json"];
    assert_eq!(run_json(&renamed)["kept"], 40);
}

#[test]
fn a_folder_of_someone_else_is_refused_and_stays_as_it_is() {
    let folder = tempdir().unwrap();
    let (file, out) = (folder.path().join("rows.csv"), folder.path().join("letters"));
    fs::write(&file, questions()).unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("to-mother.txt"), "Dear mother").unwrap();
    let error = refused(&["prepare", text(&file), "--out", text(&out)]);
    assert!(error.contains("letters") && error.contains("not written by prepare"), "{error}");
    assert_eq!(names(&out), ["to-mother.txt"]);
    assert_eq!(names(folder.path()), ["letters", "rows.csv"]);
}

#[test]
fn an_earlier_result_is_replaced() {
    let folder = tempdir().unwrap();
    let (file, out) = (folder.path().join("rows.csv"), folder.path().join("prepared"));
    fs::write(&file, questions()).unwrap();
    let arguments = ["prepare", text(&file), "--out", text(&out), "--json"];
    let first = run_json(&arguments);
    assert_eq!(run_json(&arguments), first);
    assert_eq!(names(folder.path()), ["prepared", "rows.csv"]);
}

#[test]
fn a_folder_is_looked_into_again_with_its_nearest_pairs() {
    let folder = tempdir().unwrap();
    let (file, out) = (folder.path().join("rows.csv"), folder.path().join("prepared"));
    fs::write(&file, questions()).unwrap();
    run(&["prepare", text(&file), "--out", text(&out)], 0);
    let document = run_json(&["inspect", "split", text(&out), "--json"]);
    assert_eq!(document["certificate"]["leak"]["shared_documents"], 0);
    assert!(document["certificate"]["nearest_pairs"].is_array());
    assert_eq!(document["changed_files"], serde_json::json!([]));
    let page = stdout(&run(&["inspect", "split", text(&out)], 0));
    assert!(page.contains("The files are as they were written."), "{page}");

    fs::write(out.join("test.jsonl"), fs::read_to_string(out.join("train.jsonl")).unwrap()).unwrap();
    let page = stdout(&run(&["inspect", "split", text(&out)], 0));
    assert!(page.contains("Changed since they were written: test.jsonl"), "{page}");
    assert!(refused(&["inspect", "split", text(folder.path())]).contains("no certificate.json"));
}

/// A limit on the length of files stands in for a disk without room: the write fails midway in the same place.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_reported_and_leaves_nothing_half_written() {
    let folder = tempdir().unwrap();
    let (file, out) = (folder.path().join("rows.csv"), folder.path().join("prepared"));
    fs::write(&file, questions()).unwrap();
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" prepare \"$1\" --out \"$2\"";
    let output = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_medtune"), text(&file), text(&out)])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(".jsonl") && error.contains("File too large"), "{error}");
    assert_eq!(names(folder.path()), ["rows.csv"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output_is_an_error() {
    let folder = tempdir().unwrap();
    let (file, out) = (folder.path().join("rows.csv"), folder.path().join("prepared"));
    fs::write(&file, questions()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_medtune"))
        .args(["prepare", text(&file), "--out", text(&out), "--json"])
        .stdout(Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()))
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("standard output") && error.contains("No space left"), "{error}");
}
