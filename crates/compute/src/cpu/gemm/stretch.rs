//! A stretch of rows of a product: the left side is packed once, then every output is computed from it.

use std::ops::Range;

use super::blocking::{Depth, Extent, Grid};
use super::kernels::Kernels;
use super::output::{Left, Output, Panels, Strip, Target, pack};
use super::{Elements, Init, MAX_PARTS, Operand, Part, Tail, scratch};
use crate::cpu::Threads;

/// A product over all rows.
#[derive(Debug)]
pub(super) struct Product<'a> {
    pub(super) kernels: Kernels,
    pub(super) depth: Depth,
    pub(super) left: Operand<'a>,
    pub(super) low: Option<LowSide<'a>>,
    pub(super) parts: &'a [Part<'a>],
    pub(super) target: Target,
}

/// The low-rank side, which is written first and read by tails.
#[derive(Debug)]
pub(super) struct LowSide<'a> {
    pub(super) parts: &'a [Part<'a>],
    pub(super) target: Target,
    /// Elements behind the target.
    pub(super) len: usize,
}

/// The outputs of one target over a stretch.
type Outputs<'a> = [Option<Output<'a>>; MAX_PARTS];

/// What does not depend on the output: rows and how many there are, whether they are packed for all tasks.
#[derive(Debug, Clone, Copy)]
struct Rows {
    first: usize,
    count: usize,
    shared: bool,
    threads: usize,
}

/// Panels of rows up to which the right side is not packed: this many times it is transposed.
const THIN_PANELS: usize = 2;
/// Left elements from which packing is worth a round of the threads.
const SHARED_PACKING: usize = 64 * 1024;

impl<'a> Product<'a> {
    /// Computes rows `first..first + count` of every output.
    pub(super) fn stretch(&self, threads: &Threads, first: usize, count: usize) {
        let shared = match (&self.low, self.parts) {
            (None, [part]) => Grid::shares_left(&self.kernels, count, part.cols),
            _ => true,
        };
        let rows = Rows { first, count, shared, threads: threads.count() };
        let parts = self.outputs(self.parts, self.target, rows);
        let low = match &self.low {
            Some(low) => self.outputs(low.parts, low.target, rows),
            None => Outputs::default(),
        };
        if shared {
            self.run_shared(threads, rows, &low, &parts);
        } else {
            let blocks = 0..self.depth.blocks;
            run_tasks(threads, &parts, blocks, |_| Left::Stored(self.left));
        }
    }

    fn run_shared(&self, threads: &Threads, rows: Rows, low: &Outputs<'_>, parts: &Outputs<'_>) {
        // All outputs cut their rows alike.
        let Some(grid) = low.iter().chain(parts).flatten().map(|output| output.grid).next() else { return };
        let room = |steps| grid.left_offset(rows.count, grid.row_panels, steps);
        let packed = |depth| self.kernels.packed(depth);
        let block_room = room(packed(self.depth.room()));
        let tails: [usize; MAX_PARTS] =
            std::array::from_fn(|i| self.tail(i).map_or(0, |tail| room(packed(tail.depth))));
        let at_once = Grid::blocks_at_once(rows.count, &self.depth).min(self.depth.blocks);
        let main_room = at_once * block_room;
        scratch::with_left(main_room + tails.iter().sum::<usize>(), |memory| {
            let (main, tail_memory) = memory.split_at_mut(main_room);
            let (main, tail_memory) = (Panels(main.as_mut_ptr()), Panels(tail_memory.as_mut_ptr()));
            let tail_panels = |i: usize| Panels(tail_memory.at(tails[..i].iter().sum()));
            let left = |i| Left::Packed { main, room: block_room, tail: tail_panels(i) };
            for first in (0..self.depth.blocks).step_by(at_once) {
                let blocks = first..self.depth.blocks.min(first + at_once);
                by_panel(threads, &grid, rows.count * self.depth.room() * blocks.len(), |panel| {
                    self.pack_main(&grid, rows, (panel, blocks.clone()), (main, block_room));
                });
                run_tasks(threads, low, blocks.clone(), left);
                if blocks.end == self.depth.blocks {
                    for (i, tail) in (0..MAX_PARTS).filter_map(|i| Some((i, self.tail(i)?))) {
                        by_panel(threads, &grid, rows.count * tail.depth, |panel| {
                            self.pack_tail(&grid, rows, panel, (tail, tail_panels(i)));
                        });
                    }
                }
                run_tasks(threads, parts, blocks, left);
            }
        });
    }

    fn tail(&self, part: usize) -> Option<Tail<'a>> {
        self.parts.get(part).and_then(|part| part.tail)
    }

    fn pack_main(
        &self,
        grid: &Grid,
        rows: Rows,
        (panel, blocks): (usize, Range<usize>),
        (to, block_room): (Panels, usize),
    ) {
        let range = grid.row_panel(panel);
        let strip = Strip { row: rows.first + range.start, rows: range.len(), width: range.len() };
        for (index, number) in blocks.enumerate() {
            let block = self.depth.block(number);
            let offset = grid.left_offset(range.start, panel, self.kernels.packed(block.depth));
            let to = to.at(index * block_room + offset);
            // SAFETY: `gemm` checked that the strip lies inside the operand; panels have the room and do not overlap.
            unsafe { pack(&self.kernels, self.left, strip, (block.from, block.depth), to) }
        }
    }

    fn pack_tail(&self, grid: &Grid, rows: Rows, panel: usize, (tail, to): (Tail<'_>, Panels)) {
        let low = self.low.as_ref().expect("a tail continues the low-rank side");
        let range = grid.row_panel(panel);
        let strip = Strip { row: rows.first + range.start, rows: range.len(), width: range.len() };
        let to = to.at(grid.left_offset(range.start, panel, self.kernels.packed(tail.depth)));
        // SAFETY: `gemm` checked that the tail's columns lie inside the low-rank side, which nobody writes now;
        // panels have the room and do not overlap.
        unsafe {
            let values = std::slice::from_raw_parts(
                low.target.column(tail.column).c.cast_const(),
                low.len - tail.column,
            );
            let operand =
                Operand { elements: Elements::F32(values), row_stride: low.target.stride, depth_stride: 1 };
            pack(&self.kernels, operand, strip, (0, tail.depth), to);
        }
    }

    fn outputs<'b>(&'b self, parts: &'b [Part<'a>], target: Target, rows: Rows) -> Outputs<'b> {
        std::array::from_fn(|i| {
            let part = parts.get(i).filter(|part| part.cols > 0)?;
            Some(self.output(part, target, rows))
        })
    }

    fn output<'b>(&'b self, part: &'b Part<'a>, target: Target, rows: Rows) -> Output<'b> {
        let target = target.column(part.column);
        let (start, start_stride) = match part.init {
            Init::Zero => (std::ptr::null(), 0),
            Init::Output => (target.c.cast_const(), target.stride),
            Init::From(values, stride) => (values.as_ptr(), stride),
        };
        Output {
            kernels: self.kernels,
            grid: self.grid(rows, part.cols, part.tail.map_or(0, |tail| tail.depth)),
            depth: self.depth,
            row: rows.first,
            right: part.right,
            tail: part.tail.map(|tail| (tail.depth, tail.right)),
            alpha: part.alpha,
            start,
            start_stride,
            target,
            thin: self.thin(rows, part.right, part.tail),
        }
    }

    fn grid(&self, rows: Rows, cols: usize, tail: usize) -> Grid {
        let room = self.kernels.packed(self.depth.room() + tail);
        let output = Extent { rows: rows.count, cols, room, blocks: self.depth.blocks };
        Grid::new(&self.kernels, output, rows.threads, rows.shared)
    }

    fn thin(&self, rows: Rows, right: Operand<'_>, tail: Option<Tail<'_>>) -> bool {
        let stored = self.kernels.steps == 1 && !matches!(right.elements, Elements::Quantized(_));
        let contiguous =
            stored && right.depth_stride == 1 && tail.is_none_or(|tail| tail.right.depth_stride == 1);
        rows.shared && contiguous && rows.count <= THIN_PANELS * self.kernels.max_rows
    }
}

/// Calls `pack` for every panel of rows, on all threads if there is much to do.
fn by_panel(threads: &Threads, grid: &Grid, elements: usize, pack: impl Fn(usize) + Sync) {
    if elements < SHARED_PACKING {
        (0..grid.row_panels).for_each(pack);
    } else {
        threads.run(grid.row_panels, pack);
    }
}

/// Computes all outputs over some blocks of depth; `left` is the left side of the i-th.
fn run_tasks<'a>(
    threads: &Threads,
    outputs: &Outputs<'_>,
    blocks: Range<usize>,
    left: impl Fn(usize) -> Left<'a> + Sync,
) {
    let tasks = outputs.each_ref().map(|output| output.as_ref().map_or(0, |output| output.grid.tasks()));
    threads.run(tasks.iter().sum(), |mut task| {
        for (i, output) in outputs.iter().enumerate() {
            match output {
                Some(output) if task < tasks[i] => return output.task(task, blocks.clone(), left(i)),
                _ => task -= tasks[i],
            }
        }
    });
}
