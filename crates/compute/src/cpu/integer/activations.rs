//! Activations in 8 bits.

use super::super::buffer::{Rows, Shared};
use super::super::math::{Arithmetic, Kernel, dispatch};
use super::super::{Isa, Threads};
use formats::quant::ggml::SUB_BLOCK;

/// Codes of a block, four to a word.
pub(super) const WORDS: usize = SUB_BLOCK / 4;

/// Rows `[T, K]` as signed bytes in blocks of 32 with a scale each: the left side of products of integers.
#[derive(Debug, Default)]
pub(in crate::cpu) struct Activations {
    rows: usize,
    blocks: usize,
    /// `[T, K / 32]` blocks.
    words: Vec<[i32; WORDS]>,
    /// `[T, K / 32]`.
    scales: Vec<f32>,
    /// Sums of the codes of both halves of every block, `[T, K / 32]`.
    sums: Vec<[i32; 2]>,
}

/// A row of [`Activations`].
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) words: &'a [[i32; WORDS]],
    pub(super) scales: &'a [f32],
    pub(super) sums: &'a [[i32; 2]],
}

impl Activations {
    /// Takes the values of `x` `[T, K]`, K a multiple of 32.
    pub(in crate::cpu) fn quantize(&mut self, threads: &Threads, isa: Isa, x: Rows<'_>) {
        assert!(x.cols.is_multiple_of(SUB_BLOCK), "{} columns are no whole blocks", x.cols);
        (self.rows, self.blocks) = (x.rows, x.cols / SUB_BLOCK);
        let count = self.rows * self.blocks;
        if self.words.len() < count {
            self.words.resize(count, [0; WORDS]);
            self.scales.resize(count, 0.0);
            self.sums.resize(count, [0; 2]);
        }
        let blocks = self.blocks;
        let [words, scales, sums] = [
            Shared::new(bytemuck::cast_slice_mut(&mut self.words)),
            Shared::new(&mut self.scales),
            Shared::new(bytemuck::cast_slice_mut(&mut self.sums)),
        ];
        threads.run(x.rows, |i| {
            // SAFETY: every row is one task's.
            #[allow(unsafe_code)]
            let (words, scales, sums) = unsafe {
                (
                    words.range(i * blocks * WORDS, blocks * WORDS),
                    scales.range(i * blocks, blocks),
                    sums.range(i * blocks * 2, blocks * 2),
                )
            };
            let row = QuantizeRow {
                x: x.row(i).as_chunks().0,
                words: bytemuck::cast_slice_mut(words),
                scales,
                sums: bytemuck::cast_slice_mut(sums),
            };
            dispatch(isa, row);
        });
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    pub(super) fn row(&self, i: usize) -> Row<'_> {
        let range = i * self.blocks..(i + 1) * self.blocks;
        Row {
            words: &self.words[range.clone()],
            scales: &self.scales[range.clone()],
            sums: &self.sums[range],
        }
    }
}

struct QuantizeRow<'a> {
    x: &'a [[f32; SUB_BLOCK]],
    words: &'a mut [[i32; WORDS]],
    scales: &'a mut [f32],
    sums: &'a mut [[i32; 2]],
}

impl Kernel for QuantizeRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        for (((x, words), scale), sums) in self.x.iter().zip(self.words).zip(self.scales).zip(self.sums) {
            let codes: &mut [i8; SUB_BLOCK] = bytemuck::cast_mut(words);
            *scale = quantize(x, codes);
            for (half, sum) in sums.iter_mut().enumerate() {
                *sum = codes[half * 16..][..16].iter().map(|&code| i32::from(code)).sum();
            }
        }
    }
}

/// `codes · scale` is nearest to `x`; the scale of a block with a value that is not finite is NaN.
#[inline(always)]
fn quantize(x: &[f32; SUB_BLOCK], codes: &mut [i8; SUB_BLOCK]) -> f32 {
    /// Adding it leaves the rounded integer in the lowest bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let (mut lanes, mut poison) = ([0.0f32; 16], [0.0f32; 16]);
    for x in x.as_chunks::<16>().0 {
        for l in 0..16 {
            lanes[l] = if x[l].abs() > lanes[l] { x[l].abs() } else { lanes[l] };
            poison[l] += x[l] * 0.0;
        }
    }
    let largest = lanes.into_iter().fold(0.0f32, |a, b| if b > a { b } else { a });
    let poison: f32 = poison.into_iter().sum();
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    for (code, x) in codes.iter_mut().zip(x) {
        *code = (x * inverse + ROUND).to_bits() as i8;
    }
    largest / 127.0 + poison
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantized(values: &[f32], isa: Isa) -> Activations {
        let mut activations = Activations::default();
        let x = Rows { data: values, rows: 1, cols: values.len(), stride: values.len() };
        activations.quantize(&Threads::new(1), isa, x);
        activations
    }

    #[test]
    fn codes_are_the_nearest_and_their_sums_are_theirs() {
        let values: Vec<f32> = (0..96).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
        for isa in [Isa::Plain, Isa::available()] {
            let activations = quantized(&values, isa);
            let row = activations.row(0);
            for (b, block) in values.chunks(32).enumerate() {
                let codes: [i8; 32] = bytemuck::cast(row.words[b]);
                for (code, value) in codes.iter().zip(block) {
                    let error = (f32::from(*code) * row.scales[b] - value).abs();
                    assert!(error <= 0.5001 * row.scales[b], "{isa:?}: {code} for {value}");
                }
                let sum = |half: &[i8]| half.iter().map(|&c| i32::from(c)).sum::<i32>();
                assert_eq!(row.sums[b], [sum(&codes[..16]), sum(&codes[16..])]);
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 64];
            values[40] = bad;
            let activations = quantized(&values, Isa::available());
            let scales = activations.row(0).scales;
            assert!(scales[0].is_finite() && scales[1].is_nan(), "{bad}: {scales:?}");
        }
    }

    #[test]
    fn zeros_are_zeros() {
        let activations = quantized(&[0.0; 32], Isa::available());
        assert_eq!((activations.row(0).scales, activations.row(0).words), (&[0.0][..], &[[0; 8]][..]));
    }
}
