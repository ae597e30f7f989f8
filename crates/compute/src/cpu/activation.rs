//! SwiGLU (Shazeer 2020).

use super::buffer::{Rows, RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, dispatch, exp};
use super::{Isa, Threads};

/// `y = silu(gate) · up`.
pub(super) fn forward(threads: &Threads, isa: Isa, y: RowsMut<'_>, gate_up: Rows<'_>) {
    by_rows(threads, task_rows(gate_up.cols), [y], |first, [y]| {
        dispatch(isa, ForwardRows { first, y, gate_up });
    });
}

struct ForwardRows<'a> {
    first: usize,
    y: RowsMut<'a>,
    gate_up: Rows<'a>,
}

impl Kernel for ForwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.y.rows {
            let (gate, up) = self.gate_up.row(self.first + i).split_at(self.y.cols);
            for ((y, &gate), &up) in self.y.row(i).iter_mut().zip(gate).zip(up) {
                *y = gate * sigmoid::<A>(gate) * up;
            }
        }
    }
}

/// Overwrites `gate_up` with its gradient and writes `y` again.
pub(super) fn backward(threads: &Threads, isa: Isa, gate_up: RowsMut<'_>, y: RowsMut<'_>, dy: Rows<'_>) {
    by_rows(threads, task_rows(gate_up.cols), [gate_up, y], |first, [gate_up, y]| {
        dispatch(isa, BackwardRows { first, gate_up, y, dy });
    });
}

struct BackwardRows<'a> {
    first: usize,
    gate_up: RowsMut<'a>,
    y: RowsMut<'a>,
    dy: Rows<'a>,
}

impl Kernel for BackwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.y.rows {
            let (gate, up) = self.gate_up.row(i).split_at_mut(self.dy.cols);
            backward_row::<A>(gate, up, self.y.row(i), self.dy.row(self.first + i));
        }
    }
}

/// A function of its own so that the compiler knows that the slices are apart, and vectorises.
#[inline(always)]
fn backward_row<A: Arithmetic>(gate: &mut [f32], up: &mut [f32], y: &mut [f32], dy: &[f32]) {
    let n = dy.len();
    let (gate, up, y) = (&mut gate[..n], &mut up[..n], &mut y[..n]);
    for i in 0..n {
        let (g, u, dy) = (gate[i], up[i], dy[i]);
        let sigmoid = sigmoid::<A>(g);
        let silu = g * sigmoid;
        y[i] = silu * u;
        up[i] = dy * silu;
        // silu' = sigmoid · (1 + gate · (1 − sigmoid))
        gate[i] = dy * u * (sigmoid * A::mul_add(g, 1.0 - sigmoid, 1.0));
    }
}

#[inline(always)]
fn sigmoid<A: Arithmetic>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<A>(-x))
}
