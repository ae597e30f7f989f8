//! A language model on disk and in memory: tokenizer, chat template, decoder, adapters, generation.

mod activations;
mod adapter_start;
mod adapters;
mod backward;
mod base;
mod cache;
mod checkpointing;
mod config;
mod decoder;
mod disk;
mod encode;
mod encoder;
pub mod engine;
mod error;
mod export;
mod forward;
mod gguf_adapter;
mod golden;
mod held;
mod importance;
mod local;
mod logits;
mod lora;
mod options;
mod parameters;
mod principal;
mod projection;
pub mod random;
mod sampling;
mod stack;
mod template;
mod tensors;
mod tokenizer;
mod tokenizer_training;
mod vector;
mod vocabulary;
mod weights;

pub use activations::{ActivationPlan, Activations};
pub use backward::Labels;
pub use base::Base;
pub use cache::Cache;
pub use checkpointing::Checkpointing;
pub use config::{Config, Family, Features, RopeScaling};
pub use decoder::Decoder;
pub use disk::peft_name;
pub use encode::{ConversationError, Encoded, TrainOn, encode_conversation, encode_prompt};
pub use encoder::{
    CrossEncoder, Encoder, EncoderConfig, EncoderText, HiddenStates, PairScore, Pooling, Prompts, TextVector,
};
pub use error::Error;
pub use export::GgufModel;
pub use forward::{Context, Perturb, Tokens, Training};
pub use gguf_adapter::GGUF_ADAPTER;
pub use golden::{Difference, GOLDEN, Golden, GoldenConversation};
pub use held::{Held, Judged};
pub use local::{LocalModel, LocalParts};
pub use lora::{InitLoraWeights, LoraConfig, PROJECTIONS, Trainable};
pub use options::{OptionScore, Options};
pub use parameters::{FileLayout, Parameter, Parameters, read_range};
pub use sampling::Sampling;
pub use template::{ChatTemplate, GoTemplate, OllamaTemplate};
pub use tokenizer::{DecodeStream, Tokenizer};
pub use tokenizer_training::{END_OF_TEXT, SPECIALS, TURN_END, TURN_START, train_bpe, write_tokenizer};
pub use weights::{Quantize, QuantizeOnLoad, RandomStart, StoredTensor, TensorSource};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
