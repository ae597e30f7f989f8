//! Blocks while a reader finds them.

use crate::tidy::{tidy, tidy_lines};
use crate::{Block, Document, DocumentId, Kind, Removed};

/// Headings are at most this deep in Markdown.
const DEEPEST: usize = 6;

/// Takes what a reader finds, in reading order. Empty text is no block.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    blocks: Vec<Block>,
    removed: Vec<Removed>,
    warnings: Vec<String>,
}

fn block(kind: Kind, raw: &str) -> Option<Block> {
    let text = match kind {
        Kind::Code | Kind::Table => tidy_lines(raw),
        _ => tidy(raw),
    };
    (!text.is_empty()).then_some(Block { kind, text, places: Vec::new() })
}

impl Collector {
    /// A block of this kind.
    pub(crate) fn push(&mut self, kind: Kind, raw: &str) {
        self.blocks.extend(block(kind, raw));
    }

    /// A title; `level` counts from 1 and is cut at what Markdown has.
    pub(crate) fn heading(&mut self, level: usize, raw: &str) {
        self.push(Kind::Heading { level: level.clamp(1, DEEPEST) as u8 }, raw);
    }

    /// An item of a list.
    pub(crate) fn item(&mut self, depth: usize, raw: &str) {
        self.push(Kind::ListItem { depth: depth.min(u8::MAX.into()) as u8 }, raw);
    }

    /// Text that is no part of the document's own.
    pub(crate) fn remove(&mut self, rule: &str, raw: &str) {
        let removed = |block| Removed { rule: rule.to_owned(), block };
        self.removed.extend(block(Kind::Paragraph, raw).map(removed));
    }

    /// Something that a person should know; said once.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// Number of blocks so far.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The blocks from `start` on, to give them places.
    pub(crate) fn since(&mut self, start: usize) -> &mut [Block] {
        &mut self.blocks[start..]
    }

    /// The document of a file with these bytes.
    pub(crate) fn document(self, bytes: &[u8], title: Option<String>, pages: Option<u32>) -> Document {
        let title = title.map(|title| tidy(&title)).filter(|title| !title.is_empty());
        let Collector { blocks, removed, warnings } = self;
        Document { id: DocumentId::of(bytes), title, pages, blocks, removed, warnings }
    }
}
