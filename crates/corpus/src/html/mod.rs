//! HTML pages: what a person would read as the document, without scripts, navigation and hidden text.

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
        let html = Html::parse_document(&decoded.text);
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
    page::read(&Html::parse_fragment(html), out);
}

#[cfg(test)]
mod tests;
