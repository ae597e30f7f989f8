//! Activations in 8 bits.

use super::super::buffer::{Rows, Shared};
use super::super::math::VECTOR;
use super::super::{Isa, Threads};
use super::lanes::{Lanes, Work, run};
use formats::quant::ggml::SUB_BLOCK;

/// Codes of a block, four to a word.
pub(super) const WORDS: usize = SUB_BLOCK / 4;

/// The most rows that share the codes of a panel as they are unpacked.
pub(super) const TILE: usize = 8;

/// Rows `[T, K]` as signed bytes in blocks of 32 with a scale each: the left side of products of integers.
///
/// Rows lie in [tiles](tile_of), block after block with the rows of the tile side by side, so that a product reads them
/// in one stream.
#[derive(Debug, Default)]
pub(in crate::cpu) struct Activations {
    rows: usize,
    blocks: usize,
    /// `T · K / 32` blocks.
    words: Vec<[i32; WORDS]>,
    /// `T · K / 32`.
    scales: Vec<f32>,
    /// Sums of the codes of both halves of every block, `T · K / 32`.
    sums: Vec<[i32; 2]>,
}

/// `ROWS` rows of [`Activations`], by block.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a, const ROWS: usize> {
    pub(super) words: &'a [[[i32; WORDS]; ROWS]],
    pub(super) scales: &'a [[f32; ROWS]],
    pub(super) sums: &'a [[[i32; 2]; ROWS]],
}

/// First row and number of rows of the tile that row `i` of `rows` belongs to: eights, then a four, a two and a one as
/// they are left.
fn tile_of(i: usize, rows: usize) -> (usize, usize) {
    let mut first = i / TILE * TILE;
    let mut left = rows - first;
    let mut size = TILE;
    loop {
        size = size.min(left.next_power_of_two() >> usize::from(!left.is_power_of_two()));
        if i < first + size {
            return (first, size);
        }
        (first, left) = (first + size, left - size);
    }
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
        // Rows of a tile share lines of the cache, which two processors would take from each other.
        threads.run(x.rows.div_ceil(TILE), |tile| {
            for i in (tile * TILE..x.rows).take(TILE) {
                let (first, step) = tile_of(i, x.rows);
                let place = Place {
                    words: &words,
                    scales: &scales,
                    sums: &sums,
                    start: first * blocks + i - first,
                    step,
                };
                run(isa, QuantizeRow { x: x.row(i).as_chunks().0, place });
            }
        });
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The tile of `ROWS` rows that begins at row `first`.
    pub(super) fn tile<const ROWS: usize>(&self, first: usize) -> Tile<'_, ROWS> {
        debug_assert_eq!(tile_of(first, self.rows), (first, ROWS));
        let range = first * self.blocks..(first + ROWS) * self.blocks;
        Tile {
            words: self.words[range.clone()].as_chunks().0,
            scales: self.scales[range.clone()].as_chunks().0,
            sums: self.sums[range].as_chunks().0,
        }
    }
}

/// Where the blocks of a row go: to `start` and every `step` from there.
struct Place<'a> {
    words: &'a Shared<'a>,
    scales: &'a Shared<'a>,
    sums: &'a Shared<'a>,
    start: usize,
    step: usize,
}

struct QuantizeRow<'a> {
    x: &'a [[f32; SUB_BLOCK]],
    place: Place<'a>,
}

impl Work for QuantizeRow<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for (b, x) in self.x.iter().enumerate() {
            let at = self.place.start + b * self.place.step;
            // SAFETY: every row is one task's, and no two rows have a block in one place.
            #[allow(unsafe_code)]
            let (words, scale, sums) = unsafe {
                (
                    self.place.words.range(at * WORDS, WORDS),
                    self.place.scales.range(at, 1),
                    self.place.sums.range(at * 2, 2),
                )
            };
            let codes: &mut [i8] = bytemuck::cast_slice_mut(words);
            let sums = bytemuck::cast_slice_mut(sums);
            scale[0] = quantize::<L>(x, codes.as_chunks_mut().0, sums);
        }
    }
}

/// `codes · scale` is nearest to `x`, `sums` are those of the halves of the codes; the scale of a block with a value
/// that is not finite is NaN.
#[inline(always)]
fn quantize<L: Lanes>(x: &[f32; SUB_BLOCK], codes: &mut [[i8; VECTOR]], sums: &mut [i32]) -> f32 {
    /// The bits of infinity; those of what is no number lie above.
    const INFINITE: u32 = f32::INFINITY.to_bits();
    // Bits of numbers without a sign are in the order of the numbers.
    let largest = x.iter().fold(0, |largest, x| x.abs().to_bits().max(largest));
    let finite = largest < INFINITE;
    let largest = f32::from_bits(largest);
    let inverse = if finite && largest > 0.0 { 127.0 / largest } else { 0.0 };
    for ((x, codes), sum) in x.as_chunks().0.iter().zip(codes).zip(sums) {
        *sum = L::codes(L::mul_lanes(L::load(x), L::splat(inverse)), codes);
    }
    if finite { largest / 127.0 } else { f32::NAN }
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
            let row = activations.tile::<1>(0);
            for (b, block) in values.chunks(32).enumerate() {
                let codes: [i8; 32] = bytemuck::cast(row.words[b][0]);
                for (code, value) in codes.iter().zip(block) {
                    let error = (f32::from(*code) * row.scales[b][0] - value).abs();
                    assert!(error <= 0.5001 * row.scales[b][0], "{isa:?}: {code} for {value}");
                }
                let sum = |half: &[i8]| half.iter().map(|&c| i32::from(c)).sum::<i32>();
                assert_eq!(row.sums[b][0], [sum(&codes[..16]), sum(&codes[16..])]);
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 64];
            values[40] = bad;
            let activations = quantized(&values, Isa::available());
            let scales = activations.tile::<1>(0).scales;
            assert!(scales[0][0].is_finite() && scales[1][0].is_nan(), "{bad}: {scales:?}");
        }
    }

    #[test]
    fn zeros_are_zeros() {
        let activations = quantized(&[0.0; 32], Isa::available());
        let row = activations.tile::<1>(0);
        assert_eq!((row.scales, row.words), (&[[0.0]][..], &[[[0; 8]]][..]));
    }

    #[test]
    fn tiles_are_eights_then_what_is_left_in_powers_of_two() {
        for rows in 1..40 {
            let mut first = 0;
            while first < rows {
                let size = match rows - first {
                    8.. => 8,
                    4.. => 4,
                    2.. => 2,
                    _ => 1,
                };
                for i in first..first + size {
                    assert_eq!(tile_of(i, rows), (first, size), "row {i} of {rows}");
                }
                first += size;
            }
        }
    }
}
