//! HTML pages: what a person would read as the document, without scripts, navigation and hidden text.

mod depth;
mod inline;
mod page;
mod tables;

use std::path::Path;

use scraper::Html;

use crate::collect::Collector;
use crate::decode::decode;
use crate::{CorpusError, Document, Reader, Result};

/// Headings, paragraphs, lists, tables, captions and verbatim text of a page. Navigation, banners, forms and footers
/// stand under `removed` with the rule `page furniture`, text that the page hides with the rule `hidden text`.
#[derive(Debug, Clone, Copy, Default)]
pub struct HtmlReader;

impl Reader for HtmlReader {
    fn read(&self, path: &Path, bytes: &[u8]) -> Result<Document> {
        let decoded = decode(bytes);
        let mut out = Collector::default();
        if let Some(warning) = decoded.warning {
            out.warn(warning);
        }
        let shallow = depth::without_deepest(&decoded.text);
        if shallow.is_some() {
            let deepest = depth::DEEPEST_OPEN;
            out.warn(format!(
                "tags of elements nested more than {deepest} deep were left out, their text was read"
            ));
        }
        let html = Html::parse_document(shallow.as_deref().unwrap_or(&decoded.text));
        let title = page::title(&html);
        page::read(&html, &mut out);
        if out.len() == 0 {
            let reason = "no text outside scripts, navigation and hidden parts".into();
            return Err(CorpusError::Malformed { path: path.into(), format: "HTML", reason });
        }
        Ok(out.document(bytes, title, None))
    }
}

/// The blocks of a piece of HTML inside another format.
pub(crate) fn fragment(html: &str, out: &mut Collector) {
    let shallow = depth::without_deepest(html);
    page::read(&Html::parse_fragment(shallow.as_deref().unwrap_or(html)), out);
}

#[cfg(test)]
mod tests;
