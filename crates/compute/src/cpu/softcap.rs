//! Values bent into `±cap`: `cap · tanh(x / cap)` (Gemma 2).

use super::buffer::{RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, dispatch};
use super::{Isa, Threads};

/// Every value of every row, in place.
pub(super) fn softcap(threads: &Threads, isa: Isa, x: RowsMut<'_>, cap: f32) {
    by_rows(threads, task_rows(x.cols), [x], |_, [x]| dispatch(isa, CapRows { x, cap }));
}

struct CapRows<'a> {
    x: RowsMut<'a>,
    cap: f32,
}

impl Kernel for CapRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.x.rows {
            cap_all::<A>(self.x.row(i), self.cap);
        }
    }
}

/// Each value of a slice, in place.
#[inline(always)]
pub(super) fn cap_all<A: Arithmetic>(values: &mut [f32], cap: f32) {
    let inverse = 1.0 / cap;
    for x in values {
        *x = cap * tanh::<A>(*x * inverse);
    }
}

/// Derivative of the capped value by the value, from the capped value: `1 − tanh²`.
#[inline(always)]
pub(super) fn slope<A: Arithmetic>(capped: f32, cap: f32) -> f32 {
    let tanh = capped / cap;
    A::mul_add(-tanh, tanh, 1.0)
}

/// The hyperbolic tangent, within 5 units in the last place and never above 1; NaN for NaN. A rational approximation
/// on ±7.9, beyond which f32 has nothing but ±1 (the coefficients of Eigen's `ptanh`).
#[inline(always)]
fn tanh<A: Arithmetic>(x: f32) -> f32 {
    const LIMIT: f32 = 7.905_311;
    // Comparisons and not `min`/`max`, which would lose a NaN.
    let x = if x < -LIMIT { -LIMIT } else { x };
    let x = if x > LIMIT { LIMIT } else { x };
    let square = x * x;
    let p = A::mul_add(square, -2.760_768_5e-16, 2.000_188e-13);
    let p = A::mul_add(square, p, -8.604_672e-11);
    let p = A::mul_add(square, p, 5.122_297_1e-8);
    let p = A::mul_add(square, p, 1.485_722_4e-5);
    let p = A::mul_add(square, p, 6.372_619_3e-4);
    let p = A::mul_add(square, p, 4.893_524_6e-3);
    let q = A::mul_add(square, 1.198_258_4e-6, 1.185_347_1e-4);
    let q = A::mul_add(square, q, 2.268_434_6e-3);
    let q = A::mul_add(square, q, 4.893_525e-3);
    let y = x * p / q;
    let y = if y > 1.0 { 1.0 } else { y };
    if y < -1.0 { -1.0 } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_within_five_units_in_the_last_place() {
        let inputs: Vec<f32> = (-200_000..=200_000).map(|i| i as f32 * 5e-5).collect();
        for isa in [Isa::Plain, Isa::available()] {
            let mut values = inputs.clone();
            let cols = values.len();
            dispatch(
                isa,
                CapRows { x: RowsMut { data: &mut values, rows: 1, cols, stride: cols }, cap: 1.0 },
            );
            for (x, y) in inputs.iter().zip(values) {
                let exact = f64::from(*x).tanh();
                let unit = f64::from(f32::EPSILON) * exact.abs();
                let error = (f64::from(y) - exact).abs();
                assert!(error <= 5.0 * unit && y.abs() <= 1.0, "{isa:?}: tanh({x}) = {y}, not {exact}");
            }
        }
    }

    #[test]
    fn the_cap_holds_at_infinity_and_keeps_nan() {
        for isa in [Isa::Plain, Isa::available()] {
            let mut values = [f32::INFINITY, f32::NEG_INFINITY, 1e30, f32::NAN];
            dispatch(
                isa,
                CapRows { x: RowsMut { data: &mut values, rows: 1, cols: 4, stride: 4 }, cap: 30.0 },
            );
            for (value, expected) in values.iter().zip([30.0f32, -30.0, 30.0]) {
                assert!((value - expected).abs() < 1e-5 && value.abs() <= 30.0, "{isa:?}: {value}");
            }
            assert!(values[3].is_nan());
        }
    }
}
