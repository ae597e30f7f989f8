//! One output of a stretch of rows: its tasks, each some columns by some rows.

use std::ops::Range;

use super::blocking::{Block, Depth, Grid};
use super::kernels::Kernels;
use super::pack::Pack;
use super::thin::Thin;
use super::tile::Tile;
use super::{Elements, Operand, scratch};

/// Where a product is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) c: *mut f32,
    pub(super) stride: usize,
}

// SAFETY: it stands for a `&mut [f32]` that outlives the product; tasks write disjoint tiles through it.
unsafe impl Sync for Target {}

impl Target {
    pub(super) fn column(&self, column: usize) -> Self {
        Target { c: self.c.wrapping_add(column), ..*self }
    }
}

/// Packed left panels, shared by tasks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panels(pub(super) *mut f32);

// SAFETY: tasks that pack write disjoint panels, and have ended before others read them.
unsafe impl Sync for Panels {}

impl Panels {
    pub(super) fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// The left side as a task finds it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Left<'a> {
    /// Packed: the depth blocks `room` floats apart, and the tail.
    Packed { main: Panels, room: usize, tail: Panels },
    /// To be packed by the task, without a tail.
    Stored(Operand<'a>),
}

/// One output over a stretch of rows.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) kernels: Kernels,
    pub(super) grid: Grid,
    pub(super) depth: Depth,
    /// First row of the stretch.
    pub(super) row: usize,
    pub(super) right: Operand<'a>,
    /// Depth and right side of the tail.
    pub(super) tail: Option<(usize, Operand<'a>)>,
    pub(super) alpha: f32,
    /// What is added to, from its first row on; null for nothing.
    pub(super) start: *const f32,
    pub(super) start_stride: usize,
    pub(super) target: Target,
    /// The right side is not packed.
    pub(super) thin: bool,
}

// SAFETY: the operands are shared slices; through `target` each task writes the rows and columns of its own tiles, and
// where `start` is the output it reads only these.
unsafe impl Sync for Output<'_> {}

impl Output<'_> {
    /// Packed steps of the tail after a block.
    fn tail_of(&self, block: Block) -> usize {
        self.tail.map_or(0, |(depth, _)| if block.last { self.kernels.packed(depth) } else { 0 })
    }

    /// Computes one task's part of the output over some blocks of depth.
    pub(super) fn task(&self, task: usize, blocks: Range<usize>, left: Left<'_>) {
        let (col_panels, row_panels) = self.grid.task(task);
        if let (true, Left::Packed { .. }) = (self.thin, left) {
            return self.thin_task(col_panels, row_panels, blocks, left);
        }
        let room = self.kernels.packed(self.depth.room());
        let tail = self.tail.map_or(0, |(depth, _)| self.kernels.packed(depth));
        let right_room = self.grid.group_panels() * self.grid.width * (room + tail) + self.kernels.lanes;
        let left_room = (self.kernels.max_rows * room + self.kernels.lanes).next_multiple_of(16);
        scratch::with_task(left_room + right_room, |memory| {
            let (own, right) = memory.split_at_mut(left_room);
            for (index, number) in blocks.enumerate() {
                let block = self.depth.block(number);
                let steps = self.kernels.packed(block.depth) + self.tail_of(block);
                for (i, panel) in col_panels.clone().enumerate() {
                    let to = right[i * self.grid.width * steps..].as_mut_ptr();
                    self.pack_right(panel, block, to);
                }
                for panel in row_panels.clone() {
                    if let Left::Stored(operand) = left {
                        let rows = self.grid.row_panel(panel);
                        let strip = Strip { row: self.row + rows.start, rows: rows.len(), width: rows.len() };
                        // SAFETY: `own` has the room of a panel of the longest block.
                        unsafe {
                            pack(&self.kernels, operand, strip, (block.from, block.depth), own.as_mut_ptr());
                        }
                    }
                    for (i, col_panel) in col_panels.clone().enumerate() {
                        let (cols, vectors) = self.grid.col_panel(col_panel);
                        let mut tile = self.tile(panel, cols, number, (index, left));
                        if let Left::Stored(_) = left {
                            tile.left = own.as_ptr();
                        }
                        tile.right = right[i * self.grid.width * steps..].as_ptr();
                        let rows = self.grid.row_panel(panel).len();
                        // SAFETY: `isa` was found on this CPU; both panels are packed for this height and width;
                        // `gemm` checked that rows and columns lie inside the output and what it starts from.
                        unsafe { (self.kernels.tile)(rows, vectors)(&tile) }
                    }
                }
            }
        });
    }

    /// As [`Output::task`], without packing the right side.
    fn thin_task(
        &self,
        col_panels: Range<usize>,
        row_panels: Range<usize>,
        blocks: Range<usize>,
        left: Left<'_>,
    ) {
        let cols = self.grid.cols_of(col_panels);
        for (index, number) in blocks.enumerate() {
            for col in cols.clone().step_by(self.kernels.lanes) {
                let width = self.kernels.lanes.min(cols.end - col);
                for panel in row_panels.clone() {
                    let thin = Thin {
                        tile: self.tile(panel, col..col + width, number, (index, left)),
                        right: self.right,
                        row: col,
                        from: self.depth.block(number).from,
                        tail: self.tail.map(|(_, right)| right),
                    };
                    // SAFETY: `isa` was found on this CPU; the left panel is packed for this height; `gemm` checked
                    // that rows, columns and depth lie inside operands and output.
                    unsafe { (self.kernels.thin)(self.grid.row_panel(panel).len())(&thin) }
                }
            }
        }
    }

    /// One tile over one block of depth, `index` blocks after the first packed one, without its right panel.
    fn tile(
        &self,
        row_panel: usize,
        cols: Range<usize>,
        number: usize,
        (index, left): (usize, Left<'_>),
    ) -> Tile {
        let rows = self.grid.row_panel(row_panel);
        let row = self.row + rows.start;
        let c = self.target.c.wrapping_add(row * self.target.stride + cols.start);
        let (start, start_stride) = if number > 0 {
            (c.cast_const(), self.target.stride)
        } else if self.start.is_null() {
            (self.start, 0)
        } else {
            (self.start.wrapping_add(row * self.start_stride + cols.start), self.start_stride)
        };
        let block = self.depth.block(number);
        let (depth, tail) = (self.kernels.packed(block.depth), self.tail_of(block));
        let (left, tail_left) = match left {
            Left::Packed { main, room, tail: tails } => {
                let offset = |steps| self.grid.left_offset(rows.start, row_panel, steps);
                (main.at(index * room + offset(depth)).cast_const(), tails.at(offset(tail)).cast_const())
            }
            Left::Stored(_) => (std::ptr::null(), std::ptr::null()),
        };
        Tile {
            left,
            tail_left,
            right: std::ptr::null(),
            depth,
            tail,
            alpha: self.alpha,
            cols: cols.len(),
            start,
            start_stride,
            c,
            stride: self.target.stride,
        }
    }

    /// Packs a strip of the right side, followed by the same strip of the tail.
    fn pack_right(&self, col_panel: usize, block: Block, to: *mut f32) {
        let (cols, vectors) = self.grid.col_panel(col_panel);
        let width = vectors * self.kernels.lanes;
        let strip = Strip { row: cols.start, rows: cols.len(), width };
        // SAFETY: `gemm` checked that the strips lie inside the operands; `to` has the room of the longest panel
        // with its tail, and one more vector or the next panel of the same task behind it.
        unsafe {
            pack(&self.kernels, self.right, strip, (block.from, block.depth), to);
            if let (Some((depth, right)), true) = (self.tail, block.last) {
                let to = to.wrapping_add(self.kernels.packed(block.depth) * width);
                pack(&self.kernels, right, strip, (0, depth), to);
            }
        }
    }
}

/// Rows of an operand, and the width of the panel they are packed into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strip {
    pub(super) row: usize,
    pub(super) rows: usize,
    pub(super) width: usize,
}

/// Packs a strip over `depth` steps from `from` on.
///
/// # Safety
/// The kernels' instruction set must be on this CPU, the strip inside the operand, and `to` have the room that
/// [`Pack::run`] asks for.
pub(super) unsafe fn pack(
    kernels: &Kernels,
    operand: Operand<'_>,
    strip: Strip,
    (from, depth): (usize, usize),
    to: *mut f32,
) {
    let Strip { row, rows, width } = strip;
    let plain = Pack { operand, row, rows, from, depth, to, width };
    let matrix = match operand.elements {
        Elements::Quantized(matrix) if plain.four_bit().is_none() => matrix,
        // SAFETY: the caller's promise is the same.
        _ => return unsafe { (kernels.pack)(&plain) },
    };
    if kernels.steps == 1 && operand.depth_stride != 1 {
        for step in 0..depth {
            // SAFETY: a step of the panel has room for `width` values, at least `rows`.
            let out = unsafe { std::slice::from_raw_parts_mut(to.add(step * width), rows) };
            matrix.decode(from + step, row..row + rows, out);
        }
        return;
    }
    scratch::with_decoded(rows * depth, |decoded| {
        let decoded = &mut decoded[..rows * depth];
        let (row_stride, depth_stride) = if operand.depth_stride == 1 { (depth, 1) } else { (1, rows) };
        if depth_stride == 1 {
            for (row, out) in (row..).zip(decoded.chunks_exact_mut(depth.max(1))) {
                matrix.decode(row, from..from + depth, out);
            }
        } else {
            for (step, out) in (from..).zip(decoded.chunks_exact_mut(rows.max(1))) {
                matrix.decode(step, row..row + rows, out);
            }
        }
        let operand = Operand { elements: Elements::F32(decoded), row_stride, depth_stride };
        // SAFETY: as above, with the strip at the beginning of the operand.
        unsafe { (kernels.pack)(&Pack { operand, row: 0, from: 0, ..plain }) }
    });
}
