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

/// Columns that have a scale of their own, at the least.
const SCALED: usize = 16;

/// A matrix `[N, K]` in panels of 16 rows: block after block of its depth, each with the scales of all rows before the
/// codes, four steps of depth of every row side by side. See [`super::format`].
#[derive(Debug)]
pub(in crate::cpu) struct Panels {
    kind: BlockType,
    rows: usize,
    cols: usize,
    shape: Shape,
    /// Bytes, on a cache line.
    words: CpuBuffer,
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
            let panel: &mut [u8] = bytemuck::cast_slice_mut(panel);
            for lane in 0..VECTOR.min(rows - p * VECTOR) {
                let blocks = matrix.row(p * VECTOR + lane).chunks_exact(kind.bytes());
                for (chunk, block) in panel.chunks_exact_mut(shape.chunk()).zip(blocks) {
                    write_chunk(shape, chunk, lane, &kind.integers(block), kind);
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

    /// Number of panels.
    pub(super) fn count(&self) -> usize {
        self.rows.div_ceil(VECTOR)
    }

    pub(super) fn kind(&self) -> BlockType {
        self.kind
    }

    pub(in crate::cpu) fn bytes(&self) -> usize {
        self.words.len() * size_of::<f32>()
    }

    /// Rows `16 p ..`.
    pub(super) fn panel(&self, p: usize) -> &[u8] {
        let bytes = self.shape.panel(self.cols / SUB_BLOCK);
        &bytemuck::cast_slice(&self.words)[p * bytes..][..bytes]
    }

    /// Decodes columns `cols` of row `row` into `out`.
    pub(in crate::cpu) fn decode(&self, row: usize, cols: Range<usize>, out: &mut [f32]) {
        let (panel, lane) = (self.panel(row / VECTOR), row % VECTOR);
        let offset = f32::from(self.kind.integer_offset().expect("a type of integers"));
        let half =
            |at: &[u8], index: usize| half::f16::from_le_bytes([at[2 * index], at[2 * index + 1]]).to_f32();
        let mut column = cols.start;
        let mut rest = out;
        while !rest.is_empty() {
            let (block, at) = (column / SUB_BLOCK, column % SUB_BLOCK);
            let (part, behind) = rest.split_at_mut((SCALED - at % SCALED).min(rest.len()));
            (column, rest) = (column + part.len(), behind);
            let chunk = &panel[block / self.shape.blocks * self.shape.chunk()..];
            let block = &chunk[self.shape.head + block % self.shape.blocks * self.shape.block()..];
            let (own, codes) = block[..self.shape.block()].split_at(self.shape.own);
            let (mut scale, mut minimum) = (half(chunk, lane), 0.0);
            if self.shape.head > 2 * VECTOR {
                minimum = half(&chunk[2 * VECTOR..], lane);
            }
            if !own.is_empty() {
                if self.kind == BlockType::Q6_K {
                    scale *= f32::from(own[at / SCALED * VECTOR + lane] as i8);
                } else {
                    scale *= f32::from(own[lane]);
                    minimum *= f32::from(own[VECTOR + lane]);
                }
            }
            let first = at / SCALED * SCALED;
            let quads: [[u8; 4]; SCALED / 4] = std::array::from_fn(|q| quad(codes, lane, first / 4 + q));
            for (&code, out) in quads.as_flattened()[at - first..].iter().zip(part) {
                *out = scale * (f32::from(code) - offset) - minimum;
            }
        }
    }
}

/// One row of a chunk.
fn write_chunk(shape: Shape, chunk: &mut [u8], lane: usize, integers: &IntegerBlock, kind: BlockType) {
    let (head, blocks) = chunk.split_at_mut(shape.head);
    head[2 * lane..][..2].copy_from_slice(&integers.scale.to_le_bytes());
    if shape.head > 2 * VECTOR {
        head[2 * (VECTOR + lane)..][..2].copy_from_slice(&integers.minimum.to_le_bytes());
    }
    for (sub, block) in blocks.chunks_exact_mut(shape.block()).enumerate() {
        let (own, codes) = block.split_at_mut(shape.own);
        if !own.is_empty() {
            let [first, second] = integers.factors[sub];
            own[lane] = first;
            own[VECTOR + lane] = if kind == BlockType::Q6_K { second } else { integers.lifts[sub] };
        }
        write_codes(codes, lane, &integers.words[sub]);
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

/// Codes `4 q..4 q + 4` of row `lane` of a block.
fn quad(block: &[u8], lane: usize, q: usize) -> [u8; 4] {
    let four = |place: usize| -> u32 {
        let bytes = block[place * QUAD + 4 * lane..].first_chunk().expect("a block has a quad of every row");
        u32::from_le_bytes(*bytes)
    };
    let bits = block_bits(block.len());
    if bits == 8 {
        return four(q).to_le_bytes();
    }
    let nibbles = (four(q % 4) >> (4 * (q / 4))) & 0x0f0f_0f0f;
    let upper = match bits {
        5 => {
            let fifth = block[4 * QUAD + QUAD / 8 * q + lane / 2] >> (4 * (lane % 2));
            u32::from_le_bytes(std::array::from_fn(|i| (fifth >> i) & 1))
        }
        6 => (four(4 + q / 4) >> (2 * (q % 4))) & 0x0303_0303,
        _ => 0,
    };
    (nibbles | upper << 4).to_le_bytes()
}
