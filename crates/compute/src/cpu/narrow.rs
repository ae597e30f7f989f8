//! Values that wait for the backward in bf16, two in the room of one.

use super::buffer::{Rows, RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, dispatch};
use super::{Isa, Threads};

/// Rounds `x` `[T, N]` in place and writes it to `kept` `[T, N / 2]`, or nowhere if that has no columns.
pub(super) fn round(threads: &Threads, isa: Isa, x: RowsMut<'_>, kept: RowsMut<'_>) {
    by_rows(threads, task_rows(x.cols), [x, kept], |_, [x, kept]| dispatch(isa, RoundRows { x, kept }));
}

/// Writes to `x` `[T, N]` what `kept` `[T, N / 2]` holds.
pub(super) fn restore(threads: &Threads, isa: Isa, x: RowsMut<'_>, kept: Rows<'_>) {
    by_rows(threads, task_rows(x.cols), [x], |first, [x]| dispatch(isa, RestoreRows { first, x, kept }));
}

struct RoundRows<'a> {
    x: RowsMut<'a>,
    kept: RowsMut<'a>,
}

impl Kernel for RoundRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.x.rows {
            let x = self.x.row(i);
            for x in &mut *x {
                *x = f32::from_bits(rounded(*x));
            }
            keep(x, self.kept.row(i));
        }
    }
}

struct RestoreRows<'a> {
    first: usize,
    x: RowsMut<'a>,
    kept: Rows<'a>,
}

impl Kernel for RestoreRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.x.rows {
            let halves: &[u16] = bytemuck::cast_slice(self.kept.row(self.first + i));
            for (x, &half) in self.x.row(i).iter_mut().zip(halves) {
                *x = f32::from_bits(u32::from(half) << 16);
            }
        }
    }
}

/// The bits of the nearest bf16, of two the even one; a NaN stays one.
#[inline(always)]
pub(super) fn rounded(x: f32) -> u32 {
    let bits = x.to_bits();
    let even = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    (if x.is_nan() { bits | 0x0040_0000 } else { even }) & 0xffff_0000
}

/// Writes values that are rounded to bf16, two in the room of one, for as many as there is room.
#[inline(always)]
pub(super) fn keep(rounded: &[f32], kept: &mut [f32]) {
    let halves: &mut [u16] = bytemuck::cast_slice_mut(kept);
    for (half, x) in halves.iter_mut().zip(rounded) {
        *half = (x.to_bits() >> 16) as u16;
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    fn rows(data: &mut [f32]) -> RowsMut<'_> {
        let cols = data.len() / 2;
        RowsMut { data, rows: 2, cols, stride: cols }
    }

    #[test]
    fn what_is_kept_is_the_nearest_bf16_and_comes_back() {
        let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, 1e-40, 1.003_906_2];
        let spread = (0..5_000).map(|i| f32::from_bits(0x3000_0000u32.wrapping_add(i * 0x0003_a7b1)));
        let values: Vec<f32> = special.into_iter().chain(spread).collect();
        let threads = Threads::new(2);
        for isa in [Isa::Plain, Isa::available()] {
            let (mut x, mut kept) = (values.clone(), vec![0.0; values.len() / 2]);
            round(&threads, isa, rows(&mut x), rows(&mut kept));
            let mut alone = values.clone();
            round(&threads, isa, rows(&mut alone), RowsMut::nothing(2));
            let mut back = vec![0.0; values.len()];
            let kept = Rows { data: &kept, rows: 2, cols: values.len() / 4, stride: values.len() / 4 };
            restore(&threads, isa, rows(&mut back), kept);
            for (i, value) in values.iter().enumerate() {
                let nearest = bf16::from_f32(*value).to_f32().to_bits();
                let got = [x[i], alone[i], back[i]].map(f32::to_bits);
                assert_eq!(got, [nearest; 3], "{isa:?}: {value}");
            }
        }
    }
}
