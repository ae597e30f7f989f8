//! The forward pass over segments or over a cache of keys and values: one code for training, evaluation and serving.

use compute::{
    AttentionForward, Backend, CachedAttention, Codes, DeviceBuffer, HeadNorm, NormInput, RmsNorm, Segment,
    View, Waiting,
};

use crate::activations::{
    AttentionActivations, Kept, KeptNorm, Last, LayerMemory, MlpNorms, MlpValues, Storage,
};
use crate::adapters::AdapterForward;
use crate::projection::Projection;
use crate::vector::Vector;
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

/// Changes values on the host.
pub type Perturb<'a> = &'a mut dyn FnMut(&mut [f32]);

/// What training does to a forward pass.
#[derive(Default)]
pub struct Training<'a> {
    /// A key for every token, `[T]`, from which its dropout masks follow; none: nothing is dropped.
    pub dropout_keys: &'a [u64],
    /// Changes the embeddings `[T, H]` on the host.
    pub perturb: Option<Perturb<'a>>,
}

/// What a layer's attention is asked.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) tokens: Tokens<'a>,
    pub(crate) adapter: bool,
    /// Rows whose output goes on, ascending; `None`: all. Of segments the others are not computed.
    pub(crate) wanted: Option<&'a [u32]>,
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
        self.embed(tokens, activations, adapter);
        self.forward_embedded(tokens, context, activations, (adapter, None));
    }

    /// As [`Decoder::forward`] where the output of some tokens is all that is wanted: [`Activations::hidden`] holds the
    /// rows `wanted`, which ascend, one behind the other, `[R, H]`. What follows the attention of the last layer is
    /// computed for them alone, to the same bits. Nothing can be trained after it.
    ///
    /// # Panics
    /// As [`Decoder::forward`]; also when a wanted row is beyond the batch, or not behind the one before it.
    pub fn forward_rows(
        &self,
        tokens: Tokens<'_>,
        context: Context<'_, B>,
        wanted: &[u32],
        activations: &mut Activations<B>,
        adapter: bool,
    ) {
        self.embed(tokens, activations, adapter);
        self.forward_embedded(tokens, context, activations, (adapter, Some(wanted)));
    }

    /// As [`Decoder::forward`], with what training does to it; the backward that follows takes the same masks.
    ///
    /// # Panics
    /// As [`Decoder::forward`]; also when there are dropout keys, but not one for every token.
    pub fn forward_training(
        &self,
        tokens: Tokens<'_>,
        context: Context<'_, B>,
        activations: &mut Activations<B>,
        training: Training<'_>,
    ) {
        self.embed(tokens, activations, true);
        let keys = training.dropout_keys;
        assert!(keys.is_empty() || keys.len() == tokens.ids.len(), "{} dropout keys", keys.len());
        activations.adapters.keys.extend_from_slice(keys);
        if let Some(perturb) = training.perturb {
            let mut embeddings = std::mem::take(&mut activations.embeddings);
            embeddings.resize(tokens.ids.len() * self.config.hidden_size, 0.0);
            self.backend.read(activations.first(), 0, &mut embeddings);
            perturb(&mut embeddings);
            self.backend.write(activations.first(), 0, &embeddings);
            activations.embeddings = embeddings;
        }
        self.forward_embedded(tokens, context, activations, (true, None));
    }

    pub(crate) fn embed(&self, tokens: Tokens<'_>, activations: &mut Activations<B>, adapter: bool) {
        let count = tokens.ids.len();
        activations.adapters.keys.clear();
        activations.adapters.rows.clear();
        activations.adapters.on = adapter;
        let capacity = activations.capacity();
        assert!(count <= capacity, "{count} tokens in memory for {capacity}");
        let h = self.config.hidden_size;
        self.backend.embed(
            activations.first().view_mut(0, count, h),
            tokens.ids,
            self.embedding_matrix(adapter),
            self.config.embedding_scale(),
        );
        if adapter {
            let (x, scratch) = activations.first_and_adapters();
            self.embed_adapter(x, tokens.ids, &mut scratch.embedded);
        }
    }

    /// The layers and the final norm; of the output the rows `wanted`, or all.
    pub(crate) fn forward_embedded(
        &self,
        tokens: Tokens<'_>,
        mut context: Context<'_, B>,
        activations: &mut Activations<B>,
        (adapter, wanted): (bool, Option<&[u32]>),
    ) {
        let mut count = tokens.ids.len();
        if adapter && activations.backward.is_some() {
            self.weight_norms(&mut activations.adapters.norms);
        }
        for l in 0..self.config.layers {
            let memory = &mut activations.layer(l);
            let wanted = wanted.filter(|_| l + 1 == self.config.layers);
            self.attention_forward(l, Pass { tokens, adapter, wanted }, &mut context, memory);
            if let Some(wanted) = wanted {
                let (h, q) = (self.config.hidden_size, self.config.attention_of(l).q_width());
                self.backend.keep_rows(memory.x.view_mut(0, count, h), wanted);
                let attended = memory.attended.as_deref_mut().unwrap_or(&mut memory.mlp.gates);
                self.backend.keep_rows(attended.view_mut(0, count, q), wanted);
                count = wanted.len();
            }
            self.attention_output(l, count, memory, adapter);
            self.mlp_forward(l, count, memory, adapter);
            self.mlp_output(l, count, memory, adapter);
        }
        let Last { x, normed, rstd, .. } = activations.last();
        self.pre_norm((normed, rstd), (x, count), self.final_norm, None);
    }

    /// Norm of the residual stream `x` before a layer's part, which where products are of bf16 reads it rounded to that;
    /// `kept` keeps it.
    pub(crate) fn pre_norm(
        &self,
        (normed, rstd): (&mut B::Buffer, &mut B::Buffer),
        (x, count): (&B::Buffer, usize),
        gain: Vector,
        kept: Option<&mut Kept<B::Buffer>>,
    ) {
        let h = self.config.hidden_size;
        let input = match kept {
            Some(kept) => match kept.storage {
                Storage::Bf16 => NormInput::Kept(kept.view_mut(count, h)),
                Storage::Codes(codes) => {
                    self.backend.keep_codes(codes, x.view(0, count, h), kept.view_mut(count, h));
                    NormInput::Rounded
                }
            },
            None if self.backend.waiting() != Waiting::Exact => NormInput::Rounded,
            None => NormInput::AsIs,
        };
        self.backend.rms_norm(RmsNorm {
            y: normed.view_mut(0, count, h),
            rstd,
            x: x.view(0, count, h),
            gain: self.gain(gain),
            eps: self.config.rms_norm_eps,
            residual: None,
            input,
        });
    }

    /// `y = residual + projection(x) (+ bias)`.
    fn project(
        &self,
        projection: &Projection<B>,
        x: View<'_, B::Buffer>,
        (y, residual): (&mut B::Buffer, Option<&B::Buffer>),
        adapters: Option<&mut AdapterForward<'_, B::Buffer>>,
    ) {
        projection.forward(&self.backend, &self.parameters.values, x, (&mut *y, residual), adapters);
        if let Some(bias) = projection.bias {
            self.backend.add_bias(y.view_mut(0, x.rows, projection.output), self.vector(bias));
        }
    }

    /// `y = residual + norm(projection(x))`, without the norm where the branch has none.
    fn branch(
        &self,
        (projection, norm): (&Projection<B>, Option<Vector>),
        x: View<'_, B::Buffer>,
        (y, residual): (&mut B::Buffer, &B::Buffer),
        kept: &mut Option<KeptNorm<B::Buffer>>,
        adapters: Option<&mut AdapterForward<'_, B::Buffer>>,
    ) {
        let (Some(gain), Some(kept)) = (norm, kept) else {
            return self.project(projection, x, (y, Some(residual)), adapters);
        };
        self.project(projection, x, (&mut kept.x, None), adapters);
        let (count, h) = (x.rows, self.config.hidden_size);
        self.backend.rms_norm(RmsNorm {
            y: y.view_mut(0, count, h),
            rstd: &mut kept.rstd,
            x: kept.x.view(0, count, h),
            gain: self.gain(gain),
            eps: self.config.rms_norm_eps,
            residual: Some(residual.view(0, count, h)),
            input: NormInput::AsIs,
        });
    }

    /// Layer `l` from the residual stream to the output of its attention.
    pub(crate) fn attention_forward(
        &self,
        l: usize,
        Pass { tokens, adapter, wanted }: Pass<'_>,
        context: &mut Context<'_, B>,
        memory: &mut LayerMemory<'_, B::Buffer>,
    ) {
        let (layer, backend, shape) = (&self.layers[l], &*self.backend, self.config.attention_of(l));
        let (count, h) = (tokens.ids.len(), self.config.hidden_size);
        let LayerMemory { x, attention, qkv, attended, mlp, narrow, normed, adapters, .. } = memory;
        let output = attended.as_deref_mut().unwrap_or(&mut mlp.gates);
        let AttentionActivations { rstd, heads, log_sum_exp } = &mut **attention;
        let (kept_x, kept_qkv, kept_output) = match narrow {
            Some(narrow) => (Some(&mut narrow.x), narrow.qkv.as_mut(), narrow.attended.as_mut()),
            None => (None, None, None),
        };

        self.pre_norm((normed, rstd), (x, count), layer.attention_norm, kept_x);
        self.project(&layer.qkv, normed.view(0, count, h), (qkv, None), adapter.then_some(adapters));
        if let (Some(gain), Some(heads)) = (layer.qk_norm, heads) {
            let norm = HeadNorm {
                heads: qkv.view_mut(0, count, shape.qkv_width()),
                kept: &mut heads.x,
                rstd: &mut heads.rstd,
                gain: self.gain(gain),
                eps: self.config.rms_norm_eps,
            };
            backend.head_norm(shape, norm);
        }
        let rows = qkv.view_mut(0, count, shape.qkv_width());
        backend.rope(rows, tokens.positions, &self.rope, shape, false);
        self.keep(qkv, (count, shape.qkv_width()), kept_qkv);
        match context {
            Context::Segments(segments) => {
                let out = &mut *output;
                backend.attention(AttentionForward { shape, segments, qkv, out, log_sum_exp, wanted });
            }
            Context::Cached(sequences, cache) => {
                let (keys, values, tables) = cache.layer(l);
                let (positions, out) = (tokens.positions, &mut *output);
                backend.attention_cached(CachedAttention {
                    shape,
                    sequences,
                    positions,
                    tables,
                    qkv,
                    keys,
                    values,
                    out,
                });
            }
        }
        self.narrow(output, (count, shape.q_width()), kept_output);
    }

    /// Rounds `count` rows of `width` values to bf16 where products are of bf16, and keeps them in `kept`.
    fn narrow(&self, x: &mut B::Buffer, (count, width): (usize, usize), kept: Option<&mut Kept<B::Buffer>>) {
        if self.backend.waiting() == Waiting::Exact {
            return;
        }
        let (in_bf16, coded) = match kept {
            Some(kept) if kept.storage == Storage::Bf16 => (Some(kept.view_mut(count, width)), None),
            other => (None, other),
        };
        self.backend.round_bf16(x.view_mut(0, count, width), in_bf16);
        self.keep(x, (count, width), coded);
    }

    /// Keeps codes of `count` rows of `width` values, which stay what they are.
    fn keep(&self, x: &B::Buffer, (count, width): (usize, usize), kept: Option<&mut Kept<B::Buffer>>) {
        if let Some(kept) = kept
            && let Storage::Codes(codes) = kept.storage
        {
            self.backend.keep_codes(codes, x.view(0, count, width), kept.view_mut(count, width));
        }
    }

    /// Takes back what was kept.
    pub(crate) fn restore(&self, x: &mut B::Buffer, (count, width): (usize, usize), kept: &Kept<B::Buffer>) {
        let (x, from) = (x.view_mut(0, count, width), kept.view(count, width));
        match kept.storage {
            Storage::Bf16 => self.backend.restore_bf16(x, from),
            Storage::Codes(codes) => self.backend.restore_codes(codes, x, from),
        }
    }

    /// What the attention of layer `l` adds to the residual stream.
    pub(crate) fn attention_output(
        &self,
        l: usize,
        count: usize,
        memory: &mut LayerMemory<'_, B::Buffer>,
        adapter: bool,
    ) {
        let layer = &self.layers[l];
        let (attention_branch, x_mid) = (&mut memory.mlp_norms.attention_branch, &mut memory.mlp.x_mid);
        let attended = memory.attended.as_deref().unwrap_or(&memory.mlp.gates);
        let attended = attended.view(0, count, self.config.attention_of(l).q_width());
        let branch = (&layer.out, layer.attention_post_norm);
        let adapters = adapter.then_some(&mut memory.adapters);
        self.branch(branch, attended, (x_mid, memory.x), attention_branch, adapters);
    }

    /// Layer `l` from the attention's output to gate and up.
    pub(crate) fn mlp_forward(
        &self,
        l: usize,
        count: usize,
        memory: &mut LayerMemory<'_, B::Buffer>,
        adapter: bool,
    ) {
        let (layer, h) = (&self.layers[l], self.config.hidden_size);
        let LayerMemory { mlp_norms: MlpNorms { rstd, .. }, mlp, narrow, normed, adapters, .. } = memory;
        let MlpValues { x_mid, gates } = &mut **mlp;
        let kept = narrow.as_mut().map(|narrow| (&mut narrow.x_mid, &mut narrow.gates));
        let (kept_x, kept_gates) = kept.unzip();
        self.pre_norm((normed, rstd), (x_mid, count), layer.mlp_norm, kept_x);
        self.project(&layer.gate_up, normed.view(0, count, h), (gates, None), adapter.then_some(adapters));
        self.narrow(gates, (count, 2 * self.config.intermediate_size), kept_gates);
    }

    /// What gate and up of layer `l` add to the residual stream.
    pub(crate) fn mlp_output(
        &self,
        l: usize,
        count: usize,
        memory: &mut LayerMemory<'_, B::Buffer>,
        adapter: bool,
    ) {
        let (layer, i) = (&self.layers[l], self.config.intermediate_size);
        let (MlpNorms { branch: kept, .. }, MlpValues { x_mid, gates }) =
            (&mut *memory.mlp_norms, &mut *memory.mlp);
        let (activated, gates) = (memory.activation.view_mut(0, count, i), gates.view(0, count, 2 * i));
        self.backend.gated_activation(activated, gates, self.config.features.activation);
        let activated = memory.activation.view(0, count, i);
        let branch = (&layer.down, layer.mlp_post_norm);
        let adapters = adapter.then_some(&mut memory.adapters);
        let x_next = memory.x_next.as_deref_mut().unwrap_or(memory.x);
        self.branch(branch, activated, (x_next, x_mid), kept, adapters);
    }

    /// Makes again what layer `l` has not kept of the forward over `segments`, by the same operations: the same bits.
    /// What it has kept in fewer bits comes back, but for the attention's output, for which there is no room yet. Where
    /// codes are kept, what is made again goes through codes, too: a gradient does not depend on what is computed again.
    pub(crate) fn recompute(
        &self,
        l: usize,
        tokens: Tokens<'_>,
        segments: &[Segment],
        memory: &mut LayerMemory<'_, B::Buffer>,
    ) {
        let (count, h, i) = (tokens.ids.len(), self.config.hidden_size, self.config.intermediate_size);
        let (q, qkv) = (self.config.attention_of(l).q_width(), self.config.attention_of(l).qkv_width());
        if let Some(kept) = &memory.narrow {
            self.restore(memory.x, (count, h), &kept.x);
            self.restore(&mut memory.mlp.x_mid, (count, h), &kept.x_mid);
            self.restore(&mut memory.mlp.gates, (count, 2 * i), &kept.gates);
            if let Some(kept) = &kept.qkv {
                self.restore(memory.qkv, (count, qkv), kept);
            }
        }
        if !memory.checkpointing.keeps_attention() {
            let pass = Pass { tokens, adapter: true, wanted: None };
            self.attention_forward(l, pass, &mut Context::Segments(segments), memory);
        }
        if !memory.checkpointing.keeps_mlp() {
            self.attention_output(l, count, memory, true);
            self.mlp_forward(l, count, memory, true);
            // The norm's backward wants what went into it.
            if self.layers[l].mlp_post_norm.is_some() {
                self.mlp_output(l, count, memory, true);
            }
            // The norms' backward wants what the norms have read.
            self.narrow(memory.x, (count, h), None);
            self.narrow(&mut memory.mlp.x_mid, (count, h), None);
        }
        if self.backend.waiting() == Waiting::Codes {
            let through = |codes, x: &mut B::Buffer, width| {
                self.backend.through_codes(codes, x.view_mut(0, count, width));
            };
            if !memory.checkpointing.keeps_attention() {
                through(Codes::Eight, memory.x, h);
                if let Some(attended) = &mut memory.attended {
                    through(Codes::Eight, attended, q);
                }
                through(Codes::Sixteen, memory.qkv, qkv);
            }
            if !memory.checkpointing.keeps_mlp() {
                through(Codes::Eight, &mut memory.mlp.x_mid, h);
                through(Codes::Eight, &mut memory.mlp.gates, 2 * i);
            }
        }
    }
}
