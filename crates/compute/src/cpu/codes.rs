//! Values that wait for the backward as integers with a scale for each block.

use std::marker::PhantomData;

use half::bf16;

use super::buffer::{Rows, RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, dispatch};
use super::narrow::rounded;
use super::{Isa, Threads};
use crate::Codes;

/// An integer that a value is rounded to.
trait Code: bytemuck::Pod {
    /// The largest.
    const LARGEST: f32;
    /// Whether values count as rounded to bf16.
    const OF_BF16: bool;

    fn of(bits: u32) -> Self;

    fn value(self) -> f32;
}

impl Code for i8 {
    const LARGEST: f32 = 127.0;
    const OF_BF16: bool = true;

    #[inline(always)]
    fn of(bits: u32) -> i8 {
        bits as i8
    }

    #[inline(always)]
    fn value(self) -> f32 {
        f32::from(self)
    }
}

impl Code for i16 {
    // A scale is off by up to a 512th, and the largest value must still have a code.
    const LARGEST: f32 = 32_640.0;
    const OF_BF16: bool = false;

    #[inline(always)]
    fn of(bits: u32) -> i16 {
        bits as i16
    }

    #[inline(always)]
    fn value(self) -> f32 {
        f32::from(self)
    }
}

/// Writes the codes of `x` `[T, N]` to `kept` `[T, room]`.
pub(super) fn keep(threads: &Threads, isa: Isa, codes: Codes, x: Rows<'_>, kept: RowsMut<'_>) {
    by_rows(threads, task_rows(x.cols), [kept], |first, [kept]| match codes {
        Codes::Eight => dispatch(isa, KeepRows { first, x, kept, code: PhantomData::<i8> }),
        Codes::Sixteen => dispatch(isa, KeepRows { first, x, kept, code: PhantomData::<i16> }),
    });
}

/// Writes to `x` `[T, N]` what the codes `kept` `[T, room]` stand for.
pub(super) fn restore(threads: &Threads, isa: Isa, codes: Codes, x: RowsMut<'_>, kept: Rows<'_>) {
    by_rows(threads, task_rows(x.cols), [x], |first, [x]| match codes {
        Codes::Eight => dispatch(isa, RestoreRows { first, x, kept, code: PhantomData::<i8> }),
        Codes::Sixteen => dispatch(isa, RestoreRows { first, x, kept, code: PhantomData::<i16> }),
    });
}

/// Makes of `x` `[T, N]` what [`keep`] and [`restore`] would.
pub(super) fn through(threads: &Threads, isa: Isa, codes: Codes, x: RowsMut<'_>) {
    by_rows(threads, task_rows(x.cols), [x], |_, [x]| match codes {
        Codes::Eight => dispatch(isa, ThroughRows { x, code: PhantomData::<i8> }),
        Codes::Sixteen => dispatch(isa, ThroughRows { x, code: PhantomData::<i16> }),
    });
}

/// The codes of a row of `width` values, and the scales behind them.
fn parts<C: Code>(row: &[f32], width: usize) -> (&[C], &[u16]) {
    let (codes, scales) = row.split_at((size_of::<C>() * width).div_ceil(size_of::<f32>()));
    (&bytemuck::cast_slice(codes)[..width], bytemuck::cast_slice(scales))
}

/// As [`parts`].
fn parts_mut<C: Code>(row: &mut [f32], width: usize) -> (&mut [C], &mut [u16]) {
    let (codes, scales) = row.split_at_mut((size_of::<C>() * width).div_ceil(size_of::<f32>()));
    (&mut bytemuck::cast_slice_mut(codes)[..width], bytemuck::cast_slice_mut(scales))
}

struct KeepRows<'a, C> {
    first: usize,
    x: Rows<'a>,
    kept: RowsMut<'a>,
    code: PhantomData<C>,
}

impl<C: Code> Kernel for KeepRows<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.kept.rows {
            let x = self.x.row(self.first + i);
            let (codes, scales) = parts_mut::<C>(self.kept.row(i), x.len());
            let blocks = x.chunks(Codes::BLOCK).zip(codes.chunks_mut(Codes::BLOCK));
            for ((x, codes), to) in blocks.zip(scales) {
                let scale = scale::<C>(x);
                *to = (scale.to_bits() >> 16) as u16;
                let inverse = 1.0 / scale;
                for (code, &x) in codes.iter_mut().zip(x) {
                    *code = encode(x, inverse);
                }
            }
        }
    }
}

struct RestoreRows<'a, C> {
    first: usize,
    x: RowsMut<'a>,
    kept: Rows<'a>,
    code: PhantomData<C>,
}

impl<C: Code> Kernel for RestoreRows<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.x.rows {
            let x = self.x.row(i);
            let (codes, scales) = parts::<C>(self.kept.row(self.first + i), x.len());
            let blocks = x.chunks_mut(Codes::BLOCK).zip(codes.chunks(Codes::BLOCK));
            for ((x, codes), scale) in blocks.zip(scales) {
                let scale = bf16::from_bits(*scale).to_f32();
                for (x, code) in x.iter_mut().zip(codes) {
                    *x = code.value() * scale;
                }
            }
        }
    }
}

struct ThroughRows<'a, C> {
    x: RowsMut<'a>,
    code: PhantomData<C>,
}

impl<C: Code> Kernel for ThroughRows<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.x.rows {
            for block in self.x.row(i).chunks_mut(Codes::BLOCK) {
                let scale = scale::<C>(block);
                let inverse = 1.0 / scale;
                for x in block {
                    *x = encode::<C>(*x, inverse).value() * scale;
                }
            }
        }
    }
}

/// What a code stands for a multiple of, a bf16; not a number where a value of the block is none or infinite.
#[inline(always)]
fn scale<C: Code>(block: &[f32]) -> f32 {
    // Magnitudes order as their bits do, with those that are no numbers above all.
    let mut largest = 0;
    for x in block {
        largest = u32::max(largest, x.to_bits() & 0x7fff_ffff);
    }
    let largest = f32::from_bits(if C::OF_BF16 { rounded(f32::from_bits(largest)) } else { largest });
    if largest.is_finite() { f32::from_bits(rounded(largest / C::LARGEST)) } else { f32::NAN }
}

/// The nearest code; any, where the scale is 0 or no number.
#[inline(always)]
fn encode<C: Code>(x: f32, inverse: f32) -> C {
    // In a float of this size the last bits are those of the integer that was added.
    const ROUNDING: f32 = 12_582_912.0;
    let x = if C::OF_BF16 { f32::from_bits(rounded(x)) } else { x };
    C::of((x * inverse + ROUNDING).to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What keeping rows of `width` and restoring them makes of `values`.
    fn there_and_back(isa: Isa, codes: Codes, values: &[f32], width: usize) -> Vec<f32> {
        let threads = Threads::new(2);
        let (rows, room) = (values.len() / width, codes.room(width));
        let mut kept = vec![f32::NAN; rows * room];
        let x = Rows { data: values, rows, cols: width, stride: width };
        keep(&threads, isa, codes, x, RowsMut { data: &mut kept, rows, cols: room, stride: room });
        let mut back = vec![f32::NAN; values.len()];
        let x = RowsMut { data: &mut back, rows, cols: width, stride: width };
        restore(&threads, isa, codes, x, Rows { data: &kept, rows, cols: room, stride: room });
        let mut through_codes = values.to_vec();
        let x = RowsMut { data: &mut through_codes, rows, cols: width, stride: width };
        through(&threads, isa, codes, x);
        let bits = |x: &[f32]| x.iter().map(|x| if x.is_nan() { 1 } else { x.to_bits() }).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&through_codes), "{isa:?} {codes:?}");
        back
    }

    #[test]
    fn what_comes_back_is_off_by_half_a_step_at_most_on_every_device() {
        let values: Vec<f32> = (0..7 * 150)
            .map(|i: u32| {
                let x = f64::from(i.wrapping_mul(2_654_435_761)) / f64::from(u32::MAX) - 0.5;
                (x * f64::from(1 + i % 13)) as f32
            })
            .collect();
        for (codes, step) in [(Codes::Eight, 1.0 / 127.0), (Codes::Sixteen, 1.0 / 32_640.0)] {
            let back = there_and_back(Isa::available(), codes, &values, 150);
            let plain = there_and_back(Isa::Plain, codes, &values, 150);
            assert_eq!(back, plain, "{codes:?}");
            let rows = values.chunks(150).zip(back.chunks(150));
            let blocks = rows.flat_map(|(x, y)| x.chunks(Codes::BLOCK).zip(y.chunks(Codes::BLOCK)));
            for (x, y) in blocks {
                let largest = x.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
                for (x, y) in x.iter().zip(y) {
                    // Scales are bf16, and so are values of 8 bits before they are rounded.
                    let bf16 = if codes == Codes::Eight { x.abs() / 256.0 } else { 0.0 };
                    assert!((x - y).abs() <= 0.503 * step * largest + bf16, "{codes:?}: {x} became {y}");
                }
            }
        }
    }

    #[test]
    fn zeros_stay_zeros_and_what_is_no_number_spoils_its_block_alone() {
        let mut values = vec![1.0; 3 * Codes::BLOCK];
        values[..Codes::BLOCK].fill(0.0);
        for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            values[Codes::BLOCK + 5] = special;
            for codes in [Codes::Eight, Codes::Sixteen] {
                let back = there_and_back(Isa::available(), codes, &values, values.len());
                assert!(back[..Codes::BLOCK].iter().all(|x| *x == 0.0), "{codes:?}");
                assert!(back[Codes::BLOCK..2 * Codes::BLOCK].iter().all(|x| x.is_nan()), "{codes:?}");
                assert!(back[2 * Codes::BLOCK..].iter().all(|x| (x - 1.0).abs() < 0.005), "{codes:?}");
            }
        }
    }
}
