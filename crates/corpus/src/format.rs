//! What a file is: by its content first, by its name only where the content leaves it open.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::decode::decode;
use crate::{
    ArticleReader, DocxReader, HtmlReader, MarkdownReader, PlainReader, Reader, docx, pdf::PdfReader,
};

/// How much of a text is looked at.
const HEAD: usize = 64 << 10;
/// A PDF may have so many bytes of something else before it (ISO 32000-1, appendix H.3.4.1).
const PDF_WITHIN: usize = 1024;

/// A format that has a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A PDF with or without a text layer.
    Pdf,
    /// A journal article in XML: JATS, or BioMed Central's own DTD.
    Article,
    /// A page of the web.
    Html,
    /// A Word document.
    Docx,
    /// Markdown.
    Markdown,
    /// Text without marks.
    Plain,
    /// A picture of a page: read by the `tesseract` command.
    Image,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Pdf => "PDF",
            Format::Article => "journal article in XML",
            Format::Html => "HTML",
            Format::Docx => "Word document",
            Format::Markdown => "Markdown",
            Format::Plain => "plain text",
            Format::Image => "picture",
        })
    }
}

impl Format {
    /// Its reader; none for pictures, which a command reads.
    pub fn reader(self) -> Option<Box<dyn Reader>> {
        match self {
            Format::Image => None,
            Format::Pdf => Some(Box::new(PdfReader::default())),
            Format::Article => Some(Box::new(ArticleReader)),
            Format::Html => Some(Box::new(HtmlReader)),
            Format::Docx => Some(Box::new(DocxReader)),
            Format::Markdown => Some(Box::new(MarkdownReader)),
            Format::Plain => Some(Box::new(PlainReader)),
        }
    }

    /// The format that the ending of a name promises.
    pub fn of_name(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match ending.as_str() {
            "pdf" => Format::Pdf,
            "xml" | "nxml" => Format::Article,
            "html" | "htm" | "xhtml" => Format::Html,
            "docx" | "docm" => Format::Docx,
            "md" | "markdown" => Format::Markdown,
            "txt" | "text" => Format::Plain,
            "png" | "jpg" | "jpeg" | "tif" | "tiff" => Format::Image,
            _ => return None,
        })
    }

    /// Whether a file so named holds text that any reader of text can read: its name decides which one.
    fn is_open_text(self) -> bool {
        matches!(self, Format::Markdown | Format::Plain)
    }

    /// What the bytes are.
    ///
    /// # Errors
    /// What they are instead, in words, if nothing here reads it.
    pub fn detect(path: &Path, bytes: &[u8]) -> Result<Self, String> {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        if bytes[..bytes.len().min(PDF_WITHIN)].windows(5).any(|window| window == b"%PDF-") {
            return Ok(Format::Pdf);
        }
        if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
            return of_zip(bytes);
        }
        if let Some(known) = binary(bytes) {
            return known;
        }
        let head = decode(&bytes[..bytes.len().min(HEAD)]).text;
        if head.trim().is_empty() && bytes.len() <= HEAD {
            return Err("an empty file".into());
        }
        if let Some(marked) = of_markup(&head, path) {
            return marked;
        }
        if bytes.contains(&0) && !starts(b"\xff\xfe") && !starts(b"\xfe\xff") {
            return Err("a binary file of an unknown format".into());
        }
        Ok(Format::of_name(path).filter(|format| format.is_open_text()).unwrap_or(Format::Plain))
    }

    /// What to say where name and content disagree.
    pub fn disagreement(self, path: &Path) -> Option<String> {
        let promised = Format::of_name(path)?;
        (promised != self)
            .then(|| format!("its name says {promised}, its content says {self}; it was read as {self}"))
    }
}

fn of_zip(bytes: &[u8]) -> Result<Format, String> {
    let Some(parts) = docx::list(bytes) else { return Err("a broken or very large zip archive".into()) };
    let has = |wanted: &str| parts.iter().any(|part| part.starts_with(wanted));
    if docx::is_word(&parts) {
        return Ok(Format::Docx);
    }
    let what = [
        ("xl/", "an Excel workbook: `medtune prepare` reads it as CSV"),
        ("ppt/", "a PowerPoint presentation: save it as PDF"),
        ("META-INF/container.xml", "an EPUB book: convert it to HTML or Markdown"),
        ("content.xml", "an OpenDocument file: save it as DOCX"),
    ];
    let known = what.iter().find(|(part, _)| has(part)).map(|(_, what)| *what);
    Err(known.unwrap_or("a zip archive: unpack it").into())
}

fn binary(bytes: &[u8]) -> Option<Result<Format, String>> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff", b"II*\0", b"MM\0*"].iter().any(|magic| starts(magic)) {
        return Some(Ok(Format::Image));
    }
    let what = [
        (
            &b"\xd0\xcf\x11\xe0"[..],
            "an old Office file or an encrypted Word document: save it as DOCX without a password",
        ),
        (b"\x1f\x8b", "a gzip archive: unpack it"),
        (b"{\\rtf", "an RTF file: save it as DOCX"),
        (b"%!PS", "a PostScript file: convert it to PDF"),
        (b"7z\xbc\xaf", "a 7z archive: unpack it"),
        (b"Rar!", "a RAR archive: unpack it"),
        (b"PAR1", "a Parquet file: `medtune prepare` reads it"),
        (b"SQLite format 3", "a SQLite database"),
    ];
    what.iter().find(|(magic, _)| starts(magic)).map(|(_, what)| Err((*what).to_owned()))
}

/// Text that begins with a tag: by the name of its first element.
fn of_markup(head: &str, path: &Path) -> Option<Result<Format, String>> {
    let start = head.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let named = |format| Format::of_name(path) == Some(format);
    if !start.starts_with('<') {
        return (named(Format::Html) && start.contains("</")).then_some(Ok(Format::Html));
    }
    let xml = start.starts_with("<?xml");
    let root = first_element(start)?.to_ascii_lowercase();
    let lower = start.to_ascii_lowercase();
    let scholarly = [
        "jats",
        "journal publishing dtd",
        "journal archiving",
        "//nlm//",
        "<front",
        "article-type",
        "<article-meta",
    ];
    match root.as_str() {
        "article" if xml || named(Format::Article) || scholarly.iter().any(|mark| lower.contains(mark)) => {
            Some(Ok(Format::Article))
        }
        "art" | "pmc-articleset" => Some(Ok(Format::Article)),
        "html" => Some(Ok(Format::Html)),
        _ if lower.starts_with("<!doctype html") => Some(Ok(Format::Html)),
        // Markdown may begin with HTML.
        _ if Format::of_name(path).is_some_and(Format::is_open_text) => None,
        _ if xml && !lower.contains("<article") => {
            Some(Err(format!("XML whose first element is `<{root}>`")))
        }
        _ if xml => Some(Ok(Format::Article)),
        _ if named(Format::Html) || lower.contains("</") => Some(Ok(Format::Html)),
        _ => None,
    }
}

/// The name of the first element, behind declarations and comments.
fn first_element(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        rest = &rest[rest.find('<')? + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = &comment[comment.find("-->")?..];
        } else if rest.starts_with(|c: char| c.is_alphabetic()) {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "-_.:".contains(c))).unwrap_or(rest.len());
            let name = &rest[..end];
            return Some(name.rsplit(':').next().unwrap_or(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(name: &str, bytes: &[u8]) -> Result<Format, String> {
        Format::detect(Path::new(name), bytes)
    }

    #[test]
    fn content_decides_and_the_name_only_between_texts() {
        assert_eq!(detected("a.txt", b"%PDF-1.7"), Ok(Format::Pdf));
        assert_eq!(detected("a.pdf", b"<!DOCTYPE html><html>"), Ok(Format::Html));
        assert_eq!(
            detected("a.html", b"<?xml version='1.0'?><!DOCTYPE article PUBLIC 'x'><article>"),
            Ok(Format::Article)
        );
        assert_eq!(detected("a", b"<!-- c --><art><ui>1</ui></art>"), Ok(Format::Article));
        assert_eq!(detected("a.xml", b"<article><body><p>x</p></body></article>"), Ok(Format::Article));
        assert_eq!(detected("a.htm", b"<article><p>x</p></article>"), Ok(Format::Html));
        assert_eq!(detected("a.html", b"<p>One.<p>Two."), Ok(Format::Html));
        assert_eq!(detected("a.md", b"<img src='x'>\n\n# Title"), Ok(Format::Markdown));
        assert_eq!(detected("a.txt", b"# Title"), Ok(Format::Plain));
        assert_eq!(detected("README", b"Text."), Ok(Format::Plain));
        assert_eq!(detected("a.txt", b"\xff\xfeT\0e\0"), Ok(Format::Plain));
        assert_eq!(detected("a.pdf", b"\x89PNG\r\n\x1a\n...."), Ok(Format::Image));
    }

    #[test]
    fn what_has_no_reader_is_named() {
        let reason = |bytes: &[u8]| detected("a.pdf", bytes).unwrap_err();
        assert!(reason(b"\xd0\xcf\x11\xe0\xa1\xb1").contains("encrypted Word document"));
        assert!(reason(b"<?xml version='1.0'?><svg/>").contains("`<svg>`"));
        assert!(reason(b"ab\0\x01\x02").contains("binary file"));
        assert!(reason(b"  \n").contains("empty"));
        assert!(reason(b"PK\x03\x04....").contains("zip"));
    }

    #[test]
    fn a_wrong_ending_is_said() {
        let said = Format::Html.disagreement(Path::new("a.pdf")).unwrap();
        assert_eq!(said, "its name says PDF, its content says HTML; it was read as HTML");
        assert_eq!(Format::Html.disagreement(Path::new("a.htm")), None);
        assert_eq!(Format::Plain.disagreement(Path::new("a.log")), None);
    }
}
