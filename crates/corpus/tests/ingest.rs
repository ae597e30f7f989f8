//! `corpus::ingest`: what lies in the corpus afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use corpus::ingest::{
    BlockRow, Cause, Converter, Isolation, Limits, Options, Program, Report, Status, ingest,
};
use corpus::phi::{Entry, Mode};
use corpus::{CorpusError, Kind};
use tempfile::{TempDir, tempdir};

fn options(workers: usize, phi: Mode) -> Options {
    Options {
        isolation: Isolation::InProcess,
        limits: Limits::default(),
        workers,
        phi,
        languages: "eng".into(),
        converter: None,
    }
}

fn read(inputs: &[&Path], out: &Path, options: &Options) -> Report {
    let inputs: Vec<PathBuf> = inputs.iter().map(|path| path.to_path_buf()).collect();
    ingest(&inputs, out, options, &mut |_| {}).unwrap()
}

/// A folder of documents in several formats, two of them broken.
fn documents() -> TempDir {
    let folder = tempdir().unwrap();
    for (name, text) in [
        ("gout.md", "# Gout\n\nIt hurts at night.\n"),
        ("asthma.html", "<h1>Asthma</h1><p>Air is short.</p><nav>Home</nav>"),
        ("notes.txt", "Seen by Dr. Zebulon Quick on 03/14/2019.\n\nBP 120/80."),
        ("copy.txt", "Seen by Dr. Zebulon Quick on 03/14/2019.\n\nBP 120/80."),
        ("wrong.pdf", "<!DOCTYPE html><p>No PDF.</p>"),
        ("broken.xml", "<?xml version='1.0'?><article><body>"),
        ("empty.txt", ""),
        ("book_pages_301-600.md", "## Two\n\nLater.\n"),
        ("book_pages_1-300.md", "# Book\n\n## One\n\nFirst.\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// All files of a corpus but the times in them.
fn contents(out: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![out.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let timeless: Vec<&str> = text.lines().filter(|line| !line.contains("\"seconds\"")).collect();
            files.insert(path.strip_prefix(out).unwrap().to_path_buf(), timeless.join("\n"));
        }
    }
    files
}

fn rows<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_folder_becomes_a_corpus_and_what_is_broken_is_reported() {
    let (folder, out) = (documents(), tempdir().unwrap());
    let report = read(&[folder.path()], out.path(), &options(2, Mode::Report));
    let of = |name: &str| report.documents.iter().find(|document| document.name == name).unwrap();
    assert_eq!((report.with(Status::Done).count(), report.with(Status::Failed).count()), (5, 2));

    let gout = of("gout");
    let markdown = fs::read_to_string(out.path().join(gout.markdown.as_ref().unwrap())).unwrap();
    assert_eq!(markdown, "# Gout\n\nIt hurts at night.\n");
    assert_eq!((gout.blocks, gout.title.as_deref()), (2, Some("Gout")));
    assert_eq!(of("asthma").removed, BTreeMap::from([("page furniture".to_owned(), 1)]));
    assert!(of("wrong").warnings[0].contains("its name says PDF, its content says HTML"));
    let broken = of("broken").failure.as_ref().unwrap();
    assert!(
        broken.cause == Cause::File && broken.error.contains("not a readable journal article"),
        "{broken:?}"
    );
    assert!(of("empty").failure.as_ref().unwrap().error.contains("an empty file"));
    // The same content twice is one document, known by both names.
    let notes = of("copy");
    assert_eq!(notes.paths.len(), 2);
    assert_eq!(notes.phi.values().sum::<usize>(), 2);

    let blocks: Vec<BlockRow> = rows(&out.path().join("blocks.jsonl"));
    let of_gout: Vec<&BlockRow> =
        blocks.iter().filter(|row| Some(&row.document) == gout.id.as_ref()).collect();
    assert_eq!((of_gout[1].block, of_gout[1].content.text.as_str()), (1, "It hurts at night."));
    assert_eq!(of_gout[0].content.kind, Kind::Heading { level: 1 });
}

#[test]
fn the_parts_of_a_book_are_one_document_and_know_their_pages() {
    let (folder, out) = (documents(), tempdir().unwrap());
    let report = read(&[folder.path()], out.path(), &options(1, Mode::Report));
    let book = report.documents.iter().find(|document| document.name == "book").unwrap();
    assert_eq!((book.paths.len(), book.pages), (2, Some(600)));
    assert!(book.warnings.is_empty());
    let blocks: Vec<BlockRow> = rows(&out.path().join("blocks.jsonl"));
    let later = blocks.iter().find(|row| row.content.text == "Later.").unwrap();
    let pages: Vec<u32> = later.content.places.iter().map(|place| place.page).collect();
    assert_eq!((later.block, pages), (4, vec![301, 600]));
}

#[test]
fn missing_and_doubled_pages_between_parts_are_said() {
    let (folder, out) = (tempdir().unwrap(), tempdir().unwrap());
    for pages in ["1-300", "300-600", "700-900"] {
        fs::write(folder.path().join(format!("b_pages_{pages}.md")), pages).unwrap();
    }
    let report = read(&[folder.path()], out.path(), &options(1, Mode::Report));
    let expected = ["pages 300 to 300 stand in two parts", "pages 601 to 699 are missing between the parts"];
    assert_eq!(report.documents[0].warnings, expected);
}

#[test]
fn the_corpus_is_the_same_with_any_number_of_workers_and_however_it_was_begun() {
    let folder = documents();
    let [one, four, resumed] = [(); 3].map(|()| tempdir().unwrap());
    read(&[folder.path()], one.path(), &options(1, Mode::Report));
    read(&[folder.path()], four.path(), &options(4, Mode::Report));
    assert_eq!(contents(one.path()), contents(four.path()));

    let part = folder.path().join("gout.md");
    assert_eq!(read(&[&part], resumed.path(), &options(1, Mode::Report)).reused, 0);
    // What a killed run leaves behind.
    fs::write(resumed.path().join(".blocks.jsonl.new"), "half").unwrap();
    fs::write(resumed.path().join("scratch").join("page-1.png"), "half").unwrap();
    let report = read(&[folder.path()], resumed.path(), &options(3, Mode::Report));
    assert_eq!(report.reused, 1);
    let mut resumed = contents(resumed.path());
    resumed.remove(Path::new(".blocks.jsonl.new"));
    assert_eq!(resumed, contents(one.path()));
}

#[test]
fn what_is_not_named_any_more_leaves_the_corpus_and_comes_back_without_being_read_again() {
    let (folder, out) = (documents(), tempdir().unwrap());
    read(&[folder.path()], out.path(), &options(2, Mode::Report));
    let gout = folder.path().join("gout.md");
    let report = read(&[&gout], out.path(), &options(2, Mode::Report));
    assert_eq!((report.documents.len(), report.dropped, report.reused), (1, 4, 1));
    assert_eq!(rows::<BlockRow>(&out.path().join("blocks.jsonl")).len(), 2);
    assert_eq!(read(&[folder.path()], out.path(), &options(2, Mode::Report)).reused, 5);
}

#[test]
fn a_masked_corpus_holds_nothing_that_identifies_a_person_in_any_file() {
    let (folder, out) = (documents(), tempdir().unwrap());
    let report = read(&[folder.path()], out.path(), &options(2, Mode::Mask));
    assert_eq!(report.with(Status::Done).count(), 5);
    for (path, text) in contents(out.path()) {
        assert!(!text.contains("Zebulon") && !text.contains("03/14"), "{}", path.display());
    }
    let manifest: Vec<Entry> = rows(&out.path().join("phi.jsonl"));
    assert_eq!(manifest.len(), 2);
}

#[test]
fn a_document_that_the_gate_refuses_is_not_in_the_corpus_and_the_others_are() {
    let (folder, out) = (documents(), tempdir().unwrap());
    let report = read(&[folder.path()], out.path(), &options(2, Mode::Refuse));
    assert_eq!((report.with(Status::Refused).count(), report.with(Status::Done).count()), (1, 4));
    for (path, text) in contents(out.path()) {
        assert!(!text.contains("Zebulon"), "{}", path.display());
    }
}

#[test]
fn nothing_to_read_and_a_folder_of_someone_else_are_errors() {
    let (folder, out) = (tempdir().unwrap(), tempdir().unwrap());
    let error =
        ingest(&[folder.path().into()], out.path(), &options(1, Mode::Report), &mut |_| {}).unwrap_err();
    assert!(matches!(error, CorpusError::Nothing { .. }));
    fs::write(folder.path().join("thesis.txt"), "My thesis.").unwrap();
    let error =
        ingest(&[folder.path().into()], folder.path(), &options(1, Mode::Report), &mut |_| {}).unwrap_err();
    assert!(matches!(error, CorpusError::NoCorpus { .. }), "{error}");
}

#[test]
fn a_converter_that_was_asked_for_reads_the_pictures_and_only_those() {
    let (folder, out) = (tempdir().unwrap(), tempdir().unwrap());
    fs::write(folder.path().join("scan.png"), b"\x89PNG\r\n\x1a\n....").unwrap();
    fs::write(folder.path().join("gout.md"), "# Gout").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut piece) = (Vec::new(), [0; 4096]);
        // The form ends with its boundary and two hyphens.
        while !request.ends_with(b"--\r\n") {
            let count = stream.read(&mut piece).unwrap();
            request.extend_from_slice(&piece[..count]);
        }
        let body = r##"{"document": {"md_content": "# Scanned\n\nBy docling."}, "status": "success"}"##;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
    });
    let timeout = Duration::from_secs(20);
    let converter = Some(Converter { program: Program::Docling, address, send_phi: false, timeout });
    let report = read(&[folder.path()], out.path(), &Options { converter, ..options(2, Mode::Report) });
    server.join().unwrap();
    let scan = report.documents.iter().find(|document| document.name == "scan").unwrap();
    assert_eq!((scan.status, scan.title.as_deref(), scan.blocks), (Status::Done, Some("Scanned"), 2));
    assert_eq!(report.with(Status::Done).count(), 2);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_document_and_keeps_nobody_waiting() {
    let (folder, out) = (tempdir().unwrap(), tempdir().unwrap());
    let pipe = folder.path().join("pipe.txt");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let report = read(&[&pipe], out.path(), &options(1, Mode::Report));
    let failure = report.documents[0].failure.as_ref().unwrap();
    assert!(failure.error.contains("no file but a device or a pipe"), "{failure:?}");
}
