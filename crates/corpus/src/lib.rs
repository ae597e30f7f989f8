//! Documents: files of any kind to blocks of text, each with the page and the place that it came from.
//!
//! ```text
//! file ▸ Reader ▸ blocks ▸ cleaning (what it removes is kept on file) ▸ Markdown + blocks.jsonl ▸ chunks
//! ```

pub mod chunk;
mod document;
mod error;
mod markdown;
mod reader;

pub use chunk::{Chunk, ChunkOptions, StoredDocument, read_blocks};
pub use document::{Area, Block, Document, DocumentId, Kind, Place, Removed};
pub use error::{CorpusError, Result};
pub use markdown::to_markdown;
pub use reader::Reader;
