//! From a source to a clean document: what runs inside the child process.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sources::{Part, Source};
use crate::cleaning::{Rules, clean};
use crate::phi::{Entry, Gate, Mode, Persons};
use crate::{CorpusError, Document, DocumentId, Format, Place, Result, ocr};

/// Longer files are refused.
const LONGEST_FILE: u64 = 1 << 30;

/// What to do with a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The files.
    pub source: Source,
    /// What to do about what identifies a person.
    pub phi: Mode,
    /// Languages for `tesseract`, as it names them: `eng+deu`.
    pub languages: String,
    /// Seconds for reading the pages without text of a document that has some.
    pub seconds_for_pictures: u64,
    /// Markdown that another program made of the source, instead of reading it here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub converted: Option<String>,
}

/// A source that was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parsed {
    /// Cleaned, and masked where that was asked for. Without blocks where the gate refused it.
    pub document: Document,
    /// What the files were.
    pub format: Format,
    /// What the gate found.
    pub phi: Vec<Entry>,
    /// Whether the gate holds the document back.
    pub refused: bool,
}

/// Reads, cleans and checks a source.
///
/// # Errors
/// A file that cannot be read, has no reader, is not what it claims to be, or holds no text.
pub fn parse(task: &Task) -> Result<Parsed> {
    let (mut document, format) = match task.source.parts.as_slice() {
        [part] => read_part(part, task)?,
        parts => read_parts(parts, task)?,
    };
    clean(&mut document, &Rules::default());
    Ok(checked(document, format, Gate::new(task.phi)))
}

fn read_file(part: &Part) -> Result<Vec<u8>> {
    let io = |source| CorpusError::Io { path: part.path.clone(), source };
    let file = File::open(&part.path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length > LONGEST_FILE {
        return Err(CorpusError::TooLong { path: part.path.clone(), length, longest: LONGEST_FILE });
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(LONGEST_FILE).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

fn read_part(part: &Part, task: &Task) -> Result<(Document, Format)> {
    let bytes = read_file(part)?;
    let path = part.path.as_path();
    let unknown = |reason: String| CorpusError::UnknownFormat { path: path.into(), reason };
    let format = Format::detect(path, &bytes).map_err(unknown)?;
    let disagreement = format.disagreement(path);
    let mut document = match (read_as_is(path, &bytes, format, task), &disagreement) {
        (Err(source), Some(said)) => {
            return Err(CorpusError::Misnamed { said: said.clone(), source: Box::new(source) });
        }
        (read, _) => read?,
    };
    if let Some(pages) = part.pages {
        place_by_name(&mut document, pages);
    }
    document.warnings.extend(disagreement);
    Ok((document, format))
}

/// Reads a file of a known format, or what a converter made of it.
fn read_as_is(path: &Path, bytes: &[u8], format: Format, task: &Task) -> Result<Document> {
    let mut document = match (&task.converted, format) {
        (Some(markdown), _) => {
            let mut document = read_as(Format::Markdown, path, markdown.as_bytes())?;
            document.id = DocumentId::of(bytes);
            document
        }
        (None, Format::Image) => ocr::read_picture(path, bytes, &task.languages)?,
        (None, format) => read_as(format, path, bytes)?,
    };
    if format == Format::Pdf && task.converted.is_none() {
        if document.blocks.is_empty() {
            ocr::read_scan(path, &mut document, &task.languages)?;
        } else {
            let time = Duration::from_secs(task.seconds_for_pictures);
            ocr::read_pages_without_text(path, &mut document, &task.languages, time);
        }
    }
    Ok(document)
}

fn read_as(format: Format, path: &Path, bytes: &[u8]) -> Result<Document> {
    let reader = format.reader().ok_or_else(|| {
        let reason = format!("a {format}, and this build has no reader for it");
        CorpusError::UnknownFormat { path: path.into(), reason }
    })?;
    reader.read(path, bytes)
}

/// A part's name tells only between which pages a block stands: the first and the last are its places.
fn place_by_name(document: &mut Document, (first, last): (u32, u32)) {
    document.pages.get_or_insert(last);
    for block in document.blocks.iter_mut().filter(|block| block.places.is_empty()) {
        block.places = vec![Place { page: first, area: None }, Place { page: last, area: None }];
    }
}

/// The parts of a document, one after the other. Its id is that of the ids of its parts.
fn read_parts(parts: &[Part], task: &Task) -> Result<(Document, Format)> {
    let mut ids = String::new();
    let mut whole: Option<(Document, Format)> = None;
    let mut end = 0;
    for part in parts {
        let (document, format) = read_part(part, task)?;
        ids.push_str(&document.id.to_string());
        let (first, last) = part.pages.unwrap_or_default();
        let warning = match end {
            0 => None,
            end if first > end + 1 => {
                Some(format!("pages {} to {} are missing between the parts", end + 1, first - 1))
            }
            end if first <= end => Some(format!("pages {first} to {} stand in two parts", end.min(last))),
            _ => None,
        };
        end = end.max(last);
        match &mut whole {
            None => whole = Some((document, format)),
            Some((whole, _)) => {
                whole.blocks.extend(document.blocks);
                whole.removed.extend(document.removed);
                whole.warnings.extend(document.warnings);
                whole.warnings.extend(warning);
                whole.pages = whole.pages.max(document.pages);
            }
        }
    }
    let (mut document, format) =
        whole.ok_or_else(|| CorpusError::Nothing { paths: "a document without parts".into() })?;
    document.id = DocumentId::of(ids.as_bytes());
    Ok((document, format))
}

/// Shows every text of a document to the gate: blocks, what was removed, and the title. Whoever one of them names in full
/// is known in all of them.
fn checked(mut document: Document, format: Format, gate: Gate) -> Parsed {
    let id = document.id.to_string();
    let mut persons = Persons::default();
    let removed = document.removed.iter().map(|removed| &removed.block);
    for block in document.blocks.iter().chain(removed) {
        gate.check_among(&block.text, &mut persons);
    }
    let (mut phi, mut refused) = (Vec::new(), false);
    let mut pass = |text: &mut String, part: String| match gate.apply_among(text, &mut persons) {
        Ok(passed) => {
            phi.extend(gate.entries(&id, &part, &passed.findings));
            if let std::borrow::Cow::Owned(masked) = passed.text {
                *text = masked;
            }
        }
        Err(found) => {
            phi.extend(gate.entries(&id, &part, &found.findings));
            refused = true;
        }
    };
    if let Some(title) = &mut document.title {
        pass(title, "title".into());
    }
    for (at, block) in document.blocks.iter_mut().enumerate() {
        pass(&mut block.text, format!("block {at}"));
    }
    for (at, removed) in document.removed.iter_mut().enumerate() {
        pass(&mut removed.block.text, format!("removed {at}"));
    }
    if refused {
        document.blocks.clear();
        document.removed.clear();
        document.title = None;
    }
    Parsed { document, format, phi, refused }
}
