//! The PDF reader against publishers' XML, the truth of the ICDAR 2013 competition and olmOCR-bench.
//!
//! `cargo run --release -p corpus --example pdf_score -- DATA` prints the figures in full.

#[path = "../examples/pdf_score/facts.rs"]
mod facts;
#[path = "../examples/pdf_score/output.rs"]
#[allow(dead_code, reason = "only the example reads other tools' files")]
mod output;
#[path = "../examples/pdf_score/paper.rs"]
mod paper;
mod reference;
#[path = "../examples/pdf_score/tables.rs"]
mod tables;
#[path = "../examples/pdf_score/truth.rs"]
mod truth;

use std::collections::HashMap;
use std::path::Path;

use corpus::cleaning::{Rules, clean};
use corpus::pdf::PdfReader;
use corpus::{CorpusError, Reader};
use output::Source;
use reference::oracle;

const OURS: Source = Source::Reader { outline: true };

#[test]
fn seven_papers_are_read_as_their_publishers_wrote_them() {
    let Some(data) = oracle("pdf") else { return };
    let mut sum = paper::Score::default();
    let names = truth::papers(&data).unwrap();
    for name in &names {
        let score = paper::score(&data, name, &OURS).unwrap();
        println!("{name}: {score}");
        assert!(score.recall >= 0.99, "{name}: {score}");
        assert!(score.order >= 0.935, "{name}: {score}");
        assert!(score.scrambled == 0.0, "{name}: columns run into each other: {score}");
        assert!(score.heading_f1 >= 0.94 && score.nesting >= 0.96, "{name}: {score}");
        assert!(score.heads_left == 0.0, "{name}: {score}");
        assert!(score.precision >= 0.96, "{name}: {score}");
        sum.add(&score);
    }
    let mean = sum.mean(names.len());
    assert!(mean.recall >= 0.997 && mean.order >= 0.98, "{mean}");
    assert!(mean.heading_f1 >= 0.98 && mean.precision >= 0.985, "{mean}");
}

#[test]
fn without_bookmarks_headings_are_told_from_how_they_are_set() {
    let Some(data) = oracle("pdf") else { return };
    let source = Source::Reader { outline: false };
    let mut sum = paper::Score::default();
    let names = truth::papers(&data).unwrap();
    for name in &names {
        let score = paper::score(&data, name, &source).unwrap();
        assert!(score.heading_f1 >= 0.8, "{name}: {score}");
        sum.add(&score);
    }
    let mean = sum.mean(names.len());
    assert!(mean.heading_f1 >= 0.92, "{mean}");
    assert!(mean.nesting >= 0.89, "{mean}");
}

#[test]
fn cells_of_the_icdar_tables_are_found() {
    let Some(data) = oracle("pdf") else { return };
    let (recall, precision, f1) = tables::icdar(&data, &OURS, false).unwrap();
    assert!(f1 >= 0.71, "recall {recall:.3} precision {precision:.3} F1 {f1:.3}");
}

#[test]
fn facts_of_olmocr_bench_hold() {
    let Some(data) = oracle("pdf") else { return };
    let facts = facts::olmocr(&data, &OURS, false).unwrap();
    for (kind, least) in [("present", 9), ("absent", 11), ("order", 3), ("table", 3), ("baseline", 1)] {
        assert!(facts[kind].0 >= least, "{kind}: {:?}", facts[kind]);
    }
}

/// Digits of the text layer, read by the parser alone, against those of all blocks.
#[test]
fn no_digit_of_the_text_layer_is_changed() {
    let Some(data) = oracle("pdf") else { return };
    let mut files = Vec::new();
    collect(&data, &mut files);
    let mut read = 0;
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let Ok(mut document) = PdfReader::default().read(&file, &bytes) else { continue };
        clean(&mut document, &Rules::default());
        let kept = document.blocks.iter().chain(document.removed.iter().map(|removed| &removed.block));
        let mut counts: HashMap<char, i64> = HashMap::new();
        for digit in kept.flat_map(|block| block.text.chars()).filter(char::is_ascii_digit) {
            *counts.entry(digit).or_default() += 1;
        }
        for digit in layer(&bytes).chars().filter(char::is_ascii_digit) {
            *counts.entry(digit).or_default() -= 1;
        }
        counts.retain(|_, count| *count != 0);
        assert!(counts.is_empty(), "{}: {counts:?} more or fewer", file.display());
        read += 1;
    }
    assert!(read >= 50, "{read} files");
}

/// Numbers of the running text that its publisher wrote, against the numbers of the blocks.
#[test]
fn numbers_of_the_publishers_text_are_the_numbers_of_the_blocks() {
    let Some(data) = oracle("pdf") else { return };
    let (mut wanted, mut found) = (0, 0);
    for name in truth::papers(&data).unwrap() {
        let folder = data.join("jats_pairs").join(&name);
        let numbers = |text: &str| -> Vec<String> {
            let runs = text.split(|c: char| !c.is_ascii_digit());
            runs.filter(|run| !run.is_empty()).map(str::to_owned).collect()
        };
        let truth = numbers(&truth::read(&folder).unwrap().running.join(" "));
        let output = OURS.convert("jats_pairs", &folder.join("fulltext.pdf")).unwrap();
        wanted += truth.len();
        // One paper's font calls its equals sign a five, for every reader of its text layer.
        found += paper::common(&truth, &numbers(&output.text()));
    }
    assert!(found as f64 >= 0.99 * wanted as f64, "{found} of {wanted}");
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "pdf") {
            files.push(path);
        }
    }
    files.sort();
}

/// What the parser says is painted, before anything is made of it.
fn layer(bytes: &[u8]) -> String {
    use unpdf::parser::LayoutAnalyzer;
    use unpdf::parser::backend::{PdfBackend, RawBackend};

    let backend = RawBackend::load_bytes(bytes).unwrap();
    let mut text = String::new();
    for page in backend.pages().into_keys() {
        for span in LayoutAnalyzer::new(&backend).extract_page_spans(page).unwrap_or_default() {
            text.push_str(&span.text);
        }
    }
    text
}

#[test]
fn a_scan_is_named_and_a_copy_protected_file_is_read_or_refused() {
    let Some(data) = oracle("pdf/misc") else { return };
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|n| n.ends_with(".pdf"))
        else {
            continue;
        };
        let read = PdfReader::default().read(&path, &std::fs::read(&path).unwrap());
        match read {
            Ok(document) if name.contains("scan") => {
                assert!(document.warnings.iter().any(|w| w.contains("no text layer")), "{name}");
            }
            Ok(document) => assert!(!document.blocks.is_empty(), "{name}"),
            Err(error @ CorpusError::Malformed { .. }) => println!("{error}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn cut_off_papers_are_read_or_refused_but_never_panic() {
    let Some(file) = oracle("pdf/jats_pairs/trials_16_1_2/fulltext.pdf") else { return };
    let bytes = std::fs::read(&file).unwrap();
    for part in 1..16 {
        let _ = PdfReader::default().read(&file, &bytes[..bytes.len() * part / 16]);
    }
}
