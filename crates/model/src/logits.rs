//! From the decoder's output to the logits of the next token.

use compute::{Backend, DeviceBuffer, LinearGroup, Matrix, Start};

use crate::forward::{Context, Tokens};
use crate::{Activations, Decoder, Result};

/// Memory for the logits of some rows of a batch.
#[derive(Debug)]
pub(crate) struct Logits<B: Backend> {
    /// The rows themselves, `[R, H]`.
    hidden: B::Buffer,
    /// The low-rank side of the head's adapter.
    low: B::Buffer,
    /// `[R, V]`.
    values: B::Buffer,
}

impl<B: Backend> Logits<B> {
    /// Room for `rows` rows.
    pub(crate) fn new(decoder: &Decoder<B>, rows: usize) -> Result<Self> {
        let (rank, _) = decoder.end_ranks();
        let (h, v) = (decoder.config().hidden_size, decoder.config().vocab_size);
        Ok(Logits {
            hidden: decoder.backend().zeros("last hidden states", rows * h)?,
            low: decoder.backend().zeros("logits", rows * rank)?,
            values: decoder.backend().zeros("logits", rows * v)?,
        })
    }

    /// Room for as many rows of another adapter on the same base.
    pub(crate) fn make_room(&mut self, decoder: &Decoder<B>, rows: usize) -> Result<()> {
        let (rank, _) = decoder.end_ranks();
        if self.low.len() < rows * rank {
            self.low = decoder.backend().zeros("logits", rows * rank)?;
        }
        Ok(())
    }

    /// Projects `rows` of the last forward of `tokens` tokens.
    pub(crate) fn project(
        &mut self,
        decoder: &Decoder<B>,
        activations: &Activations<B>,
        (rows, tokens): (&[u32], usize),
    ) {
        let (h, v) = (decoder.config().hidden_size, decoder.config().vocab_size);
        let backend = decoder.backend();
        let hidden = Matrix::View(activations.hidden(tokens));
        backend.embed(self.hidden.view_mut(0, rows.len(), h), rows, hidden, 1.0);
        let (values, hidden) = (self.values.view_mut(0, rows.len(), v), self.hidden.view(0, rows.len(), h));
        let head = decoder.head_linear(activations.adapters.on);
        match head.adapter {
            None => backend.matmul(values, hidden, head.weight),
            Some(_) => {
                let (rank, _) = decoder.end_ranks();
                let (low, layers) = (self.low.view_mut(0, rows.len(), rank), &[head]);
                backend.linear(values, Some(low), hidden, &LinearGroup { layers, rank }, Start::Zero);
            }
        }
        if let Some(cap) = decoder.config().features.logit_softcap {
            backend.softcap(self.values.view_mut(0, rows.len(), v), cap);
        }
    }

    /// Logits from `first` on of the `row`-th projected row.
    pub(crate) fn read(&self, decoder: &Decoder<B>, (row, first): (usize, usize), out: &mut [f32]) {
        let v = decoder.config().vocab_size;
        decoder.backend().read(&self.values, row * v + first, out);
    }
}

impl<B: Backend> Decoder<B> {
    /// Logits `[V]` of the token after `ids`.
    ///
    /// # Errors
    /// When the device has no room.
    ///
    /// # Panics
    /// When `ids` is empty, or longer than the decoder reads.
    pub fn next_logits(&self, ids: &[u32], adapter: bool) -> Result<Vec<f32>> {
        let last = ids.len() as u32 - 1;
        Ok(self.logits(ids, &[last], adapter)?.swap_remove(0))
    }

    /// Logits `[V]` of the token after each of the places `rows` of `ids`.
    ///
    /// # Errors
    /// When the device has no room.
    ///
    /// # Panics
    /// When `ids` is empty or longer than the decoder reads, or a place is beyond it.
    pub fn logits(&self, ids: &[u32], rows: &[u32], adapter: bool) -> Result<Vec<Vec<f32>>> {
        let mut activations = Activations::for_inference(self, ids.len())?;
        let positions: Vec<u32> = (0..ids.len() as u32).collect();
        let tokens = Tokens { ids, positions: &positions };
        let segments = [compute::Segment::whole(0, ids.len())];
        self.forward(tokens, Context::Segments(&segments), &mut activations, adapter);
        let mut logits = Logits::new(self, rows.len())?;
        logits.project(self, &activations, (rows, ids.len()));
        let read = |row| {
            let mut out = vec![0.0; self.config().vocab_size];
            logits.read(self, (row, 0), &mut out);
            out
        };
        Ok((0..rows.len()).map(read).collect())
    }
}
