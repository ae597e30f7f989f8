//! Word documents (Office Open XML, ECMA-376).

mod archive;
mod body;
mod styles;

use std::path::Path;

use crate::collect::Collector;
use crate::xml::{self, child, name};
use crate::{CorpusError, Document, Reader, Result};
use archive::Archive;
pub(crate) use archive::{is_word, list};
use body::Body;
use styles::Styles;

const FORMAT: &str = "Word document";

/// Headings by style and outline level, paragraphs, lists, tables, captions and notes. Deleted text is no text; headers
/// and footers of pages stand under `removed` with the rule `running head`.
#[derive(Debug, Clone, Copy, Default)]
pub struct DocxReader;

impl Reader for DocxReader {
    fn read(&self, path: &Path, bytes: &[u8]) -> Result<Document> {
        let mut archive = Archive::open(path, bytes)?;
        let styles = match archive.part("word/styles.xml")? {
            Some(text) => Styles::read(&xml::parse(path, FORMAT, &text)?),
            None => Styles::default(),
        };
        let mut out = Collector::default();
        let main = archive.part("word/document.xml")?.ok_or_else(|| CorpusError::Malformed {
            path: path.into(),
            format: FORMAT,
            reason: "it has no `word/document.xml`".into(),
        })?;
        let tree = xml::parse(path, FORMAT, &main)?;
        if let Some(body) = child(tree.root_element(), "body") {
            Body::new(&mut out, &styles).flow(body, 0);
        }
        for part in ["word/footnotes.xml", "word/endnotes.xml"] {
            if let Some(text) = archive.part(part)? {
                let tree = xml::parse(path, FORMAT, &text)?;
                Body::new(&mut out, &styles).notes(tree.root_element());
            }
        }
        for part in archive.running_heads() {
            if let Some(text) = archive.part(&part)? {
                out.remove("running head", &xml::words(xml::parse(path, FORMAT, &text)?.root_element()));
            }
        }
        if out.len() == 0 {
            let reason = "it holds no text".into();
            return Err(CorpusError::Malformed { path: path.into(), format: FORMAT, reason });
        }
        let title = match archive.part("docProps/core.xml")? {
            Some(text) => xml::parse(path, FORMAT, &text).ok().and_then(|tree| {
                let title = tree.descendants().find(|part| name(*part) == "title")?;
                title.text().map(str::to_owned)
            }),
            None => None,
        };
        Ok(out.document(bytes, title, None))
    }
}

#[cfg(test)]
mod tests;
