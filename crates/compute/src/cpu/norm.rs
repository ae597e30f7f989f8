//! RMSNorm (Zhang & Sennrich 2019).

use super::buffer::{Rows, RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, dispatch, dot, dot3};
use super::{Isa, Threads};

/// Tokens whose share of the gain's gradient is summed before it is added: fixed, so that the sum does not depend on
/// the threads.
const GAIN_TOKENS: usize = 64;

/// Columns of the gain's gradient that a task sums.
const GAIN_COLS: usize = 64;

/// Arguments of [`forward`].
pub(super) struct Forward<'a> {
    pub(super) y: RowsMut<'a>,
    pub(super) rstd: &'a mut [f32],
    pub(super) x: Rows<'a>,
    pub(super) w: &'a [f32],
    pub(super) eps: f32,
}

/// `y = x · rstd · w`.
pub(super) fn forward(threads: &Threads, isa: Isa, f: Forward<'_>) {
    let Forward { y, rstd, x, w, eps } = f;
    by_rows(threads, task_rows(x.cols), [y, RowsMut::flat(rstd)], |first, [y, rstd]| {
        dispatch(isa, ForwardRows { first, y, rstd, x, w, eps });
    });
}

struct ForwardRows<'a> {
    first: usize,
    y: RowsMut<'a>,
    rstd: RowsMut<'a>,
    x: Rows<'a>,
    w: &'a [f32],
    eps: f32,
}

impl Kernel for ForwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.y.rows {
            let x = self.x.row(self.first + i);
            let rstd = 1.0 / (dot::<A>(x, x) / x.len() as f32 + self.eps).sqrt();
            self.rstd.data[i] = rstd;
            for ((y, &x), &w) in self.y.row(i).iter_mut().zip(x).zip(self.w) {
                *y = x * rstd * w;
            }
        }
    }
}

/// Arguments of [`backward`].
pub(super) struct Backward<'a> {
    pub(super) dx: RowsMut<'a>,
    pub(super) dw: Option<&'a mut [f32]>,
    pub(super) dy: Rows<'a>,
    pub(super) x: Rows<'a>,
    pub(super) w: &'a [f32],
    pub(super) rstd: &'a [f32],
}

/// `dx += rstd · (dy · w − x̂ · mean(dy · w · x̂))` and `dw += Σ_t dy · x̂`, with `x̂ = x · rstd`.
pub(super) fn backward(threads: &Threads, isa: Isa, b: Backward<'_>) {
    let Backward { dx, dw, dy, x, w, rstd } = b;
    by_rows(threads, task_rows(x.cols), [dx], |first, [dx]| {
        dispatch(isa, BackwardRows { first, dx, dy, x, w, rstd });
    });
    if let Some(dw) = dw {
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
    w: &'a [f32],
    rstd: &'a [f32],
}

impl Kernel for BackwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.dx.rows {
            let (dy, x) = (self.dy.row(self.first + i), self.x.row(self.first + i));
            let rstd = self.rstd[self.first + i];
            let along = rstd * rstd * dot3::<A>(dy, self.w, x) / x.len() as f32;
            for (((dx, &dy), &x), &w) in self.dx.row(i).iter_mut().zip(dy).zip(x).zip(self.w) {
                *dx = A::mul_add(rstd, A::mul_add(-x, along, dy * w), *dx);
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
