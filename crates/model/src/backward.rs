//! Loss and backward pass. A frozen weight costs no weight gradient.

use compute::{
    AttentionBackward, Backend, DeviceBuffer, HeadNormBackward, RmsNormBackward, Segment, TokenLoss,
    TokenLossOutput, View, ViewMut, Waiting,
};

use crate::activations::{AttentionActivations, BackwardScratch, KeptNorm, Last, LayerMemory, MlpValues};
use crate::adapters::{AdapterBackward, AdapterForward, AdapterScratch};
use crate::decoder::Layer;
use crate::forward::{Context, Tokens};
use crate::projection::{Backward, Projection};
use crate::vector::Vector;
use crate::vocabulary::End;
use crate::{Activations, Decoder};

/// The labelled positions of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// Rows of the batch whose output is judged, ascending; without a gradient a row may stand there several times.
    pub rows: &'a [u32],
    /// The token that should come next, for each of them.
    pub labels: &'a [u32],
    /// d(loss)/d(−log p) of each: what tells SFT, DPO and GRPO apart.
    pub weights: &'a [f32],
}

/// Bytes of the logits that exist at once. Every chunk of rows reads the whole head, so few large ones are fast.
const LOGITS_BYTES: usize = 16 << 20;

/// Labelled rows that are projected to a vocabulary of `vocab_size` at once.
pub(crate) fn loss_chunk(vocab_size: usize) -> usize {
    (LOGITS_BYTES / (4 * vocab_size)).clamp(64, 1024)
}

impl<B: Backend> Decoder<B> {
    /// Judges the output of the last forward without a gradient.
    pub fn loss(&self, labels: Labels<'_>, tokens: usize, activations: &Activations<B>) -> TokenLossOutput {
        self.backend.token_loss(TokenLoss {
            hidden: activations.hidden(tokens),
            head: self.head_linear(activations.adapters.on),
            rows: labels.rows,
            labels: labels.labels,
            weights: labels.weights,
            chunk: loss_chunk(self.config.vocab_size),
            softcap: self.config.features.logit_softcap,
            d_hidden: None,
            d_head: None,
            d_adapter: None,
        })
    }

    /// Reads a batch and judges its labelled tokens, whose rows ascend; several labels may have one row. What nobody
    /// asks of the last layer is not computed ([`Decoder::forward_rows`]).
    ///
    /// # Panics
    /// As [`Decoder::forward_rows`].
    pub fn judge(
        &self,
        tokens: Tokens<'_>,
        segments: &[Segment],
        labels: Labels<'_>,
        activations: &mut Activations<B>,
        adapter: bool,
    ) -> TokenLossOutput {
        let mut wanted = labels.rows.to_vec();
        wanted.dedup();
        self.forward_rows(tokens, Context::Segments(segments), &wanted, activations, adapter);
        let mut kept = 0;
        let place = |row: &u32| {
            while wanted[kept] != *row {
                kept += 1;
            }
            kept as u32
        };
        let rows: Vec<u32> = labels.rows.iter().map(place).collect();
        self.loss(Labels { rows: &rows, ..labels }, wanted.len(), activations)
    }

    /// Judges the output of the last forward over `segments` and adds the gradient of `Σ weight · (−log p)` to
    /// `gradients`, which has the layout of [`Decoder::parameters`].
    ///
    /// # Panics
    /// When the activations were not made [for training](Activations::for_training).
    pub fn backward(
        &self,
        tokens: Tokens<'_>,
        segments: &[Segment],
        labels: Labels<'_>,
        activations: &mut Activations<B>,
        gradients: &mut B::Buffer,
    ) -> TokenLossOutput {
        let (count, h) = (tokens.ids.len(), self.config.hidden_size);
        let mut scratch = activations.backward.take().expect("activations were made for inference");
        let (d_head, d_adapter) = self.head_gradient(gradients);
        let Last { normed: hidden, spare: d_hidden, .. } = activations.last();
        let output = self.backend.token_loss(TokenLoss {
            hidden: hidden.view(0, count, h),
            head: self.head_linear(true),
            rows: labels.rows,
            labels: labels.labels,
            weights: labels.weights,
            chunk: loss_chunk(self.config.vocab_size),
            softcap: self.config.features.logit_softcap,
            d_hidden: Some(d_hidden.view_mut(0, count, h)),
            d_head,
            d_adapter,
        });
        self.backend.fill(&mut scratch.dx, 0, count * h, 0.0);
        let Last { x, rstd, spare: d_hidden, .. } = activations.last();
        if self.backend.waiting() != Waiting::Exact {
            // As the norm has read it.
            self.backend.round_bf16(x.view_mut(0, count, h), None);
        }
        let d_hidden = d_hidden.view(0, count, h);
        self.pre_norm_backward(&mut scratch.dx, (self.final_norm, &mut *gradients), d_hidden, (x, rstd));
        for l in (self.lowest_trained()..self.config.layers).rev() {
            let mut memory = activations.layer(l);
            self.recompute(l, tokens, segments, &mut memory);
            self.layer_backward(l, (tokens, segments), memory, &mut scratch, gradients);
        }
        if self.trains_embedding() {
            let AdapterScratch { embedded, d_embedded, .. } = &mut activations.adapters;
            self.embed_backward(tokens, &scratch.dx, (embedded, d_embedded), gradients);
        }
        activations.backward = Some(scratch);
        output
    }

    /// The layer down to which the gradient must reach.
    fn lowest_trained(&self) -> usize {
        let adapted =
            |layer: &Layer<B>| layer.projections().iter().any(|projection| projection.adapter.is_some());
        match self.adapter {
            Some(_) if !self.trains_embedding() => {
                self.layers.iter().position(adapted).unwrap_or(self.config.layers)
            }
            _ => 0,
        }
    }

    /// Where the gradients of the head and of its adapter go, which are never both there.
    #[allow(clippy::type_complexity, reason = "two views of one kind")]
    fn head_gradient<'a>(
        &self,
        gradients: &'a mut B::Buffer,
    ) -> (Option<ViewMut<'a, B::Buffer>>, Option<ViewMut<'a, B::Buffer>>) {
        let (rows, cols) = (self.config.vocab_size, self.config.hidden_size);
        match self.ends.head {
            End { copy: Some(offset), .. } => (Some(gradients.view_mut(offset, rows, cols)), None),
            End { adapter: Some(own), .. } => {
                (None, Some(gradients.view_mut(own.a, 1, own.rank * (cols + rows))))
            }
            _ => (self.head().gradient(gradients), None),
        }
    }

    /// Adds to `dx` what comes through the norm of the residual stream before a layer's part.
    fn pre_norm_backward(
        &self,
        dx: &mut B::Buffer,
        (gain, gradients): (Vector, &mut B::Buffer),
        d_normed: View<'_, B::Buffer>,
        (x, rstd): (&B::Buffer, &B::Buffer),
    ) {
        let (count, h) = (d_normed.rows, d_normed.cols);
        self.backend.rms_norm_backward(RmsNormBackward {
            dx: dx.view_mut(0, count, h),
            d_gain: gain.gradient(gradients),
            dy: d_normed,
            x: x.view(0, count, h),
            gain: self.gain(gain),
            rstd,
        });
    }

    /// Gradient of a branch's projection from `dx`, that of the residual stream: the same where the branch has no
    /// norm.
    fn branch_backward<'a>(
        &self,
        dx: View<'a, B::Buffer>,
        (norm, kept): (Option<Vector>, &Option<KeptNorm<B::Buffer>>),
        d_branch: &'a mut B::Buffer,
        gradients: &mut B::Buffer,
    ) -> View<'a, B::Buffer> {
        let (Some(gain), Some(kept)) = (norm, kept) else { return dx };
        let (count, h) = (dx.rows, dx.cols);
        self.backend.fill(d_branch, 0, count * h, 0.0);
        self.pre_norm_backward(d_branch, (gain, gradients), dx, (&kept.x, &kept.rstd));
        d_branch.view(0, count, h)
    }

    fn bias_backward(&self, projection: &Projection<B>, run: &mut Backward<'_, B>) {
        if let Some(d_bias) = projection.bias.and_then(|bias| bias.gradient(run.gradients)) {
            self.backend.add_bias_backward(d_bias, run.dy);
        }
    }

    fn layer_backward(
        &self,
        l: usize,
        (tokens, segments): (Tokens<'_>, &[Segment]),
        memory: LayerMemory<'_, B::Buffer>,
        scratch: &mut BackwardScratch<B::Buffer>,
        gradients: &mut B::Buffer,
    ) {
        let (layer, backend, values) = (&self.layers[l], &*self.backend, &self.parameters.values);
        let (c, shape) = (&self.config, self.config.attention_of(l));
        let (count, h, i) = (tokens.ids.len(), c.hidden_size, c.intermediate_size);
        let LayerMemory {
            x,
            attention,
            qkv,
            attended,
            narrow,
            mlp_norms,
            mlp,
            adapters,
            normed,
            activation,
            ..
        } = memory;
        let AttentionActivations { rstd, heads, log_sum_exp } = attention;
        let MlpValues { x_mid, gates } = mlp;
        let AdapterForward { t, outputs, scratch: of_adapters } = adapters;
        let BackwardScratch { dx, d_branch, dt } = scratch;
        let adapters = &mut AdapterBackward { t, dt, outputs, scratch: of_adapters };

        let branch = (layer.mlp_post_norm, &mlp_norms.branch);
        let dy = self.branch_backward(dx.view(0, count, h), branch, d_branch, gradients);
        let mut run = Backward { values, gradients, dy };
        layer.down.backward_input(backend, &mut run, adapters, Some(&mut *activation));
        let (d_gates, d_activation) = (gates.view_mut(0, count, 2 * i), activation.view_mut(0, count, i));
        backend.gated_activation_backward(d_gates, d_activation, c.features.activation);
        layer.down.backward_weight(backend, &mut run, adapters, activation.view(0, count, i));
        self.bias_backward(&layer.down, &mut run);

        self.pre_norm((normed, &mut mlp_norms.rstd), (x_mid, count), layer.mlp_norm, None);
        let mut run = Backward { values, gradients, dy: gates.view(0, count, 2 * i) };
        let d_normed = activation;
        layer.gate_up.backward_input(backend, &mut run, adapters, Some(&mut *d_normed));
        layer.gate_up.backward_weight(backend, &mut run, adapters, normed.view(0, count, h));
        self.bias_backward(&layer.gate_up, &mut run);
        let (gain, d_normed_rows) = ((layer.mlp_norm, &mut *gradients), d_normed.view(0, count, h));
        self.pre_norm_backward(dx, gain, d_normed_rows, (x_mid, &mlp_norms.rstd));

        let branch = (layer.attention_post_norm, &mlp_norms.attention_branch);
        let dy = self.branch_backward(dx.view(0, count, h), branch, d_branch, gradients);
        let mut run = Backward { values, gradients, dy };
        let (d_qkv, d_attention) = (d_normed, &mut *normed);
        // Of gate and up nothing is needed any more.
        if let Some(kept) = narrow.and_then(|narrow| narrow.attended.as_ref()) {
            self.restore(gates, (count, shape.q_width()), kept);
        }
        let output = attended.as_deref().unwrap_or(gates);
        layer.out.backward_input(backend, &mut run, adapters, Some(&mut *d_attention));
        layer.out.backward_weight(backend, &mut run, adapters, output.view(0, count, shape.q_width()));
        self.bias_backward(&layer.out, &mut run);
        backend.attention_backward(AttentionBackward {
            shape,
            segments,
            qkv,
            out: output,
            log_sum_exp,
            d_out: d_attention,
            d_qkv,
        });
        let rows = d_qkv.view_mut(0, count, shape.qkv_width());
        backend.rope(rows, tokens.positions, &self.rope, shape, true);
        if let (Some(gain), Some(heads)) = (layer.qk_norm, &*heads) {
            let norm = HeadNormBackward {
                d_heads: d_qkv.view_mut(0, count, shape.qkv_width()),
                d_gain: gain.gradient(gradients),
                kept: &heads.x,
                rstd: &heads.rstd,
                gain: self.gain(gain),
            };
            backend.head_norm_backward(shape, norm);
        }

        self.pre_norm((normed, &mut *rstd), (x, count), layer.attention_norm, None);
        let needs_input = l > self.lowest_trained() || self.trains_embedding();
        let d_normed = gates;
        let mut run = Backward { values, gradients, dy: d_qkv.view(0, count, shape.qkv_width()) };
        layer.qkv.backward_input(backend, &mut run, adapters, needs_input.then_some(&mut *d_normed));
        layer.qkv.backward_weight(backend, &mut run, adapters, normed.view(0, count, h));
        self.bias_backward(&layer.qkv, &mut run);
        if needs_input {
            let (gain, d_normed) = ((layer.attention_norm, gradients), d_normed.view(0, count, h));
            self.pre_norm_backward(dx, gain, d_normed, (x, rstd));
        }
    }
}
