//! Matrix products, after Goto & van de Geijn 2008 and Van Zee & van de Geijn 2015 (BLIS): strips of both sides are
//! packed into panels, and a micro-kernel keeps one tile of the output in registers.
//!
//! Every output element is one chain of fused multiply-adds per block of depth, in ascending order, and the blocks
//! are added in order. Blocks follow from the depth alone, so an element's bits depend neither on the rows and columns
//! computed with it nor on the threads; AVX2 and AVX-512 agree bit for bit.

// Panels and tiles are raw pointers: tasks write disjoint tiles of one output, which slices cannot say.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocking;
mod kernels;
pub mod measure;
mod pack;
mod plain;
mod scratch;
mod simd;
#[cfg(test)]
mod tests;
mod thin;
mod tile;

use std::ops::Range;

use half::{bf16, f16};

use self::blocking::{Block, Depth, Grid};
use self::kernels::Kernels;
use self::pack::Pack;
use self::thin::Thin;
use self::tile::Tile;
use super::{Isa, Threads};

/// Stored elements of an operand, decoded to f32 in the packing step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Elements<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

impl Elements<'_> {
    fn len(&self) -> usize {
        match self {
            Elements::F32(x) => x.len(),
            Elements::F16(x) => x.len(),
            Elements::Bf16(x) => x.len(),
        }
    }
}

/// A factor of a product seen as `[rows, depth]`, where depth is the axis that is summed away: element `(i, p)` is at
/// `i * row_stride + p * depth_stride`. One of the strides is 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub elements: Elements<'a>,
    pub row_stride: usize,
    pub depth_stride: usize,
}

impl Operand<'_> {
    fn check(&self, what: &str, rows: usize, depth: usize) {
        if rows > 0 && depth > 0 {
            let needed = (rows - 1) * self.row_stride + (depth - 1) * self.depth_stride + 1;
            assert!(needed <= self.elements.len(), "{what}: {} elements of {needed}", self.elements.len());
        }
    }
}

/// What the output holds before the product is added.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Init<'a> {
    Zero,
    Output,
    /// Values and their row stride.
    From(&'a [f32], usize),
}

/// `c[i, j] = init + alpha * Σ_p left[i, p] * right[j, p] (+ Σ_q tail.left[i, q] * tail.right[j, q])`.
#[derive(Debug)]
pub(crate) struct Gemm<'a> {
    pub rows: usize,
    pub cols: usize,
    pub depth: usize,
    pub left: Operand<'a>,
    pub right: Operand<'a>,
    /// Depth, left and right of the second pair.
    pub tail: Option<(usize, Operand<'a>, Operand<'a>)>,
    pub alpha: f32,
    pub init: Init<'a>,
    /// Output, `[rows, cols]` with `stride` elements from row to row.
    pub c: &'a mut [f32],
    pub stride: usize,
}

/// Computes the product. Each element is reduced in an order that depends on `depth` alone.
pub(crate) fn gemm(threads: &Threads, isa: Isa, g: Gemm<'_>) {
    if g.rows == 0 || g.cols == 0 {
        return;
    }
    let tail = g.tail.map_or(0, |(tail, ..)| tail);
    let shape = (g.rows - 1, g.cols);
    g.left.check("left", g.rows, g.depth);
    g.right.check("right", g.cols, g.depth);
    if let Some((_, left, right)) = g.tail {
        left.check("left of the tail", g.rows, tail);
        right.check("right of the tail", g.cols, tail);
    }
    assert!(g.stride >= g.cols, "a stride of {} for {} columns", g.stride, g.cols);
    assert!(shape.0 * g.stride + shape.1 <= g.c.len(), "output: {} elements", g.c.len());
    let (start, start_stride) = match g.init {
        Init::Zero => (std::ptr::null(), 0),
        Init::Output => (g.c.as_ptr(), g.stride),
        Init::From(values, stride) => {
            assert!(shape.0 * stride + shape.1 <= values.len(), "start: {} elements", values.len());
            (values.as_ptr(), stride)
        }
    };
    let depth = Depth::new(g.depth, tail);
    let kernels = kernels_of(isa);
    let height = Grid::max_rows(&depth);
    let contiguous = g.right.depth_stride == 1 && g.tail.is_none_or(|(_, _, right)| right.depth_stride == 1);
    for row in (0..g.rows).step_by(height) {
        let rows = height.min(g.rows - row);
        let grid = Grid::new(&kernels, rows, g.cols, &depth, threads.count());
        let product = Product {
            kernels,
            grid,
            depth,
            row,
            left: g.left,
            right: g.right,
            tail: g.tail.map(|(_, left, right)| (left, right)),
            alpha: g.alpha,
            start,
            start_stride,
            c: g.c.as_mut_ptr(),
            stride: g.stride,
            thin: rows <= THIN_PANELS * kernels.max_rows && contiguous,
        };
        product.run(threads);
    }
}

fn kernels_of(isa: Isa) -> Kernels {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::KERNELS,
        // Every CPU with AVX2 has F16C; a virtual machine may hide it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 if is_x86_feature_detected!("f16c") => avx2::KERNELS,
        _ => plain::KERNELS,
    }
}

/// A stretch of rows of a product, cut into tasks.
struct Product<'a> {
    kernels: Kernels,
    grid: Grid,
    depth: Depth,
    /// First row of the stretch.
    row: usize,
    left: Operand<'a>,
    right: Operand<'a>,
    tail: Option<(Operand<'a>, Operand<'a>)>,
    alpha: f32,
    /// Null for a product that nothing is added to.
    start: *const f32,
    start_stride: usize,
    c: *mut f32,
    stride: usize,
    /// The right side is not packed.
    thin: bool,
}

// SAFETY: the operands are shared slices; through `c` each task writes the rows and columns of its own tiles, and
// where `start` is the output it reads only these.
unsafe impl Sync for Product<'_> {}

/// Packed left panels of consecutive depth blocks, shared by tasks.
#[derive(Clone, Copy)]
struct Panels(*mut f32);

// SAFETY: tasks that pack write disjoint panels, and have ended before others read them.
unsafe impl Sync for Panels {}

impl Panels {
    fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

impl Product<'_> {
    fn run(&self, threads: &Threads) {
        let Grid { share_left, blocks_at_once, row_panels, .. } = self.grid;
        let rows = self.grid.row_panel(row_panels - 1).end;
        for first in (0..self.depth.blocks).step_by(blocks_at_once) {
            let blocks = first..self.depth.blocks.min(first + blocks_at_once);
            if !share_left {
                threads.run(self.grid.tasks(), |task| self.task(task, blocks.clone(), None));
                continue;
            }
            let room = self.block_room();
            scratch::with_left(room * blocks.len(), |left| {
                let left = Panels(left.as_mut_ptr());
                let pack = |panel: usize| {
                    for (index, block) in blocks.clone().enumerate() {
                        let rows = self.grid.row_panel(panel);
                        let block = self.depth.block(block);
                        let offset = self.grid.left_offset(rows.start, panel, block.depth + block.tail);
                        self.pack_left(rows, block, left.at(index * room + offset));
                    }
                };
                if rows * self.depth.room() * blocks.len() < SHARED_PACKING {
                    (0..row_panels).for_each(pack);
                } else {
                    threads.run(row_panels, pack);
                }
                threads.run(self.grid.tasks(), |task| self.task(task, blocks.clone(), Some(left)));
            });
        }
    }

    /// Floats of one depth block of packed left panels.
    fn block_room(&self) -> usize {
        let rows = self.grid.row_panel(self.grid.row_panels - 1).end;
        self.grid.left_offset(rows, self.grid.row_panels, self.depth.room())
    }

    /// Computes one task's part of the output over some blocks of depth, whose packed left panels may be there.
    fn task(&self, task: usize, blocks: Range<usize>, left: Option<Panels>) {
        let (col_panels, row_panels) = self.grid.task(task);
        if let (true, Some(left)) = (self.thin, left) {
            return self.thin_task(col_panels, row_panels, blocks, left);
        }
        let right_room = self.grid.group_panels() * self.grid.width * self.depth.room() + self.kernels.lanes;
        let left_room = (self.kernels.max_rows * self.depth.room() + self.kernels.lanes).next_multiple_of(16);
        scratch::with_task(left_room + right_room, |memory| {
            let (own, right) = memory.split_at_mut(left_room);
            for (index, number) in blocks.enumerate() {
                let block = self.depth.block(number);
                let steps = block.depth + block.tail;
                for (i, panel) in col_panels.clone().enumerate() {
                    let to = right[i * self.grid.width * steps..].as_mut_ptr();
                    self.pack_right(panel, block, to);
                }
                for panel in row_panels.clone() {
                    let rows = self.grid.row_panel(panel);
                    let left = match left {
                        Some(left) => {
                            let offset = self.grid.left_offset(rows.start, panel, steps);
                            left.at(index * self.block_room() + offset).cast_const()
                        }
                        None => {
                            self.pack_left(rows.clone(), block, own.as_mut_ptr());
                            own.as_ptr()
                        }
                    };
                    for (i, col_panel) in col_panels.clone().enumerate() {
                        let right = right[i * self.grid.width * steps..].as_ptr();
                        let (cols, vectors) = self.grid.col_panel(col_panel);
                        let tile = self.tile(rows.start, cols, number, left, right);
                        // SAFETY: `isa` was found on this CPU; both panels are packed for this height and width;
                        // `gemm` checked that rows and columns lie inside the output and what it starts from.
                        unsafe { (self.kernels.tile)(rows.len(), vectors)(&tile) }
                    }
                }
            }
        });
    }

    /// As [`Product::task`], without packing the right side.
    fn thin_task(
        &self,
        col_panels: Range<usize>,
        row_panels: Range<usize>,
        blocks: Range<usize>,
        left: Panels,
    ) {
        let cols = self.grid.cols_of(col_panels);
        for (index, number) in blocks.enumerate() {
            let block = self.depth.block(number);
            for col in cols.clone().step_by(self.kernels.lanes) {
                let width = self.kernels.lanes.min(cols.end - col);
                for panel in row_panels.clone() {
                    let rows = self.grid.row_panel(panel);
                    let offset = self.grid.left_offset(rows.start, panel, block.depth + block.tail);
                    let left = left.at(index * self.block_room() + offset).cast_const();
                    let thin = Thin {
                        tile: self.tile(rows.start, col..col + width, number, left, std::ptr::null()),
                        right: self.right,
                        row: col,
                        from: block.from,
                        tail: self.tail.map(|(_, right)| right),
                    };
                    // SAFETY: `isa` was found on this CPU; the left panel is packed for this height; `gemm` checked
                    // that rows, columns and depth lie inside operands and output.
                    unsafe { (self.kernels.thin)(rows.len())(&thin) }
                }
            }
        }
    }

    /// One tile over one block of depth.
    fn tile(
        &self,
        row: usize,
        cols: Range<usize>,
        block: usize,
        left: *const f32,
        right: *const f32,
    ) -> Tile {
        let row = self.row + row;
        let c = self.c.wrapping_add(row * self.stride + cols.start);
        let (start, start_stride) = if block > 0 {
            (c.cast_const(), self.stride)
        } else if self.start.is_null() {
            (self.start, 0)
        } else {
            (self.start.wrapping_add(row * self.start_stride + cols.start), self.start_stride)
        };
        let Block { depth, tail, .. } = self.depth.block(block);
        Tile {
            left,
            right,
            depth,
            tail,
            alpha: self.alpha,
            cols: cols.len(),
            start,
            start_stride,
            c,
            stride: self.stride,
        }
    }

    fn pack_left(&self, rows: Range<usize>, block: Block, to: *mut f32) {
        let width = rows.len();
        let rows = self.row + rows.start..self.row + rows.end;
        self.pack(self.left, self.tail.map(|(left, _)| left), rows, width, block, to);
    }

    fn pack_right(&self, col_panel: usize, block: Block, to: *mut f32) {
        let (cols, vectors) = self.grid.col_panel(col_panel);
        let width = vectors * self.kernels.lanes;
        self.pack(self.right, self.tail.map(|(_, right)| right), cols, width, block, to);
    }

    /// Packs a strip of an operand, followed by the same strip of the tail.
    fn pack(
        &self,
        operand: Operand<'_>,
        tail: Option<Operand<'_>>,
        rows: Range<usize>,
        width: usize,
        block: Block,
        to: *mut f32,
    ) {
        let main = Pack {
            operand,
            row: rows.start,
            rows: rows.len(),
            from: block.from,
            depth: block.depth,
            to,
            width,
        };
        // SAFETY: `isa` was found on this CPU; the strips lie inside the operands, as `gemm` checked; `to` is a panel
        // of this width with room for one more vector, or with the next panel of the same task behind it.
        unsafe {
            (self.kernels.pack)(&main);
            if let (Some(operand), 1..) = (tail, block.tail) {
                let to = to.wrapping_add(block.depth * width);
                (self.kernels.pack)(&Pack { operand, from: 0, depth: block.tail, to, ..main });
            }
        }
    }
}

/// Panels of rows up to which the right side is not packed: this many times it is transposed.
const THIN_PANELS: usize = 2;
/// Left elements from which packing is worth a round of the threads.
const SHARED_PACKING: usize = 64 * 1024;
