//! Cells of tables against the truth of the ICDAR 2013 competition.

use std::error::Error;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::output::Source;
use super::paper::{common, f1};

/// A cell's text without spaces and hyphens, in lower case.
pub(crate) fn bare(cell: &str) -> String {
    cell.nfkc()
        .filter(|c| !c.is_whitespace() && !"-‐‑–—\u{ad}".contains(*c))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Recall, precision and F1 of the cells of all 30 files together; with `print`, of each.
pub(crate) fn icdar(data: &Path, source: &Source, print: bool) -> Result<(f64, f64, f64), Box<dyn Error>> {
    let mut files = Vec::new();
    for folder in ["competition-dataset-eu", "competition-dataset-us"] {
        for entry in std::fs::read_dir(data.join("icdar2013").join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "pdf") {
                files.push(path);
            }
        }
    }
    files.sort();
    let (mut both, mut wanted, mut found) = (0, 0, 0);
    for pdf in files {
        let truth = truth(&pdf)?;
        let output = source.convert("icdar2013", &pdf)?;
        let got: Vec<String> =
            output.tables().concat().concat().iter().map(|c| bare(c)).filter(|c| !c.is_empty()).collect();
        let right = common(&truth, &got);
        if print {
            let name = pdf.file_name().unwrap_or_default().to_string_lossy().into_owned();
            eprintln!("{name}: {right} of {} cells, {} found", truth.len(), got.len());
        }
        (both, wanted, found) = (both + right, wanted + truth.len(), found + got.len());
    }
    let (recall, precision) = (both as f64 / wanted.max(1) as f64, both as f64 / found.max(1) as f64);
    Ok((recall, precision, f1(precision, recall)))
}

fn truth(pdf: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let stem = pdf.with_extension("");
    let stem = stem.to_string_lossy().into_owned();
    let mut stems = vec![stem.clone()];
    if let Some(base) = stem.strip_suffix('a') {
        stems.push(format!("{base}b"));
    }
    let mut cells = Vec::new();
    for stem in stems {
        let path = PathBuf::from(format!("{stem}-str.xml"));
        if !path.exists() {
            continue;
        }
        let xml = std::fs::read_to_string(path)?;
        let document = roxmltree::Document::parse(&xml)?;
        for cell in document.descendants().filter(|n| n.tag_name().name() == "cell") {
            let content = cell.children().find(|n| n.tag_name().name() == "content");
            let text = content.map(super::truth::text).unwrap_or_default();
            let text = bare(&text);
            if !text.is_empty() {
                cells.push(text);
            }
        }
    }
    Ok(cells)
}
