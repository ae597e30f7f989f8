//! Retrieval: passages of documents that answer a question, and answers that say which of them they rest on.
//!
//! ```text
//! corpus or rows ▸ passages ▸ index (words, vectors) ▸ candidates ▸ reranker ▸ numbered passages ▸ answer ▸ citations
//! ```

pub mod cite;
mod encoders;
mod error;
mod index;
mod passage;
pub mod prompt;
pub mod quality;
mod retrieve;
mod sources;
mod vectors;

pub use encoders::{CrossReranker, Embedder, Reranker, TextEncoder, Vector};
pub use error::{Error, Result};
pub use index::{Changes, Contents, EncoderIdentity, Index};
pub use passage::Passage;
pub use retrieve::{Hit, Method, Place, Retrieval, Retriever, Settings};
pub use sources::{Cutting, Skipped, Sources};
pub use vectors::{VectorsMade, add_vectors};
