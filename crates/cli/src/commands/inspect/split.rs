//! The certificate of a prepared folder: what its sides have in common, and the pairs that come nearest to it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use dataset::{Certificate, Report};
use serde::de::DeserializeOwned;
use serde_json::json;
use track::FileHash;

use crate::commands::prepare::in_words;
use crate::failure::{Failure, Outcome, io};
use crate::output::{self, Paint, Style};

/// Characters of a question that are shown.
const QUESTION_WIDTH: usize = 90;

pub(super) fn run(folder: &Path, json: bool) -> Outcome<()> {
    let folder = prepared_folder(folder)?;
    let certificate: Certificate = read(&folder.join("certificate.json"))?;
    let changed = changed_files(&folder)?;
    if json {
        return output::print_json(&json!({
            "folder": folder,
            "certificate": certificate,
            "changed_files": changed,
        }));
    }
    output::print(&page(&folder, &certificate, &changed, Paint::for_stdout()))
}

/// The folder itself, or the data of a run.
fn prepared_folder(folder: &Path) -> Outcome<PathBuf> {
    [folder.to_owned(), folder.join("data")]
        .into_iter()
        .find(|place| place.join("certificate.json").is_file())
        .ok_or_else(|| {
            Failure::input(format!("{}: no certificate.json here or in data/", folder.display()))
                .hint("name a folder that `medtune prepare` wrote, or a run folder")
        })
}

fn read<T: DeserializeOwned>(path: &Path) -> Outcome<T> {
    let text = std::fs::read_to_string(path).map_err(io(path))?;
    serde_json::from_str(&text).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}

/// Files that are not as they were written: the certificate does not speak of them.
fn changed_files(folder: &Path) -> Outcome<Vec<String>> {
    let report: Report = read(&folder.join("report.json"))?;
    let as_written = |name: &str, hash: &str| FileHash::of(folder.join(name)).is_ok_and(|f| f.blake3 == hash);
    let changed = report.outputs.into_iter().filter(|file| !as_written(&file.path, &file.blake3));
    Ok(changed.map(|file| file.path).collect())
}

fn page(folder: &Path, certificate: &Certificate, changed: &[String], paint: Paint) -> String {
    let mut page =
        format!("{}, seed {}\n\n", paint.text(Style::Bold, &folder.display().to_string()), certificate.seed);
    for (side, count) in &certificate.sides {
        let _ = writeln!(
            page,
            "  {:<5} {:>7} rows in {:>6} groups  content {}",
            side.as_str(),
            count.rows,
            count.groups,
            &count.content[..count.content.len().min(16)]
        );
    }
    let _ = writeln!(page, "\n{}", in_words(certificate));
    match changed {
        [] => page.push_str("The files are as they were written.\n"),
        changed => {
            let warning = format!("Changed since they were written: {}", changed.join(", "));
            let _ = writeln!(page, "{}", paint.text(Style::Yellow, &warning));
        }
    }
    if certificate.nearest_pairs.is_empty() {
        page.push_str("\nNo test question comes near one in train.\n");
        return page;
    }
    let _ = writeln!(
        page,
        "\nThe nearest questions of test and train (near-duplicates begin at {:.2}):",
        certificate.question_similarity
    );
    for pair in &certificate.nearest_pairs {
        let _ = writeln!(page, "\n  {:.3}  test   {}", pair.similarity, shortened(&pair.test_question));
        let _ = writeln!(page, "         train  {}", shortened(&pair.train_question));
    }
    page
}

/// On one line, and not too long for it.
fn shortened(text: &str) -> String {
    let line = dataset::fold_whitespace(text);
    match line.char_indices().nth(QUESTION_WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
