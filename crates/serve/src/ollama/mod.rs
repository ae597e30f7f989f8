//! The API of Ollama, as far as its clients use it with models that are there already.

mod fields;
pub(crate) mod models;
pub(crate) mod write;
