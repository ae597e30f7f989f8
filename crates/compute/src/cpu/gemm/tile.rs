//! The micro-kernel: one tile of the output, in registers over a whole block of depth.

use super::simd::Simd;

/// One tile of the output and one block of depth.
#[derive(Debug)]
pub(super) struct Tile {
    /// Packed left panel, `[depth, ROWS]`.
    pub(super) left: *const f32,
    /// The same rows of the tail, `[tail, ROWS]`.
    pub(super) tail_left: *const f32,
    /// Packed right panel, `[depth + tail, VECTORS * L]`.
    pub(super) right: *const f32,
    pub(super) depth: usize,
    /// Steps of depth after `depth`, which `alpha` does not scale.
    pub(super) tail: usize,
    pub(super) alpha: f32,
    /// Columns to write, at most `VECTORS * L`.
    pub(super) cols: usize,
    /// What the output is the sum of this and the product; null for nothing. It may be the output.
    pub(super) start: *const f32,
    pub(super) start_stride: usize,
    pub(super) c: *mut f32,
    pub(super) stride: usize,
}

impl Tile {
    /// Computes `c = start + (alpha * Σ_depth + Σ_tail)`: each element is one accumulator, its terms fused into it
    /// one after the other, which is why its bits do not depend on the tile around it.
    ///
    /// # Safety
    /// The instruction set must be there, the panels initialised, and `ROWS` rows of `cols` elements valid at
    /// `start` (unless null) and `c`, the latter touched by nobody else.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd<L>, const L: usize, const ROWS: usize, const VECTORS: usize>(&self) {
        // SAFETY: the panels hold `depth + tail` steps and the output `ROWS` rows of `cols`, says the caller.
        unsafe {
            for i in 0..ROWS {
                for v in 0..VECTORS {
                    if !self.start.is_null() {
                        S::prefetch(self.start.wrapping_add(i * self.start_stride + v * L));
                    }
                    S::prefetch(self.c.wrapping_add(i * self.stride + v * L));
                }
            }
            let zero = S::splat(0.0);
            let mut sums = [[zero; VECTORS]; ROWS];
            multiply::<S, L, ROWS, VECTORS>(&mut sums, self.left, self.right, self.depth);
            if self.alpha != 1.0 {
                let alpha = S::splat(self.alpha);
                for row in &mut sums {
                    for sum in row {
                        *sum = S::mul(*sum, alpha);
                    }
                }
            }
            let tail_right = self.right.wrapping_add(self.depth * VECTORS * L);
            multiply::<S, L, ROWS, VECTORS>(&mut sums, self.tail_left, tail_right, self.tail);
            self.write::<S, L, ROWS, VECTORS>(&sums);
        }
    }

    /// `c = start + sums`.
    ///
    /// # Safety
    /// As [`Tile::run`].
    #[inline(always)]
    pub(super) unsafe fn write<S: Simd<L>, const L: usize, const ROWS: usize, const VECTORS: usize>(
        &self,
        sums: &[[S::Vector; VECTORS]; ROWS],
    ) {
        // SAFETY: `start` and `c` have `ROWS` rows of `cols`, says the caller.
        unsafe {
            if self.cols < VECTORS * L {
                return self.write_partial::<S, L, ROWS, VECTORS>(sums);
            }
            for (i, row) in sums.iter().enumerate() {
                for (v, sum) in row.iter().enumerate() {
                    let mut value = *sum;
                    if !self.start.is_null() {
                        value = S::add(S::load(self.start.add(i * self.start_stride + v * L)), value);
                    }
                    S::store(self.c.add(i * self.stride + v * L), value);
                }
            }
        }
    }

    /// The last columns of a matrix go through a row of scratch.
    #[inline(always)]
    unsafe fn write_partial<S: Simd<L>, const L: usize, const ROWS: usize, const VECTORS: usize>(
        &self,
        sums: &[[S::Vector; VECTORS]; ROWS],
    ) {
        for (i, row) in sums.iter().enumerate() {
            let mut values = [[0.0f32; L]; VECTORS];
            // SAFETY: `values` has room for the vectors; `start` and `c` have `ROWS` rows of `cols`, says the caller.
            unsafe {
                for (to, sum) in values.iter_mut().zip(row) {
                    S::store(to.as_mut_ptr(), *sum);
                }
                for (j, value) in values.as_flattened()[..self.cols].iter().enumerate() {
                    let start =
                        if self.start.is_null() { 0.0 } else { *self.start.add(i * self.start_stride + j) };
                    *self.c.add(i * self.stride + j) = start + value;
                }
            }
        }
    }
}

/// `sums[i][v] += left[p, i] * right[p, v]` for `p` in ascending order.
#[inline(always)]
unsafe fn multiply<S: Simd<L>, const L: usize, const ROWS: usize, const VECTORS: usize>(
    sums: &mut [[S::Vector; VECTORS]; ROWS],
    mut left: *const f32,
    mut right: *const f32,
    depth: usize,
) {
    // SAFETY: the panels hold `depth` steps, says the caller.
    unsafe {
        let mut acc = *sums;
        for _ in 0..depth {
            let mut b = [S::splat(0.0); VECTORS];
            for (v, b) in b.iter_mut().enumerate() {
                *b = S::load(right.add(v * L));
            }
            for (i, row) in acc.iter_mut().enumerate() {
                let a = S::splat(*left.add(i));
                for (sum, b) in row.iter_mut().zip(&b) {
                    *sum = S::fma(a, *b, *sum);
                }
            }
            left = left.add(ROWS);
            right = right.add(VECTORS * L);
        }
        *sums = acc;
    }
}
