//! Documents: files of any kind to blocks of text, each with the page and the place that it came from.
//!
//! ```text
//! file ▸ Reader ▸ blocks ▸ cleaning (what it removes is kept on file) ▸ Markdown + blocks.jsonl ▸ chunks
//! ```

pub mod cleaning;
mod document;
mod error;
mod markdown;
pub mod pdf;
mod reader;

pub use document::{Area, Block, Document, DocumentId, Kind, Place, Removed};
pub use error::{CorpusError, Result};
pub use markdown::to_markdown;
pub use reader::Reader;
