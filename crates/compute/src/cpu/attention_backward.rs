//! Backward of attention, recomputing the probabilities (Dao et al. 2022, algorithm 4).
//!
//! A task has one text without a prefix, all that continue it, and one key head: all that adds to a key's gradient
//! is in one task and in one order.

use super::attention::{
    KEYS, Queries, TALLEST, check, first_position, pack_queries, scores, task_tokens, with_scratch,
};
use super::attention_source::Sequence;
use super::buffer::Shared;
use super::math::{Arithmetic, Kernel, dispatch, dot, exp};
use super::softcap::{cap_all, slope};
use super::tile::{
    AsTheyAre, PANEL, Pieces, load, multiply_columns, multiply_rows, pack_column, pack_row, store,
};
use super::{Isa, Threads};
use crate::{AttentionShape, Segment};

/// Arguments of [`backward`].
pub(super) struct Backward<'a> {
    pub(super) shape: AttentionShape,
    pub(super) segments: &'a [Segment],
    pub(super) qkv: &'a [f32],
    pub(super) out: &'a [f32],
    pub(super) log_sum_exp: &'a [f32],
    pub(super) d_out: &'a [f32],
    pub(super) d_qkv: &'a mut [f32],
}

/// Gradient of queries, keys and values.
pub(super) fn backward(threads: &Threads, isa: Isa, b: Backward<'_>) {
    let Backward { shape, segments, qkv, out, log_sum_exp, d_out, d_qkv } = b;
    check(shape, segments, d_qkv.len() / shape.qkv_width());
    let roots: Vec<usize> = (0..segments.len()).filter(|&i| segments[i].prefix.is_none()).collect();
    let forward = ForwardValues { shape, segments, qkv, out, log_sum_exp, d_out };
    let d_qkv = Shared::new(d_qkv);
    threads.run(roots.len() * shape.kv_heads, |task| {
        let (root, kv_head) = (roots[task / shape.kv_heads], task % shape.kv_heads);
        with_scratch(scratch_len(shape, longest(segments, root)), |scratch| {
            dispatch(isa, Root { scratch, forward, root, kv_head, d_qkv: &d_qkv });
        });
    });
}

#[derive(Clone, Copy)]
struct ForwardValues<'a> {
    shape: AttentionShape,
    segments: &'a [Segment],
    qkv: &'a [f32],
    out: &'a [f32],
    log_sum_exp: &'a [f32],
    d_out: &'a [f32],
}

struct Root<'a> {
    scratch: &'a mut [f32],
    forward: ForwardValues<'a>,
    root: usize,
    kv_head: usize,
    d_qkv: &'a Shared<'a>,
}

impl Kernel for Root<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        match A::TILE_ROWS {
            8 => root_backward::<A, 8>(self),
            4 => root_backward::<A, 4>(self),
            _ => root_backward::<A, 2>(self),
        }
    }
}

/// What all segments of a [`Root`] share.
struct Task<'a> {
    forward: ForwardValues<'a>,
    kv_head: usize,
    d_qkv: &'a Shared<'a>,
}

/// Gradients of keys and values of one text, `[tokens, padded]` each: the root's, then those of the continuation at
/// hand.
struct KeyGradients<'a> {
    keys: &'a mut [f32],
    values: &'a mut [f32],
}

/// Tokens of a text and its longest continuation.
fn longest(segments: &[Segment], root: usize) -> usize {
    let continuations = segments.iter().filter(|s| s.prefix == Some(root));
    segments[root].len + continuations.map(|s| s.len).max().unwrap_or(0)
}

/// Queries of a tile, with room for a last one of any height.
fn tile_queries(shape: AttentionShape) -> usize {
    (task_tokens(shape) * (shape.heads / shape.kv_heads)).next_multiple_of(TALLEST)
}

fn scratch_len(shape: AttentionShape, longest: usize) -> usize {
    let padded = shape.head_dim.next_multiple_of(PANEL);
    let tile = TileScratch::len(tile_queries(shape), shape.head_dim, padded);
    2 * longest.next_multiple_of(KEYS) * padded + tile
}

#[inline(always)]
fn root_backward<A: Arithmetic, const R: usize>(task: Root<'_>) {
    let Root { scratch, forward, root, kv_head, d_qkv } = task;
    let ForwardValues { shape, segments, .. } = forward;
    let padded = shape.head_dim.next_multiple_of(PANEL);
    let root_len = segments[root].len;
    let gradients = longest(segments, root).next_multiple_of(KEYS) * padded;
    let mut pieces = Pieces(scratch);
    let keys = pieces.take(gradients);
    let values = pieces.take(gradients);
    keys.fill(0.0);
    values.fill(0.0);
    let mut d = KeyGradients { keys, values };
    let mut scratch = TileScratch::new(&mut pieces, tile_queries(shape), shape.head_dim, padded);
    let task = Task { forward, kv_head, d_qkv };
    segment_backward::<A, R>(&task, root, &mut d, &mut scratch);
    for index in (0..segments.len()).filter(|&i| segments[i].prefix == Some(root)) {
        d.keys[root_len * padded..].fill(0.0);
        d.values[root_len * padded..].fill(0.0);
        segment_backward::<A, R>(&task, index, &mut d, &mut scratch);
        write_key_gradients(&task, index, root_len, &d);
    }
    write_key_gradients(&task, root, 0, &d);
}

/// Writes the gradients of a segment's own keys and values, which start at token `first` of `d`.
#[inline(always)]
fn write_key_gradients(task: &Task<'_>, index: usize, first: usize, d: &KeyGradients<'_>) {
    let shape = task.forward.shape;
    let width = shape.head_dim;
    let padded = width.next_multiple_of(PANEL);
    let segment = task.forward.segments[index];
    for i in 0..segment.len {
        let keys = (segment.start + i) * shape.qkv_width() + shape.q_width() + task.kv_head * width;
        for (at, from) in [(keys, &d.keys), (keys + shape.kv_width(), &d.values)] {
            // SAFETY: tasks differ in tokens or in key heads, and this one holds one row at a time.
            #[allow(unsafe_code)]
            let to = unsafe { task.d_qkv.range(at, width) };
            to.copy_from_slice(&from[(first + i) * padded..][..width]);
        }
    }
}

/// Working memory of a tile of queries and a block of keys.
struct TileScratch<'a> {
    /// Scaled queries and gradients of the output, `R` side by side.
    q: &'a mut [f32],
    d_out: &'a mut [f32],
    /// The same, in panels.
    q_panels: &'a mut [f32],
    d_out_panels: &'a mut [f32],
    /// Gradient of the queries, `[queries, padded]`.
    d_q: &'a mut [f32],
    /// Probabilities and gradient of the scores, `[queries, KEYS]`.
    p: &'a mut [f32],
    d_scores: &'a mut [f32],
    /// Row sums of `d_out · out`.
    delta: &'a mut [f32],
    /// Keys and values side by side, and the keys in panels.
    keys: &'a mut [f32],
    values: &'a mut [f32],
    key_panels: &'a mut [f32],
}

impl<'a> TileScratch<'a> {
    fn len(queries: usize, width: usize, padded: usize) -> usize {
        queries * (2 * width + 3 * padded + 2 * KEYS + 1) + KEYS * (2 * width + padded)
    }

    fn new(pieces: &mut Pieces<'a>, queries: usize, width: usize, padded: usize) -> Self {
        TileScratch {
            q: pieces.take(queries * width),
            d_out: pieces.take(queries * width),
            q_panels: pieces.take(queries * padded),
            d_out_panels: pieces.take(queries * padded),
            d_q: pieces.take(queries * padded),
            p: pieces.take(queries * KEYS),
            d_scores: pieces.take(queries * KEYS),
            delta: pieces.take(queries),
            keys: pieces.take(KEYS * width),
            values: pieces.take(KEYS * width),
            key_panels: pieces.take(KEYS * padded),
        }
    }
}

/// Adds what the queries of a segment give to `d`, and writes their own gradients.
#[inline(always)]
fn segment_backward<A: Arithmetic, const R: usize>(
    task: &Task<'_>,
    index: usize,
    d: &mut KeyGradients<'_>,
    scratch: &mut TileScratch<'_>,
) {
    let ForwardValues { shape, segments, qkv, .. } = task.forward;
    let segment = segments[index];
    let sequence = Sequence::of_segment(shape, segments, index, qkv, task.kv_head);
    for first in (0..segment.len).step_by(task_tokens(shape)) {
        let queries = Queries {
            shape,
            kv_head: task.kv_head,
            qkv,
            token: segment.start + first,
            tokens: task_tokens(shape).min(segment.len - first),
            position: first_position(segments, index) + first,
            all: None,
        };
        pack_tile::<A, R>(task, &queries, scratch);
        let end = queries.position + queries.tokens;
        for start in queries.blocks() {
            let (width, len) = (shape.head_dim, KEYS.min(end - start));
            sequence.pack_keys::<A>(scratch.keys, (start, len), width, AsTheyAre);
            sequence.values().pack_keys::<A>(scratch.values, (start, len), width, AsTheyAre);
            for j in 0..len {
                pack_row::<A>(scratch.key_panels, (j, KEYS), sequence.token(start + j, width).0, AsTheyAre);
            }
            queries_backward::<A, R>(task, &queries, start, scratch);
            keys_backward::<A, R>(&queries, start, d, scratch);
        }
        let padded = shape.head_dim.next_multiple_of(PANEL);
        for r in 0..queries.count() {
            let (token, head) = queries.place(r);
            let at = token * shape.qkv_width() + head * shape.head_dim;
            // SAFETY: tasks differ in tokens or in heads, and this one holds one row at a time.
            #[allow(unsafe_code)]
            let to = unsafe { task.d_qkv.range(at, shape.head_dim) };
            for (to, &value) in to.iter_mut().zip(&scratch.d_q[r * padded..]) {
                *to = value * shape.scale;
            }
        }
    }
}

/// Lays out queries and output gradients in both ways.
#[inline(always)]
fn pack_tile<A: Arithmetic, const R: usize>(
    task: &Task<'_>,
    queries: &Queries<'_>,
    scratch: &mut TileScratch<'_>,
) {
    let width = queries.shape.head_dim;
    let count = queries.count();
    pack_queries::<A, R>(queries, scratch.q);
    scratch.d_q.fill(0.0);
    for r in 0..count {
        let (token, head) = queries.place(r);
        let at = token * queries.shape.q_width() + head * width;
        let d_out = &task.forward.d_out[at..][..width];
        scratch.delta[r] = dot::<A>(d_out, &task.forward.out[at..][..width]);
        pack_column::<R>(scratch.d_out, r, d_out, 1.0);
        pack_row::<A>(scratch.d_out_panels, (r, count), d_out, AsTheyAre);
        for (panel, values) in queries.row(r).chunks(PANEL).enumerate() {
            let to = &mut scratch.q_panels[(panel * count + r) * PANEL..][..values.len()];
            for (to, &value) in to.iter_mut().zip(values) {
                *to = value * queries.shape.scale;
            }
        }
    }
}

/// Probabilities and score gradients of the tile with the block from `start` on, and what they give to the queries.
#[inline(always)]
fn queries_backward<A: Arithmetic, const R: usize>(
    task: &Task<'_>,
    queries: &Queries<'_>,
    start: usize,
    scratch: &mut TileScratch<'_>,
) {
    let width = queries.shape.head_dim;
    let padded = width.next_multiple_of(PANEL);
    let count = queries.count();
    for first in (0..count).step_by(R) {
        let seen = queries.seen_by(first, (first + R).min(count), start);
        let mut p = [[0.0; KEYS]; R];
        let mut d_scores = [[0.0; KEYS]; R];
        if !seen.is_empty() {
            let end = seen.end;
            let keys = panels(scratch.keys, width);
            let mut s = [[0.0; KEYS]; R];
            scores::<A, _, R>(&scratch.q[first * width..][..R * width], (keys, end), &mut s);
            if let Some(cap) = queries.shape.softcap {
                cap_all::<A>(s.as_flattened_mut(), cap);
            }
            let values = panels(scratch.values, width);
            let mut d_p = [[0.0; KEYS]; R];
            scores::<A, _, R>(&scratch.d_out[first * width..][..R * width], (values, end), &mut d_p);
            for r in 0..R.min(count - first) {
                let (token, head) = queries.place(first + r);
                let log_sum_exp = task.forward.log_sum_exp[token * queries.shape.heads + head];
                let delta = scratch.delta[first + r];
                let seen = queries.seen(first + r, start);
                for j in 0..KEYS {
                    let probability = exp::<A>(s[r][j] - log_sum_exp);
                    let d_score = probability * (d_p[r][j] - delta);
                    let seen = j < seen.end && j >= seen.start;
                    p[r][j] = if seen { probability } else { 0.0 };
                    d_scores[r][j] = if seen { d_score } else { 0.0 };
                }
                if let Some(cap) = queries.shape.softcap {
                    for (d_score, &capped) in d_scores[r].iter_mut().zip(&s[r]) {
                        *d_score *= slope::<A>(capped, cap);
                    }
                }
            }
            for (panel, keys) in scratch.key_panels.chunks_exact(KEYS * PANEL).enumerate() {
                let tile = load::<A, R>(scratch.d_q, first, padded, panel * PANEL);
                let (steps, _) = keys[..end * PANEL].as_chunks::<PANEL>();
                let tile = multiply_rows::<A, _, R, KEYS>(tile, &d_scores, 0, steps);
                store::<A, R>(tile, scratch.d_q, first, padded, panel * PANEL);
            }
        }
        scratch.p[first * KEYS..][..R * KEYS].copy_from_slice(p.as_flattened());
        scratch.d_scores[first * KEYS..][..R * KEYS].copy_from_slice(d_scores.as_flattened());
    }
}

/// The panels of a block that is laid out here; there is nothing to ask the memory for.
#[inline(always)]
fn panels(block: &[f32], width: usize) -> impl Iterator<Item = (&[f32], &[f32])> {
    block.chunks_exact(width * PANEL).map(|panel| (panel, &[][..]))
}

/// What the tile gives to the keys and values of the block from `start` on.
#[inline(always)]
fn keys_backward<A: Arithmetic, const R: usize>(
    queries: &Queries<'_>,
    start: usize,
    d: &mut KeyGradients<'_>,
    scratch: &TileScratch<'_>,
) {
    let padded = queries.shape.head_dim.next_multiple_of(PANEL);
    let count = queries.count();
    let (p, _) = scratch.p[..count * KEYS].as_chunks::<KEYS>();
    let (d_scores, _) = scratch.d_scores[..count * KEYS].as_chunks::<KEYS>();
    let seen = queries.seen_by(0, count, start);
    for j in (seen.start / R * R..seen.end).step_by(R) {
        // The first token that sees key `j`, and with it all that follow, up to the last one that sees key `j + R - 1`.
        let from = (start + j).saturating_sub(queries.position) * queries.group();
        let last = |window: usize| (start + j + R - 1 + window).saturating_sub(queries.position);
        let to = queries.shape.window.map_or(count, |window| (last(window) * queries.group()).min(count));
        for panel in 0..padded / PANEL {
            let rows = panel * count * PANEL..(panel + 1) * count * PANEL;
            let (q, _) = scratch.q_panels[rows.clone()].as_chunks::<PANEL>();
            let (d_out, _) = scratch.d_out_panels[rows].as_chunks::<PANEL>();
            let tile = load::<A, R>(d.keys, start + j, padded, panel * PANEL);
            let tile = multiply_columns::<A, R, KEYS>(tile, &d_scores[from..to], j, &q[from..to]);
            store::<A, R>(tile, d.keys, start + j, padded, panel * PANEL);
            let tile = load::<A, R>(d.values, start + j, padded, panel * PANEL);
            let tile = multiply_columns::<A, R, KEYS>(tile, &p[from..to], j, &d_out[from..to]);
            store::<A, R>(tile, d.values, start + j, padded, panel * PANEL);
        }
    }
}
