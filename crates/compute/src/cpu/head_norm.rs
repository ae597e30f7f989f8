//! RMSNorm of every query and key head on its own (Henry et al. 2020), with a gain for the queries and one for the
//! keys.

use super::buffer::{Rows, RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, dispatch};
use super::norm::{Gain, along, norm_row};
use super::{Isa, Threads};
use crate::AttentionShape;

/// Tokens whose share of the gains' gradient is summed before it is added: fixed, so that the sum does not depend on
/// the threads.
const GAIN_TOKENS: usize = 16;

/// Arguments of [`forward`].
pub(super) struct Forward<'a> {
    pub(super) shape: AttentionShape,
    pub(super) heads: RowsMut<'a>,
    pub(super) kept: RowsMut<'a>,
    pub(super) rstd: RowsMut<'a>,
    /// Of the queries, then of the keys.
    pub(super) gain: Gain<'a>,
    pub(super) eps: f32,
}

/// Norms the heads in place, and keeps what they were.
pub(super) fn forward(threads: &Threads, isa: Isa, f: Forward<'_>) {
    let Forward { shape, heads, kept, rstd, gain, eps } = f;
    by_rows(threads, task_rows(heads.cols), [heads, kept, rstd], |_, [heads, kept, rstd]| {
        dispatch(isa, ForwardRows { shape, heads, kept, rstd, gain, eps });
    });
}

struct ForwardRows<'a> {
    shape: AttentionShape,
    heads: RowsMut<'a>,
    kept: RowsMut<'a>,
    rstd: RowsMut<'a>,
    gain: Gain<'a>,
    eps: f32,
}

impl Kernel for ForwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        let (shape, width) = (self.shape, self.shape.head_dim);
        for i in 0..self.heads.rows {
            let (heads, kept) = (&mut self.heads.row(i)[..shape.qk_width()], self.kept.row(i));
            kept.copy_from_slice(heads);
            for ((head, x), rstd) in heads.chunks_exact_mut(width).enumerate().zip(self.rstd.row(i)) {
                *rstd = norm_row::<A>(x, gain_of(shape, self.gain, head), self.eps);
            }
        }
    }
}

/// The gain of one head.
#[inline(always)]
fn gain_of(shape: AttentionShape, gain: Gain<'_>, head: usize) -> Gain<'_> {
    let (queries, keys) = gain.values.split_at(shape.head_dim);
    Gain { values: if head < shape.heads { queries } else { keys }, ..gain }
}

/// Arguments of [`backward`].
pub(super) struct Backward<'a> {
    pub(super) shape: AttentionShape,
    pub(super) d_heads: RowsMut<'a>,
    pub(super) d_gain: Option<&'a mut [f32]>,
    pub(super) kept: Rows<'a>,
    pub(super) rstd: Rows<'a>,
    pub(super) gain: Gain<'a>,
}

/// `dx = rstd · (dy · gain − x̂ · mean(dy · gain · x̂))` in place, after `d_gain += Σ dy · x̂` over tokens and heads.
pub(super) fn backward(threads: &Threads, isa: Isa, b: Backward<'_>) {
    let Backward { shape, d_heads, d_gain, kept, rstd, gain } = b;
    if let Some(d_gain) = d_gain {
        let dy = Rows { data: d_heads.data, rows: d_heads.rows, cols: d_heads.cols, stride: d_heads.stride };
        by_rows(
            threads,
            1,
            [RowsMut { data: d_gain, rows: 2, cols: shape.head_dim, stride: shape.head_dim }],
            {
                |of_keys, [d_gain]| {
                    dispatch(isa, GainOf { shape, of_keys: of_keys == 1, d_gain, dy, kept, rstd })
                }
            },
        );
    }
    by_rows(threads, task_rows(d_heads.cols), [d_heads], |first, [d_heads]| {
        dispatch(isa, BackwardRows { shape, first, d_heads, kept, rstd, gain });
    });
}

struct GainOf<'a> {
    shape: AttentionShape,
    of_keys: bool,
    d_gain: RowsMut<'a>,
    dy: Rows<'a>,
    kept: Rows<'a>,
    rstd: Rows<'a>,
}

impl Kernel for GainOf<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let (shape, width) = (self.shape, self.shape.head_dim);
        let heads = if self.of_keys { shape.heads..shape.heads + shape.kv_heads } else { 0..shape.heads };
        let d_gain = self.d_gain.data;
        for start in (0..self.kept.rows).step_by(GAIN_TOKENS) {
            let tokens = start..self.kept.rows.min(start + GAIN_TOKENS);
            for (i, d_gain) in d_gain.iter_mut().enumerate() {
                let mut sum = 0.0;
                for t in tokens.clone() {
                    let (dy, x, rstd) = (self.dy.row(t), self.kept.row(t), self.rstd.row(t));
                    for head in heads.clone() {
                        sum = A::mul_add(dy[head * width + i], x[head * width + i] * rstd[head], sum);
                    }
                }
                *d_gain += sum;
            }
        }
    }
}

struct BackwardRows<'a> {
    shape: AttentionShape,
    first: usize,
    d_heads: RowsMut<'a>,
    kept: Rows<'a>,
    rstd: Rows<'a>,
    gain: Gain<'a>,
}

impl Kernel for BackwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        let (shape, width) = (self.shape, self.shape.head_dim);
        for i in 0..self.d_heads.rows {
            let d_heads = &mut self.d_heads.row(i)[..shape.qk_width()];
            let heads =
                d_heads.chunks_exact_mut(width).zip(self.kept.row(self.first + i).chunks_exact(width));
            for ((head, (d, x)), &rstd) in heads.enumerate().zip(self.rstd.row(self.first + i)) {
                let gain = gain_of(shape, self.gain, head);
                let along = along::<A>(d, gain, x, rstd);
                for ((d, &x), &w) in d.iter_mut().zip(x).zip(gain.values) {
                    *d = rstd * A::mul_add(-x, along, *d * (w + gain.offset));
                }
            }
        }
    }
}
