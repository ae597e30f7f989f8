//! The memory of a step, before it is allocated.

use compute::{Backend, DeviceBuffer};

use super::layout::{Layout, Place};
use crate::checkpointing::Checkpointing;
use crate::{Config, Decoder};

/// Bytes of a step's memory by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActivationPlan {
    /// Kept from forward to backward.
    pub kept: usize,
    /// Used by one layer after the other.
    pub shared: usize,
    /// Logits of the labelled rows that are projected at once, with what belongs to them.
    pub logits: usize,
}

impl ActivationPlan {
    /// What a batch of `tokens` tokens takes of which `labels` are judged, with these layers. Fewer layers than the
    /// decoder has: the rest keep everything.
    pub fn new<B: Backend>(
        decoder: &Decoder<B>,
        (tokens, labels): (usize, usize),
        layers: &[Checkpointing],
    ) -> Self {
        let (c, ranks) = (&decoder.config, decoder.layer_ranks());
        let (widths, adapters) = (Widths::of(c), decoder.adapter_widths());
        let layout = Layout::of_training(decoder, layers);
        let narrow = |place: &Place| match (place.narrow, place.checkpointing.keeps_attention()) {
            (None, _) => 0,
            (Some(_), true) => (widths.x + widths.attended + widths.mlp_values) / 2,
            (Some(_), false) => (widths.x + widths.mlp_values) / 2,
        };
        let kept = layout.x.own * widths.x
            + layout.attention.own * widths.attention
            + layout.attended.own * widths.attended
            + layout.mlp_norms.own * widths.mlp_norms
            + layout.mlp_values.own * widths.mlp_values
            + layout.places.iter().map(narrow).sum::<usize>()
            + c.layers * (ranks + adapters.outputs)
            + 1;
        let shared = widths.of_shared(&layout)
            + c.hidden_size
            + c.intermediate_size
            + widths.backward
            + ranks
            + adapters.scratch();
        let rows = crate::backward::loss_chunk(c.vocab_size).min(labels);
        let (head_rank, _) = decoder.end_ranks();
        ActivationPlan {
            kept: kept * tokens * size_of::<f32>(),
            shared: (shared * tokens + decoder.squares.len()) * size_of::<f32>(),
            logits: rows * (c.vocab_size + 2 * (c.hidden_size + head_rank) + 3) * size_of::<f32>(),
        }
    }

    /// What a forward pass alone takes, of `tokens` tokens of which `labels` are judged.
    pub fn for_inference<B: Backend>(decoder: &Decoder<B>, (tokens, labels): (usize, usize)) -> Self {
        let (c, widths, adapters) = (&decoder.config, Widths::of(&decoder.config), decoder.adapter_widths());
        let shared = widths.of_shared(&Layout::of_inference(c))
            + c.hidden_size
            + decoder.layer_ranks()
            + adapters.outputs
            + c.intermediate_size
            + 1
            + adapters.anchored
            + adapters.embedded;
        ActivationPlan {
            kept: 0,
            shared: (shared * tokens + decoder.squares.len()) * size_of::<f32>(),
            ..ActivationPlan::new(decoder, (0, labels), &[])
        }
    }

    /// All of it.
    pub fn total(&self) -> usize {
        self.kept + self.shared + self.logits
    }
}

/// Values a token.
struct Widths {
    x: usize,
    attention: usize,
    attended: usize,
    mlp_norms: usize,
    mlp_values: usize,
    /// Of [`BackwardScratch`](super::BackwardScratch) without `dt`.
    backward: usize,
}

impl Widths {
    fn of(c: &Config) -> Self {
        let (a, f) = (c.attention(), &c.features);
        let (h, i) = (c.hidden_size, c.intermediate_size);
        let heads = if f.qk_norm { a.qk_width() + a.heads + a.kv_heads } else { 0 };
        let branches = if f.post_norms { 2 * (h + 1) } else { 0 };
        Widths {
            x: h,
            attention: 1 + a.qkv_width() + heads + a.heads,
            attended: a.q_width(),
            mlp_norms: branches + 1,
            mlp_values: h + 2 * i,
            backward: 2 * h + if f.post_norms { h } else { 0 } + a.qkv_width() + a.q_width() + i,
        }
    }

    /// What layers share.
    fn of_shared(&self, layout: &Layout) -> usize {
        layout.x.shared() * self.x
            + layout.attention.shared() * self.attention
            + layout.attended.shared() * self.attended
            + layout.mlp_norms.shared() * self.mlp_norms
            + layout.mlp_values.shared() * self.mlp_values
    }
}
