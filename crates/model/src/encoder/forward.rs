//! Texts through an encoder's blocks, a batch at a time.

use compute::{
    AttentionShape, BidirectionalAttention, DeviceBuffer, EncoderBackend, LayerNorm, Matrix, Segment, View,
};

use super::{Dense, Encoder, Norm};
use crate::Result;

/// Tokens that are computed together, so that memory does not grow with the number of texts.
const BATCH_TOKENS: usize = 4096;

/// A text, or a pair of texts, as an encoder reads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence<'a> {
    pub(super) ids: &'a [u32],
    /// Tokens of the first type; those behind them are of the second.
    pub(super) first: usize,
}

impl<'a> Sequence<'a> {
    /// A single text.
    pub(super) fn text(ids: &'a [u32]) -> Self {
        Sequence { ids, first: ids.len() }
    }
}

/// Of which tokens the states after the last block are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// Of each sequence the first one; what only the others would need is not computed.
    First,
}

/// The states of a batch after some blocks.
pub(super) struct States<B: EncoderBackend> {
    /// `[T, H]`, of the tokens that were wanted.
    pub(super) x: B::Buffer,
    /// The rows of each sequence that are there, in their order.
    pub(super) segments: Vec<Segment>,
}

/// Parts of at most [`BATCH_TOKENS`] tokens, or of one sequence that is longer.
pub(super) fn batches<'s, 'a>(mut rest: &'s [Sequence<'a>]) -> impl Iterator<Item = &'s [Sequence<'a>]> {
    std::iter::from_fn(move || {
        let mut tokens = 0;
        let fits = |sequence: &&Sequence<'_>| {
            tokens += sequence.ids.len();
            tokens <= BATCH_TOKENS
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (batch, later) = rest.split_at_checked(count)?;
        rest = later;
        Some(batch)
    })
}

impl<B: EncoderBackend> Encoder<B> {
    /// The states of the tokens of a batch that are `wanted` after `layers` blocks, 0 being the embedding. Rows of a
    /// sequence do not depend on the others.
    ///
    /// # Panics
    ///
    /// When a sequence is empty or longer than the encoder reads, or an id is not in its vocabulary.
    pub(super) fn forward(&self, batch: &[Sequence<'_>], layers: usize, wanted: Wanted) -> Result<States<B>> {
        let (backend, config) = (&*self.backend, &self.config);
        let ids: Vec<u32> = batch.iter().flat_map(|sequence| sequence.ids).copied().collect();
        let (mut tokens, width, inner) = (ids.len(), config.hidden_size, config.intermediate_size);
        let mut segments = Vec::with_capacity(batch.len());
        let mut positions = Vec::with_capacity(tokens);
        for Sequence { ids, first } in batch {
            assert!((1..=config.longest_text()).contains(&ids.len()), "a text of {} tokens", ids.len());
            segments.push(Segment::whole(positions.len(), ids.len()));
            let row = |position| {
                let table = if position < *first { 0 } else { config.max_positions };
                (table + config.first_position + position) as u32
            };
            positions.extend((0..ids.len()).map(row));
        }
        let zeros = |cols| backend.zeros("hidden states of an encoder", tokens * cols);
        let (mut x, mut y, mut z) = (zeros(width)?, zeros(width)?, zeros(width)?);
        let (mut qkv, mut wide) = (zeros(3 * width)?, zeros(inner)?);
        backend.embed(y.view_mut(0, tokens, width), &ids, Matrix::Weight(&self.words), 1.0);
        backend.embed(z.view_mut(0, tokens, width), &positions, Matrix::Weight(&self.positions), 1.0);
        self.norm(&mut x, [&y, &z], self.embedding_norm, tokens);
        let shape = AttentionShape::new(config.heads, config.heads, width / config.heads);
        for (l, layer) in self.layers[..layers].iter().enumerate() {
            let first = (wanted == Wanted::First && l + 1 == layers)
                .then(|| segments.iter().map(|segment| segment.start as u32).collect::<Vec<_>>());
            self.dense(&mut qkv, &x, &layer.qkv, tokens);
            backend.attention_bidirectional(BidirectionalAttention {
                shape,
                segments: &segments,
                qkv: qkv.view(0, tokens, 3 * width),
                out: z.view_mut(0, tokens, width),
                wanted: first.as_deref(),
            });
            if let Some(first) = first {
                backend.keep_rows(x.view_mut(0, tokens, width), &first);
                backend.keep_rows(z.view_mut(0, tokens, width), &first);
                tokens = first.len();
                segments = (0..tokens).map(|row| Segment::whole(row, 1)).collect();
            }
            self.dense(&mut y, &z, &layer.out, tokens);
            self.norm(&mut z, [&y, &x], layer.attention_norm, tokens);
            self.dense(&mut wide, &z, &layer.up, tokens);
            backend.gelu(wide.view_mut(0, tokens, inner));
            self.dense(&mut y, &wide, &layer.down, tokens);
            self.norm(&mut x, [&y, &z], layer.norm, tokens);
        }
        Ok(States { x, segments })
    }

    /// `y = x Wᵀ + b`.
    pub(super) fn dense(&self, y: &mut B::Buffer, x: &B::Buffer, dense: &Dense<B>, tokens: usize) {
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
