//! The memory of a step, before it is allocated.

use compute::{Backend, DeviceBuffer, Waiting};

use super::kept::Storages;
use super::layout::{Layout, Place};
use super::{activation_room, gates_room, normed_room};
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
    /// What a batch of `tokens` tokens takes of which `labels` are judged, with these layers, whose values wait for the
    /// backward as `waiting` says. Fewer layers than the decoder has: the rest keep everything.
    pub fn new<B: Backend>(
        decoder: &Decoder<B>,
        (tokens, labels): (usize, usize),
        (layers, waiting): (&[Checkpointing], Waiting),
    ) -> Self {
        let (c, ranks) = (&decoder.config, decoder.layer_ranks());
        let (widths, adapters) = (Widths::of(c), decoder.adapter_widths());
        let layout = Layout::of_training(c, layers, waiting);
        let narrow = |place: &Place| {
            let of = Storages::of(waiting, place.checkpointing);
            let mlp = of.mlp.room(c.hidden_size) + of.mlp.room(2 * c.intermediate_size);
            let attended = of.attended.map_or(0, |storage| storage.room(widths.attended));
            let qkv = of.qkv.map_or(0, |storage| storage.room(widths.qkv));
            of.x.room(widths.x) + mlp + attended + qkv
        };
        let kept = layout.x.own * widths.x
            + layout.attention.own * widths.attention
            + layout.qkv.own * widths.qkv
            + layout.attended.own * widths.attended
            + layout.mlp_norms.own * widths.mlp_norms
            + layout.mlp_values.own * widths.mlp_values
            + layout.places.iter().filter(|place| place.narrow.is_some()).map(narrow).sum::<usize>()
            + c.layers * (ranks + adapters.outputs)
            + 1;
        let shared = widths.of_shared(&layout)
            + normed_room(c, true)
            + activation_room(c, true)
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
            + activation_room(c, false)
            + 1
            + adapters.anchored
            + adapters.embedded;
        ActivationPlan {
            kept: 0,
            shared: (shared * tokens + decoder.squares.len()) * size_of::<f32>(),
            ..ActivationPlan::new(decoder, (0, labels), (&[], Waiting::Exact))
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
    qkv: usize,
    attended: usize,
    mlp_norms: usize,
    mlp_values: usize,
    /// Of [`BackwardScratch`](super::BackwardScratch) without `dt`.
    backward: usize,
}

impl Widths {
    fn of(c: &Config) -> Self {
        let (a, f) = (c.attention(), &c.features);
        let h = c.hidden_size;
        let heads = if f.qk_norm { a.qk_width() + a.heads + a.kv_heads } else { 0 };
        let branches = if f.post_norms { 2 * (h + 1) } else { 0 };
        Widths {
            x: h,
            attention: 1 + heads + a.heads,
            qkv: a.qkv_width(),
            attended: a.q_width(),
            mlp_norms: branches + 1,
            mlp_values: h + gates_room(c),
            backward: h + if f.post_norms { h } else { 0 },
        }
    }

    /// What layers share.
    fn of_shared(&self, layout: &Layout) -> usize {
        layout.x.shared() * self.x
            + layout.attention.shared() * self.attention
            + layout.qkv.shared() * self.qkv
            + layout.attended.shared() * self.attended
            + layout.mlp_norms.shared() * self.mlp_norms
            + layout.mlp_values.shared() * self.mlp_values
    }
}
