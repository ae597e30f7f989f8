//! Products with few rows, as in decoding: each element of the right side is used so seldom that packing would cost
//! more than the multiplications. Squares of it are transposed in registers and used at once.

use super::pack::{edge, square};
use super::simd::{Simd, Stored};
use super::tile::Tile;
use super::{Elements, Operand};

/// A tile of one vector of columns, whose right side is read where it is stored, with contiguous depth.
#[derive(Debug)]
pub(super) struct Thin<'a> {
    /// Its right panel is not used.
    pub(super) tile: Tile,
    pub(super) right: Operand<'a>,
    /// First row of `right` (and of `tail`), which is the first column of the tile.
    pub(super) row: usize,
    /// First step of depth.
    pub(super) from: usize,
    /// Right side of the tail.
    pub(super) tail: Option<Operand<'a>>,
}

impl Thin<'_> {
    /// As [`Tile::run`], bit for bit.
    ///
    /// # Safety
    /// As [`Tile::run`]; the right side must reach the tile's columns and depth.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd<L>, const L: usize, const ROWS: usize>(&self) {
        let Tile { left, tail_left, depth, tail, alpha, .. } = self.tile;
        // SAFETY: the caller's promise is the same.
        unsafe {
            let mut sums = [S::splat(0.0); ROWS];
            self.multiply::<S, L, ROWS>(&mut sums, left, self.right, self.from, depth);
            if alpha != 1.0 {
                let alpha = S::splat(alpha);
                for sum in &mut sums {
                    *sum = S::mul(*sum, alpha);
                }
            }
            if let (Some(right), 1..) = (self.tail, tail) {
                self.multiply::<S, L, ROWS>(&mut sums, tail_left, right, 0, tail);
            }
            self.tile.write::<S, L, ROWS, 1>(&sums.map(|sum| [sum]));
        }
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd<L>, const L: usize, const ROWS: usize>(
        &self,
        sums: &mut [S::Vector; ROWS],
        left: *const f32,
        right: Operand<'_>,
        from: usize,
        depth: usize,
    ) {
        let (start, stride) = (self.row * right.row_stride + from, right.row_stride);
        // SAFETY: the caller's promise is the same.
        unsafe {
            match right.elements {
                Elements::F32(x) => self.stream::<S, _, L, ROWS>(sums, left, &x[start..], stride, depth),
                Elements::F16(x) => self.stream::<S, _, L, ROWS>(sums, left, &x[start..], stride, depth),
                Elements::Bf16(x) => self.stream::<S, _, L, ROWS>(sums, left, &x[start..], stride, depth),
                Elements::Quantized(_) => unreachable!("a quantized side is packed"),
            }
        }
    }

    #[inline(always)]
    unsafe fn stream<S: Simd<L>, T: Stored, const L: usize, const ROWS: usize>(
        &self,
        sums: &mut [S::Vector; ROWS],
        left: *const f32,
        right: &[T],
        stride: usize,
        depth: usize,
    ) {
        let cols = self.tile.cols;
        let step = L * T::PER_LANE;
        let whole = depth / step * step;
        // SAFETY: the caller's promise is the same.
        unsafe {
            let mut acc = *sums;
            for p in (0..whole).step_by(step) {
                // Memory is what takes the time: the same place in the rows of the next tile.
                for k in 0..L {
                    let line = right.as_ptr().wrapping_add(k * stride + p);
                    S::prefetch_far(line.wrapping_add(L * stride));
                }
                let square = square::<S, T, L>(right, stride, cols, p);
                for (k, lanes) in square.iter().enumerate() {
                    for index in 0..T::PER_LANE {
                        let left = left.add((p + k * T::PER_LANE + index) * ROWS);
                        add::<S, L, ROWS>(&mut acc, left, T::decode::<S, L>(*lanes, index));
                    }
                }
            }
            for p in (whole..depth).step_by(L) {
                let steps = (depth - p).min(L);
                let square = edge::<S, T, L>(right, stride, cols, p, steps);
                for (k, right) in square[..steps].iter().enumerate() {
                    add::<S, L, ROWS>(&mut acc, left.add((p + k) * ROWS), *right);
                }
            }
            *sums = acc;
        }
    }
}

/// One step of depth.
#[inline(always)]
unsafe fn add<S: Simd<L>, const L: usize, const ROWS: usize>(
    sums: &mut [S::Vector; ROWS],
    left: *const f32,
    right: S::Vector,
) {
    for (i, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the left panel holds `ROWS` values there, says the caller.
        *sum = unsafe { S::fma(S::splat(*left.add(i)), right, *sum) };
    }
}
