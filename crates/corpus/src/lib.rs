//! Documents: files of any kind to blocks of text, each with the page and the place that it came from.
//!
//! ```text
//! file ▸ Reader ▸ blocks ▸ cleaning (what it removes is kept on file) ▸ Markdown + blocks.jsonl ▸ chunks
//! ```

mod article;
pub mod chunk;
pub mod cleaning;
mod collect;
mod commonmark;
mod decode;
mod document;
mod docx;
mod error;
mod format;
mod html;
mod hyphen;
pub mod ingest;
mod markdown;
mod ocr;
pub mod pdf;
pub mod phi;
mod plain;
mod reader;
mod table;
mod tidy;
mod xml;

pub use article::ArticleReader;
pub use chunk::{Chunk, ChunkOptions, StoredDocument, read_blocks};
pub use commonmark::MarkdownReader;
pub use document::{Area, Block, Document, DocumentId, Kind, Place, Removed};
pub use docx::DocxReader;
pub use error::{CorpusError, Result};
pub use format::Format;
pub use html::HtmlReader;
pub use markdown::to_markdown;
pub use plain::PlainReader;
pub use reader::Reader;
