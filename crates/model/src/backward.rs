//! Loss and backward pass. A frozen weight costs no weight gradient.

use compute::{AttentionBackward, Backend, DeviceBuffer, Segment, TokenLoss, TokenLossOutput};

use crate::activations::{BackwardScratch, LayerActivations};
use crate::forward::Tokens;
use crate::projection::Backward;
use crate::{Activations, Decoder};

/// The labelled positions of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// Rows of the batch whose output is judged, ascending.
    pub rows: &'a [u32],
    /// The token that should come next, for each of them.
    pub labels: &'a [u32],
    /// d(loss)/d(−log p) of each: what tells SFT, DPO and GRPO apart.
    pub weights: &'a [f32],
}

/// Bytes of the logits that exist at once. Every chunk of rows reads the whole head, so few large ones are fast.
const LOGITS_BYTES: usize = 96 << 20;

/// Labelled rows that are projected to a vocabulary of `vocab_size` at once.
pub(crate) fn loss_chunk(vocab_size: usize) -> usize {
    (LOGITS_BYTES / (4 * vocab_size)).clamp(64, 1024)
}

impl<B: Backend> Decoder<B> {
    /// Judges the output of the last forward without a gradient.
    pub fn loss(&self, labels: Labels<'_>, tokens: usize, activations: &Activations<B>) -> TokenLossOutput {
        self.backend.token_loss(TokenLoss {
            hidden: activations.hidden(tokens),
            head: self.head().matrix(&self.parameters.values),
            rows: labels.rows,
            labels: labels.labels,
            weights: labels.weights,
            chunk: loss_chunk(self.config.vocab_size),
            d_hidden: None,
            d_head: None,
        })
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
        let head = self.head();
        let output = self.backend.token_loss(TokenLoss {
            hidden: activations.hidden(count),
            head: head.matrix(&self.parameters.values),
            rows: labels.rows,
            labels: labels.labels,
            weights: labels.weights,
            chunk: loss_chunk(self.config.vocab_size),
            d_hidden: Some(scratch.d_normed.view_mut(0, count, h)),
            d_head: head.gradient(gradients),
        });
        self.backend.fill(&mut scratch.dx, 0, count * h, 0.0);
        let last = self.config.layers;
        self.backend.rms_norm_backward(
            scratch.dx.view_mut(0, count, h),
            self.gain_gradient(self.final_norm, gradients),
            scratch.d_normed.view(0, count, h),
            activations.x[last].view(0, count, h),
            self.gain(self.final_norm),
            &activations.final_rstd,
        );
        for l in (0..self.config.layers).rev() {
            self.layer_backward(l, tokens, segments, activations, &mut scratch, gradients);
        }
        if let Some(d_table) = self.embedding.gradient(gradients) {
            self.backend.embed_backward(d_table, tokens.ids, scratch.dx.view(0, count, h));
        }
        activations.backward = Some(scratch);
        output
    }

    fn gain_gradient<'a>(
        &self,
        gain: crate::decoder::Gain,
        gradients: &'a mut B::Buffer,
    ) -> Option<compute::ViewMut<'a, B::Buffer>> {
        match gain {
            crate::decoder::Gain::Frozen(_) => None,
            crate::decoder::Gain::Trained(offset) => {
                Some(gradients.view_mut(offset, 1, self.config.hidden_size))
            }
        }
    }

    fn layer_backward(
        &self,
        l: usize,
        tokens: Tokens<'_>,
        segments: &[Segment],
        activations: &mut Activations<B>,
        scratch: &mut BackwardScratch<B::Buffer>,
        gradients: &mut B::Buffer,
    ) {
        let (layer, backend, values) = (&self.layers[l], &*self.backend, &self.parameters.values);
        let (c, shape) = (&self.config, self.config.attention());
        let (count, h, i) = (tokens.ids.len(), c.hidden_size, c.intermediate_size);
        let (kept, x, _, normed, activation) = activations.layer(l);
        let LayerActivations { x_mid, attention_rstd, mlp_rstd, qkv, attention, log_sum_exp, gate_up, t } =
            kept;
        let BackwardScratch { dx, d_normed, d_qkv, d_attention, d_activation, dt } = scratch;

        let mut run = Backward { values, gradients, dy: dx.view(0, count, h) };
        layer.down.backward_input(backend, &mut run, t, dt, Some(d_activation));
        backend.gated_activation_backward(
            gate_up.view_mut(0, count, 2 * i),
            activation.view_mut(0, count, i),
            d_activation.view(0, count, i),
        );
        layer.down.backward_weight(backend, &mut run, dt, activation.view(0, count, i));

        let gain = self.gain(layer.mlp_norm);
        backend.rms_norm(
            normed.view_mut(0, count, h),
            mlp_rstd,
            x_mid.view(0, count, h),
            gain,
            c.rms_norm_eps,
        );
        let mut run = Backward { values, gradients, dy: gate_up.view(0, count, 2 * i) };
        layer.gate_up.backward_input(backend, &mut run, t, dt, Some(d_normed));
        layer.gate_up.backward_weight(backend, &mut run, dt, normed.view(0, count, h));
        backend.rms_norm_backward(
            dx.view_mut(0, count, h),
            self.gain_gradient(layer.mlp_norm, gradients),
            d_normed.view(0, count, h),
            x_mid.view(0, count, h),
            gain,
            mlp_rstd,
        );

        let mut run = Backward { values, gradients, dy: dx.view(0, count, h) };
        layer.out.backward_input(backend, &mut run, t, dt, Some(d_attention));
        layer.out.backward_weight(backend, &mut run, dt, attention.view(0, count, shape.q_width()));
        backend.attention_backward(AttentionBackward {
            shape,
            segments,
            qkv,
            out: attention,
            log_sum_exp,
            d_out: d_attention,
            d_qkv,
        });
        let rows = d_qkv.view_mut(0, count, shape.qkv_width());
        backend.rope(rows, tokens.positions, &self.rope, shape, true);

        let gain = self.gain(layer.attention_norm);
        backend.rms_norm(
            normed.view_mut(0, count, h),
            attention_rstd,
            x.view(0, count, h),
            gain,
            c.rms_norm_eps,
        );
        // Below the first layer nothing is trained unless everything is.
        let needs_input = l > 0 || self.embedding.gradient(gradients).is_some();
        let mut run = Backward { values, gradients, dy: d_qkv.view(0, count, shape.qkv_width()) };
        layer.qkv.backward_input(backend, &mut run, t, dt, needs_input.then_some(&mut *d_normed));
        layer.qkv.backward_weight(backend, &mut run, dt, normed.view(0, count, h));
        if needs_input {
            backend.rms_norm_backward(
                dx.view_mut(0, count, h),
                self.gain_gradient(layer.attention_norm, gradients),
                d_normed.view(0, count, h),
                x.view(0, count, h),
                gain,
                attention_rstd,
            );
        }
    }
}
