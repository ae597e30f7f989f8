//! Small products in registers, for attention: `R` rows by [`PANEL`] columns at a time.
//!
//! The left factor is read value by value, the right one from *panels*: [`PANEL`] columns side by side for every step
//! of the sum. Each element is one chain of multiply-adds in the order of the sum, so the size of the tile does not
//! change its bits.

use super::math::Arithmetic;

/// Columns of a tile.
pub(super) const PANEL: usize = 16;

/// Rows by columns of a tile.
pub(super) type Tile<const R: usize> = [[f32; PANEL]; R];

/// `tile += a b`, where step `p` of the sum reads `a[p]` and row `p` of the panel `b`.
#[inline(always)]
pub(super) fn multiply<A: Arithmetic, const R: usize>(
    mut tile: Tile<R>,
    a: &[[f32; R]],
    b: &[[f32; PANEL]],
) -> Tile<R> {
    for (a, b) in a.iter().zip(b) {
        for r in 0..R {
            for l in 0..PANEL {
                tile[r][l] = A::mul_add(a[r], b[l], tile[r][l]);
            }
        }
    }
    tile
}

/// As [`multiply`], with `a` row after row: step `p` reads `a[r][p]`.
#[inline(always)]
pub(super) fn multiply_rows<A: Arithmetic, const R: usize, const N: usize>(
    mut tile: Tile<R>,
    a: &[[f32; N]; R],
    b: &[[f32; PANEL]],
) -> Tile<R> {
    for (p, b) in b.iter().enumerate().take(N) {
        for r in 0..R {
            for l in 0..PANEL {
                tile[r][l] = A::mul_add(a[r][p], b[l], tile[r][l]);
            }
        }
    }
    tile
}

/// As [`multiply`], with `a` the columns `from..from + R` of rows of `N` values.
#[inline(always)]
pub(super) fn multiply_columns<A: Arithmetic, const R: usize, const N: usize>(
    mut tile: Tile<R>,
    a: &[[f32; N]],
    from: usize,
    b: &[[f32; PANEL]],
) -> Tile<R> {
    assert!(from + R <= N);
    for (a, b) in a.iter().zip(b) {
        for r in 0..R {
            for l in 0..PANEL {
                tile[r][l] = A::mul_add(a[from + r], b[l], tile[r][l]);
            }
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
pub(super) fn load<const R: usize>(from: &[f32], first: usize, stride: usize, col: usize) -> Tile<R> {
    std::array::from_fn(|r| {
        let row = &from[(first + r) * stride + col..][..PANEL];
        std::array::from_fn(|l| row[l])
    })
}

/// Writes the tile at row `first`, column `col` of rows of `stride` values.
#[inline(always)]
pub(super) fn store<const R: usize>(tile: Tile<R>, to: &mut [f32], first: usize, stride: usize, col: usize) {
    for (r, row) in tile.iter().enumerate() {
        to[(first + r) * stride + col..][..PANEL].copy_from_slice(row);
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
