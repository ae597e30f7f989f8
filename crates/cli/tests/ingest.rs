//! `medtune ingest`, from the outside.

mod common;
#[path = "../../corpus/tests/pdf_writer/mod.rs"]
mod pdf_writer;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{medtune, refused, run, run_json, stdout, text};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

fn documents() -> TempDir {
    let folder = tempdir().unwrap();
    for (name, content) in [
        ("gout.md", "# Gout\n\nIt hurts at night.\n"),
        ("asthma.html", "<h1>Asthma</h1><p>Air is short.</p><nav>Home</nav>"),
        ("notes.txt", "Seen by Dr. Zebulon Quick on 03/14/2019."),
        ("broken.xml", "<?xml version='1.0'?><article><body>"),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_folder_becomes_a_corpus_and_a_person_is_told_of_it() {
    let (folder, out) = (documents(), tempdir().unwrap());
    fs::write(folder.path().join("doses.csv"), "drug,mg").unwrap();
    let said = stdout(&run(&["ingest", text(folder.path()), "--out", text(out.path())], 0));
    assert!(said.contains("3 documents") && said.contains("1 skipped"), "{said}");
    assert!(
        said.contains("skipped: ") && said.contains("broken.xml: not a readable journal article"),
        "{said}"
    );
    assert!(said.contains("PHI gate: 1 date, 1 name"), "{said}");
    assert!(said.contains("no documents: 1 .csv (listed in "), "{said}");
    let blocks = lines(&out.path().join("blocks.jsonl"));
    let gout = blocks.iter().find(|block| block["text"] == "Gout").unwrap();
    assert_eq!((&gout["kind"], &gout["level"], &gout["block"]), (&"heading".into(), &1.into(), &0.into()));
    assert_eq!(lines(&out.path().join("removed.jsonl"))[0]["text"], "Home");
    assert_eq!(fs::read_dir(out.path().join("documents")).unwrap().count(), 3);
}

#[test]
fn masking_and_refusing_keep_persons_out_of_every_file() {
    let folder = documents();
    for (mode, status) in [("mask", 0), ("refuse", 3)] {
        let out = tempdir().unwrap();
        run(&["ingest", text(folder.path()), "--out", text(out.path()), "--phi", mode], status);
        for file in ["blocks.jsonl", "report.json", "phi.jsonl"] {
            assert!(
                !fs::read_to_string(out.path().join(file)).unwrap().contains("Zebulon"),
                "{mode}: {file}"
            );
        }
        assert_eq!(lines(&out.path().join("phi.jsonl")).len(), 2, "{mode}");
    }
}

#[test]
fn a_document_that_takes_too_much_memory_is_skipped_and_the_others_are_kept() {
    let (folder, out) = (documents(), tempdir().unwrap());
    fs::write(folder.path().join("huge.txt"), "A word and another.\n\n".repeat(4 << 20)).unwrap();
    let arguments = ["ingest", text(folder.path()), "--out", text(out.path()), "--memory", "256", "--json"];
    let report = run_json(&arguments);
    let of = |name: &str| {
        report["documents"]
            .as_array()
            .unwrap()
            .iter()
            .find(|document| document["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (&of("huge")["status"], &of("huge")["failure"]["cause"]),
        (&"failed".into(), &"memory".into())
    );
    assert_eq!(of("huge")["failure"]["error"], "needs more than 256 MiB of memory");
    assert_eq!(of("gout")["status"], "done");
}

#[test]
fn a_killed_run_goes_on_and_ends_as_if_it_had_never_been_killed() {
    let (folder, whole, killed) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    for number in 0..40 {
        let body = format!("# Document {number}\n\n{}\n", "It hurts at night. ".repeat(2000));
        fs::write(folder.path().join(format!("{number}.md")), body).unwrap();
    }
    run(&["ingest", text(folder.path()), "--out", text(whole.path()), "--workers", "2"], 0);
    let mut child = Command::new(env!("CARGO_BIN_EXE_medtune"))
        .args(["ingest", text(folder.path()), "--out", text(killed.path()), "--workers", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let parsed = killed.path().join("parsed");
    while !fs::read_dir(&parsed).is_ok_and(|entries| entries.count() > 3) {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.path().join("report.json").exists());
    let said = stdout(&run(&["ingest", text(folder.path()), "--out", text(killed.path())], 0));
    assert!(!said.contains(" 0 read before"), "{said}");
    for file in ["blocks.jsonl", "removed.jsonl", "phi.jsonl"] {
        let [a, b] = [&whole, &killed].map(|out| fs::read_to_string(out.path().join(file)).unwrap());
        assert!(a == b, "{file}");
    }
}

#[test]
fn what_cannot_be_done_is_said_with_a_hint() {
    let (folder, out) = (tempdir().unwrap(), tempdir().unwrap());
    let error = refused(&["ingest", text(folder.path()), "--out", text(out.path())]);
    assert!(error.contains("nothing to read in") && error.contains("hint: "), "{error}");
    fs::write(folder.path().join("broken.xml"), "<?xml version='1.0'?><article>").unwrap();
    let output = run(&["ingest", text(folder.path()), "--out", text(out.path()), "--json"], 1);
    assert!(common::stderr(&output).contains("no document could be read; the first: "));
    let error = refused(&["ingest", text(folder.path()), "--out", text(folder.path())]);
    assert!(error.contains("exists and is no corpus") && error.contains("hint: "), "{error}");
}

#[test]
fn the_verb_of_the_child_is_hidden_and_refuses_nonsense() {
    assert!(!stdout(&run(&["--help"], 0)).contains("ingest-child"));
    let output = medtune().arg("ingest-child").write_stdin("{}").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn rows_pass_the_gate_too() {
    let (folder, out) = (tempdir().unwrap(), tempdir().unwrap());
    let file = folder.path().join("rows.csv");
    fs::write(
        &file,
        common::questions() + "\"What is a cold?\",\"Ask Dr. Zebulon Quick, call 617-555-0134.\",cold\n",
    )
    .unwrap();
    let out = out.path().join("prepared");
    let report = run_json(&["prepare", text(&file), "--out", text(&out), "--phi", "mask", "--json"]);
    assert_eq!(report["phi"], serde_json::json!({"name": 1, "phone": 1}));
    assert_eq!(lines(&out.join("phi.jsonl")).len(), 2);
    for side in ["train", "val", "test"] {
        assert!(!fs::read_to_string(out.join(format!("{side}.jsonl"))).unwrap().contains("Zebulon"));
    }
    let report = run_json(&["prepare", text(&file), "--out", text(&out), "--phi", "refuse", "--json"]);
    assert_eq!(report["dropped"]["identifies_person"], 1);
}

#[test]
fn a_picture_of_a_page_needs_a_command_and_the_error_says_which() {
    let (folder, out) = (tempdir().unwrap(), tempdir().unwrap());
    fs::write(folder.path().join("page.png"), b"\x89PNG\r\n\x1a\n....").unwrap();
    let arguments = ["ingest", text(folder.path()), "--out", text(out.path())];
    let output = medtune().args(arguments).env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = common::stderr(&output);
    assert!(said.contains("`tesseract` command") && said.contains("package `tesseract-ocr`"), "{said}");

    // The name of another one says that it is text.
    fs::write(folder.path().join("scan.txt"), b"\x89PNG\r\n\x1a\n......").unwrap();
    let said = stdout(&medtune().args(arguments).env("PATH", "").output().unwrap());
    assert!(
        said.contains("scan.txt: ") && said.contains("its name says plain text, its content says picture"),
        "{said}"
    );
}

#[test]
fn documents_of_one_name_are_told_apart_and_one_page_is_not_several() {
    let (folder, out) = (tempdir().unwrap(), tempdir().unwrap());
    for (number, paper) in ["PMC1", "PMC2"].iter().enumerate() {
        fs::create_dir(folder.path().join(paper)).unwrap();
        let page = vec![pdf_writer::text(72.0, 700.0, 10.0, &format!("Paper {number} is about gout."))];
        fs::write(folder.path().join(paper).join("fulltext.pdf"), pdf_writer::pdf(&[page], &[])).unwrap();
    }
    let report = run_json(&["ingest", text(folder.path()), "--out", text(out.path()), "--json"]);
    let names: Vec<&str> = report["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|document| document["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["PMC1/fulltext", "PMC2/fulltext"]);
    assert!(report["documents"][0]["markdown"].as_str().unwrap().starts_with("documents/PMC1-fulltext-"));

    let alone = tempdir().unwrap();
    let paper = folder.path().join("PMC1/fulltext.pdf");
    let said = stdout(&run(&["ingest", text(&paper), "--out", text(alone.path())], 0));
    assert!(said.contains(": 1 document, 1 block, 1 page; 0 skipped"), "{said}");
}

#[test]
fn documents_are_sent_to_plain_http_addresses_only() {
    let (folder, out) = (documents(), tempdir().unwrap());
    let arguments =
        ["ingest", text(folder.path()), "--out", text(out.path()), "--docling", "https://docling.example"];
    let error = refused(&arguments);
    assert!(error.contains("begins with http://") && error.contains("ssh -L"), "{error}");
}

/// A page without text among others is read by commands that stand in for poppler's and Tesseract's.
#[cfg(unix)]
#[test]
fn a_page_that_is_a_picture_is_read_among_pages_with_text_or_reported() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, out, programs) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let page = |words: &str| vec![pdf_writer::text(72.0, 700.0, 10.0, words)];
    let pages = [page("First of all comes the history."), Vec::new(), page("Last of all comes the plan.")];
    fs::write(folder.path().join("visit.pdf"), pdf_writer::pdf(&pages, &[])).unwrap();
    let ingest = |path: &str| {
        let arguments = ["ingest", text(folder.path()), "--out", text(out.path()), "--json"];
        let output = medtune().args(arguments).env("PATH", path).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", common::stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["documents"][0]["warnings"].to_string()
    };
    let warnings = ingest("");
    assert!(warnings.contains("page 2") && warnings.contains("`pdftoppm` command"), "{warnings}");

    for (name, script) in [
        ("pdftoppm", "#!/bin/sh\nfor last; do :; done\n: > \"$last-2.png\"\n"),
        ("tesseract", "#!/bin/sh\necho 'Then comes the picture.'\n"),
    ] {
        let path = programs.path().join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::remove_dir_all(out.path()).unwrap();
    let warnings = ingest(text(programs.path()));
    assert!(warnings.contains("read by tesseract (eng): page 2"), "{warnings}");
    let blocks = lines(&out.path().join("blocks.jsonl"));
    let read: Vec<String> = blocks.iter().map(|line| format!("{line}")).collect();
    assert!(read[1].contains("Then comes the picture.") && read[1].contains("\"page\":2"), "{read:?}");
    assert_eq!(read.len(), 3);
}
