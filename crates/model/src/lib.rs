//! A language model on disk and in memory: tokenizer, chat template, decoder, adapters, generation.

mod activations;
mod backward;
mod cache;
mod config;
mod decoder;
mod disk;
mod error;
mod forward;
mod generate;
mod lora;
mod parameters;
mod projection;
pub mod random;
mod sampling;
mod weights;

pub use activations::{ActivationPlan, Activations};
pub use backward::Labels;
pub use cache::Cache;
pub use config::{Config, RopeScaling};
pub use decoder::Decoder;
pub use error::Error;
pub use forward::{Context, Tokens};
pub use generate::{Generator, Stop};
pub use lora::{LoraConfig, PROJECTIONS, Trainable};
pub use parameters::{Parameter, Parameters, read_range};
pub use sampling::Sampling;
pub use weights::{RandomStart, StoredTensor, TensorSource};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
