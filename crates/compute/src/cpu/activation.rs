//! Gated layers (Shazeer 2020): `y = gate · sigmoid(z(gate)) · up`, with `z(x) = x` for SwiGLU and
//! `z(x) = 2 sqrt(2 / π) (x + 0.044715 x³)` for GeGLU, since `(1 + tanh(u)) / 2 = sigmoid(2 u)`.

use super::buffer::{Rows, RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, dispatch, exp};
use super::{Isa, Threads};
use crate::Activation;

/// `y = activation(gate) · up`.
pub(super) fn forward(
    threads: &Threads,
    isa: Isa,
    y: RowsMut<'_>,
    gate_up: Rows<'_>,
    activation: Activation,
) {
    by_rows(threads, task_rows(gate_up.cols), [y], |first, [y]| match activation {
        Activation::Silu => dispatch(isa, ForwardRows::<false> { first, y, gate_up }),
        Activation::GeluTanh => dispatch(isa, ForwardRows::<true> { first, y, gate_up }),
    });
}

struct ForwardRows<'a, const GELU: bool> {
    first: usize,
    y: RowsMut<'a>,
    gate_up: Rows<'a>,
}

impl<const GELU: bool> Kernel for ForwardRows<'_, GELU> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.y.rows {
            let (gate, up) = self.gate_up.row(self.first + i).split_at(self.y.cols);
            for ((y, &gate), &up) in self.y.row(i).iter_mut().zip(gate).zip(up) {
                *y = gate * sigmoid::<A>(exponent::<A, GELU>(gate).0) * up;
            }
        }
    }
}

/// `z(x)` and its derivative.
#[inline(always)]
fn exponent<A: Arithmetic, const GELU: bool>(x: f32) -> (f32, f32) {
    /// `2 sqrt(2 / π)`, and that times 0.044715.
    const LINEAR: f32 = 1.595_769;
    const CUBIC: f32 = 0.071_354_816;
    if !GELU {
        return (x, 1.0);
    }
    let square = x * x;
    (x * A::mul_add(square, CUBIC, LINEAR), A::mul_add(square, 3.0 * CUBIC, LINEAR))
}

/// Overwrites `gate_up` with its gradient and `dy` with `y`.
pub(super) fn backward(
    threads: &Threads,
    isa: Isa,
    gate_up: RowsMut<'_>,
    dy: RowsMut<'_>,
    activation: Activation,
) {
    by_rows(threads, task_rows(gate_up.cols), [gate_up, dy], |_, [gate_up, dy]| match activation {
        Activation::Silu => dispatch(isa, BackwardRows::<false> { gate_up, dy }),
        Activation::GeluTanh => dispatch(isa, BackwardRows::<true> { gate_up, dy }),
    });
}

struct BackwardRows<'a, const GELU: bool> {
    gate_up: RowsMut<'a>,
    dy: RowsMut<'a>,
}

impl<const GELU: bool> Kernel for BackwardRows<'_, GELU> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.gate_up.rows {
            let (gate, up) = self.gate_up.row(i).split_at_mut(self.dy.cols);
            backward_row::<A, GELU>(gate, up, self.dy.row(i));
        }
    }
}

/// A function of its own so that the compiler knows that the slices are apart, and vectorises.
#[inline(always)]
fn backward_row<A: Arithmetic, const GELU: bool>(gate: &mut [f32], up: &mut [f32], y: &mut [f32]) {
    let n = y.len();
    let (gate, up) = (&mut gate[..n], &mut up[..n]);
    for i in 0..n {
        let (g, u, dy) = (gate[i], up[i], y[i]);
        let (z, slope) = exponent::<A, GELU>(g);
        let sigmoid = sigmoid::<A>(z);
        let activated = g * sigmoid;
        y[i] = activated * u;
        up[i] = dy * activated;
        // d/dg (g · sigmoid(z)) = sigmoid · (1 + g · z' · (1 − sigmoid))
        gate[i] = dy * u * (sigmoid * A::mul_add(g * slope, 1.0 - sigmoid, 1.0));
    }
}

#[inline(always)]
fn sigmoid<A: Arithmetic>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<A>(-x))
}
