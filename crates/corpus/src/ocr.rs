//! Pages that are pictures: the `tesseract` command reads them, where it is installed.
//!
//! A scanned PDF needs its pages as pictures first; the `pdftoppm` command of poppler makes them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::collect::Collector;
use crate::document::pages_in_words;
use crate::{Block, CorpusError, Document, Kind, Place, Result};

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
    let folder = folder_of_pictures();
    let read = read_pages(path, &folder, languages);
    // The pictures are of no use after that; the first error is the one to report.
    let _ = fs::remove_dir_all(&folder);
    let (out, pages) = read?;
    let read = finish(path, out, &[], pages)?;
    document.blocks = read.blocks;
    document.pages.get_or_insert(pages);
    document.warnings.push(format!("all of its pages ({pages}) were read by tesseract ({languages})"));
    Ok(())
}

fn read_pages(path: &Path, folder: &Path, languages: &str) -> Result<(Collector, u32)> {
    let mut out = Collector::default();
    let pictures = pictures(path, folder, None)?;
    for (page, picture) in (1..).zip(&pictures) {
        read_page(path, page, picture, languages, &mut out)?;
    }
    Ok((out, pictures.len() as u32))
}

/// Pictures of all pages, or of one, in order.
fn pictures(path: &Path, folder: &Path, page: Option<u32>) -> Result<Vec<PathBuf>> {
    let io = |source| CorpusError::Io { path: path.into(), source };
    fs::create_dir_all(folder).map_err(io)?;
    let prefix = folder.join("page");
    let mut arguments: Vec<OsString> = ["-r", RESOLUTION, "-gray", "-png"].map(OsString::from).into();
    if let Some(page) = page {
        arguments.extend(["-f".into(), page.to_string().into(), "-l".into(), page.to_string().into()]);
    }
    arguments.extend([path.as_os_str().to_owned(), prefix.into_os_string()]);
    let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    run(path, "pdftoppm", &arguments)?;
    let mut pictures: Vec<PathBuf> =
        fs::read_dir(folder).map_err(io)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    pictures.sort();
    Ok(pictures)
}

/// The paragraphs of a page, with its number as their place.
fn read_page(path: &Path, page: u32, picture: &Path, languages: &str, out: &mut Collector) -> Result<()> {
    let start = out.len();
    recognise(path, picture, languages, out)?;
    out.since(start).iter_mut().for_each(|block| block.places.push(Place { page, area: None }));
    Ok(())
}

/// Reads the pages that are pictures in a PDF whose other pages have text, each into its place among them. What cannot be
/// read is a warning: the text is there without it.
pub(crate) fn read_pages_without_text(path: &Path, document: &mut Document, languages: &str, time: Duration) {
    let with_text: BTreeSet<u32> =
        document.blocks.iter().flat_map(|block| block.places.iter().map(|place| place.page)).collect();
    let pages: Vec<u32> =
        (1..=document.pages.unwrap_or(0)).filter(|page| !with_text.contains(page)).collect();
    let folder = folder_of_pictures();
    let (started, mut read, mut blank) = (Instant::now(), Vec::new(), Vec::new());
    for (at, &page) in pages.iter().enumerate() {
        let mut out = Collector::default();
        let done = match started.elapsed() < time {
            true => pictures(path, &folder, Some(page)).and_then(|pictures| {
                pictures.iter().try_for_each(|picture| read_page(path, page, picture, languages, &mut out))
            }),
            false => Err(CorpusError::Ocr {
                path: path.into(),
                reason: format!("{} seconds were spent on the pages before", time.as_secs()),
            }),
        };
        // One page's pictures are not those of the next.
        let _ = fs::remove_dir_all(&folder);
        if let Err(error) = done {
            let reason = match error {
                CorpusError::Ocr { reason, .. } => reason,
                other => other.to_string(),
            };
            document
                .warnings
                .push(format!("pictures that were not read: {}: {reason}", pages_in_words(&pages[at..])));
            break;
        }
        let blocks = out.document(&[], None, None).blocks;
        let list = if blocks.is_empty() { &mut blank } else { &mut read };
        list.push(page);
        insert(document, page, blocks);
    }
    if !read.is_empty() {
        document.warnings.push(format!("read by tesseract ({languages}): {}", pages_in_words(&read)));
    }
    if !blank.is_empty() {
        document.warnings.push(format!("tesseract found no text on {}", pages_in_words(&blank)));
    }
}

/// Puts the blocks of a page behind the last that begins on an earlier one.
fn insert(document: &mut Document, page: u32, blocks: Vec<Block>) {
    let begins_before = |block: &Block| block.places.first().is_some_and(|place| place.page < page);
    let at = document.blocks.iter().rposition(begins_before).map_or(0, |at| at + 1);
    document.blocks.splice(at..at, blocks);
}

fn folder_of_pictures() -> PathBuf {
    let (process, thread) = (std::process::id(), std::thread::current().id());
    std::env::temp_dir().join(format!("medtune-pages-{process}-{thread:?}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str, pages: &[u32]) -> Block {
        let places = pages.iter().map(|page| Place { page: *page, area: None }).collect();
        Block { kind: Kind::Paragraph, text: text.into(), places }
    }

    #[test]
    fn a_page_that_was_read_stands_between_its_neighbours() {
        let mut document = Collector::default().document(&[], None, Some(4));
        document.blocks = vec![block("one", &[1]), block("runs on", &[1, 3]), block("four", &[4])];
        insert(&mut document, 2, vec![block("two", &[2]), block("two again", &[2])]);
        insert(&mut document, 3, Vec::new());
        insert(&mut document, 5, vec![block("five", &[5])]);
        let texts: Vec<&str> = document.blocks.iter().map(|block| block.text.as_str()).collect();
        assert_eq!(texts, ["one", "runs on", "two", "two again", "four", "five"]);
    }
}
