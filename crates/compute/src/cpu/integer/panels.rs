//! Quantized weights in the order in which products read them.

use std::ops::Range;

use formats::quant::BlockType;
use formats::quant::ggml::{BlockMatrix, IntegerBlock, SUB_BLOCK};

use super::super::Threads;
use super::super::buffer::{CpuBuffer, Shared};
use super::super::math::VECTOR;
use super::super::slabs::Slabs;
use super::format::{Shape, shape};
use super::lanes::QUAD;
use crate::Result;

/// A matrix `[N, K]` in panels of 16 rows: the scales of a panel, block after block of its depth, then its codes, four
/// steps of depth of every row side by side. See [`super::format`].
#[derive(Debug)]
pub(in crate::cpu) struct Panels {
    kind: BlockType,
    rows: usize,
    cols: usize,
    shape: Shape,
    /// Bytes, on a cache line.
    words: CpuBuffer,
}

/// The scales and the codes of 16 rows.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    pub(super) scales: &'a [u8],
    pub(super) codes: &'a [u8],
}

impl Panels {
    /// Whether there are products of integers for blocks of this type.
    pub(in crate::cpu) fn takes(kind: BlockType) -> bool {
        shape(kind).is_some()
    }

    /// Takes the blocks of `matrix`, of a type that it [takes](Panels::takes).
    ///
    /// # Errors
    /// When there is no room.
    ///
    /// # Panics
    /// For another type.
    pub(in crate::cpu) fn new(threads: &Threads, slabs: &Slabs, matrix: &BlockMatrix) -> Result<Self> {
        let kind = matrix.kind();
        let shape = shape(kind).expect("a type of integers");
        let (rows, cols) = (matrix.rows(), matrix.cols());
        let (panels, bytes) = (rows.div_ceil(VECTOR), shape.panel(cols / SUB_BLOCK));
        let mut words = slabs.zeros("a weight", panels * bytes / size_of::<f32>())?;
        let shared = Shared::new(&mut words);
        threads.run(panels, |p| {
            let words = bytes / size_of::<f32>();
            // SAFETY: every panel is one task's.
            #[allow(unsafe_code)]
            let panel = unsafe { shared.range(p * words, words) };
            let (scales, codes) =
                bytemuck::cast_slice_mut(panel).split_at_mut(shape.scales(cols / SUB_BLOCK));
            for lane in 0..VECTOR.min(rows - p * VECTOR) {
                let blocks = matrix.row(p * VECTOR + lane).chunks_exact(kind.bytes());
                for (chunk, block) in blocks.enumerate() {
                    let integers = kind.integers(block);
                    write_scales(shape, scales, (chunk, lane), &integers, kind);
                    for (sub, words) in integers.words[..shape.blocks].iter().enumerate() {
                        let at = (chunk * shape.blocks + sub) * shape.codes;
                        write_codes(&mut codes[at..][..shape.codes], lane, words);
                    }
                }
            }
        });
        Ok(Panels { kind, rows, cols, shape, words })
    }

    pub(in crate::cpu) fn rows(&self) -> usize {
        self.rows
    }

    pub(in crate::cpu) fn cols(&self) -> usize {
        self.cols
    }

    pub(super) fn kind(&self) -> BlockType {
        self.kind
    }

    pub(in crate::cpu) fn bytes(&self) -> usize {
        self.words.len() * size_of::<f32>()
    }

    /// Rows `16 p ..`.
    pub(super) fn panel(&self, p: usize) -> Panel<'_> {
        let blocks = self.cols / SUB_BLOCK;
        let bytes = self.shape.panel(blocks);
        let panel = &bytemuck::cast_slice::<f32, u8>(&self.words)[p * bytes..][..bytes];
        let (scales, codes) = panel.split_at(self.shape.scales(blocks));
        Panel { scales, codes }
    }

    /// Decodes columns `cols` of row `row` into `out`.
    pub(in crate::cpu) fn decode(&self, row: usize, cols: Range<usize>, out: &mut [f32]) {
        let (panel, lane) = (self.panel(row / VECTOR), row % VECTOR);
        let offset = f32::from(self.kind.integer_offset().expect("a type of integers"));
        let half =
            |at: &[u8], index: usize| half::f16::from_le_bytes([at[2 * index], at[2 * index + 1]]).to_f32();
        for (column, out) in cols.zip(out) {
            let (block, at) = (column / SUB_BLOCK, column % SUB_BLOCK);
            let (chunk, sub) = (block / self.shape.blocks, block % self.shape.blocks);
            let head = &panel.scales[chunk * (self.shape.chunk + self.shape.blocks * self.shape.block)..];
            let (mut scale, mut minimum) = (half(head, lane), 0.0);
            if self.shape.chunk > 2 * VECTOR {
                minimum = half(&head[2 * VECTOR..], lane);
            }
            if self.shape.block > 0 {
                let own = &head[self.shape.chunk + sub * self.shape.block..];
                if self.kind == BlockType::Q6_K {
                    scale *= f32::from(own[at / 16 * VECTOR + lane] as i8);
                } else {
                    scale *= f32::from(own[lane]);
                    minimum *= f32::from(own[VECTOR + lane]);
                }
            }
            let code = code(&panel.codes[block * self.shape.codes..][..self.shape.codes], lane, at);
            *out = scale * (f32::from(code) - offset) - minimum;
        }
    }
}

fn write_scales(
    shape: Shape,
    scales: &mut [u8],
    (chunk, lane): (usize, usize),
    integers: &IntegerBlock,
    kind: BlockType,
) {
    let head = &mut scales[chunk * (shape.chunk + shape.blocks * shape.block)..];
    head[2 * lane..][..2].copy_from_slice(&integers.scale.to_le_bytes());
    if shape.chunk > 2 * VECTOR {
        head[2 * (VECTOR + lane)..][..2].copy_from_slice(&integers.minimum.to_le_bytes());
    }
    if shape.block > 0 {
        for sub in 0..shape.blocks {
            let own = &mut head[shape.chunk + sub * shape.block..];
            let [first, second] = integers.factors[sub];
            own[lane] = first;
            own[VECTOR + lane] = if kind == BlockType::Q6_K { second } else { integers.lifts[sub] };
        }
    }
}

/// The codes of one row of a block.
fn write_codes(block: &mut [u8], lane: usize, words: &[u32; SUB_BLOCK / 4]) {
    let bits = block_bits(block.len());
    let mut put = |place: usize, word: u32| {
        block[place * QUAD + 4 * lane..][..4].copy_from_slice(&word.to_le_bytes());
    };
    let nibble = |word: u32| word & 0x0f0f_0f0f;
    if bits == 8 {
        return words.iter().enumerate().for_each(|(q, word)| put(q, *word));
    }
    for q in 0..4 {
        put(q, nibble(words[q]) | nibble(words[q + 4]) << 4);
    }
    match bits {
        5 => {
            for (q, word) in words.iter().enumerate() {
                // The fifth bits of four bytes, side by side.
                let fifth = (((word >> 4) & 0x0101_0101).wrapping_mul(0x0102_0408) >> 24) as u8 & 15;
                block[4 * QUAD + QUAD / 8 * q + lane / 2] |= fifth << (4 * (lane % 2));
            }
        }
        6 => {
            for t in 0..2 {
                let pair = |q: usize| ((words[4 * t + q] >> 4) & 0x0303_0303) << (2 * q);
                put(4 + t, pair(0) | pair(1) | pair(2) | pair(3));
            }
        }
        _ => {}
    }
}

/// Bits of a code, from the bytes of a block.
fn block_bits(bytes: usize) -> usize {
    bytes / QUAD
}

/// Code `at` of row `lane` of a block.
fn code(block: &[u8], lane: usize, at: usize) -> u8 {
    let (q, byte) = (at / 4, 4 * lane + at % 4);
    let bits = block_bits(block.len());
    if bits == 8 {
        return block[q * QUAD + byte];
    }
    let nibble = (block[q % 4 * QUAD + byte] >> (4 * (q / 4))) & 15;
    let upper = &block[4 * QUAD..];
    match bits {
        5 => nibble | ((upper[q * QUAD / 8 + byte / 8] >> (byte % 8)) & 1) << 4,
        6 => nibble | ((upper[q / 4 * QUAD + byte] >> (2 * (q % 4))) & 3) << 4,
        _ => nibble,
    }
}
