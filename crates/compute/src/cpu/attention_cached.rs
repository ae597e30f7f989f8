//! Attention of generation: keys and values lie in blocks that sequences share (Kwon et al. 2023), in the very layout
//! that the kernel of [`attention`](super::attention) reads. So a token is laid out once, when it enters the cache, and
//! not by every query that sees it.

use super::attention::{
    Attend, KEYS, PANELS, Panels, Queries, Source, scratch_len, task_tokens, with_scratch,
};
use super::buffer::Shared;
use super::math::dispatch;
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

/// Blocks whose panels of one head lie side by side. A sequence mostly has consecutive blocks, so that reading a head
/// goes straight on for so long, and a cache that is filled in part still touches little memory.
const SIDE_BY_SIDE: usize = 64;

/// Where the panels of a cache's blocks lie: of so many blocks those of the first head, then those of the second.
#[derive(Clone, Copy)]
struct Places {
    blocks: usize,
    heads: usize,
    /// Elements of a panel, of keys or of values.
    panel: usize,
}

impl Places {
    /// Where a panel begins.
    #[inline(always)]
    fn of(self, block: u32, head: usize) -> usize {
        let block = block as usize;
        let first = block / SIDE_BY_SIDE * SIDE_BY_SIDE;
        let together = SIDE_BY_SIDE.min(self.blocks - first);
        (first * self.heads + head * together + block - first) * self.panel
    }
}

/// Keys and values of a sequence in one head.
#[derive(Clone, Copy)]
pub(super) struct CachedHead<'a> {
    table: &'a [u32],
    head: usize,
    keys: &'a [f32],
    values: &'a [f32],
    key_places: Places,
    value_places: Places,
}

impl<'a> CachedHead<'a> {
    /// The block of [`KEYS`] of which the `len` tokens from `start` on are there.
    #[inline(always)]
    pub(super) fn panels(&self, start: usize, len: usize) -> Panels<'a> {
        debug_assert!(len <= KEYS);
        let mut panels = Panels::default();
        for (i, &block) in
            self.table[start / PANEL..].iter().enumerate().take(PANELS.min(len.div_ceil(PANEL)))
        {
            let (key, value) = (self.key_places, self.value_places);
            panels.keys[i] = &self.keys[key.of(block, self.head)..][..key.panel];
            panels.values[i] = &self.values[value.of(block, self.head)..][..value.panel];
        }
        panels
    }
}

/// Puts the keys and values of all rows into the cache, then attends.
pub(super) fn cached(threads: &Threads, isa: Isa, c: Cached<'_>) {
    let Cached { shape, sequences, positions, tables, qkv, keys, values, out } = c;
    assert!(positions.len() == sequences.len(), "{} positions of {} rows", positions.len(), sequences.len());
    let places =
        |panel: usize| Places { blocks: keys.len() / shape.kv_block_len(), heads: shape.kv_heads, panel };
    let key_places = places(shape.head_dim * PANEL);
    let value_places = places(shape.head_dim.next_multiple_of(PANEL) * PANEL);
    for (i, (&sequence, &position)) in sequences.iter().zip(positions).enumerate() {
        let table = tables.of(sequence);
        let (index, lane) = (position as usize / PANEL, position as usize % PANEL);
        assert!(index < table.len(), "position {position} in a table of {} blocks", table.len());
        let block = table[index];
        let row = &qkv[i * shape.qkv_width() + shape.q_width()..][..2 * shape.kv_width()];
        let (new_keys, new_values) = row.split_at(shape.kv_width());
        for head in 0..shape.kv_heads {
            let columns = head * shape.head_dim..(head + 1) * shape.head_dim;
            let (key, value) = (key_places.of(block, head), value_places.of(block, head));
            pack_column::<PANEL>(&mut keys[key..][..key_places.panel], lane, &new_keys[columns.clone()]);
            pack_row(&mut values[value..][..value_places.panel], PANEL, lane, &new_values[columns]);
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
            head: kv_head,
            keys,
            values,
            key_places,
            value_places,
        });
        with_scratch(scratch_len(&queries), |scratch| {
            dispatch(isa, Attend { scratch, queries, source, out: &out, log_sum_exp: None });
        });
    });
}
