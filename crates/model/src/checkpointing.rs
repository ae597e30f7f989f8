//! Which layers keep less than their backward needs, and compute the rest again.

use serde::{Deserialize, Serialize};

/// What of a layer is computed again in the backward instead of being kept (Chen et al. 2016). Gradients have the same
/// bits either way.
///
/// A value that a product makes from an input of width `H` costs `H` multiply-adds to make again, whatever the product:
/// no choice among them is better than another. The attention's output is cheaper where a query sees fewer keys than
/// that. So there are two steps: the attention with what it reads, which is the cheaper one for texts shorter than `H`,
/// and everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checkpointing {
    /// Everything that the backward needs is kept, but for norms and the gated activation.
    #[default]
    None,
    /// q, k, v and the attention's output are computed again.
    Attention,
    /// Only the layer's input is kept, and the inner values of its adapters.
    Full,
}

impl Checkpointing {
    /// Whether q, k, v and the attention's output are kept.
    pub(crate) fn keeps_attention(self) -> bool {
        self == Checkpointing::None
    }

    /// Whether the residual stream after the attention, gate and up are kept.
    pub(crate) fn keeps_mlp(self) -> bool {
        self != Checkpointing::Full
    }
}
