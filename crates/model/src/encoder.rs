//! Bidirectional encoders: BERT and RoBERTa folders of Hugging Face, forward only.
//!
//! Devlin et al. 2019, "BERT"; Liu et al. 2019, "RoBERTa"; transformers 5.23, `modeling_bert.py`. Their hidden states
//! are what BERTScore compares, and their pooled states what a search for similar texts does.

mod config;
mod load;

use std::path::Path;
use std::sync::Arc;

use compute::{
    AttentionShape, BidirectionalAttention, DeviceBuffer, EncoderBackend, LayerNorm, Matrix, Segment, View,
};

pub use config::EncoderConfig;

use crate::{Result, Tokenizer};

/// Tokens that are computed together, so that memory does not grow with the number of texts.
const BATCH_TOKENS: usize = 4096;

/// An encoder with its tokenizer.
#[derive(Debug)]
pub struct Encoder<B: EncoderBackend> {
    backend: Arc<B>,
    config: EncoderConfig,
    tokenizer: Tokenizer,
    /// Token before a text and token after it.
    ends: [u32; 2],
    /// `[V, H]`.
    words: B::Weight,
    /// Embeddings of the positions with that of the only token type added, `[P, H]`.
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
    /// Reads a folder: `config.json`, `tokenizer.json`, `model.safetensors` or its shards.
    ///
    /// # Errors
    ///
    /// When a file is missing or broken, when the config is of an encoder that does not run here, when a tensor is
    /// missing or has another shape than the config says, or when the vocabulary lacks the tokens that begin and end
    /// a text.
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

    /// Whether the token begins or ends a text.
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// The ids of a text between the tokens that begin and end it, cut to what the encoder reads.
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
        let mut states = Vec::with_capacity(texts.len());
        let mut rest = texts;
        while !rest.is_empty() {
            let mut tokens = 0;
            let fits = |text: &&&[u32]| {
                tokens += text.len();
                tokens <= BATCH_TOKENS
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (batch, later) = rest.split_at(count);
            states.extend(self.batch(batch, layer)?);
            rest = later;
        }
        Ok(states)
    }

    fn batch(&self, texts: &[&[u32]], layer: usize) -> Result<Vec<HiddenStates>> {
        let (backend, config) = (&*self.backend, &self.config);
        let ids: Vec<u32> = texts.concat();
        let (tokens, width, inner) = (ids.len(), config.hidden_size, config.intermediate_size);
        let mut segments = Vec::with_capacity(texts.len());
        let mut positions = Vec::with_capacity(tokens);
        for text in texts {
            assert!((1..=config.longest_text()).contains(&text.len()), "a text of {} tokens", text.len());
            segments.push(Segment::whole(positions.len(), text.len()));
            positions.extend((0..text.len()).map(|position| (position + config.first_position) as u32));
        }
        let zeros = |cols| backend.zeros("hidden states of an encoder", tokens * cols);
        let (mut x, mut y, mut z) = (zeros(width)?, zeros(width)?, zeros(width)?);
        let (mut qkv, mut wide) = (zeros(3 * width)?, zeros(inner)?);
        backend.embed(y.view_mut(0, tokens, width), &ids, Matrix::Weight(&self.words), 1.0);
        backend.embed(z.view_mut(0, tokens, width), &positions, Matrix::Weight(&self.positions), 1.0);
        self.norm(&mut x, [&y, &z], self.embedding_norm, tokens);
        let shape = AttentionShape::new(config.heads, config.heads, width / config.heads);
        for layer in &self.layers[..layer] {
            self.dense(&mut qkv, &x, &layer.qkv, tokens);
            backend.attention_bidirectional(BidirectionalAttention {
                shape,
                segments: &segments,
                qkv: qkv.view(0, tokens, 3 * width),
                out: z.view_mut(0, tokens, width),
            });
            self.dense(&mut y, &z, &layer.out, tokens);
            self.norm(&mut z, [&y, &x], layer.attention_norm, tokens);
            self.dense(&mut wide, &z, &layer.up, tokens);
            backend.gelu(wide.view_mut(0, tokens, inner));
            self.dense(&mut y, &wide, &layer.down, tokens);
            self.norm(&mut x, [&y, &z], layer.norm, tokens);
        }
        let read = |segment: &Segment| {
            let mut values = vec![0.0; segment.len * width];
            backend.read(&x, segment.start * width, &mut values);
            HiddenStates { width, values }
        };
        Ok(segments.iter().map(read).collect())
    }

    /// `y = x Wᵀ + b`.
    fn dense(&self, y: &mut B::Buffer, x: &B::Buffer, dense: &Dense<B>, tokens: usize) {
        let (rows, cols) = self.backend.weight_shape(&dense.weight);
        self.backend.matmul(
            y.view_mut(0, tokens, rows),
            x.view(0, tokens, cols),
            Matrix::Weight(&dense.weight),
        );
        self.backend.add_bias(y.view_mut(0, tokens, rows), self.vector(dense.bias, rows));
    }

    /// The norm of the sum of two states.
    fn norm(&self, y: &mut B::Buffer, [x, residual]: [&B::Buffer; 2], norm: Norm, tokens: usize) {
        let width = self.config.hidden_size;
        self.backend.layer_norm(LayerNorm {
            y: y.view_mut(0, tokens, width),
            x: x.view(0, tokens, width),
            residual: Some(residual.view(0, tokens, width)),
            gain: self.vector(norm.gain, width),
            bias: self.vector(norm.bias, width),
            eps: self.config.layer_norm_eps,
        });
    }

    fn vector(&self, offset: usize, len: usize) -> View<'_, B::Buffer> {
        self.vectors.view(offset, 1, len)
    }
}
