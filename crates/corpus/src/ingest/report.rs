//! What was done: `report.json`, and the rows of the other files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::child::Failure;
use super::sources::Ignored;
use crate::phi::Class;
use crate::{Block, DocumentId, Format, Removed};

/// A line of `blocks.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockRow {
    /// The document that it belongs to.
    pub document: DocumentId,
    /// Its number in the document, from 0.
    pub block: usize,
    /// Kind, text and places.
    #[serde(flatten)]
    pub content: Block,
}

/// A line of `removed.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemovedRow {
    /// The document that it belonged to.
    pub document: DocumentId,
    /// The rule, and what it took out.
    #[serde(flatten)]
    pub removed: Removed,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is in the corpus.
    Done,
    /// The PHI gate held it back.
    Refused,
    /// It was skipped; `failure` says why.
    Failed,
}

/// A document of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentReport {
    /// Its name.
    pub name: String,
    /// Its files; those with the same content after it.
    pub paths: Vec<PathBuf>,
    /// What became of it.
    pub status: Status,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    /// From its content; of a file that could not be read there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<DocumentId>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub format: Option<Format>,
    /// Its Markdown in the corpus.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub markdown: Option<String>,
    /// As it names itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// Number of pages, in formats that have them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<u32>,
    /// Number of blocks.
    pub blocks: usize,
    /// Number of characters in its blocks.
    pub characters: usize,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Blocks that were taken out, by rule.
    pub removed: BTreeMap<String, usize>,
    /// What the PHI gate found, by class.
    pub phi: BTreeMap<Class, usize>,
    /// How long reading it took.
    pub seconds: f64,
}

/// `report.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Sorted by name and id.
    pub documents: Vec<DocumentReport>,
    /// What lies in the folders and was not read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ignored: Vec<Ignored>,
    /// Documents that were read earlier and taken as they were.
    #[serde(skip)]
    pub reused: usize,
    /// Documents of an earlier call that left the corpus: no longer named, or refused or skipped now.
    #[serde(skip)]
    pub dropped: usize,
}

impl Report {
    /// Documents of this status.
    pub fn with(&self, status: Status) -> impl Iterator<Item = &DocumentReport> {
        self.documents.iter().filter(move |document| document.status == status)
    }
}
