//! How a product is cut: depth into blocks, the output into panels, panels into tasks.

use std::ops::Range;

use super::kernels::Kernels;

/// Longest block of packed depth that one accumulator sums. Two panels of it fit in 128 KiB, and the widths 576 and 768 of
/// small models stay whole.
const MAX_BLOCK: usize = 768;
/// Floats of packed right panels that stay in the second-level cache while a task goes over the rows.
const RIGHT_BUDGET: usize = 128 * 1024;
/// Floats of packed left panels that all tasks share: a part of the last-level cache.
const LEFT_BUDGET: usize = 2 * 1024 * 1024;
/// Cycles that a task should last at least: about 2.5 µs.
const MIN_TASK: usize = 8 * 1024;
/// Tasks per thread, so that a thread that was held up is not waited for.
const TASKS_PER_THREAD: usize = 4;

/// The blocks of a reduction. They follow from the depth alone, as the bits of the result do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth {
    depth: usize,
    /// Steps in a block; the last one may be shorter.
    length: usize,
    pub(super) blocks: usize,
}

/// One block of depth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) from: usize,
    pub(super) depth: usize,
    /// A tail follows the last block.
    pub(super) last: bool,
}

impl Depth {
    pub(super) fn new(kernels: &Kernels, depth: usize) -> Self {
        let blocks = depth.div_ceil(MAX_BLOCK * kernels.steps).max(1);
        let length = depth.div_ceil(blocks).next_multiple_of(16);
        Depth { depth, length, blocks }
    }

    pub(super) fn block(&self, index: usize) -> Block {
        let from = index * self.length;
        Block { from, depth: self.length.min(self.depth - from), last: index + 1 == self.blocks }
    }

    /// Room that any block fits in, in steps.
    pub(super) fn room(&self) -> usize {
        self.length.min(self.depth)
    }
}

/// Equal parts of `0..of`, the longer ones first: threads that take parts as they come end together. No part is more
/// than one longer than another.
fn part(index: usize, parts: usize, of: usize) -> Range<usize> {
    let start = |index: usize| index * (of / parts) + index.min(of % parts);
    start(index)..start(index + 1)
}

/// An output, the steps of its longest packed right panel, and the blocks of its depth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) room: usize,
    pub(super) blocks: usize,
}

/// The output as panels and tasks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    rows: usize,
    cols: usize,
    /// Panels of rows, of equal height but for one row.
    pub(super) row_panels: usize,
    lanes: usize,
    /// Columns of a panel; the last one may be narrower.
    pub(super) width: usize,
    pub(super) col_panels: usize,
    /// Groups of column panels: each is packed by one task at a time.
    pub(super) groups: usize,
    /// Cuts of the row panels that are tasks of their own.
    pub(super) cuts: usize,
}

impl Grid {
    /// Cuts `[rows, cols]`, whose packed right panels have up to `room` steps a block. Where the left side is
    /// not `shared`, every task packs its own rows as it comes to them, so there is one group of columns.
    pub(super) fn new(kernels: &Kernels, output: Extent, threads: usize, shared: bool) -> Self {
        let Extent { rows, cols, room, blocks } = output;
        let lanes = kernels.lanes;
        let row_panels = rows.div_ceil(kernels.max_rows);
        let width = Self::width(kernels, rows, cols);
        let col_panels = cols.div_ceil(width);
        // A multiply-add costs a 16th of a cycle; packing a right element as much as eight rows.
        let cycles = cols * room * blocks * (rows + 8) / 16;
        let tasks = if threads == 1 { 1 } else { (cycles / MIN_TASK).clamp(1, threads * TASKS_PER_THREAD) };
        let (groups, cuts) = if shared {
            let fitting = (RIGHT_BUDGET / (width * room.max(1))).max(1);
            let groups = col_panels.div_ceil(fitting).max(tasks.min(col_panels));
            (groups, tasks.div_ceil(groups).min(row_panels.div_ceil(8)))
        } else {
            (1, tasks.min(row_panels))
        };
        Grid { rows, cols, row_panels, lanes, width, col_panels, groups, cuts }
    }

    fn width(kernels: &Kernels, rows: usize, cols: usize) -> usize {
        let vectors = match cols.div_ceil(kernels.lanes) {
            1 => 1,
            2 => 2,
            _ if rows <= kernels.max_rows_wide => 4,
            _ => 2,
        };
        vectors * kernels.lanes
    }

    /// Whether a product with this output alone should pack its left side once for all tasks: where few columns read
    /// it, nobody else would.
    pub(super) fn shares_left(kernels: &Kernels, rows: usize, cols: usize) -> bool {
        cols > 2 * Self::width(kernels, rows, cols) || rows <= kernels.max_rows
    }

    /// Depth blocks of the left side that are packed together.
    pub(super) fn blocks_at_once(rows: usize, depth: &Depth) -> usize {
        (LEFT_BUDGET / (rows * depth.room()).max(1)).max(1)
    }

    /// Tallest output that [`Grid`] should be asked for at once.
    pub(super) fn max_rows(depth: &Depth) -> usize {
        (LEFT_BUDGET / depth.room().max(1)).max(64)
    }

    pub(super) fn tasks(&self) -> usize {
        self.groups * self.cuts
    }

    /// Column panels and row panels of a task.
    pub(super) fn task(&self, index: usize) -> (Range<usize>, Range<usize>) {
        let (group, cut) = (index / self.cuts, index % self.cuts);
        (part(group, self.groups, self.col_panels), part(cut, self.cuts, self.row_panels))
    }

    /// Most column panels of a task.
    pub(super) fn group_panels(&self) -> usize {
        self.col_panels.div_ceil(self.groups)
    }

    pub(super) fn row_panel(&self, index: usize) -> Range<usize> {
        part(index, self.row_panels, self.rows)
    }

    /// Columns of a panel, and the vectors that hold them.
    pub(super) fn col_panel(&self, index: usize) -> (Range<usize>, usize) {
        let from = index * self.width;
        let to = self.cols.min(from + self.width);
        (from..to, (to - from).div_ceil(self.lanes).next_power_of_two())
    }

    /// Columns of some panels.
    pub(super) fn cols_of(&self, panels: Range<usize>) -> Range<usize> {
        panels.start * self.width..self.cols.min(panels.end * self.width)
    }

    /// Floats between the packed left panels that start at `row`, the `panel`-th, and the first ones. The whole
    /// vectors that packing writes reach one vector past a panel.
    pub(super) fn left_offset(&self, row: usize, panel: usize, steps: usize) -> usize {
        row * steps + panel * self.lanes
    }
}
