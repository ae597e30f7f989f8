//! What an engine allocates, before it does.

use compute::{Backend, KV_BLOCK};

use super::lookup::PASS_ROWS;
use super::schedule::blocks_of;
use super::{Engine, EngineSettings};
use crate::{ActivationPlan, Decoder};

impl EngineSettings {
    /// The settings that an engine takes on, for a model of so many positions.
    pub(super) fn within(self, positions: usize) -> Self {
        let slots = self.slots.max(1);
        let blocks = blocks_of(self.positions).max(1);
        let context = self.context.min(positions).min(blocks * KV_BLOCK);
        EngineSettings {
            slots,
            positions: blocks * KV_BLOCK,
            context,
            step_tokens: self.step_tokens.clamp(slots, (slots * context).max(slots)),
            prefill_chunk: self.prefill_chunk.max(1),
            ..self
        }
    }

    /// Rows of a forward pass whose logits may be wanted.
    pub(super) fn wanted_rows(&self) -> usize {
        if self.lookup > 0 { self.slots.max(PASS_ROWS) } else { self.slots }
    }
}

impl<B: Backend> Engine<'_, B> {
    /// Bytes on the device that an engine of these settings allocates: activations, logits, and the cache.
    pub fn bytes(decoder: &Decoder<B>, settings: EngineSettings) -> usize {
        let settings = settings.within(decoder.positions());
        let c = decoder.config();
        let row = c.hidden_size + decoder.end_ranks().0 + c.vocab_size;
        let cache =
            2 * c.layers * blocks_of(settings.positions) * decoder.backend.kv_block_len(c.attention());
        let activations = ActivationPlan::for_inference(decoder, (settings.step_tokens, 0));
        activations.total() + (settings.wanted_rows() * row + cache) * size_of::<f32>()
    }
}
