//! Operands of what adapters do beyond the low-rank product.

use crate::{View, ViewMut};

/// Which values a dropout takes out, and what the others are multiplied with.
///
/// A value's fate follows from its row's key, the stream and its column, never from the rows beside it or from what
/// was drawn before.
#[derive(Debug, Clone, Copy)]
pub struct Dropout<'a> {
    /// A key for every row, `[T]`.
    pub keys: &'a [u64],
    /// Tells the masks of several inputs of the same row apart.
    pub stream: u64,
    /// Share of the values that become zero, in 0..1.
    pub probability: f32,
    /// Factor on the others; `1 / (1 - probability)` keeps the mean.
    pub scale: f32,
}

/// Length and direction of a weight's rows in DoRA (Liu et al. 2024): row `i` of the product is multiplied with
/// `magnitude[i] / norm[i]`.
#[derive(Debug)]
pub struct Magnitude<'a, Buf> {
    /// The trained lengths, `[1, N]`.
    pub magnitude: View<'a, Buf>,
    /// The lengths of the rows of `W + scale · B A`, `[1, N]`, constant in the backward.
    pub norm: View<'a, Buf>,
}

impl<Buf> Clone for Magnitude<'_, Buf> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Buf> Copy for Magnitude<'_, Buf> {}

/// Arguments of [`crate::Backend::magnitude_backward`].
#[derive(Debug)]
pub struct MagnitudeBackward<'a, Buf> {
    /// Gradient of the product, `[T, N]`, overwritten.
    pub du: ViewMut<'a, Buf>,
    /// Gradient of the magnitudes, `[1, N]`, added to.
    pub d_magnitude: ViewMut<'a, Buf>,
    /// Gradient of the output, `[T, N]`.
    pub dy: View<'a, Buf>,
    /// The product of the forward, `[T, N]`.
    pub u: View<'a, Buf>,
    /// As in the forward.
    pub magnitude: Magnitude<'a, Buf>,
}
