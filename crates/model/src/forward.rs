//! The forward pass over segments or over a cache of keys and values: one code for training, evaluation and serving.

use compute::{AttentionForward, Backend, CachedAttention, DeviceBuffer, Segment};

use crate::activations::LayerActivations;
use crate::{Activations, Cache, Decoder};

/// Tokens of a batch, flat.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Token ids, `[T]`.
    pub ids: &'a [u32],
    /// Position of each in its text, `[T]`.
    pub positions: &'a [u32],
}

/// What the tokens of a batch attend to.
#[derive(Debug)]
pub enum Context<'a, B: Backend> {
    /// The segments that the batch is cut into.
    Segments(&'a [Segment]),
    /// Sequences that go on: each token's sequence, and the keys and values so far.
    Cached(&'a [u32], &'a mut Cache<B>),
}

impl<B: Backend> Decoder<B> {
    /// Runs the decoder up to its final norm; [`Activations::hidden`] holds the output `[T, H]`. With `adapter` off
    /// the base answers: the reference model of DPO, and the "before" of a comparison.
    ///
    /// # Panics
    /// When the batch is larger than the activations' capacity, or a position is beyond [`Decoder::positions`].
    pub fn forward(
        &self,
        tokens: Tokens<'_>,
        context: Context<'_, B>,
        activations: &mut Activations<B>,
        adapter: bool,
    ) {
        self.embed(tokens, activations);
        self.forward_embedded(tokens, context, activations, adapter);
    }

    /// As [`Decoder::forward`], with `perturb` applied on the host to the embeddings `[T, H]`.
    ///
    /// # Panics
    /// As [`Decoder::forward`].
    pub fn forward_perturbed(
        &self,
        tokens: Tokens<'_>,
        context: Context<'_, B>,
        activations: &mut Activations<B>,
        perturb: &mut dyn FnMut(&mut [f32]),
    ) {
        self.embed(tokens, activations);
        let mut embeddings = std::mem::take(&mut activations.embeddings);
        embeddings.resize(tokens.ids.len() * self.config.hidden_size, 0.0);
        self.backend.read(&activations.x[0], 0, &mut embeddings);
        perturb(&mut embeddings);
        self.backend.write(&mut activations.x[0], 0, &embeddings);
        activations.embeddings = embeddings;
        self.forward_embedded(tokens, context, activations, true);
    }

    fn embed(&self, tokens: Tokens<'_>, activations: &mut Activations<B>) {
        let count = tokens.ids.len();
        assert!(count <= activations.capacity, "{count} tokens in memory for {}", activations.capacity);
        let h = self.config.hidden_size;
        let values = &self.parameters.values;
        let table = self.embedding.matrix(values);
        self.backend.embed(activations.x[0].view_mut(0, count, h), tokens.ids, table);
    }

    fn forward_embedded(
        &self,
        tokens: Tokens<'_>,
        mut context: Context<'_, B>,
        activations: &mut Activations<B>,
        adapter: bool,
    ) {
        let (count, h) = (tokens.ids.len(), self.config.hidden_size);
        for l in 0..self.config.layers {
            self.layer_forward(l, tokens, &mut context, activations, adapter);
        }
        let last = if activations.layers.len() > 1 { self.config.layers } else { self.config.layers % 2 };
        self.backend.rms_norm(
            activations.normed.view_mut(0, count, h),
            &mut activations.final_rstd,
            activations.x[last].view(0, count, h),
            self.gain(self.final_norm),
            self.config.rms_norm_eps,
        );
    }

    fn layer_forward(
        &self,
        l: usize,
        tokens: Tokens<'_>,
        context: &mut Context<'_, B>,
        activations: &mut Activations<B>,
        adapter: bool,
    ) {
        let (layer, backend, values) = (&self.layers[l], &*self.backend, &self.parameters.values);
        let (c, shape) = (&self.config, self.config.attention());
        let (count, h) = (tokens.ids.len(), c.hidden_size);
        let (kept, x, x_next, normed, activation) = activations.layer(l);
        let LayerActivations { x_mid, attention_rstd, mlp_rstd, qkv, attention, log_sum_exp, gate_up, t } =
            kept;

        let gain = self.gain(layer.attention_norm);
        backend.rms_norm(
            normed.view_mut(0, count, h),
            attention_rstd,
            x.view(0, count, h),
            gain,
            c.rms_norm_eps,
        );
        layer.qkv.forward(backend, values, normed.view(0, count, h), (qkv, None), adapter.then_some(&mut *t));
        let rows = qkv.view_mut(0, count, shape.qkv_width());
        backend.rope(rows, tokens.positions, &self.rope, shape, false);
        match context {
            Context::Segments(segments) => {
                backend.attention(AttentionForward { shape, segments, qkv, out: attention, log_sum_exp });
            }
            Context::Cached(slots, cache) => {
                let capacity = cache.capacity;
                let (keys, values) = cache.layer(l);
                backend.attention_cached(CachedAttention {
                    shape,
                    slots,
                    positions: tokens.positions,
                    qkv,
                    keys,
                    values,
                    capacity,
                    out: attention,
                });
            }
        }
        let attended = attention.view(0, count, shape.q_width());
        layer.out.forward(backend, values, attended, (x_mid, Some(x)), adapter.then_some(&mut *t));

        let gain = self.gain(layer.mlp_norm);
        backend.rms_norm(
            normed.view_mut(0, count, h),
            mlp_rstd,
            x_mid.view(0, count, h),
            gain,
            c.rms_norm_eps,
        );
        layer.gate_up.forward(
            backend,
            values,
            normed.view(0, count, h),
            (gate_up, None),
            adapter.then_some(&mut *t),
        );
        let i = c.intermediate_size;
        backend.gated_activation(activation.view_mut(0, count, i), gate_up.view(0, count, 2 * i));
        let activated = activation.view(0, count, i);
        layer.down.forward(backend, values, activated, (x_next, Some(x_mid)), adapter.then_some(t));
    }
}
