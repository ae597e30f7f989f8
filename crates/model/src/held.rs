//! Outputs of several batches that are judged together.

use compute::{Backend, Segment, TokenLossOutput};

use crate::forward::{Context, Tokens};
use crate::{Activations, Decoder, Labels};

/// Rows that are worth a pass over the head.
const ENOUGH: usize = 64;

/// A batch of which some rows are judged.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Its tokens.
    pub tokens: Tokens<'a>,
    /// How they are cut.
    pub segments: &'a [Segment],
    /// Rows, which ascend and may stand there several times, and the token that should come next for each.
    pub labels: (&'a [u32], &'a [u32]),
    /// Whether the adapter answers.
    pub adapter: bool,
}

/// The decoder's outputs where several batches are judged. The head reads its whole matrix for a row as for a hundred, and
/// a batch of questions has few rows: so they wait here until they are [enough](Held::is_enough).
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// `[R, H]`.
    hidden: Vec<f32>,
    /// Of each label its row in `hidden`.
    rows: Vec<u32>,
    labels: Vec<u32>,
    count: usize,
    adapter: bool,
}

impl Held {
    /// Reads a batch and holds its output. What nobody asks of the last layer is not computed
    /// ([`Decoder::forward_rows`]).
    ///
    /// # Panics
    /// As [`Decoder::forward_rows`]; also without [room](Held::has_room), and where the adapter answers for one batch and
    /// not for another.
    pub fn read<B: Backend>(
        &mut self,
        batch: Judged<'_>,
        decoder: &Decoder<B>,
        activations: &mut Activations<B>,
    ) {
        let (rows, labels) = batch.labels;
        assert!(self.has_room(rows, activations), "{} rows are held", self.count);
        assert!(self.count == 0 || self.adapter == batch.adapter, "batches with and without the adapter");
        let mut wanted = rows.to_vec();
        wanted.dedup();
        let context = Context::Segments(batch.segments);
        decoder.forward_rows(batch.tokens, context, &wanted, activations, batch.adapter);
        let (width, held) = (decoder.config().hidden_size, self.hidden.len());
        self.hidden.resize(held + wanted.len() * width, 0.0);
        decoder.backend().read(activations.hidden(wanted.len()).buffer, 0, &mut self.hidden[held..]);
        for group in rows.chunk_by(|a, b| a == b) {
            self.rows.extend(group.iter().map(|_| self.count as u32));
            self.count += 1;
        }
        self.labels.extend(labels);
        self.adapter = batch.adapter;
    }

    /// Whether the output of a batch with `rows` goes in as well.
    pub fn has_room<B: Backend>(&self, rows: &[u32], activations: &Activations<B>) -> bool {
        self.count + rows.chunk_by(|a, b| a == b).count() <= activations.capacity()
    }

    /// Whether to wait any longer spares little.
    pub fn is_enough(&self) -> bool {
        self.count >= ENOUGH
    }

    /// Judges the labels of all batches, one behind the other, and holds none any more. What the last forward has left in
    /// `activations` is lost.
    pub fn judge<B: Backend>(
        &mut self,
        decoder: &Decoder<B>,
        activations: &mut Activations<B>,
    ) -> TokenLossOutput {
        decoder.backend().write(activations.last().normed, 0, &self.hidden);
        let labels = Labels { rows: &self.rows, labels: &self.labels, weights: &[] };
        let judged = decoder.loss(labels, self.count, activations);
        self.hidden.clear();
        self.rows.clear();
        self.labels.clear();
        self.count = 0;
        judged
    }
}
