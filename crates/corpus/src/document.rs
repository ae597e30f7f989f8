//! What a reader makes of a file.

use std::fmt;

use serde::{Deserialize, Serialize};

/// BLAKE3 of a file's bytes, as 64 hexadecimal digits: the same file is the same document wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentId(String);

impl DocumentId {
    /// Of the bytes of a file.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }

    /// Of a file that need not fit into memory.
    ///
    /// # Errors
    /// Reading fails.
    pub fn of_reader(file: impl std::io::Read) -> std::io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file)?;
        Ok(Self(hasher.finalize().to_hex().to_string()))
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A rectangle of a page in points (1/72 inch), measured from the page's upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// Left edge.
    pub x0: f32,
    /// Upper edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Lower edge.
    pub y1: f32,
}

/// Where a part of a block was found. A paragraph that runs over a column's or a page's end has several.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Counted from 1.
    pub page: u32,
    /// Nothing where the format has pages but no geometry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub area: Option<Area>,
}

/// What a block is to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Kind {
    /// The title of a document (level 1) or of a section (2 to 6).
    Heading {
        /// 1 to 6.
        level: u8,
    },
    /// Running text.
    Paragraph,
    /// One item of a list.
    ListItem {
        /// 0 at the margin.
        depth: u8,
    },
    /// A table as a Markdown (pipe) table.
    Table,
    /// The text below a figure or above a table.
    Caption,
    /// A formula set apart.
    Formula,
    /// Verbatim text.
    Code,
    /// A note at a page's foot.
    Footnote,
    /// What a page carries beside its text: running head or foot, page number.
    RunningHead,
}

/// A piece of a document in reading order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Its text, without Markdown's own marks (`#`, `-`), except for a table, which is one in Markdown.
    pub text: String,
    /// Where it came from; empty in formats without pages.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub places: Vec<Place>,
}

/// A block that cleaning took out, with the rule that did it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Removed {
    /// The name of the rule.
    pub rule: String,
    /// What was taken out.
    #[serde(flatten)]
    pub block: Block,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// From the bytes of the file.
    pub id: DocumentId,
    /// As the file itself names it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// Number of pages, in formats that have them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<u32>,
    /// In reading order.
    pub blocks: Vec<Block>,
    /// What is not in `blocks` any more, in reading order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub removed: Vec<Removed>,
    /// What a person should know: pages without text, fonts that could not be decoded.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
}

/// `page 3`, or `pages 1-4, 9`.
pub(crate) fn pages_in_words(pages: &[u32]) -> String {
    let runs = pages.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.iter().map(u32::to_string).collect(),
    });
    format!("page{} {}", if pages.len() == 1 { "" } else { "s" }, runs.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_in_runs() {
        assert_eq!(pages_in_words(&[3]), "page 3");
        assert_eq!(pages_in_words(&[1, 2, 3, 4, 9, 11, 12]), "pages 1-4, 9, 11-12");
    }
}
