//! The product itself: tiles of a few rows of activations by the 16 rows of a panel.

use std::marker::PhantomData;
use std::ops::Range;

use formats::quant::BlockType;
use formats::quant::ggml::SUB_BLOCK;

use super::super::buffer::{Rows, RowsMut, Shared};
use super::super::math::VECTOR;
use super::super::{Isa, Threads};
use super::activations::{Activations, TILE, Tile};
use super::format::{Codes, Format, Shape, with_format};
use super::lanes::{Lanes, OFFSET, Work, run};
use super::panels::Panels;

/// Rows that share a panel without taking long: the processor itself asks for what lies ahead soon enough.
const FEW: usize = 2;
/// Bytes between the codes that are multiplied and those that are asked for where rows are more.
const AHEAD: usize = 512;
/// Tasks that a thread should get, so that none waits long for another.
const TASKS_OF_THREAD: usize = 4;
/// The same for [`FEW`] rows, where memory is what takes the time: every task begins with waiting for it.
const TASKS_OF_THREAD_OF_FEW: usize = 1;

/// A weight of a product.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Factor<'a> {
    pub(in crate::cpu) weight: &'a Panels,
    /// Where its columns begin in the output.
    pub(in crate::cpu) column: usize,
}

/// Where a product goes.
pub(in crate::cpu) struct Output<'a> {
    /// `[T, N]`.
    pub(in crate::cpu) y: RowsMut<'a>,
    pub(in crate::cpu) addend: Addend<'a>,
}

/// What is added to a product.
#[derive(Clone, Copy)]
pub(in crate::cpu) enum Addend<'a> {
    Nothing,
    /// What the output holds.
    Output,
    /// Rows like those of the output.
    Rows(Rows<'a>),
}

/// `y = x Wᵀ + addend` for each of `factors`, in the columns that are its own.
pub(in crate::cpu) fn product<'a>(
    threads: &Threads,
    isa: Isa,
    x: &Activations,
    factors: impl Iterator<Item = Factor<'a>> + Clone + Sync,
    Output { y, addend }: Output<'_>,
) {
    assert_eq!(y.rows, x.rows(), "output [T, N]");
    let (mut end, mut bytes) = (0, 0);
    for Factor { weight, column } in factors.clone() {
        assert_eq!(weight.cols(), x.blocks() * SUB_BLOCK, "weight [N, K]");
        assert!(column >= end, "columns from {column} on, which end at {end}");
        end = column + weight.rows();
        bytes += weight.bytes();
    }
    assert!(end <= y.cols, "output [T, N]");
    if let Addend::Rows(rows) = addend {
        assert_eq!((rows.rows, rows.cols), (y.rows, y.cols), "addend as the output");
    }
    let of_thread = if x.rows() <= FEW { TASKS_OF_THREAD_OF_FEW } else { TASKS_OF_THREAD };
    let tasks = threads.count() * of_thread;
    let (stride, shared) = (y.stride, Shared::new(y.data));
    threads.run(tasks, |task| {
        let mut before = 0;
        for Factor { weight, column } in factors.clone() {
            let (size, count) = (weight.bytes(), weight.count());
            // As many bytes for every task, in whole panels.
            let panel = |task: usize| {
                ((bytes * task / tasks).saturating_sub(before) * count).div_ceil(size).min(count)
            };
            let panels = panel(task)..panel(task + 1);
            before += size;
            if panels.is_empty() {
                continue;
            }
            let target = Target { shared: &shared, column, cols: weight.rows(), stride, addend };
            with_format!(weight.kind(), F => run(isa, Columns::<F> { x, weight, panels, target, format: PhantomData }),
                else unreachable!("panels hold integers"));
        }
    });
}

/// Some panels of a product.
struct Columns<'a, F> {
    x: &'a Activations,
    weight: &'a Panels,
    panels: Range<usize>,
    target: Target<'a>,
    format: PhantomData<F>,
}

impl<F: Format> Work for Columns<'_, F> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for p in self.panels {
            let panel = self.weight.panel(p);
            let mut first = 0;
            while first < self.x.rows() {
                let left = self.x.rows() - first;
                macro_rules! tile {
                    ($rows:literal) => {{
                        let sums = sums::<L, F, $rows>(panel, self.x.tile(first));
                        self.target.write::<L, $rows>(first, p, &sums);
                        first += $rows;
                    }};
                }
                match left {
                    TILE.. => tile!(8),
                    4.. => tile!(4),
                    2.. => tile!(2),
                    _ => tile!(1),
                }
            }
        }
    }
}

/// The sums of `ROWS` rows with the 16 rows of a panel.
#[inline(always)]
fn sums<L: Lanes, F: Format, const ROWS: usize>(panel: &[u8], tile: Tile<'_, ROWS>) -> [L::Vector; ROWS] {
    let shape = const { Shape::of::<F>() };
    let mut sums = [L::splat(0.0); ROWS];
    let inputs = tile.words.chunks_exact(F::CHUNK).zip(tile.scales.chunks_exact(F::CHUNK));
    let inputs = inputs.zip(tile.offsets.chunks_exact(F::CHUNK).zip(tile.totals.chunks_exact(F::CHUNK)));
    for (chunk, ((words, scales), (offsets, totals))) in panel.chunks_exact(shape.chunk()).zip(inputs) {
        let (head, blocks) = chunk.split_at(shape.head);
        let head = head.as_chunks::<{ 2 * VECTOR }>().0;
        let scale = L::halves(&head[0]);
        let minimum = if F::MINIMA { L::halves(&head[1]) } else { scale };
        let inputs = words.iter().zip(scales).zip(offsets.iter().zip(totals));
        for (block, ((words, scales), (offsets, totals))) in blocks.chunks_exact(shape.block()).zip(inputs) {
            let (own, codes) = block.split_at(shape.own);
            let own = own.as_chunks::<VECTOR>().0;
            if ROWS > FEW {
                for line in (0..shape.block()).step_by(64) {
                    L::prefetch_far(block.as_ptr().wrapping_add(AHEAD + line));
                }
            }
            for group in 0..F::GROUPS {
                let mut dots = [L::ints(0); ROWS];
                if F::OFFSET != 0 {
                    for (dot, [both, second]) in dots.iter_mut().zip(offsets) {
                        let offset = match (F::GROUPS, group) {
                            (1, _) => *both,
                            (_, 0) => both - second,
                            _ => *second,
                        };
                        *dot = L::ints(offset >> (OFFSET / F::OFFSET).trailing_zeros());
                    }
                }
                let quads = 8 / F::GROUPS;
                for q in group * quads..(group + 1) * quads {
                    let bytes = <F::Codes as Codes>::quad::<L>(codes, q);
                    for (dot, words) in dots.iter_mut().zip(words) {
                        *dot = L::dot(*dot, bytes, words[q]);
                    }
                }
                let scale = match (F::FACTORS, F::GROUPS) {
                    (false, _) => scale,
                    (true, 1) => L::mul_lanes(scale, L::unsigned(&own[0])),
                    (true, _) => L::mul_lanes(scale, L::signed(&own[group])),
                };
                for r in 0..ROWS {
                    let scale = L::mul_lanes(scale, L::splat(scales[r]));
                    sums[r] = L::mul_add_lanes(L::to_floats(dots[r]), scale, sums[r]);
                }
            }
            if F::MINIMA {
                let minimum = if F::FACTORS { L::mul_lanes(minimum, L::unsigned(&own[1])) } else { minimum };
                for r in 0..ROWS {
                    sums[r] = L::mul_add_lanes(minimum, L::splat(-totals[r]), sums[r]);
                }
            }
        }
    }
    sums
}

/// The output, whose columns tasks share.
struct Target<'a> {
    shared: &'a Shared<'a>,
    /// The first of the weight's columns.
    column: usize,
    cols: usize,
    stride: usize,
    addend: Addend<'a>,
}

// SAFETY of every block here: a panel is one task's, and this holds one row of it at a time.
#[allow(unsafe_code)]
impl<'a> Target<'a> {
    #[inline(always)]
    fn write<L: Lanes, const ROWS: usize>(&self, first: usize, panel: usize, sums: &[L::Vector; ROWS]) {
        let column = panel * VECTOR;
        let width = VECTOR.min(self.cols - column);
        let column = self.column + column;
        if width < VECTOR {
            return self.write_part::<L, ROWS>((first, column), width, sums);
        }
        match self.addend {
            Addend::Nothing => {
                for (row, &sums) in (first..).zip(sums) {
                    L::store(unsafe { self.row(row, column) }, sums);
                }
            }
            Addend::Output => {
                for (row, &sums) in (first..).zip(sums) {
                    let to = unsafe { self.row(row, column) };
                    L::store(to, L::mul_add_lanes(sums, L::splat(1.0), L::load(to)));
                }
            }
            Addend::Rows(rows) => {
                for (row, &sums) in (first..).zip(sums) {
                    let addend = rows.row(row)[column..].first_chunk().expect("the width of the output");
                    let sums = L::mul_add_lanes(sums, L::splat(1.0), L::load(addend));
                    L::store(unsafe { self.row(row, column) }, sums);
                }
            }
        }
    }

    /// The last panel, where the columns are no multiple of its width.
    #[inline(always)]
    fn write_part<L: Lanes, const ROWS: usize>(
        &self,
        (first, column): (usize, usize),
        width: usize,
        sums: &[L::Vector; ROWS],
    ) {
        for (row, &sums) in (first..).zip(sums) {
            let mut values = [0.0; VECTOR];
            L::store(&mut values, sums);
            let to = unsafe { self.shared.range(row * self.stride + column, width) };
            for (i, (to, value)) in to.iter_mut().zip(values).enumerate() {
                *to = match self.addend {
                    Addend::Nothing => value,
                    Addend::Output => *to + value,
                    Addend::Rows(rows) => rows.row(row)[column + i] + value,
                };
            }
        }
    }

    /// # Safety
    /// As [`Shared::range`].
    #[inline(always)]
    unsafe fn row(&self, row: usize, column: usize) -> &'a mut [f32; VECTOR] {
        let to = unsafe { self.shared.range(row * self.stride + column, VECTOR) };
        to.first_chunk_mut().expect("as many as were asked for")
    }
}
