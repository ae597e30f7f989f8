//! Small products in registers, for attention: `R` rows by [`PANEL`] columns at a time.
//!
//! The left factor is read value by value, the right one from *panels*: [`PANEL`] columns side by side for every step
//! of the sum. Each element is one chain of multiply-adds in the order of the sum, so the size of the tile does not
//! change its bits.

use half::f16;

use super::math::{Arithmetic, VECTOR};

/// Columns of a tile.
pub(super) const PANEL: usize = VECTOR;

/// Rows of a tile, a vector each.
pub(super) type Tile<A, const R: usize> = [<A as Arithmetic>::Vector; R];

/// What panels hold.
pub(super) trait Element: bytemuck::Pod + Default + Send + Sync {
    /// The values of an array.
    fn load<A: Arithmetic>(from: &[Self; PANEL]) -> A::Vector;

    /// The other way. Values too large for a half become the largest of its sign.
    fn round<A: Arithmetic>(from: &[f32; PANEL]) -> [Self; PANEL];
}

impl Element for f32 {
    #[inline(always)]
    fn load<A: Arithmetic>(from: &[f32; PANEL]) -> A::Vector {
        A::load(from)
    }

    #[inline(always)]
    fn round<A: Arithmetic>(from: &[f32; PANEL]) -> [f32; PANEL] {
        *from
    }
}

impl Element for f16 {
    #[inline(always)]
    fn load<A: Arithmetic>(from: &[f16; PANEL]) -> A::Vector {
        A::load_half(from)
    }

    #[inline(always)]
    fn round<A: Arithmetic>(from: &[f32; PANEL]) -> [f16; PANEL] {
        let mut to = [f16::ZERO; PANEL];
        A::store_half(&mut to, A::round_half(A::load(from)));
        to
    }
}

/// `tile += a b`, where step `p` of the sum reads `a[p]` and row `p` of the panel `b`.
#[inline(always)]
pub(super) fn multiply<A: Arithmetic, E: Element, const R: usize>(
    mut tile: Tile<A, R>,
    a: &[[f32; R]],
    b: &[[E; PANEL]],
) -> Tile<A, R> {
    for (a, b) in a.iter().zip(b) {
        let b = E::load::<A>(b);
        for r in 0..R {
            tile[r] = A::mul_add_lanes(A::splat(a[r]), b, tile[r]);
        }
    }
    tile
}

/// As [`multiply`] with two panels: the sums of few rows leave the processor time for others while they wait for each
/// other. Meanwhile it asks the memory for two that come later, as two streams are more than the processor itself follows.
#[inline(always)]
pub(super) fn multiply_two<A: Arithmetic, E: Element, const R: usize>(
    mut tiles: [Tile<A, R>; 2],
    a: &[[f32; R]],
    [first, second]: [&[[E; PANEL]]; 2],
    later: [&[E]; 2],
) -> [Tile<A, R>; 2] {
    for (p, ((a, first), second)) in a.iter().zip(first).zip(second).enumerate() {
        ask::<A, E>(later, p);
        let b = [E::load::<A>(first), E::load::<A>(second)];
        for r in 0..R {
            let a = A::splat(a[r]);
            tiles[0][r] = A::mul_add_lanes(a, b[0], tiles[0][r]);
            tiles[1][r] = A::mul_add_lanes(a, b[1], tiles[1][r]);
        }
    }
    tiles
}

/// As [`multiply`], with `a` row after row: step `p` reads `a[r][from + p]`.
#[inline(always)]
pub(super) fn multiply_rows<A: Arithmetic, E: Element, const R: usize, const N: usize>(
    mut tile: Tile<A, R>,
    a: &[[f32; N]; R],
    from: usize,
    b: &[[E; PANEL]],
) -> Tile<A, R> {
    assert!(from + b.len() <= N);
    for (p, b) in b.iter().enumerate() {
        let b = E::load::<A>(b);
        for r in 0..R {
            tile[r] = A::mul_add_lanes(A::splat(a[r][from + p]), b, tile[r]);
        }
    }
    tile
}

/// As [`multiply_rows`] with two panels; see [`multiply_two`].
#[inline(always)]
pub(super) fn multiply_rows_two<A: Arithmetic, E: Element, const R: usize, const N: usize>(
    mut tiles: [Tile<A, R>; 2],
    a: &[[f32; N]; R],
    from: usize,
    ([first, second], later): ([&[[E; PANEL]]; 2], [&[E]; 2]),
) -> [Tile<A, R>; 2] {
    assert!(from + first.len() <= N);
    for (p, (first, second)) in first.iter().zip(second).enumerate() {
        ask::<A, E>(later, p);
        let b = [E::load::<A>(first), E::load::<A>(second)];
        for r in 0..R {
            let a = A::splat(a[r][from + p]);
            tiles[0][r] = A::mul_add_lanes(a, b[0], tiles[0][r]);
            tiles[1][r] = A::mul_add_lanes(a, b[1], tiles[1][r]);
        }
    }
    tiles
}

/// Asks the memory for step `p` of two panels; they may be empty.
#[inline(always)]
fn ask<A: Arithmetic, E>([first, second]: [&[E]; 2], p: usize) {
    A::prefetch_far(first.as_ptr().wrapping_add(p * PANEL));
    A::prefetch_far(second.as_ptr().wrapping_add(p * PANEL));
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

/// Lays `row` times `factor` out as column `index` of groups of `W` columns: `[index / W][value][index % W]`.
#[inline(always)]
pub(super) fn pack_column<const W: usize>(to: &mut [f32], index: usize, row: &[f32], factor: f32) {
    let group = &mut to[index / W * W * row.len()..][..W * row.len()];
    let (steps, _) = group.as_chunks_mut::<W>();
    for (step, &value) in steps.iter_mut().zip(row) {
        step[index % W] = value * factor;
    }
}

/// As [`pack_column`] for sixteen neighbouring columns from `index`, a multiple of 16, on, a square at a time in
/// registers; 16 is a multiple of `W`. The values are taken as `taken` takes them.
#[inline(always)]
pub(super) fn pack_sixteen_columns<A: Arithmetic, const W: usize>(
    to: &mut [f32],
    index: usize,
    rows: [&[f32]; VECTOR],
    taken: impl Taken,
) {
    let width = rows[0].len();
    let to = &mut to[index * width..][..VECTOR * width];
    for first in (0..width / VECTOR * VECTOR).step_by(VECTOR) {
        let mut square = [A::splat(0.0); VECTOR];
        for (square, row) in square.iter_mut().zip(rows) {
            *square = taken.take::<A>(row[first..].first_chunk().expect("a square is in the row"));
        }
        for (d, column) in A::transpose(square).into_iter().enumerate() {
            let mut lanes = [0.0; VECTOR];
            A::store(&mut lanes, column);
            for (group, lanes) in lanes.as_chunks::<W>().0.iter().enumerate() {
                to[(group * width + first + d) * W..][..W].copy_from_slice(lanes);
            }
        }
    }
    for d in width / VECTOR * VECTOR..width {
        let mut column = [0.0; VECTOR];
        for (value, row) in column.iter_mut().zip(rows) {
            *value = row[d];
        }
        let values = taken.take::<A>(&column);
        A::store(&mut column, values);
        for (i, value) in column.into_iter().enumerate() {
            to[(i / W * width + d) * W + i % W] = value;
        }
    }
}

/// Lays `row` out as step `index` of panels of `steps` steps: `[value / PANEL][index][value % PANEL]`. The values are
/// taken as `taken` takes them.
#[inline(always)]
pub(super) fn pack_row<A: Arithmetic>(
    to: &mut [f32],
    (index, steps): (usize, usize),
    row: &[f32],
    taken: impl Taken,
) {
    let (to, _) = to.as_chunks_mut::<PANEL>();
    let (panels, rest) = row.as_chunks::<PANEL>();
    for (panel, values) in panels.iter().enumerate() {
        A::store(&mut to[panel * steps + index], taken.take::<A>(values));
    }
    if !rest.is_empty() {
        let to = &mut to[panels.len() * steps + index];
        let mut values = *to;
        values[..rest.len()].copy_from_slice(rest);
        A::store(to, taken.take::<A>(&values));
    }
}

/// How values are taken that are laid out.
pub(super) trait Taken: Copy {
    fn take<A: Arithmetic>(self, values: &[f32; VECTOR]) -> A::Vector;
}

#[derive(Clone, Copy)]
pub(super) struct AsTheyAre;

impl Taken for AsTheyAre {
    #[inline(always)]
    fn take<A: Arithmetic>(self, values: &[f32; VECTOR]) -> A::Vector {
        A::load(values)
    }
}

/// What halves give back.
#[derive(Clone, Copy)]
pub(super) struct Halved;

impl Taken for Halved {
    #[inline(always)]
    fn take<A: Arithmetic>(self, values: &[f32; VECTOR]) -> A::Vector {
        A::round_half(A::load(values))
    }
}

/// Times a factor.
#[derive(Clone, Copy)]
pub(super) struct Times(pub(super) f32);

impl Taken for Times {
    #[inline(always)]
    fn take<A: Arithmetic>(self, values: &[f32; VECTOR]) -> A::Vector {
        A::mul_lanes(A::load(values), A::splat(self.0))
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
