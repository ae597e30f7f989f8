//! RMSNorm (Zhang & Sennrich 2019).

use super::buffer::{Rows, RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, dispatch, dot, dot3};
use super::{Isa, Threads, narrow};

/// Tokens whose share of the gain's gradient is summed before it is added: fixed, so that the sum does not depend on
/// the threads.
const GAIN_TOKENS: usize = 64;

/// Columns of the gain's gradient that a task sums.
const GAIN_COLS: usize = 64;

/// A gain: `values + offset`.
#[derive(Clone, Copy)]
pub(super) struct Gain<'a> {
    pub(super) values: &'a [f32],
    pub(super) offset: f32,
}

/// Arguments of [`forward`].
pub(super) struct Forward<'a> {
    pub(super) y: RowsMut<'a>,
    pub(super) rstd: &'a mut [f32],
    pub(super) x: Rows<'a>,
    pub(super) gain: Gain<'a>,
    pub(super) eps: f32,
    pub(super) residual: Option<Rows<'a>>,
    /// Whether `x` counts as rounded to bf16.
    pub(super) rounded: bool,
    /// Where `x` is kept in bf16, `[T, H / 2]`; without columns nothing is kept.
    pub(super) kept: RowsMut<'a>,
}

/// `y = residual + x · rstd · gain`.
pub(super) fn forward(threads: &Threads, isa: Isa, f: Forward<'_>) {
    let Forward { y, rstd, x, gain, eps, residual, rounded, kept } = f;
    let (rstd, norm) = (RowsMut::flat(rstd), Norm { x, gain, eps, residual, rounded });
    by_rows(threads, task_rows(x.cols), [y, rstd, kept], |first, [y, rstd, kept]| {
        dispatch(isa, ForwardRows { first, y, rstd, kept, norm });
    });
}

#[derive(Clone, Copy)]
struct Norm<'a> {
    x: Rows<'a>,
    gain: Gain<'a>,
    eps: f32,
    residual: Option<Rows<'a>>,
    rounded: bool,
}

struct ForwardRows<'a> {
    first: usize,
    y: RowsMut<'a>,
    rstd: RowsMut<'a>,
    kept: RowsMut<'a>,
    norm: Norm<'a>,
}

impl Kernel for ForwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        let Norm { x, gain, eps, residual, rounded } = self.norm;
        for i in 0..self.y.rows {
            let (y, x) = (self.y.row(i), x.row(self.first + i));
            self.rstd.data[i] = if rounded {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = f32::from_bits(narrow::rounded(x));
                }
                narrow::keep(y, self.kept.row(i));
                norm_row::<A>(y, gain, eps)
            } else {
                let rstd = rstd_of::<A>(x, eps);
                for ((y, &x), &w) in y.iter_mut().zip(x).zip(gain.values) {
                    *y = x * rstd * (w + gain.offset);
                }
                rstd
            };
            if let Some(residual) = residual {
                for (y, &residual) in y.iter_mut().zip(residual.row(self.first + i)) {
                    *y += residual;
                }
            }
        }
    }
}

/// `1 / sqrt(mean(x²) + eps)`.
#[inline(always)]
fn rstd_of<A: Arithmetic>(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot::<A>(x, x) / x.len() as f32 + eps).sqrt()
}

/// `x = x · rstd · gain` with `rstd = 1 / sqrt(mean(x²) + eps)`, which it gives back.
#[inline(always)]
pub(super) fn norm_row<A: Arithmetic>(x: &mut [f32], gain: Gain<'_>, eps: f32) -> f32 {
    let rstd = rstd_of::<A>(x, eps);
    for (x, &w) in x.iter_mut().zip(gain.values) {
        *x = *x * rstd * (w + gain.offset);
    }
    rstd
}

/// Mean of `gradient · gain · x`, times `rstd²`: how much of the gradient lies along the row.
#[inline(always)]
pub(super) fn along<A: Arithmetic>(dy: &[f32], gain: Gain<'_>, x: &[f32], rstd: f32) -> f32 {
    let mut sum = dot3::<A>(dy, gain.values, x);
    if gain.offset != 0.0 {
        sum += gain.offset * dot::<A>(dy, x);
    }
    rstd * rstd * sum / x.len() as f32
}

/// Arguments of [`backward`].
pub(super) struct Backward<'a> {
    pub(super) dx: RowsMut<'a>,
    pub(super) d_gain: Option<&'a mut [f32]>,
    pub(super) dy: Rows<'a>,
    pub(super) x: Rows<'a>,
    pub(super) gain: Gain<'a>,
    pub(super) rstd: &'a [f32],
}

/// `dx += rstd · (dy · gain − x̂ · mean(dy · gain · x̂))` and `d_gain += Σ_t dy · x̂`, with `x̂ = x · rstd`.
pub(super) fn backward(threads: &Threads, isa: Isa, b: Backward<'_>) {
    let Backward { dx, d_gain, dy, x, gain, rstd } = b;
    by_rows(threads, task_rows(x.cols), [dx], |first, [dx]| {
        dispatch(isa, BackwardRows { first, dx, dy, x, gain, rstd });
    });
    if let Some(dw) = d_gain {
        by_rows(threads, GAIN_COLS, [RowsMut::flat(dw)], |first, [dw]| {
            dispatch(isa, GainCols { first, dw: dw.data, dy, x, rstd });
        });
    }
}

struct BackwardRows<'a> {
    first: usize,
    dx: RowsMut<'a>,
    dy: Rows<'a>,
    x: Rows<'a>,
    gain: Gain<'a>,
    rstd: &'a [f32],
}

impl Kernel for BackwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        let offset = self.gain.offset;
        for i in 0..self.dx.rows {
            let (dy, x) = (self.dy.row(self.first + i), self.x.row(self.first + i));
            let rstd = self.rstd[self.first + i];
            let along = along::<A>(dy, self.gain, x, rstd);
            for (((dx, &dy), &x), &w) in self.dx.row(i).iter_mut().zip(dy).zip(x).zip(self.gain.values) {
                *dx = A::mul_add(rstd, A::mul_add(-x, along, dy * (w + offset)), *dx);
            }
        }
    }
}

struct GainCols<'a> {
    first: usize,
    dw: &'a mut [f32],
    dy: Rows<'a>,
    x: Rows<'a>,
    rstd: &'a [f32],
}

impl Kernel for GainCols<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let cols = self.first..self.first + self.dw.len();
        for start in (0..self.x.rows).step_by(GAIN_TOKENS) {
            let mut sums = [0.0; GAIN_COLS];
            for t in start..self.x.rows.min(start + GAIN_TOKENS) {
                let (dy, x) = (&self.dy.row(t)[cols.clone()], &self.x.row(t)[cols.clone()]);
                let rstd = self.rstd[t];
                for ((sum, &dy), &x) in sums.iter_mut().zip(dy).zip(x) {
                    *sum = A::mul_add(dy, x * rstd, *sum);
                }
            }
            for (dw, sum) in self.dw.iter_mut().zip(sums) {
                *dw += sum;
            }
        }
    }
}
