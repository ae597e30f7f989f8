//! Activations in 8 bits.

use super::super::buffer::{Rows, Shared};
use super::super::{Isa, Threads};
use super::lanes::{Lanes, ROUNDED, RoundedBlocks, Work, run};
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
    /// Of every block what [offsets](super::lanes::OFFSET) of codes take off, for all codes and for those of the second half,
    /// `T · K / 32`.
    offsets: Vec<[i32; 2]>,
    /// Sums of all codes of every block, times its scale, `T · K / 32`.
    totals: Vec<f32>,
}

/// `ROWS` rows of [`Activations`], by block.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a, const ROWS: usize> {
    pub(super) words: &'a [[[i32; WORDS]; ROWS]],
    pub(super) scales: &'a [[f32; ROWS]],
    pub(super) offsets: &'a [[[i32; 2]; ROWS]],
    pub(super) totals: &'a [[f32; ROWS]],
}

/// Rows of the tile that begins where `left` rows are left: eights, then a four, a two and a one.
fn tile_of(left: usize) -> usize {
    match left {
        TILE.. => TILE,
        _ => 1 << left.ilog2(),
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
            self.offsets.resize(count, [0; 2]);
            self.totals.resize(count, 0.0);
        }
        let blocks = self.blocks;
        let (words, offsets) = (Shared::new(&mut self.words[..]), Shared::new(&mut self.offsets[..]));
        let (scales, totals) = (Shared::new(&mut self.scales[..]), Shared::new(&mut self.totals[..]));
        threads.run(x.rows.div_ceil(TILE), |task| {
            let mut first = task * TILE;
            let end = x.rows.min(first + TILE);
            while first < end {
                let rows = tile_of(x.rows - first);
                let (start, count) = (first * blocks, rows * blocks);
                // SAFETY: every tile is one task's, and this is the only place that asks for its blocks.
                #[allow(unsafe_code)]
                let (words, scales, offsets, totals) = unsafe {
                    (
                        words.range(start, count),
                        scales.range(start, count),
                        offsets.range(start, count),
                        totals.range(start, count),
                    )
                };
                let words = bytemuck::cast_slice_mut(words);
                run(isa, RoundTile { x, first, rows, words, scales, offsets, totals });
                first += rows;
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
    #[inline(always)]
    pub(super) fn tile<const ROWS: usize>(&self, first: usize) -> Tile<'_, ROWS> {
        debug_assert_eq!(tile_of(self.rows - first), ROWS, "tile at row {first}");
        let range = first * self.blocks..(first + ROWS) * self.blocks;
        Tile {
            words: self.words[range.clone()].as_chunks().0,
            scales: self.scales[range.clone()].as_chunks().0,
            offsets: self.offsets[range.clone()].as_chunks().0,
            totals: self.totals[range].as_chunks().0,
        }
    }
}

/// Rounds the rows `first..first + rows`, a tile.
struct RoundTile<'a> {
    x: Rows<'a>,
    first: usize,
    rows: usize,
    words: &'a mut [[i8; SUB_BLOCK]],
    scales: &'a mut [f32],
    offsets: &'a mut [[i32; 2]],
    totals: &'a mut [f32],
}

/// Blocks that are measured before they are rounded: enough for nothing to wait for a scale, few enough to stay in the
/// nearest cache.
const STRETCH: usize = 8 * ROUNDED;

impl Work for RoundTile<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let mut rows: [&[[f32; SUB_BLOCK]]; TILE] = [&[]; TILE];
        for (r, row) in rows[..self.rows].iter_mut().enumerate() {
            *row = self.x.row(self.first + r).as_chunks().0;
        }
        let blocks = Blocks { rows, mask: self.rows - 1, shift: self.rows.trailing_zeros() };
        let stretches = self.words.chunks_mut(STRETCH).zip(self.scales.chunks_mut(STRETCH));
        let stretches = stretches.zip(self.offsets.chunks_mut(STRETCH).zip(self.totals.chunks_mut(STRETCH)));
        for (i, ((words, scales), (offsets, totals))) in stretches.enumerate() {
            let first = i * STRETCH;
            // The place of a total holds the factor until the codes are there.
            let (groups, last) = scales.as_chunks_mut::<ROUNDED>();
            let (factors, last_factors) = totals.as_chunks_mut::<ROUNDED>();
            let mut at = first;
            for (scales, factors) in groups.iter_mut().zip(factors) {
                L::measure(blocks.at(at, ROUNDED), scales, factors);
                at += ROUNDED;
            }
            if !last.is_empty() {
                let (mut scales, mut factors) = ([0.0; ROUNDED], [0.0; ROUNDED]);
                L::measure(blocks.at(at, last.len()), &mut scales, &mut factors);
                last.copy_from_slice(&scales[..last.len()]);
                last_factors.copy_from_slice(&factors[..last.len()]);
            }

            let (groups, last) = words.as_chunks_mut::<ROUNDED>();
            let (scales, last_scales) = scales.as_chunks::<ROUNDED>();
            let (offsets, last_offsets) = offsets.as_chunks_mut::<ROUNDED>();
            let (totals, last_totals) = totals.as_chunks_mut::<ROUNDED>();
            let mut at = first;
            for ((words, scales), (offsets, totals)) in
                groups.iter_mut().zip(scales).zip(offsets.iter_mut().zip(totals))
            {
                L::round(blocks.at(at, ROUNDED), scales, RoundedBlocks { words, offsets, totals });
                at += ROUNDED;
            }
            let left = last.len();
            if left > 0 {
                let (mut words, mut offsets) = ([[0; SUB_BLOCK]; ROUNDED], [[0; 2]; ROUNDED]);
                let (mut scales, mut totals) = ([0.0; ROUNDED], [0.0; ROUNDED]);
                scales[..left].copy_from_slice(last_scales);
                totals[..left].copy_from_slice(last_totals);
                let to = RoundedBlocks { words: &mut words, offsets: &mut offsets, totals: &mut totals };
                L::round(blocks.at(at, left), &scales, to);
                last.copy_from_slice(&words[..left]);
                last_offsets.copy_from_slice(&offsets[..left]);
                last_totals.copy_from_slice(&totals[..left]);
            }
        }
    }
}

/// The blocks of a tile in the order in which they lie there.
struct Blocks<'a> {
    rows: [&'a [[f32; SUB_BLOCK]]; TILE],
    /// Rows of the tile, a power of two, less one; and its logarithm.
    mask: usize,
    shift: u32,
}

impl<'a> Blocks<'a> {
    /// `count` blocks from the `first` on, and zeros behind them.
    #[inline(always)]
    fn at(&self, first: usize, count: usize) -> [&'a [f32; SUB_BLOCK]; ROUNDED] {
        let mut blocks = [&[0.0; SUB_BLOCK]; ROUNDED];
        for (i, block) in blocks[..count].iter_mut().enumerate() {
            *block = &self.rows[(first + i) & self.mask][(first + i) >> self.shift];
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::OFFSET;
    use super::*;

    const SETS: [Isa; 3] = [Isa::Plain, Isa::Avx2, Isa::Avx512];

    fn quantized(values: &[f32], rows: usize, isa: Isa) -> Activations {
        let mut activations = Activations::default();
        let cols = values.len() / rows;
        activations.quantize(&Threads::new(2), isa, Rows { data: values, rows, cols, stride: cols });
        activations
    }

    fn values(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.37).sin() * (1.0 + (i / 32) as f32)).collect()
    }

    /// Scale and codes of block `b` of row `r`.
    fn block(activations: &Activations, r: usize, b: usize) -> (usize, [i8; 32]) {
        let rows = activations.rows;
        let mut first = 0;
        while first + tile_of(rows - first) <= r {
            first += tile_of(rows - first);
        }
        let at = first * activations.blocks + b * tile_of(rows - first) + r - first;
        (at, bytemuck::cast(activations.words[at]))
    }

    #[test]
    fn codes_are_the_nearest_and_their_sums_are_theirs() {
        for (isa, (rows, cols)) in SETS.iter().flat_map(|isa| {
            [(1, 96), (3, 32), (7, 64), (8, 288), (21, 96)].map(|shape| (Isa::available().min(*isa), shape))
        }) {
            let values = values(rows * cols);
            let activations = quantized(&values, rows, isa);
            for (i, values) in values.chunks(32).enumerate() {
                let (at, codes) = block(&activations, i / (cols / 32), i % (cols / 32));
                let scale = activations.scales[at];
                let largest = values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
                assert_eq!(scale, largest / 127.0, "{isa:?}");
                for (code, value) in codes.iter().zip(values) {
                    let error = (f32::from(*code) * scale - value).abs();
                    assert!(error <= 0.5001 * scale, "{isa:?}: {code} for {value}");
                }
                let sum = |codes: &[i8]| codes.iter().map(|&c| i32::from(c)).sum::<i32>();
                let offsets = [sum(&codes), sum(&codes[16..])].map(|sum| -OFFSET * sum);
                assert_eq!(activations.offsets[at], offsets, "{isa:?}");
                assert_eq!(activations.totals[at], scale * sum(&codes) as f32, "{isa:?}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 64];
            values[40] = bad;
            let scales = quantized(&values, 1, Isa::available()).scales;
            assert!(scales[0].is_finite() && scales[1].is_nan(), "{bad}: {scales:?}");
        }
    }

    #[test]
    fn zeros_are_zeros() {
        let row = quantized(&[0.0; 32], 1, Isa::available());
        assert_eq!(
            (&row.scales[..], &row.words[..], &row.totals[..]),
            (&[0.0][..], &[[0; 8]][..], &[0.0][..])
        );
    }

    #[test]
    fn every_instruction_set_rounds_to_the_same_bits() {
        let values = values(21 * 96);
        let plain = quantized(&values, 21, Isa::Plain);
        for isa in SETS {
            let other = quantized(&values, 21, Isa::available().min(isa));
            assert_eq!((&plain.words, &plain.offsets), (&other.words, &other.offsets), "{isa:?}");
            assert_eq!((&plain.scales, &plain.totals), (&other.scales, &other.totals), "{isa:?}");
        }
    }
}
