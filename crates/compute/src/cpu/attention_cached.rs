//! Attention of generation: keys and values lie in blocks that sequences share (Kwon et al. 2023), in the very layout
//! that the kernel of [`attention`](super::attention) reads. So a token is laid out once, when it enters the cache, and
//! not by every query that sees it.

use super::attention::{Attend, KEYS, PANELS, Queries, scratch_len, task_tokens, with_scratch};
use super::attention_source::{Panels, Source};
use super::buffer::Shared;
use super::math::{Arithmetic, Kernel, dispatch};
use super::tile::{Element, PANEL};
use super::{Isa, Threads};
use crate::{AttentionShape, BlockTables, KV_BLOCK};

const _: () = assert!(KV_BLOCK == PANEL, "a block of the cache is a panel of the kernel");

/// Arguments of [`cached`].
pub(super) struct Cached<'a, E> {
    pub(super) shape: AttentionShape,
    pub(super) sequences: &'a [u32],
    pub(super) positions: &'a [u32],
    pub(super) tables: BlockTables<'a>,
    pub(super) qkv: &'a [f32],
    pub(super) keys: &'a mut [E],
    pub(super) values: &'a mut [E],
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
struct CachedHead<'a, E> {
    table: &'a [u32],
    head: usize,
    keys: &'a [E],
    values: &'a [E],
    places: [Places; 2],
}

impl<'a, E: Element> CachedHead<'a, E> {
    /// Panels of `len` tokens from `start` on.
    #[inline(always)]
    fn block(&self, (start, len): (usize, usize)) -> Panels<'a, E> {
        debug_assert!(len <= KEYS);
        let mut panels = Panels::default();
        let blocks = &self.table[start / PANEL..][..len.div_ceil(PANEL)];
        for (i, &block) in blocks.iter().enumerate().take(PANELS) {
            let [key, value] = self.places;
            panels.keys[i] = &self.keys[key.of(block, self.head)..][..key.panel];
            panels.values[i] = &self.values[value.of(block, self.head)..][..value.panel];
        }
        panels
    }
}

impl<E: Element> Source for CachedHead<'_, E> {
    type Element = E;

    const HAS_SINGLE_TOKENS: bool = true;

    #[inline(always)]
    fn panels<'s, A: Arithmetic>(
        &'s self,
        block: (usize, usize),
        _scratch: (&'s mut [f32], &'s mut [f32]),
        _width: usize,
    ) -> Panels<'s, E> {
        self.block(block)
    }

    #[inline(always)]
    fn lying(&self, block: (usize, usize)) -> Option<Panels<'_, E>> {
        Some(self.block(block))
    }
}

/// Keys and values of one head that enter the cache.
struct Append<'a, E> {
    head: usize,
    shape: AttentionShape,
    sequences: &'a [u32],
    positions: &'a [u32],
    tables: BlockTables<'a>,
    qkv: &'a [f32],
    keys: &'a Shared<'a, E>,
    values: &'a Shared<'a, E>,
    places: [Places; 2],
}

impl<E: Element> Kernel for Append<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let Append { head, shape, places: [key_places, value_places], .. } = self;
        for (i, (&sequence, &position)) in self.sequences.iter().zip(self.positions).enumerate() {
            let table = self.tables.of(sequence);
            let (index, lane) = (position as usize / PANEL, position as usize % PANEL);
            assert!(index < table.len(), "position {position} in a table of {} blocks", table.len());
            let (key, value) = (key_places.of(table[index], head), value_places.of(table[index], head));
            // SAFETY: a head is one task's, and these are the only references to its panels.
            #[allow(unsafe_code)]
            let (keys, values) = unsafe {
                (self.keys.range(key, key_places.panel), self.values.range(value, value_places.panel))
            };
            let key = i * shape.qkv_width() + shape.q_width() + head * shape.head_dim;
            let row = |from: usize| self.qkv[from..][..shape.head_dim].chunks(PANEL);
            for (column, chunk) in row(key).enumerate() {
                let steps = keys[column * PANEL * PANEL..].as_chunks_mut::<PANEL>().0;
                for (step, element) in steps.iter_mut().zip(&rounded::<A, E>(chunk)[..chunk.len()]) {
                    step[lane] = *element;
                }
            }
            for (column, chunk) in row(key + shape.kv_width()).enumerate() {
                values[(column * PANEL + lane) * PANEL..][..PANEL].copy_from_slice(&rounded::<A, E>(chunk));
            }
        }
    }
}

/// At most [`PANEL`] values as elements of a cache, filled up with zeros.
#[inline(always)]
fn rounded<A: Arithmetic, E: Element>(values: &[f32]) -> [E; PANEL] {
    let mut all = [0.0; PANEL];
    all[..values.len()].copy_from_slice(values);
    E::round::<A>(&all)
}

/// From this many rows on the threads share the heads whose keys and values enter the cache.
const ROWS_TO_SHARE: usize = 16;

/// Puts the keys and values of all rows into the cache, then attends.
pub(super) fn cached<E: Element>(threads: &Threads, isa: Isa, c: Cached<'_, E>) {
    let Cached { shape, sequences, positions, tables, qkv, keys, values, out } = c;
    assert!(positions.len() == sequences.len(), "{} positions of {} rows", positions.len(), sequences.len());
    let blocks = keys.len() / shape.kv_block_len();
    let places = [shape.head_dim, shape.head_dim.next_multiple_of(PANEL)].map(|width| Places {
        blocks,
        heads: shape.kv_heads,
        panel: width * PANEL,
    });
    let (new_keys, new_values) = (Shared::new(&mut *keys), Shared::new(&mut *values));
    let append = |head: usize| {
        let (keys, values) = (&new_keys, &new_values);
        dispatch(isa, Append { head, shape, sequences, positions, tables, qkv, keys, values, places });
    };
    if sequences.len() < ROWS_TO_SHARE {
        (0..shape.kv_heads).for_each(append);
    } else {
        threads.run(shape.kv_heads, append);
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
        let queries = Queries { shape, kv_head, qkv, token, tokens, position, all: None };
        let source = CachedHead { table: tables.of(sequences[token]), head: kv_head, keys, values, places };
        with_scratch(scratch_len(&queries), |scratch| {
            dispatch(isa, Attend { scratch, queries, source, out: &out, log_sum_exp: None });
        });
    });
}
