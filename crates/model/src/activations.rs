//! The memory of a step: allocated once, used by every step.

use compute::{Backend, DeviceBuffer};

use crate::adapters::AdapterScratch;
use crate::{Decoder, Result};

/// What the backward of a norm needs of its forward, where the input is kept for it alone.
#[derive(Debug)]
pub(crate) struct KeptNorm<Buf> {
    pub(crate) x: Buf,
    pub(crate) rstd: Buf,
}

/// What a layer's backward needs of its forward.
#[derive(Debug)]
pub(crate) struct LayerActivations<Buf> {
    /// Residual stream after the attention, `[T, H]`.
    pub(crate) x_mid: Buf,
    pub(crate) attention_rstd: Buf,
    pub(crate) mlp_rstd: Buf,
    /// `[T, qkv_width]`, after RoPE.
    pub(crate) qkv: Buf,
    /// Query and key heads before their norm, `[T, qk_width]`, where they have one.
    pub(crate) heads: Option<KeptNorm<Buf>>,
    /// `[T, q_width]`.
    pub(crate) attention: Buf,
    /// `[T, heads]`.
    pub(crate) log_sum_exp: Buf,
    /// What the attention adds to the residual stream before its norm, `[T, H]`, where it has one.
    pub(crate) attention_branch: Option<KeptNorm<Buf>>,
    /// `[T, 2I]`; the backward turns it into its gradient.
    pub(crate) gate_up: Buf,
    /// As `attention_branch`, of the gated layer.
    pub(crate) mlp_branch: Option<KeptNorm<Buf>>,
    /// `s x Aᵀ` of the layer's adapters, group after group `[T, R]`.
    pub(crate) t: Buf,
    /// With DoRA the products before their factor, group after group `[T, Σ N]`.
    pub(crate) outputs: Buf,
}

/// What the pass of one layer works with.
#[derive(Debug)]
pub(crate) struct LayerMemory<'a, Buf> {
    pub(crate) kept: &'a mut LayerActivations<Buf>,
    /// Residual stream before the layer.
    pub(crate) x: &'a mut Buf,
    /// Residual stream after it.
    pub(crate) x_next: &'a mut Buf,
    pub(crate) normed: &'a mut Buf,
    pub(crate) activation: &'a mut Buf,
    pub(crate) scratch: &'a mut AdapterScratch<Buf>,
}

/// Gradients on their way down.
#[derive(Debug)]
pub(crate) struct BackwardScratch<Buf> {
    pub(crate) dx: Buf,
    /// Gradient of a branch before its norm; nothing where branches have none.
    pub(crate) d_branch: Buf,
    pub(crate) d_normed: Buf,
    pub(crate) d_qkv: Buf,
    pub(crate) d_attention: Buf,
    pub(crate) d_activation: Buf,
    pub(crate) dt: Buf,
}

/// Activations of a batch of at most `capacity` tokens. Norm outputs and the gated activation are not kept: the
/// backward computes them again, two passes over memory a layer for `2H + I` values a token.
#[derive(Debug)]
pub struct Activations<B: Backend> {
    pub(crate) capacity: usize,
    /// Residual stream before each layer and after the last (`layers + 1` of them, or two in turn), `[T, H]`.
    pub(crate) x: Vec<B::Buffer>,
    pub(crate) layers: Vec<LayerActivations<B::Buffer>>,
    /// Output of a norm, `[T, H]`; after the forward the decoder's output.
    pub(crate) normed: B::Buffer,
    pub(crate) final_rstd: B::Buffer,
    /// Activated gate times up, `[T, I]`.
    pub(crate) activation: B::Buffer,
    pub(crate) backward: Option<BackwardScratch<B::Buffer>>,
    pub(crate) adapters: AdapterScratch<B::Buffer>,
    /// Embeddings on the host, where something is done to them there.
    pub(crate) embeddings: Vec<f32>,
}

/// Bytes of a step's memory by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActivationPlan {
    /// Kept from forward to backward.
    pub kept: usize,
    /// Used by one layer after the other.
    pub shared: usize,
    /// Logits of the labelled rows that are projected at once.
    pub logits: usize,
}

impl ActivationPlan {
    /// All of it.
    pub fn total(&self) -> usize {
        self.kept + self.shared + self.logits
    }
}

impl<B: Backend> Activations<B> {
    /// Memory for training on batches of up to `capacity` tokens.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn for_training(decoder: &Decoder<B>, capacity: usize) -> Result<Self> {
        Self::allocate(decoder, capacity, true)
    }

    /// Memory for forward passes on batches of up to `capacity` tokens, of an adapter that is not trained meanwhile.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn for_inference(decoder: &Decoder<B>, capacity: usize) -> Result<Self> {
        Self::allocate(decoder, capacity, false)
    }

    /// What [`Activations::for_training`] would take.
    pub fn plan_training(decoder: &Decoder<B>, capacity: usize) -> ActivationPlan {
        let (c, a) = (&decoder.config, decoder.config.attention());
        let layer = c.hidden_size
            + 2
            + a.qkv_width()
            + a.q_width()
            + a.heads
            + 2 * c.intermediate_size
            + decoder.layer_ranks()
            + if c.features.qk_norm { a.qk_width() + a.heads + a.kv_heads } else { 0 }
            + if c.features.post_norms { 2 * (c.hidden_size + 1) } else { 0 };
        let widths = decoder.adapter_widths();
        let layer = layer + widths.outputs;
        let branch = if c.features.post_norms { c.hidden_size } else { 0 };
        let kept = (c.layers + 1) * c.hidden_size + c.layers * layer + 1;
        let shared = 3 * c.hidden_size
            + branch
            + 2 * c.intermediate_size
            + a.qkv_width()
            + a.q_width()
            + decoder.layer_ranks()
            + widths.masked
            + widths.d_outputs
            + widths.anchored
            + 2 * widths.embedded;
        let rows = crate::backward::loss_chunk(c.vocab_size).min(capacity);
        ActivationPlan {
            kept: kept * capacity * 4,
            shared: shared * capacity * 4,
            logits: rows * (c.vocab_size + 2 * c.hidden_size) * 4,
        }
    }

    fn allocate(decoder: &Decoder<B>, capacity: usize, training: bool) -> Result<Self> {
        let (c, a) = (&decoder.config, decoder.config.attention());
        let zeros = |what, width: usize| decoder.backend.zeros(what, capacity * width);
        let kept = if training { c.layers } else { 1 };
        let (ranks, outputs) = (decoder.layer_ranks(), decoder.adapter_widths().outputs);
        let norm = |present: bool, width: usize, rows: usize| -> Result<_> {
            let kept =
                || -> Result<_> { Ok(KeptNorm { x: zeros("norms", width)?, rstd: zeros("norms", rows)? }) };
            present.then(kept).transpose()
        };
        let f = &c.features;
        let layer = || -> Result<_> {
            Ok(LayerActivations {
                x_mid: zeros("residual stream", c.hidden_size)?,
                attention_rstd: zeros("norms", 1)?,
                mlp_rstd: zeros("norms", 1)?,
                qkv: zeros("q, k, v", a.qkv_width())?,
                heads: norm(f.qk_norm, a.qk_width(), a.heads + a.kv_heads)?,
                attention: zeros("attention", a.q_width())?,
                log_sum_exp: zeros("attention", a.heads)?,
                attention_branch: norm(f.post_norms, c.hidden_size, 1)?,
                gate_up: zeros("gate and up", 2 * c.intermediate_size)?,
                mlp_branch: norm(f.post_norms, c.hidden_size, 1)?,
                t: zeros("adapter activations", ranks)?,
                outputs: zeros("adapter activations", outputs)?,
            })
        };
        let backward = match training {
            false => None,
            true => Some(BackwardScratch {
                dx: zeros("gradients", c.hidden_size)?,
                d_branch: zeros("gradients", if f.post_norms { c.hidden_size } else { 0 })?,
                d_normed: zeros("gradients", c.hidden_size)?,
                d_qkv: zeros("gradients", a.qkv_width())?,
                d_attention: zeros("gradients", a.q_width())?,
                d_activation: zeros("gradients", c.intermediate_size)?,
                dt: zeros("gradients", ranks)?,
            }),
        };
        Ok(Activations {
            capacity,
            x: (0..kept + 1)
                .map(|_| zeros("residual stream", c.hidden_size))
                .collect::<compute::Result<_>>()?,
            layers: (0..kept).map(|_| layer()).collect::<Result<_>>()?,
            normed: zeros("norms", c.hidden_size)?,
            final_rstd: zeros("norms", 1)?,
            activation: zeros("gated activation", c.intermediate_size)?,
            backward,
            adapters: decoder.adapter_scratch(capacity, training)?,
            embeddings: Vec::new(),
        })
    }

    /// Tokens that a batch may have.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The decoder's output of the last forward, `[T, H]`.
    pub fn hidden(&self, tokens: usize) -> compute::View<'_, B::Buffer> {
        self.normed.view(0, tokens, self.normed.len() / self.capacity)
    }

    /// Memory of layer `l` and the residual stream before and after it.
    pub(crate) fn layer(&mut self, l: usize) -> LayerMemory<'_, B::Buffer> {
        let (here, next) = if self.layers.len() > 1 { (l, l + 1) } else { (l % 2, (l + 1) % 2) };
        let index = if self.layers.len() > 1 { l } else { 0 };
        let (low, high) = self.x.split_at_mut(here.max(next));
        let (x, x_next) = match here < next {
            true => (&mut low[here], &mut high[0]),
            false => (&mut high[0], &mut low[next]),
        };
        LayerMemory {
            kept: &mut self.layers[index],
            x,
            x_next,
            normed: &mut self.normed,
            activation: &mut self.activation,
            scratch: &mut self.adapters,
        }
    }
}
