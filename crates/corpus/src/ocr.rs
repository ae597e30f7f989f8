//! Pages that are pictures: the `tesseract` command reads them, where it is installed.
//!
//! A scanned PDF needs its pages as pictures first; the `pdftoppm` command of poppler makes them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::collect::Collector;
use crate::{CorpusError, Document, Kind, Place, Result};

/// Dots per inch of the pictures of pages: what Tesseract's own documentation asks for.
const RESOLUTION: &str = "300";

/// Standard output of a command.
fn run(path: &Path, program: &str, arguments: &[&OsStr]) -> Result<Vec<u8>> {
    let failed = |reason: String| CorpusError::Ocr { path: path.into(), reason };
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|error| {
        match error.kind() {
            io::ErrorKind::NotFound => failed(missing(program)),
            _ => failed(format!("`{program}`: {error}")),
        }
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        return Err(failed(format!("`{program}` failed ({}): {last}", output.status)));
    }
    Ok(output.stdout)
}

fn missing(program: &str) -> String {
    let package = if program == "tesseract" { "tesseract-ocr" } else { "poppler-utils" };
    format!(
        "its pages are pictures, and the `{program}` command that would read them is not installed (package `{package}`)"
    )
}

/// The text of a picture of a page.
///
/// # Errors
/// `tesseract` is missing or fails, or finds no text.
pub(crate) fn read_picture(path: &Path, bytes: &[u8], languages: &str) -> Result<Document> {
    let mut out = Collector::default();
    recognise(path, path, languages, &mut out)?;
    finish(path, out, bytes, 1)
}

/// Reads the pages of a PDF without text into `document`.
///
/// # Errors
/// `pdftoppm` or `tesseract` is missing or fails, or no page has text.
pub(crate) fn read_scan(path: &Path, document: &mut Document, languages: &str) -> Result<()> {
    let io = |source| CorpusError::Io { path: path.into(), source };
    let folder = std::env::temp_dir().join(format!("medtune-pages-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(io)?;
    let read = read_pages(path, &folder, languages);
    // The pictures are of no use after that; the first error is the one to report.
    let _ = fs::remove_dir_all(&folder);
    let (out, pages) = read?;
    let read = finish(path, out, &[], pages)?;
    document.blocks = read.blocks;
    document.pages.get_or_insert(pages);
    document.warnings.push(format!("{pages} pages without text were read by tesseract ({languages})"));
    Ok(())
}

fn read_pages(path: &Path, folder: &Path, languages: &str) -> Result<(Collector, u32)> {
    let prefix = folder.join("page");
    let arguments = ["-r", RESOLUTION, "-gray", "-png"].map(OsStr::new);
    run(path, "pdftoppm", &[&arguments[..], &[path.as_os_str(), prefix.as_os_str()]].concat())?;
    let io = |source| CorpusError::Io { path: path.into(), source };
    let mut pictures: Vec<_> =
        fs::read_dir(folder).map_err(io)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    pictures.sort();
    let mut out = Collector::default();
    for (page, picture) in (1..).zip(&pictures) {
        let start = out.len();
        recognise(path, picture, languages, &mut out)?;
        out.since(start).iter_mut().for_each(|block| block.places.push(Place { page, area: None }));
    }
    Ok((out, pictures.len() as u32))
}

/// Paragraphs of one picture.
fn recognise(path: &Path, picture: &Path, languages: &str, out: &mut Collector) -> Result<()> {
    let arguments =
        [picture.as_os_str(), OsStr::new("-"), OsStr::new("-l"), OsStr::new(languages), OsStr::new("--psm")];
    let text = run(path, "tesseract", &[&arguments[..], &[OsStr::new("1")]].concat())?;
    for paragraph in String::from_utf8_lossy(&text).split("\n\n") {
        out.push(Kind::Paragraph, paragraph);
    }
    Ok(())
}

fn finish(path: &Path, out: Collector, bytes: &[u8], pages: u32) -> Result<Document> {
    if out.len() == 0 {
        let reason = "tesseract found no text on it".into();
        return Err(CorpusError::Ocr { path: path.into(), reason });
    }
    Ok(out.document(bytes, None, Some(pages)))
}
