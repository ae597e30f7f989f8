//! A model behind HTTP: `/ask`, the APIs of OpenAI and Ollama, and a page; beside it an encoder for vectors of texts.
//!
//! One thread owns the engine and takes a step at a time; handlers reach it through bounded channels and hear of
//! their texts through others. Whoever goes away or stops reading loses its place within a step. No text of a client
//! or of the model appears in a log, a metric or an error.

mod app;
mod ask;
mod catalogue;
mod embeddings;
mod error;
mod guard;
mod health;
mod json;
mod key;
mod listener;
mod metrics;
mod ollama;
mod openai;
mod pages;
mod patience;
mod refusal;
mod routes;
mod server;
mod settings;
mod signals;
mod status;
mod stream;
mod texts;
mod worker;
mod writer;

pub use catalogue::{Catalogue, Details, Name};
pub use embeddings::{Embedder, EncoderEmbedder};
pub use error::Error;
pub use key::Keys;
pub use model::TextVector;
pub use server::{Inbox, Server};
pub use settings::{Limits, Settings};
pub use writer::{DecoderWriter, Writer};
