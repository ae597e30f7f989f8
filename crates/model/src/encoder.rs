//! Bidirectional encoders: BERT and RoBERTa folders of Hugging Face, forward only.
//!
//! Devlin et al. 2019, "BERT"; Liu et al. 2019, "RoBERTa"; transformers 5.23, `modeling_bert.py`. Their hidden states
//! are what BERTScore compares, their pooled states what a search for similar texts does (Reimers & Gurevych 2019,
//! "Sentence-BERT"), and a head on the first of them says how well a passage answers a query (Nogueira & Cho 2019,
//! "Passage Re-ranking with BERT").

mod config;
mod cross;
mod forward;
mod head;
mod load;
mod pooling;
mod sentence;
mod vectors;

use std::path::Path;
use std::sync::Arc;

use compute::{EncoderBackend, Segment};

pub use config::EncoderConfig;
pub use cross::{CrossEncoder, PairScore};
pub use pooling::Pooling;
pub use sentence::Prompts;
pub use vectors::TextVector;

use crate::{Result, Tokenizer};
use forward::{Sequence, Wanted, batches};
use sentence::SentenceConfig;

/// An encoder with its tokenizer.
#[derive(Debug)]
pub struct Encoder<B: EncoderBackend> {
    backend: Arc<B>,
    config: EncoderConfig,
    sentence: SentenceConfig,
    tokenizer: Tokenizer,
    /// Token before a text and token after it.
    ends: [u32; 2],
    /// `[V, H]`.
    words: B::Weight,
    /// Embeddings of the positions with that of the first token type added, then those with the second where there is
    /// one: `[P, H]` or `[2P, H]`.
    positions: B::Weight,
    /// All gains and biases, one after another.
    vectors: B::Buffer,
    embedding_norm: Norm,
    layers: Vec<Layer<B>>,
}

/// Where gain and bias of a norm lie among the vectors.
#[derive(Debug, Clone, Copy)]
struct Norm {
    gain: usize,
    bias: usize,
}

/// A matrix `[N, K]` and where its bias lies.
#[derive(Debug)]
struct Dense<B: EncoderBackend> {
    weight: B::Weight,
    bias: usize,
}

/// One block.
#[derive(Debug)]
struct Layer<B: EncoderBackend> {
    /// `[3H, H]`.
    qkv: Dense<B>,
    /// `[H, H]`.
    out: Dense<B>,
    attention_norm: Norm,
    /// `[I, H]`.
    up: Dense<B>,
    /// `[H, I]`.
    down: Dense<B>,
    norm: Norm,
}

/// A text in an encoder's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderText {
    /// The ids, with the tokens that begin and end a text.
    pub ids: Vec<u32>,
    /// Tokens of the text that were cut off because the encoder reads no more.
    pub cut: usize,
}

/// The hidden states of a text: `[T, H]`, one row a token.
#[derive(Debug, Clone, PartialEq)]
pub struct HiddenStates {
    /// Width of a row.
    pub width: usize,
    /// The rows.
    pub values: Vec<f32>,
}

impl HiddenStates {
    /// The states of each token, with those of the tokens that begin and end the text.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    /// Mean over all tokens.
    pub fn mean(&self) -> Vec<f32> {
        let mut mean = vec![0.0; self.width];
        for row in self.rows() {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value);
        }
        let count = self.rows().len() as f32;
        mean.iter_mut().for_each(|mean| *mean /= count);
        mean
    }
}

impl<B: EncoderBackend> Encoder<B> {
    /// Reads a folder: `config.json`, `tokenizer.json`, `model.safetensors` or its shards; and, where they are there,
    /// the files that sentence-transformers adds: `modules.json`, `1_Pooling/config.json`,
    /// `sentence_bert_config.json`, `config_sentence_transformers.json`.
    ///
    /// # Errors
    ///
    /// When a file is missing or broken, when the config is of an encoder that does not run here, when a tensor is
    /// missing or has another shape than the config says, or when the vocabulary lacks the tokens that begin and end
    /// a text. [`crate::Error::Unsupported`] when vectors are pooled in another way than [`Pooling`]'s, or go through
    /// a module that is not computed here, such as `Dense`.
    pub fn from_dir(backend: Arc<B>, folder: &Path) -> Result<Self> {
        load::from_dir(backend, folder)
    }

    /// Its sizes.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Its vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// How it pools states to the vector of a text; the mean where its folder does not say.
    pub fn pooling(&self) -> Pooling {
        self.sentence.pooling
    }

    /// What its authors put before texts of a kind.
    pub fn prompts(&self) -> &Prompts {
        &self.sentence.prompts
    }

    /// Whether the token begins or ends a text.
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// The ids of a text between the tokens that begin and end it, cut to what the encoder reads, as BERTScore reads
    /// texts: without blanks around it, and with one before it where the vocabulary tells words by it.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Tokenizer`] when the vocabulary has no tokens for the text.
    pub fn tokens(&self, text: &str) -> Result<EncoderText> {
        let text = text.trim();
        let inner = if text.is_empty() {
            Vec::new()
        } else if self.config.blank_before_text {
            self.tokenizer.encode_ordinary(&format!(" {text}"))?
        } else {
            self.tokenizer.encode_ordinary(text)?
        };
        let kept = inner.len().min(self.config.longest_text() - 2);
        let ids = [&self.ends[..1], &inner[..kept], &self.ends[1..]].concat();
        Ok(EncoderText { ids, cut: inner.len() - kept })
    }

    /// The hidden states of texts after `layer` blocks, 0 being the embedding. Each text is computed by itself: its
    /// states do not depend on the others.
    ///
    /// # Errors
    ///
    /// When memory runs out.
    ///
    /// # Panics
    ///
    /// When `layer` is more than the encoder has, when a text is empty or longer than it reads, or when an id is not
    /// in its vocabulary: [`Encoder::tokens`] makes no such text.
    pub fn hidden_states(&self, texts: &[&[u32]], layer: usize) -> Result<Vec<HiddenStates>> {
        assert!(layer <= self.layers.len(), "layer {layer} of {}", self.layers.len());
        let sequences: Vec<Sequence<'_>> = texts.iter().map(|ids| Sequence::text(ids)).collect();
        let mut states = Vec::with_capacity(texts.len());
        for batch in batches(&sequences) {
            let batch = self.forward(batch, layer, Wanted::All)?;
            states.extend(batch.segments.iter().map(|segment| self.states_of(&batch.x, segment)));
        }
        Ok(states)
    }

    fn states_of(&self, x: &B::Buffer, segment: &Segment) -> HiddenStates {
        let width = self.config.hidden_size;
        let mut values = vec![0.0; segment.len * width];
        self.backend.read(x, segment.start * width, &mut values);
        HiddenStates { width, values }
    }
}
