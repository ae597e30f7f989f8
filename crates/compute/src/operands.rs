//! Operands of the norms.

use crate::{View, ViewMut};

/// The gain of a norm: `values + offset`. An offset of 1 stores a gain around zero, as Gemma does.
#[derive(Debug)]
pub struct NormGain<'a, Buf> {
    /// What is stored, and trained.
    pub values: View<'a, Buf>,
    /// Added to each value.
    pub offset: f32,
}

impl<Buf> Clone for NormGain<'_, Buf> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Buf> Copy for NormGain<'_, Buf> {}

/// Arguments of [`crate::Backend::rms_norm`].
#[derive(Debug)]
pub struct RmsNorm<'a, Buf> {
    /// Output, `[T, H]`.
    pub y: ViewMut<'a, Buf>,
    /// `1 / sqrt(mean(x²) + eps)` of each row, `[T]`, kept for the backward.
    pub rstd: &'a mut Buf,
    /// Input, `[T, H]`.
    pub x: View<'a, Buf>,
    /// Gain, `[1, H]`.
    pub gain: NormGain<'a, Buf>,
    /// Added to the mean square.
    pub eps: f32,
    /// Added to the output, `[T, H]`: the residual stream beside a normed branch.
    pub residual: Option<View<'a, Buf>>,
    /// What becomes of the input first.
    pub input: NormInput<'a, Buf>,
}

/// What a norm does with its input before it computes with it.
#[derive(Debug)]
pub enum NormInput<'a, Buf> {
    /// Nothing.
    AsIs,
    /// Rounds it to bf16. The buffer that it comes from stays as it is.
    Rounded,
    /// Rounds it, and keeps it in `[T, H / 2]`, two values in the room of one.
    Kept(ViewMut<'a, Buf>),
}

/// Arguments of [`crate::Backend::rms_norm_backward`].
#[derive(Debug)]
pub struct RmsNormBackward<'a, Buf> {
    /// Gradient of the input, `[T, H]`, added to.
    pub dx: ViewMut<'a, Buf>,
    /// Gradient of the gain's values, `[1, H]`, added to. `None`: the gain is frozen.
    pub d_gain: Option<ViewMut<'a, Buf>>,
    /// Gradient of the output, `[T, H]`.
    pub dy: View<'a, Buf>,
    /// Input of the forward, `[T, H]`.
    pub x: View<'a, Buf>,
    /// Gain, `[1, H]`.
    pub gain: NormGain<'a, Buf>,
    /// From the forward, `[T]`.
    pub rstd: &'a Buf,
}

/// Arguments of [`crate::Backend::head_norm`]. A row of `qk` is what [`crate::AttentionShape::qk_width`] counts.
#[derive(Debug)]
pub struct HeadNorm<'a, Buf> {
    /// Rows whose leading query and key heads are normed in place, `[T, at least qk_width]`.
    pub heads: ViewMut<'a, Buf>,
    /// What these heads were, `[T, qk_width]`, written for the backward.
    pub kept: &'a mut Buf,
    /// `1 / sqrt(mean(x²) + eps)` of each head, `[T, heads + kv_heads]`, written for the backward.
    pub rstd: &'a mut Buf,
    /// The gain of the queries, then that of the keys, `[2, D]`.
    pub gain: NormGain<'a, Buf>,
    /// Added to the mean square.
    pub eps: f32,
}

/// Arguments of [`crate::Backend::head_norm_backward`].
#[derive(Debug)]
pub struct HeadNormBackward<'a, Buf> {
    /// Gradient of the normed heads, which becomes the gradient of the heads, `[T, at least qk_width]`.
    pub d_heads: ViewMut<'a, Buf>,
    /// Gradient of the gains' values, `[2, D]`, added to. `None`: the gains are frozen.
    pub d_gain: Option<ViewMut<'a, Buf>>,
    /// From the forward, `[T, qk_width]`.
    pub kept: &'a Buf,
    /// From the forward, `[T, heads + kv_heads]`.
    pub rstd: &'a Buf,
    /// The gain of the queries, then that of the keys, `[2, D]`.
    pub gain: NormGain<'a, Buf>,
}
