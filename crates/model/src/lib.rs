//! A language model on disk and in memory: tokenizer, chat template, decoder, adapters, generation.

mod error;

pub use error::Error;
