//! What a bidirectional encoder (Devlin et al. 2019, BERT) needs beside a decoder's operations. Forward only.

use crate::{AttentionShape, Backend, Segment, View, ViewMut};

/// Arguments of [`EncoderBackend::layer_norm`].
#[derive(Debug)]
pub struct LayerNorm<'a, Buf> {
    /// Output, `[T, H]`.
    pub y: ViewMut<'a, Buf>,
    /// Input, `[T, H]`.
    pub x: View<'a, Buf>,
    /// Added to the input before it is normed, `[T, H]`: the residual stream.
    pub residual: Option<View<'a, Buf>>,
    /// Gain, `[1, H]`.
    pub gain: View<'a, Buf>,
    /// Bias, `[1, H]`.
    pub bias: View<'a, Buf>,
    /// Added to the variance.
    pub eps: f32,
}

/// Arguments of [`EncoderBackend::attention_bidirectional`].
#[derive(Debug)]
pub struct BidirectionalAttention<'a, Buf> {
    /// Heads; `softcap` and `window` are for decoders.
    pub shape: AttentionShape,
    /// The sequences of the batch, without prefixes. Rows that none covers are left as they are.
    pub segments: &'a [Segment],
    /// `q | k | v`, `[T, qkv_width]`.
    pub qkv: View<'a, Buf>,
    /// Output, `[T, q_width]`.
    pub out: ViewMut<'a, Buf>,
    /// Rows whose output is wanted, ascending; of the others it may be anything. `None`: all.
    pub wanted: Option<&'a [u32]>,
}

/// A device that runs encoders.
pub trait EncoderBackend: Backend {
    /// `y = (x + residual − mean) / sqrt(variance + eps) · gain + bias` (Ba et al. 2016).
    fn layer_norm(&self, n: LayerNorm<'_, Self::Buffer>);

    /// `x = x · Φ(x)` in place, with the normal distribution's Φ (Hendrycks & Gimpel 2016; not the tanh form), to
    /// within 1e-6.
    fn gelu(&self, x: ViewMut<'_, Self::Buffer>);

    /// Attention in which every token of a segment sees all of them.
    fn attention_bidirectional(&self, a: BidirectionalAttention<'_, Self::Buffer>);
}
