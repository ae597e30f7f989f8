//! Grouped-query attention (Vaswani et al. 2017; Ainslie et al. 2023) with an online softmax (Dao et al. 2022), causal
//! or, for encoders, of all tokens by all.
//!
//! A task has the queries of some consecutive tokens in all heads that share one key head. It goes through the keys
//! in blocks of [`KEYS`], counted from the first key of the *sequence*: the prefix's, then the segment's own. What a
//! query does with a block depends on nothing but the query and the block, so a whole segment, the same text cut into
//! prefix and segment, and generation from a cache give the same bits.

use std::cell::RefCell;
use std::ops::Range;

use super::attention_source::{Sequence, Source};
use super::buffer::{CpuBuffer, Shared};
use super::math::{Arithmetic, Kernel, VECTOR, dispatch};
use super::softcap::cap_all;
use super::softmax::{Scores, softmax_step};
use super::tile::{
    Element, PANEL, Pieces, Times, load, multiply, multiply_rows, multiply_rows_two, multiply_two,
    pack_column, pack_sixteen_columns, store,
};
use super::{Isa, Threads};
use crate::{AttentionShape, Segment};

/// Keys of a block.
pub(super) const KEYS: usize = 64;

/// Panels of a block of keys.
pub(super) const PANELS: usize = KEYS / PANEL;

/// Queries (tokens times heads of a group) that a task aims at: so many share the packing of a block of keys.
const TASK_QUERIES: usize = 192;

/// The same where queries are many: then a task may be as large as the nearer cache.
const MOST_TASK_QUERIES: usize = 512;

/// Tasks that a thread should get, so that none waits long for another.
const TASKS_OF_THREAD: usize = 4;

/// Rows of the tallest tile.
pub(super) const TALLEST: usize = 8;

/// Up to this many queries are a tile of their own, whatever the registers would hold: generation has one token.
const NARROW: usize = 4;

/// Position of a segment's first token in its text.
pub(super) fn first_position(segments: &[Segment], index: usize) -> usize {
    segments[index].prefix.map_or(0, |p| segments[p].len)
}

/// Tokens of a task.
pub(super) fn task_tokens(shape: AttentionShape) -> usize {
    (TASK_QUERIES / (shape.heads / shape.kv_heads)).max(8)
}

/// Runs `work` with scratch of `len` elements that belongs to the thread. What it holds is left over.
pub(super) fn with_scratch<T>(len: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<CpuBuffer> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(|scratch| work(scratch.at_least(len)))
}

/// Arguments of [`forward`].
pub(super) struct Forward<'a> {
    pub(super) shape: AttentionShape,
    /// Whether a token sees none behind it; else it sees its whole segment.
    pub(super) causal: bool,
    /// Keys and values are what a cache in 16 bits gives back.
    pub(super) half: bool,
    pub(super) segments: &'a [Segment],
    pub(super) qkv: &'a [f32],
    pub(super) out: &'a mut [f32],
    /// Not kept where no backward follows.
    pub(super) log_sum_exp: Option<&'a mut [f32]>,
    /// Rows whose output is wanted, ascending; `None`: all.
    pub(super) wanted: Option<&'a [u32]>,
}

/// Attention of whole segments.
pub(super) fn forward(threads: &Threads, isa: Isa, f: Forward<'_>) {
    let Forward { shape, causal, half, segments, qkv, out, log_sum_exp, wanted } = f;
    check(shape, segments, out.len() / shape.q_width());
    let all: usize = segments.iter().map(|segment| segment.len).sum::<usize>() * shape.heads;
    let queries = (all / (threads.count() * TASKS_OF_THREAD)).clamp(TASK_QUERIES, MOST_TASK_QUERIES);
    let step = (queries * shape.kv_heads / shape.heads).max(8);
    let mut of_segments = Vec::with_capacity(segments.iter().map(|s| tiles(s.len, step).len()).sum());
    for (index, segment) in segments.iter().enumerate() {
        let wanted = tiles(segment.len, step).filter_map(|tokens| wanted_of(tokens, segment.start, wanted));
        of_segments.extend(wanted.map(|tokens| (index, tokens)));
    }
    let (out, log_sum_exp) = (Shared::new(out), log_sum_exp.map(Shared::new));
    threads.run(of_segments.len() * shape.kv_heads, |task| {
        let (index, Range { start: first, end }) = of_segments[task / shape.kv_heads];
        let kv_head = task % shape.kv_heads;
        let queries = Queries {
            shape,
            kv_head,
            qkv,
            token: segments[index].start + first,
            tokens: end - first,
            position: first_position(segments, index) + first,
            all: (!causal).then_some(segments[index].len),
        };
        let source = Sequence { half, ..Sequence::of_segment(shape, segments, index, qkv, kv_head) };
        let (out, log_sum_exp) = (&out, log_sum_exp.as_ref());
        with_scratch(scratch_len(&queries), |scratch| {
            dispatch(isa, Attend { scratch, queries, source, out, log_sum_exp });
        });
    });
}

/// Cuts `len` tokens into parts of about `step` that differ by a token at most: every part lays out the keys before it
/// anew, which for a few tokens at the end would be most of their work.
fn tiles(len: usize, step: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    let count = ((len + step / 2) / step).max(1);
    (0..count).map(move |tile| len * tile / count..len * (tile + 1) / count)
}

/// Of the tokens of a segment from row `start` on those between the first and the last that are wanted.
fn wanted_of(tokens: Range<usize>, start: usize, wanted: Option<&[u32]>) -> Option<Range<usize>> {
    let Some(wanted) = wanted else { return Some(tokens) };
    let before = |token: usize| wanted.partition_point(|row| (*row as usize) < start + token);
    let rows = &wanted[before(tokens.start)..before(tokens.end)];
    Some(*rows.first()? as usize - start..*rows.last()? as usize + 1 - start)
}

/// Segments lie in the batch, do not overlap, and prefixes come first and have none of their own: what keeps the
/// tasks apart.
pub(super) fn check(shape: AttentionShape, segments: &[Segment], tokens: usize) {
    assert!(
        shape.heads.is_multiple_of(shape.kv_heads),
        "{} heads on {} key heads",
        shape.heads,
        shape.kv_heads
    );
    let mut end = 0;
    for (index, segment) in segments.iter().enumerate() {
        assert!(segment.start >= end, "segment {index} overlaps or precedes the one before it");
        end = segment.start + segment.len;
        if let Some(prefix) = segment.prefix {
            assert!(prefix < index, "segment {index} precedes its prefix {prefix}");
            assert!(segments[prefix].prefix.is_none(), "prefix {prefix} has a prefix");
        }
    }
    assert!(end <= tokens, "segments end at {end} of {tokens} tokens");
}

/// The queries of a task: consecutive tokens in the heads of one group. Query `r` is head `r % group` of token
/// `r / group`.
#[derive(Clone, Copy)]
pub(super) struct Queries<'a> {
    pub(super) shape: AttentionShape,
    pub(super) kv_head: usize,
    pub(super) qkv: &'a [f32],
    /// First token in the batch.
    pub(super) token: usize,
    pub(super) tokens: usize,
    /// Position of the first token in its text.
    pub(super) position: usize,
    /// Tokens of the text where every query sees all of it; `None` where a query sees none behind its own token.
    pub(super) all: Option<usize>,
}

impl<'a> Queries<'a> {
    #[inline(always)]
    pub(super) fn group(&self) -> usize {
        self.shape.heads / self.shape.kv_heads
    }

    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        self.tokens * self.group()
    }

    #[inline(always)]
    pub(super) fn row(&self, r: usize) -> &'a [f32] {
        let (token, head) = self.place(r);
        &self.qkv[token * self.shape.qkv_width() + head * self.shape.head_dim..][..self.shape.head_dim]
    }

    /// Token in the batch, and head, of query `r`.
    #[inline(always)]
    pub(super) fn place(&self, r: usize) -> (usize, usize) {
        (self.token + r / self.group(), self.kv_head * self.group() + r % self.group())
    }

    /// Keys of the block from `start` on that query `r` sees.
    #[inline(always)]
    pub(super) fn seen(&self, r: usize, start: usize) -> Range<usize> {
        self.seen_from(r / self.group(), start)
    }

    /// Of queries `first..first + R`, keys of the block from `start` on that each sees.
    #[inline(always)]
    fn seen_by_each<const R: usize>(&self, first: usize, start: usize) -> [Range<usize>; R] {
        // One division for all.
        let (mut token, mut head) = (first / self.group(), first % self.group());
        let mut seen = [const { 0..0 }; R];
        for seen in &mut seen {
            *seen = self.seen_from(token, start);
            head += 1;
            if head == self.group() {
                (token, head) = (token + 1, 0);
            }
        }
        seen
    }

    /// Keys of the block from `start` on that the queries of token `token` of the task see.
    #[inline(always)]
    fn seen_from(&self, token: usize, start: usize) -> Range<usize> {
        let end = self.all.unwrap_or(self.position + token + 1);
        let first = self.shape.window.map_or(0, |window| end.saturating_sub(window));
        let in_block = |key: usize| key.saturating_sub(start).min(KEYS);
        in_block(first)..in_block(end)
    }

    /// Keys of the block from `start` on that any of queries `from..to` sees.
    #[inline(always)]
    pub(super) fn seen_by(&self, from: usize, to: usize, start: usize) -> Range<usize> {
        self.seen(from, start).start..self.seen(to - 1, start).end
    }

    /// First keys of the blocks that any query sees.
    #[inline(always)]
    pub(super) fn blocks(&self) -> impl Iterator<Item = usize> + use<> {
        let first = self.shape.window.map_or(0, |window| (self.position + 1).saturating_sub(window));
        (first / KEYS * KEYS..self.end()).step_by(KEYS)
    }

    /// The end of the keys that any query sees.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.all.unwrap_or(self.position + self.tokens)
    }
}

/// A task of [`attend`].
pub(super) struct Attend<'a, S> {
    /// [`scratch_len`] elements.
    pub(super) scratch: &'a mut [f32],
    pub(super) queries: Queries<'a>,
    pub(super) source: S,
    pub(super) out: &'a Shared<'a>,
    pub(super) log_sum_exp: Option<&'a Shared<'a>>,
}

impl<S: Source> Kernel for Attend<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        match (A::TILE_ROWS, self.queries.count()) {
            (4 | 8, 1) if S::HAS_SINGLE_TOKENS => attend::<A, S, 1>(self),
            (4 | 8, 2) if S::HAS_SINGLE_TOKENS => attend::<A, S, 2>(self),
            (4 | 8, 3) if S::HAS_SINGLE_TOKENS => attend::<A, S, 3>(self),
            (8, ..=NARROW) | (4, _) => attend::<A, S, 4>(self),
            (8, _) => attend::<A, S, 8>(self),
            _ => attend::<A, S, 2>(self),
        }
    }
}

/// Scratch of a task, with room for a last tile of any height.
pub(super) fn scratch_len(queries: &Queries<'_>) -> usize {
    let width = queries.shape.head_dim;
    let padded = width.next_multiple_of(PANEL);
    queries.count().next_multiple_of(TALLEST) * (width + padded + 2) + KEYS * (width + padded)
}

#[inline(always)]
fn attend<A: Arithmetic, S: Source, const R: usize>(task: Attend<'_, S>) {
    let Attend { scratch, queries, source, out, log_sum_exp } = task;
    let width = queries.shape.head_dim;
    let padded = width.next_multiple_of(PANEL);
    let count = queries.count();
    let groups = count.div_ceil(R);
    let mut pieces = Pieces(scratch);
    let q = pieces.take(groups * R * width);
    let sums = pieces.take(groups * R * padded);
    let maxima = pieces.take(groups * R);
    let totals = pieces.take(groups * R);
    let keys = pieces.take(KEYS * width);
    let values = pieces.take(KEYS * padded);

    pack_queries::<A, R>(&queries, q);
    let mut block_scores = [[0.0; KEYS]; R];
    sums.fill(0.0);
    maxima.fill(f32::NEG_INFINITY);
    totals.fill(0.0);
    let end = queries.end();
    // Known while a block is worked on, so that the memory can be asked for it.
    let mut coming = None;
    for start in queries.blocks() {
        let len = KEYS.min(end - start);
        let panels = match coming {
            Some(panels) => panels,
            None => source.panels::<A>((start, len), (&mut *keys, &mut *values), width),
        };
        let left = end - start - len;
        coming = if left > 0 { source.lying((start + len, KEYS.min(left))) } else { None };
        let later = coming.unwrap_or_default();
        for group in 0..groups {
            let first = group * R;
            let seen_by = queries.seen_by_each::<R>(first, start);
            let seen = seen_by[0].start..seen_by[R.min(count - first) - 1].end;
            if seen.is_empty() {
                continue;
            }
            let q = &q[first * width..][..R * width];
            let keys = panels.keys.into_iter().zip(later.keys);
            scores::<A, _, R>(q, (keys, seen.end), &mut block_scores);
            if let Some(cap) = queries.shape.softcap {
                cap_all::<A>(block_scores.as_flattened_mut(), cap);
            }
            let state = (&mut maxima[first..][..R], &mut totals[first..][..R]);
            let rescale = softmax_step::<A, R>(&mut block_scores, (seen_by, seen.end.div_ceil(PANEL)), state);
            let values = panels.values.iter().zip((0..seen.end).step_by(PANEL));
            for column in (0..padded).step_by(PANEL) {
                let mut tile = load::<A, R>(sums, first, padded, column);
                for (sums, factor) in tile.iter_mut().zip(rescale) {
                    *sums = A::mul_lanes(*sums, A::splat(factor));
                }
                if count > NARROW {
                    for (panel, from) in values.clone() {
                        let steps = value_steps(panel, column, seen.end - from);
                        tile = multiply_rows::<A, _, R, KEYS>(tile, &block_scores, from, steps);
                    }
                }
                store::<A, R>(tile, sums, first, padded, column);
            }
            if count <= NARROW {
                // In the order in which they lie: so few queries wait for memory.
                for ((panel, from), later) in values.zip(later.values) {
                    let tokens = seen.end - from;
                    let mut column = 0;
                    while two_at_once::<A, R>() && column + PANEL < padded {
                        let next = column + PANEL;
                        // Not by `map`, which would be compiled for no instruction set.
                        let tiles = [
                            load::<A, R>(sums, first, padded, column),
                            load::<A, R>(sums, first, padded, next),
                        ];
                        let steps = [value_steps(panel, column, tokens), value_steps(panel, next, tokens)];
                        let later = [column_of(later, column), column_of(later, next)];
                        let tiles =
                            multiply_rows_two::<A, _, R, KEYS>(tiles, &block_scores, from, (steps, later));
                        store::<A, R>(tiles[0], sums, first, padded, column);
                        store::<A, R>(tiles[1], sums, first, padded, next);
                        column += 2 * PANEL;
                    }
                    for column in (column..padded).step_by(PANEL) {
                        let tile = load::<A, R>(sums, first, padded, column);
                        let steps = value_steps(panel, column, tokens);
                        let tile = multiply_rows::<A, _, R, KEYS>(tile, &block_scores, from, steps);
                        store::<A, R>(tile, sums, first, padded, column);
                    }
                }
            }
        }
    }
    for r in 0..count {
        let (token, head) = queries.place(r);
        let inverse = 1.0 / totals[r];
        // SAFETY: tasks differ in tokens or in heads, and this one holds one row at a time.
        #[allow(unsafe_code)]
        let to = unsafe { out.range(token * queries.shape.q_width() + head * width, width) };
        let (panels, rest) = to.as_chunks_mut::<PANEL>();
        let (sums, last) = sums[r * padded..][..width].as_chunks::<PANEL>();
        for (to, sums) in panels.iter_mut().zip(sums) {
            A::store(to, A::mul_lanes(A::load(sums), A::splat(inverse)));
        }
        for (to, sum) in rest.iter_mut().zip(last) {
            *to = sum * inverse;
        }
        if let Some(log_sum_exp) = log_sum_exp {
            // SAFETY: as above.
            #[allow(unsafe_code)]
            let to = unsafe { log_sum_exp.range(token * queries.shape.heads + head, 1) };
            to[0] = maxima[r] + totals[r].ln();
        }
    }
}

/// Whether the registers hold two tiles of so few rows.
#[inline(always)]
const fn two_at_once<A: Arithmetic, const R: usize>() -> bool {
    A::TILE_ROWS == TALLEST && R <= NARROW
}

/// Of a panel of values those of the first `tokens` tokens, by token, in the columns from `column` on.
#[inline(always)]
fn value_steps<E>(panel: &[E], column: usize, tokens: usize) -> &[[E; PANEL]] {
    panel[column * PANEL..][..PANEL.min(tokens) * PANEL].as_chunks::<PANEL>().0
}

/// A panel of values from a column on; it may be empty.
#[inline(always)]
fn column_of<E>(panel: &[E], column: usize) -> &[E] {
    panel.get(column * PANEL..).unwrap_or_default()
}

/// Queries times the scale, `R` side by side. Those that fill up the last group are of no meaning.
#[inline(always)]
pub(super) fn pack_queries<A: Arithmetic, const R: usize>(queries: &Queries<'_>, q: &mut [f32]) {
    let squares = if VECTOR.is_multiple_of(R) { queries.count() / VECTOR * VECTOR } else { 0 };
    for first in (0..squares).step_by(VECTOR) {
        let mut rows = [queries.row(first); VECTOR];
        for (r, row) in rows.iter_mut().enumerate() {
            *row = queries.row(first + r);
        }
        pack_sixteen_columns::<A, R>(q, first, rows, Times(queries.shape.scale));
    }
    for r in squares..queries.count() {
        pack_column::<R>(q, r, queries.row(r), queries.shape.scale);
    }
}

/// Products of `R` queries with the first `seen` keys of a block, rounded up to whole panels of them; the other scores
/// stay. Beside each panel stands one to ask the memory for.
#[inline(always)]
pub(super) fn scores<'a, A: Arithmetic, E: Element, const R: usize>(
    q: &[f32],
    (keys, seen): (impl Iterator<Item = (&'a [E], &'a [E])>, usize),
    scores: &mut Scores<R>,
) {
    let (q, _) = q.as_chunks::<R>();
    let mut panels =
        keys.take(seen.div_ceil(PANEL)).map(|(panel, ahead)| (panel.as_chunks::<PANEL>().0, ahead));
    let mut column = 0;
    while let Some((steps, later)) = panels.next() {
        let zeros = [A::splat(0.0); R];
        let next = if two_at_once::<A, R>() { panels.next() } else { None };
        let Some((next, later_next)) = next else {
            store::<A, R>(multiply::<A, _, R>(zeros, q, steps), scores.as_flattened_mut(), 0, KEYS, column);
            column += PANEL;
            continue;
        };
        let tiles = multiply_two::<A, _, R>([zeros; 2], q, [steps, next], [later, later_next]);
        store::<A, R>(tiles[0], scores.as_flattened_mut(), 0, KEYS, column);
        store::<A, R>(tiles[1], scores.as_flattened_mut(), 0, KEYS, column + PANEL);
        column += 2 * PANEL;
    }
}
