//! Where attention finds keys and values, and how a block of them lies for its kernel.

use super::attention::PANELS;
use super::math::Arithmetic;
use super::tile::{AsTheyAre, Element, Halved, PANEL, Taken, pack_row, pack_sixteen_columns};
use crate::{AttentionShape, Segment};

/// Panels of a block of [`KEYS`](super::attention::KEYS) tokens: the `i`-th has [`PANEL`] of them, their keys as `[D][PANEL]`, their values as
/// `[D / PANEL][PANEL][PANEL]`, the token before the value. Panels behind the last token that is seen may be empty.
#[derive(Clone, Copy, Default)]
pub(super) struct Panels<'a, E> {
    pub(super) keys: [&'a [E]; PANELS],
    pub(super) values: [&'a [E]; PANELS],
}

impl<'a, E> Panels<'a, E> {
    #[inline(always)]
    fn of(keys: &'a [E], values: &'a [E]) -> Self {
        let (key_panel, value_panel) = (keys.len() / PANELS, values.len() / PANELS);
        Panels {
            keys: std::array::from_fn(|i| &keys[i * key_panel..][..key_panel]),
            values: std::array::from_fn(|i| &values[i * value_panel..][..value_panel]),
        }
    }
}

/// Keys and values of a text in one head.
pub(super) trait Source {
    /// As what they are stored.
    type Element: Element;

    /// Whether texts mostly come token by token, so that tiles for one are worth their code.
    const HAS_SINGLE_TOKENS: bool = false;

    /// The block of so many tokens from a first one on, `(start, len)`, in heads of `width`, with scratch for its keys
    /// and values.
    fn panels<'s, A: Arithmetic>(
        &'s self,
        block: (usize, usize),
        scratch: (&'s mut [f32], &'s mut [f32]),
        width: usize,
    ) -> Panels<'s, Self::Element>;

    /// The same block if it lies in panels already.
    fn lying(&self, _block: (usize, usize)) -> Option<Panels<'_, Self::Element>> {
        None
    }
}

/// Keys and values of consecutive tokens in one head.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// From the head's first value in the first token on.
    pub(super) keys: &'a [f32],
    /// As `keys`.
    pub(super) values: &'a [f32],
    /// Distance of two tokens.
    pub(super) stride: usize,
    /// Number of tokens.
    pub(super) len: usize,
}

/// Keys and values of a text in one head: those of the prefix, then its own.
#[derive(Clone, Copy)]
pub(super) struct Sequence<'a> {
    pub(super) runs: [Run<'a>; 2],
    /// Keys and values are what a cache in 16 bits would give back.
    pub(super) half: bool,
}

impl<'a> Sequence<'a> {
    /// Key and value of token `j`.
    #[inline(always)]
    pub(super) fn token(&self, j: usize, width: usize) -> (&'a [f32], &'a [f32]) {
        let [prefix, own] = &self.runs;
        let (run, j) = if j < prefix.len { (prefix, j) } else { (own, j - prefix.len) };
        (&run.keys[j * run.stride..][..width], &run.values[j * run.stride..][..width])
    }

    /// The values in the place of the keys.
    pub(super) fn values(&self) -> Self {
        Sequence { runs: self.runs.map(|run| Run { keys: run.values, ..run }), ..*self }
    }

    /// Lays the keys of a block of `len` tokens from `start` on side by side, [`PANEL`] at a time, taken as `taken` takes
    /// them.
    #[inline(always)]
    pub(super) fn pack_keys<A: Arithmetic>(
        &self,
        to: &mut [f32],
        (start, len): (usize, usize),
        width: usize,
        taken: impl Taken,
    ) {
        for first in (0..len).step_by(PANEL) {
            // Behind the last key stand any: nobody sees them.
            let mut keys = [self.token(start + first, width).0; PANEL];
            for (j, key) in keys[..PANEL.min(len - first)].iter_mut().enumerate() {
                *key = self.token(start + first + j, width).0;
            }
            pack_sixteen_columns::<A, PANEL>(to, first, keys, taken);
        }
    }

    /// The block of `len` tokens from `start` on.
    #[inline(always)]
    fn lay_out<'s, A: Arithmetic>(
        &self,
        (start, len): (usize, usize),
        (keys, values): (&'s mut [f32], &'s mut [f32]),
        width: usize,
        taken: impl Taken,
    ) -> Panels<'s, f32> {
        self.pack_keys::<A>(keys, (start, len), width, taken);
        let value_panel = values.len() / PANELS;
        for j in 0..len {
            let panel = &mut values[j / PANEL * value_panel..][..value_panel];
            pack_row::<A>(panel, (j % PANEL, PANEL), self.token(start + j, width).1, taken);
        }
        Panels::of(keys, values)
    }

    /// Keys and values of `segments[index]` in key head `kv_head`.
    pub(super) fn of_segment(
        shape: AttentionShape,
        segments: &[Segment],
        index: usize,
        qkv: &'a [f32],
        kv_head: usize,
    ) -> Self {
        let stride = shape.qkv_width();
        let run = |start: usize, len: usize| {
            let keys = start * stride + shape.q_width() + kv_head * shape.head_dim;
            let values = keys + shape.kv_width();
            Run { keys: &qkv[keys.min(qkv.len())..], values: &qkv[values.min(qkv.len())..], stride, len }
        };
        let segment = segments[index];
        let prefix = segment.prefix.map_or(run(0, 0), |p| run(segments[p].start, segments[p].len));
        Sequence { runs: [prefix, run(segment.start, segment.len)], half: false }
    }
}

impl Source for Sequence<'_> {
    type Element = f32;

    #[inline(always)]
    fn panels<'s, A: Arithmetic>(
        &'s self,
        block: (usize, usize),
        scratch: (&'s mut [f32], &'s mut [f32]),
        width: usize,
    ) -> Panels<'s, f32> {
        match self.half {
            false => self.lay_out::<A>(block, scratch, width, AsTheyAre),
            true => self.lay_out::<A>(block, scratch, width, Halved),
        }
    }
}
