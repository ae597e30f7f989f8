//! Matrix products.

use half::{bf16, f16};

use super::{Isa, Threads};

/// Stored elements of an operand, decoded to f32 in the packing step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Elements<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

/// A factor of a product seen as `[rows, depth]`, where depth is the axis that is summed away: element `(i, p)` is at
/// `i * row_stride + p * depth_stride`. One of the strides is 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub elements: Elements<'a>,
    pub row_stride: usize,
    pub depth_stride: usize,
}

/// What the output holds before the product is added.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Init<'a> {
    Zero,
    Output,
    /// Values and their row stride.
    From(&'a [f32], usize),
}

/// `c[i, j] = init + alpha * Σ_p left[i, p] * right[j, p] (+ Σ_q tail.left[i, q] * tail.right[j, q])`.
#[derive(Debug)]
pub(crate) struct Gemm<'a> {
    pub rows: usize,
    pub cols: usize,
    pub depth: usize,
    pub left: Operand<'a>,
    pub right: Operand<'a>,
    /// Depth, left and right of the second pair.
    pub tail: Option<(usize, Operand<'a>, Operand<'a>)>,
    pub alpha: f32,
    pub init: Init<'a>,
    /// Output, `[rows, cols]` with `stride` elements from row to row.
    pub c: &'a mut [f32],
    pub stride: usize,
}

/// Computes the product. Each element is reduced in an order that depends on `depth` alone.
pub(crate) fn gemm(_threads: &Threads, _isa: Isa, _g: Gemm<'_>) {}
