//! Small products in registers, for attention: `R` rows by [`PANEL`] columns at a time.
//!
//! The left factor is read value by value, the right one from *panels*: [`PANEL`] columns side by side for every step
//! of the sum. Each element is one chain of multiply-adds in the order of the sum, so the size of the tile does not
//! change its bits.

use super::math::{Arithmetic, VECTOR};

/// Columns of a tile.
pub(super) const PANEL: usize = VECTOR;

/// Rows of a tile, a vector each.
pub(super) type Tile<A, const R: usize> = [<A as Arithmetic>::Vector; R];

/// `tile += a b`, where step `p` of the sum reads `a[p]` and row `p` of the panel `b`.
#[inline(always)]
pub(super) fn multiply<A: Arithmetic, const R: usize>(
    mut tile: Tile<A, R>,
    a: &[[f32; R]],
    b: &[[f32; PANEL]],
) -> Tile<A, R> {
    for (a, b) in a.iter().zip(b) {
        let b = A::load(b);
        for r in 0..R {
            tile[r] = A::mul_add_lanes(A::splat(a[r]), b, tile[r]);
        }
    }
    tile
}

/// As [`multiply`], with `a` row after row: step `p` reads `a[r][p]`.
#[inline(always)]
pub(super) fn multiply_rows<A: Arithmetic, const R: usize, const N: usize>(
    mut tile: Tile<A, R>,
    a: &[[f32; N]; R],
    b: &[[f32; PANEL]],
) -> Tile<A, R> {
    for (p, b) in b.iter().enumerate().take(N) {
        let b = A::load(b);
        for r in 0..R {
            tile[r] = A::mul_add_lanes(A::splat(a[r][p]), b, tile[r]);
        }
    }
    tile
}

/// As [`multiply`], with `a` the columns `from..from + R` of rows of `N` values.
#[inline(always)]
pub(super) fn multiply_columns<A: Arithmetic, const R: usize, const N: usize>(
    mut tile: Tile<A, R>,
    a: &[[f32; N]],
    from: usize,
    b: &[[f32; PANEL]],
) -> Tile<A, R> {
    assert!(from + R <= N);
    for (a, b) in a.iter().zip(b) {
        let b = A::load(b);
        for r in 0..R {
            tile[r] = A::mul_add_lanes(A::splat(a[from + r]), b, tile[r]);
        }
    }
    tile
}

/// Lays `row` out as column `index` of groups of `W` columns: `[index / W][value][index % W]`.
#[inline(always)]
pub(super) fn pack_column<const W: usize>(to: &mut [f32], index: usize, row: &[f32]) {
    let group = &mut to[index / W * W * row.len()..][..W * row.len()];
    let (steps, _) = group.as_chunks_mut::<W>();
    for (step, &value) in steps.iter_mut().zip(row) {
        step[index % W] = value;
    }
}

/// Lays `row` out as step `index` of panels of `steps` steps: `[value / PANEL][index][value % PANEL]`.
#[inline(always)]
pub(super) fn pack_row(to: &mut [f32], steps: usize, index: usize, row: &[f32]) {
    for (panel, values) in row.chunks(PANEL).enumerate() {
        to[(panel * steps + index) * PANEL..][..values.len()].copy_from_slice(values);
    }
}

/// Reads the tile at row `first`, column `col` of rows of `stride` values.
#[inline(always)]
pub(super) fn load<A: Arithmetic, const R: usize>(
    from: &[f32],
    first: usize,
    stride: usize,
    col: usize,
) -> Tile<A, R> {
    let mut tile = [A::splat(0.0); R];
    for (r, row) in tile.iter_mut().enumerate() {
        *row = A::load(from[(first + r) * stride + col..].first_chunk().expect("a row has whole panels"));
    }
    tile
}

/// Writes the tile at row `first`, column `col` of rows of `stride` values.
#[inline(always)]
pub(super) fn store<A: Arithmetic, const R: usize>(
    tile: Tile<A, R>,
    to: &mut [f32],
    first: usize,
    stride: usize,
    col: usize,
) {
    for (r, &row) in tile.iter().enumerate() {
        let to = to[(first + r) * stride + col..].first_chunk_mut().expect("a row has whole panels");
        A::store(to, row);
    }
}

/// Cuts pieces off a scratch slice.
pub(super) struct Pieces<'a>(pub(super) &'a mut [f32]);

impl<'a> Pieces<'a> {
    pub(super) fn take(&mut self, len: usize) -> &'a mut [f32] {
        let (piece, rest) = std::mem::take(&mut self.0).split_at_mut(len);
        self.0 = rest;
        piece
    }
}
