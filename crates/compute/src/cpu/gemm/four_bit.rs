//! Packing of NF4 and FP4 matrices. Codes are moved about as they are stored, eight in a lane, and become values where
//! they are written: a look-up in registers and a product with the block's scale, bit for bit what the scalar decoder
//! gives.

use formats::quant::{Absmax, Bnb4Matrix, QuantizedMatrix};

use super::Elements;
use super::pack::Pack;
use super::simd::Simd;
use crate::cpu::buffer::Quantized;

/// Codes in the 32 bits of a lane.
const PER_LANE: usize = 8;
/// Where in a lane the code of each step begins: the earlier code of a byte is its high half.
const SHIFTS: [u32; PER_LANE] = [4, 0, 12, 8, 20, 16, 28, 24];
/// What strips and blocks must be multiples of, so that no vector has two scales or begins inside a byte.
const ALIGNED: usize = 16;

impl<'a> Pack<'a> {
    /// The matrix, where its codes are packed as they are stored.
    pub(super) fn four_bit(&self) -> Option<&'a Bnb4Matrix> {
        let Elements::Quantized(Quantized::Stored(QuantizedMatrix::Bnb4(matrix))) = self.operand.elements
        else {
            return None;
        };
        let block = matrix.block();
        let in_rows = block.is_power_of_two() && block >= ALIGNED && matrix.cols().is_multiple_of(block);
        let (first, count) = match self.operand.depth_stride {
            1 => (self.from, self.depth),
            _ => (self.row, self.rows),
        };
        (in_rows && first.is_multiple_of(ALIGNED) && count.is_multiple_of(ALIGNED)).then_some(matrix)
    }

    /// Packs a strip of `matrix`, which [`Pack::four_bit`] gave.
    ///
    /// # Safety
    /// As [`Pack::run`].
    #[inline(always)]
    pub(super) unsafe fn pack_four_bit<S: Simd<L>, const L: usize>(&self, matrix: &Bnb4Matrix) {
        // SAFETY: the caller's promise is the same.
        unsafe {
            if self.operand.depth_stride == 1 {
                self.transpose_codes::<S, L>(matrix);
            } else {
                self.copy_codes::<S, L>(matrix);
            }
        }
    }

    /// Steps are rows of the matrix.
    #[inline(always)]
    unsafe fn copy_codes<S: Simd<L>, const L: usize>(&self, matrix: &Bnb4Matrix) {
        let scales = Scales::new(matrix);
        // SAFETY: `load_codes` reads the `L / 2` bytes of the slice; the rest is the caller's promise.
        unsafe {
            let levels = S::levels(matrix.code());
            let mut scale = [S::splat(0.0); 2];
            for p in (0..self.depth).step_by(S::STEPS) {
                let rows = self.from + p..self.from + self.depth.min(p + S::STEPS);
                for i in (0..self.rows).step_by(L) {
                    let column = self.row + i;
                    let mut values = [S::splat(0.0); 2];
                    for ((row, value), scale) in rows.clone().zip(&mut values).zip(&mut scale) {
                        if i == 0 || scales.begin_at(column) {
                            *scale = S::splat(scales.of(row, column));
                        }
                        let first = (row * matrix.cols() + column) / 2;
                        let codes = S::load_codes(matrix.packed()[first..][..L / 2].as_ptr());
                        *value = S::mul(S::choose(levels, codes, 0), *scale);
                    }
                    let packed = if S::STEPS == 1 { values[0] } else { S::join(values[0], values[1]) };
                    S::store(self.to.add(p / S::STEPS * self.width + i), packed);
                }
            }
        }
    }

    /// Depth is contiguous: squares of `L` by `L` lanes are transposed, an eighth of what values would take.
    #[inline(always)]
    unsafe fn transpose_codes<S: Simd<L>, const L: usize>(&self, matrix: &Bnb4Matrix) {
        let scales = Scales::new(matrix);
        for i in (0..self.rows).step_by(L) {
            // Rows past the end repeat the last one, as in `square`.
            let row = |k: usize| self.row + (i + k).min(self.rows - 1);
            // SAFETY: the instruction set is there and `to` has the room, says the caller.
            unsafe {
                let levels = S::levels(matrix.code());
                let mut scale = S::splat(0.0);
                for p in (0..self.depth).step_by(L * PER_LANE) {
                    let steps = (self.depth - p).min(L * PER_LANE);
                    let mut square = [S::splat(0.0); L];
                    for (k, lanes) in square.iter_mut().enumerate() {
                        let first = (row(k) * matrix.cols() + self.from + p) / 2;
                        *lanes = load_lanes::<S, L>(&matrix.packed()[first..][..steps / 2]);
                    }
                    let square = S::transpose(square);
                    for (lanes, p) in square.into_iter().zip((p..p + steps).step_by(PER_LANE)) {
                        let column = self.from + p;
                        if p == 0 || scales.begin_at(column) {
                            let of_rows: [f32; L] = std::array::from_fn(|k| scales.of(row(k), column));
                            scale = S::load(of_rows.as_ptr());
                        }
                        let value = |step: usize| S::mul(S::choose(levels, lanes, SHIFTS[step]), scale);
                        for step in (0..PER_LANE).step_by(S::STEPS) {
                            let packed = if S::STEPS == 1 {
                                value(step)
                            } else {
                                S::join(value(step), value(step + 1))
                            };
                            S::store(self.to.add((p + step) / S::STEPS * self.width + i), packed);
                        }
                    }
                }
            }
        }
    }
}

/// `bytes` as `L` lanes, the last ones of which may be missing.
///
/// # Safety
/// The instruction set must be there.
#[inline(always)]
unsafe fn load_lanes<S: Simd<L>, const L: usize>(bytes: &[u8]) -> S::Vector {
    // SAFETY: `L` floats are there in both cases.
    unsafe {
        if bytes.len() == L * size_of::<f32>() {
            return S::load(bytes.as_ptr().cast());
        }
        let mut padded = [[0u8; size_of::<f32>()]; L];
        padded.as_flattened_mut()[..bytes.len()].copy_from_slice(bytes);
        S::load(padded.as_ptr().cast())
    }
}

/// The scales of a matrix whose rows are whole blocks.
struct Scales<'a> {
    absmax: &'a Absmax,
    /// Elements of a block, as a power of two: divisions would take longer than the rest.
    shift: u32,
    /// Blocks of a row.
    blocks: usize,
}

impl<'a> Scales<'a> {
    fn new(matrix: &'a Bnb4Matrix) -> Self {
        let shift = matrix.block().trailing_zeros();
        Scales { absmax: matrix.absmax(), shift, blocks: matrix.cols() >> shift }
    }

    /// Whether a column is the first of a block.
    #[inline(always)]
    fn begin_at(&self, column: usize) -> bool {
        column >> self.shift << self.shift == column
    }

    #[inline(always)]
    fn of(&self, row: usize, column: usize) -> f32 {
        self.absmax.value(row * self.blocks + (column >> self.shift))
    }
}
