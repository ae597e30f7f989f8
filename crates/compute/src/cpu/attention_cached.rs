//! Attention of generation: keys and values lie in blocks that sequences share (Kwon et al. 2023), in the very layout
//! that the kernel of [`attention`](super::attention) reads. So a token is laid out once, when it enters the cache, and
//! not by every query that sees it.

use super::attention::{
    Attend, KEYS, PANELS, Panels, Queries, Source, scratch_len, task_tokens, with_scratch,
};
use super::buffer::Shared;
use super::math::{Arithmetic, dispatch};
use super::tile::{PANEL, pack_column, pack_row};
use super::{Isa, Threads};
use crate::{AttentionShape, BlockTables, KV_BLOCK};

const _: () = assert!(KV_BLOCK == PANEL, "a block of the cache is a panel of the kernel");

/// Arguments of [`cached`].
pub(super) struct Cached<'a> {
    pub(super) shape: AttentionShape,
    pub(super) sequences: &'a [u32],
    pub(super) positions: &'a [u32],
    pub(super) tables: BlockTables<'a>,
    pub(super) qkv: &'a [f32],
    pub(super) keys: &'a mut [f32],
    pub(super) values: &'a mut [f32],
    pub(super) out: &'a mut [f32],
}

/// Keys and values of a sequence in one head: those of block `b` in the first elements from
/// `b * shape.kv_block_len()` on.
#[derive(Clone, Copy)]
pub(super) struct CachedHead<'a> {
    table: &'a [u32],
    block_len: usize,
    /// From the head's elements in the first block on.
    keys: &'a [f32],
    values: &'a [f32],
    key_panel: usize,
    value_panel: usize,
}

impl<'a> CachedHead<'a> {
    /// Asks for the block of [`KEYS`] of which the `len` tokens from `start` on are there.
    #[inline(always)]
    pub(super) fn prefetch<A: Arithmetic>(&self, start: usize, len: usize) {
        const LINE: usize = 64 / size_of::<f32>();
        let panels = self.panels(start, len);
        for panel in panels.keys.into_iter().chain(panels.values) {
            for line in panel.chunks(LINE) {
                A::prefetch_far(line.as_ptr());
            }
        }
    }

    /// The block of [`KEYS`] of which the `len` tokens from `start` on are there.
    #[inline(always)]
    pub(super) fn panels(&self, start: usize, len: usize) -> Panels<'a> {
        debug_assert!(len <= KEYS);
        let mut panels = Panels::default();
        for (i, &block) in
            self.table[start / PANEL..].iter().enumerate().take(PANELS.min(len.div_ceil(PANEL)))
        {
            let at = block as usize * self.block_len;
            panels.keys[i] = &self.keys[at..][..self.key_panel];
            panels.values[i] = &self.values[at..][..self.value_panel];
        }
        panels
    }
}

/// Puts the keys and values of all rows into the cache, then attends.
pub(super) fn cached(threads: &Threads, isa: Isa, c: Cached<'_>) {
    let Cached { shape, sequences, positions, tables, qkv, keys, values, out } = c;
    assert!(positions.len() == sequences.len(), "{} positions of {} rows", positions.len(), sequences.len());
    let panels = (shape.head_dim * PANEL, shape.head_dim.next_multiple_of(PANEL) * PANEL);
    let block_len = shape.kv_block_len();
    for (i, (&sequence, &position)) in sequences.iter().zip(positions).enumerate() {
        let table = tables.of(sequence);
        let (index, lane) = (position as usize / PANEL, position as usize % PANEL);
        assert!(index < table.len(), "position {position} in a table of {} blocks", table.len());
        let at = table[index] as usize * block_len;
        let (keys, values) = (&mut keys[at..][..block_len], &mut values[at..][..block_len]);
        let row = &qkv[i * shape.qkv_width() + shape.q_width()..][..2 * shape.kv_width()];
        let (new_keys, new_values) = row.split_at(shape.kv_width());
        for head in 0..shape.kv_heads {
            let columns = head * shape.head_dim..(head + 1) * shape.head_dim;
            pack_column::<PANEL>(&mut keys[head * panels.0..][..panels.0], lane, &new_keys[columns.clone()]);
            pack_row(&mut values[head * panels.1..][..panels.1], PANEL, lane, &new_values[columns]);
        }
    }
    let (keys, values) = (&*keys, &*values);

    let step = task_tokens(shape);
    let mut tiles: Vec<(usize, usize)> = Vec::new();
    for i in 0..sequences.len() {
        match tiles.last_mut() {
            // The next tokens of one text, as when a prompt is read, share a task.
            Some((first, tokens))
                if *tokens < step
                    && sequences[i] == sequences[i - 1]
                    && positions[i] == positions[i - 1] + 1 =>
            {
                debug_assert_eq!(*first + *tokens, i);
                *tokens += 1;
            }
            _ => tiles.push((i, 1)),
        }
    }
    let out = Shared::new(out);
    threads.run(tiles.len() * shape.kv_heads, |task| {
        let (token, tokens) = tiles[task / shape.kv_heads];
        let kv_head = task % shape.kv_heads;
        let position = positions[token] as usize;
        let queries = Queries { shape, kv_head, qkv, token, tokens, position };
        let source = Source::Cache(CachedHead {
            table: tables.of(sequences[token]),
            block_len,
            keys: &keys[kv_head * panels.0..],
            values: &values[kv_head * panels.1..],
            key_panel: panels.0,
            value_panel: panels.1,
        });
        with_scratch(scratch_len(&queries), |scratch| {
            dispatch(isa, Attend { scratch, queries, source, out: &out, log_sum_exp: None });
        });
    });
}
