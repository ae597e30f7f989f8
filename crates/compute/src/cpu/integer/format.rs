//! What a block of 32 steps of depth by 16 columns looks like in [`super::Panels`], by ggml's types.
//!
//! | type | codes | before the codes of a block | before the blocks of a chunk |
//! |---|---|---|---|
//! | `Q8_0` | bytes | – | `scale` |
//! | `Q4_0`, `Q5_0` | nibbles, fifth bits | – | `scale` |
//! | `Q4_1`, `Q5_1` | nibbles, fifth bits | – | `scale`, `minimum` |
//! | `Q4_K`, `Q5_K` | nibbles, fifth bits | `factor`, `lift` | `scale`, `minimum` |
//! | `Q6_K` | nibbles, pairs of bits | `factor` of both halves | `scale` |
//!
//! See [`IntegerBlock`](formats::quant::ggml::IntegerBlock) for the names. Scales and minima are halves, 16 of them;
//! factors and lifts are bytes. A product reads all of this in the order in which it lies: the processor asks for what
//! comes next by itself then, and a single row gets twice the bytes a second of one that reads scales and codes from two
//! places.

use formats::quant::BlockType;

use super::super::math::VECTOR;
use super::lanes::{Lanes, QUAD};

/// A type of blocks, known when the product is compiled.
pub(super) trait Format {
    /// Its codes.
    type Codes: Codes;
    /// What is taken from every code.
    const OFFSET: i32;
    /// Blocks that share a scale.
    const CHUNK: usize;
    /// A minimum is taken from every value.
    const MINIMA: bool;
    /// Blocks have factors.
    const FACTORS: bool;
    /// Halves of a block that have factors of their own: 1 or 2.
    const GROUPS: usize = 1;
}

macro_rules! formats {
    ($($name:ident: $codes:ident, offset $offset:literal, chunk $chunk:literal, minima $minima:literal,
       factors $factors:literal, groups $groups:literal;)*) => {$(
        #[allow(non_camel_case_types, reason = "ggml's name")]
        pub(super) struct $name;

        impl Format for $name {
            type Codes = $codes;
            const OFFSET: i32 = $offset;
            const CHUNK: usize = $chunk;
            const MINIMA: bool = $minima;
            const FACTORS: bool = $factors;
            const GROUPS: usize = $groups;
        }
    )*};
}

formats! {
    Q8_0: Eight, offset 128, chunk 1, minima false, factors false, groups 1;
    Q4_0: Four, offset 8, chunk 1, minima false, factors false, groups 1;
    Q5_0: Five, offset 16, chunk 1, minima false, factors false, groups 1;
    Q4_1: Four, offset 0, chunk 1, minima true, factors false, groups 1;
    Q5_1: Five, offset 0, chunk 1, minima true, factors false, groups 1;
    Q4_K: Four, offset 0, chunk 8, minima true, factors true, groups 1;
    Q5_K: Five, offset 0, chunk 8, minima true, factors true, groups 1;
    Q6_K: Six, offset 32, chunk 8, minima false, factors true, groups 2;
}

/// How the codes of a block lie.
pub(super) trait Codes {
    /// Bytes of a block.
    const BYTES: usize;

    /// The `q`-th four steps of depth of every column.
    fn quad<L: Lanes>(block: &[u8], q: usize) -> L::Bytes;
}

/// Nibbles of quads 0 to 3 below those of quads 4 to 7.
#[inline(always)]
fn nibbles<L: Lanes>(block: &[u8], q: usize) -> L::Bytes {
    let both = L::bytes(&block.as_chunks().0[q % 4]);
    if q < 4 { L::low_nibbles(both) } else { L::high_nibbles(both) }
}

pub(super) struct Eight;

impl Codes for Eight {
    const BYTES: usize = 8 * QUAD;

    #[inline(always)]
    fn quad<L: Lanes>(block: &[u8], q: usize) -> L::Bytes {
        L::bytes(&block.as_chunks().0[q])
    }
}

pub(super) struct Four;

impl Codes for Four {
    const BYTES: usize = 4 * QUAD;

    #[inline(always)]
    fn quad<L: Lanes>(block: &[u8], q: usize) -> L::Bytes {
        nibbles::<L>(block, q)
    }
}

/// Four bits, and behind them the fifth of every byte, quad after quad.
pub(super) struct Five;

impl Codes for Five {
    const BYTES: usize = 5 * QUAD;

    #[inline(always)]
    fn quad<L: Lanes>(block: &[u8], q: usize) -> L::Bytes {
        L::with_fifth_bits(nibbles::<L>(block, q), &block[4 * QUAD..].as_chunks().0[q])
    }
}

/// Four bits, and behind them the other two: four quads to a byte.
pub(super) struct Six;

impl Codes for Six {
    const BYTES: usize = 6 * QUAD;

    #[inline(always)]
    fn quad<L: Lanes>(block: &[u8], q: usize) -> L::Bytes {
        let pairs = L::bytes(&block[4 * QUAD..].as_chunks().0[q / 4]);
        L::with_two_bits(nibbles::<L>(block, q), pairs, q % 4)
    }
}

/// Bytes of a panel's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Scales in front of a chunk's blocks.
    pub(super) head: usize,
    /// Scales in front of a block's codes.
    pub(super) own: usize,
    /// Codes of a block.
    pub(super) codes: usize,
    /// Blocks, not bytes, in a chunk.
    pub(super) blocks: usize,
}

impl Shape {
    pub(super) const fn of<F: Format>() -> Self {
        Shape {
            head: 2 * VECTOR * if F::MINIMA { 2 } else { 1 },
            own: if F::FACTORS { 2 * VECTOR } else { 0 },
            codes: <F::Codes as Codes>::BYTES,
            blocks: F::CHUNK,
        }
    }

    /// Bytes of a block with its own scales.
    pub(super) const fn block(self) -> usize {
        self.own + self.codes
    }

    /// Bytes of a chunk.
    pub(super) const fn chunk(self) -> usize {
        self.head + self.blocks * self.block()
    }

    /// Bytes of a panel of `blocks` blocks, up to a whole cache line.
    pub(super) fn panel(self, blocks: usize) -> usize {
        (blocks / self.blocks * self.chunk()).next_multiple_of(64)
    }
}

/// Calls `$body` with `$format` standing for the type of `$kind`'s blocks; `$otherwise` where it has none.
macro_rules! with_format {
    ($kind:expr, $format:ident => $body:expr, else $otherwise:expr) => {
        match $kind {
            BlockType::Q8_0 => {
                type $format = $crate::cpu::integer::format::Q8_0;
                $body
            }
            BlockType::Q4_0 => {
                type $format = $crate::cpu::integer::format::Q4_0;
                $body
            }
            BlockType::Q5_0 => {
                type $format = $crate::cpu::integer::format::Q5_0;
                $body
            }
            BlockType::Q4_1 => {
                type $format = $crate::cpu::integer::format::Q4_1;
                $body
            }
            BlockType::Q5_1 => {
                type $format = $crate::cpu::integer::format::Q5_1;
                $body
            }
            BlockType::Q4_K => {
                type $format = $crate::cpu::integer::format::Q4_K;
                $body
            }
            BlockType::Q5_K => {
                type $format = $crate::cpu::integer::format::Q5_K;
                $body
            }
            BlockType::Q6_K => {
                type $format = $crate::cpu::integer::format::Q6_K;
                $body
            }
            _ => $otherwise,
        }
    };
}

pub(super) use with_format;

/// The shape of a type's panels; `None` for a type without.
pub(super) fn shape(kind: BlockType) -> Option<Shape> {
    with_format!(kind, F => Some(Shape::of::<F>()), else None)
}
