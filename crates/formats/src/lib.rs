//! Other people's bytes: safetensors, GGUF, quantized weights, Hugging Face folders and caches, PEFT adapters.
//!
//! This crate is the boundary to files that nobody here wrote. A file can be refused; it cannot panic this crate,
//! make it read outside the folder it was given, or make it allocate more than the file itself holds.

#![forbid(unsafe_code)]

pub mod atomic;
mod error;
pub mod gguf;
pub mod hf;
pub mod hub;
pub mod peft;
mod positioned;
pub mod quant;
pub mod safetensors;

pub use error::Error;
pub use gguf::GgufFile;
pub use hf::Checkpoint;
pub use peft::AdapterConfig;
pub use quant::QuantizedMatrix;
pub use safetensors::{Dtype, SafetensorsFile, Tensor, TensorBytes};

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;
