//! The zip around a Word document, with bounds on what it unpacks to.

use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;

use super::FORMAT;
use crate::{CorpusError, Result};

/// A part is at most so long when it is unpacked, or so many times the file's length, whichever is less, and never
/// refused below `SMALL_PART`. Text of Word unpacks to 5 to 30 times its length.
const LONGEST_PART: u64 = 128 << 20;
const MOST_TIMES: u64 = 200;
const SMALL_PART: u64 = 4 << 20;
/// A document has some dozens of parts, and one for each picture.
const MOST_PARTS: usize = 20_000;

/// The parts of a document.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<Cursor<&'a [u8]>>,
    longest: u64,
}

/// Names of the parts of a zip; nothing where it is none.
pub(crate) fn list(bytes: &[u8]) -> Option<Vec<String>> {
    let zip = ZipArchive::new(Cursor::new(bytes)).ok()?;
    (zip.len() <= MOST_PARTS).then(|| names(&zip))
}

/// Names that are text; others name no part of a document.
fn names(zip: &ZipArchive<Cursor<&[u8]>>) -> Vec<String> {
    zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect()
}

/// Whether these are the parts of a Word document.
pub(crate) fn is_word(parts: &[String]) -> bool {
    parts.iter().any(|part| part == "word/document.xml")
}

impl<'a> Archive<'a> {
    pub(super) fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let longest = (MOST_TIMES * bytes.len() as u64).clamp(SMALL_PART, LONGEST_PART);
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| malformed(path, error.to_string()))?;
        if zip.len() > MOST_PARTS {
            return Err(malformed(path, format!("{} parts in the archive", zip.len())));
        }
        Ok(Archive { path, zip, longest })
    }

    /// The text of a part, if there is one of this name.
    pub(super) fn part(&mut self, name: &str) -> Result<Option<String>> {
        let file = match self.zip.by_name(name) {
            Ok(file) => file,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(malformed(self.path, format!("`{name}`: {error}"))),
        };
        let mut bytes = Vec::new();
        // What the archive says of the length is not believed.
        file.take(self.longest + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| malformed(self.path, format!("`{name}`: {error}")))?;
        if bytes.len() as u64 > self.longest {
            let reason = format!("`{name}` unpacks to more than {} bytes", self.longest);
            return Err(malformed(self.path, reason));
        }
        Ok(Some(crate::decode::decode(&bytes).text))
    }

    /// Names of the headers and footers of pages, in order.
    pub(super) fn running_heads(&self) -> Vec<String> {
        let of_page = |name: &String| {
            let part = name.strip_prefix("word/").unwrap_or_default();
            (part.starts_with("header") || part.starts_with("footer")) && part.ends_with(".xml")
        };
        let mut names = names(&self.zip);
        names.retain(of_page);
        names.sort();
        names
    }
}

fn malformed(path: &Path, reason: String) -> CorpusError {
    CorpusError::Malformed { path: path.into(), format: FORMAT, reason }
}
