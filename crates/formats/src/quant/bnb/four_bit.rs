//! NF4 and FP4 matrices.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::encode::{Encoded, encode};
use super::{Blockwise8, Bnb4Type, dynamic_map};
use crate::quant::Mismatch;

/// The block of the second quantization.
const NESTED_BLOCK: usize = 256;

/// How to quantize a matrix on load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bnb4Options {
    /// The data type.
    pub kind: Bnb4Type,
    /// Values that share a scale; bitsandbytes' own default is 64.
    pub block: usize,
    /// Whether the scales are quantized too.
    pub double: bool,
}

/// The scales of blocks.
#[derive(Debug, Clone, PartialEq)]
pub enum Absmax {
    /// As they are.
    Plain(Vec<f32>),
    /// Quantized once more: scale `i` is `values.value(i) + offset`.
    Nested {
        /// Scales less their mean.
        values: Blockwise8,
        /// Their mean.
        offset: f32,
    },
}

impl Absmax {
    /// The number of scales.
    pub fn len(&self) -> usize {
        match self {
            Absmax::Plain(values) => values.len(),
            Absmax::Nested { values, .. } => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Scale `index`.
    ///
    /// # Panics
    ///
    /// When there is no such scale.
    pub fn value(&self, index: usize) -> f32 {
        match self {
            Absmax::Plain(values) => values[index],
            Absmax::Nested { values, offset } => values.value(index) + offset,
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match self {
            Absmax::Plain(values) => 4 * values.len(),
            Absmax::Nested { values, .. } => values.bytes() + 4,
        }
    }

    /// Quantizes scales: less their mean, in blocks of 256 with the dynamic map (QLoRA §3, "double quantization").
    fn nest(scales: &[f32]) -> Self {
        // torch adds in an order that depends on the processor's vectors; the exact mean is at most a rounding away.
        let sum: f64 = scales.iter().map(|scale| f64::from(*scale)).sum();
        let offset = (sum / scales.len().max(1) as f64) as f32;
        let centred: Vec<f32> = scales.iter().map(|scale| scale - offset).collect();
        let values = Blockwise8::quantize(&centred, Box::new(dynamic_map(true)), NESTED_BLOCK);
        Absmax::Nested { values, offset }
    }
}

/// A matrix `[rows, cols]` of four-bit codes. Blocks are cut out of the flattened matrix, so a block may cross rows.
///
/// Element `i = row * cols + col` is `code[nibble] * absmax[i / block]`, where the nibble is the **high** half of byte
/// `i / 2` for even `i` and the low half for odd `i`.
#[derive(Debug, Clone, PartialEq)]
pub struct Bnb4Matrix {
    rows: usize,
    cols: usize,
    block: usize,
    packed: Vec<u8>,
    absmax: Absmax,
    code: [f32; 16],
    /// The levels of the two codes of every byte: decoding is one look-up for two elements.
    pairs: Arc<Pairs>,
}

impl Bnb4Matrix {
    /// Takes codes of two elements a byte, the scales of blocks of `block` elements, and the level of each code.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] when the parts are not as long as the shape asks for.
    pub fn new(
        shape: [usize; 2],
        block: usize,
        packed: Vec<u8>,
        absmax: Absmax,
        code: [f32; 16],
    ) -> Result<Self, Mismatch> {
        let [rows, cols] = shape;
        if block == 0 {
            return Err(Mismatch::new("block size", "at least 1", block));
        }
        Mismatch::unless_columns(cols)?;
        let elements = rows.checked_mul(cols);
        Mismatch::unless_equal("bytes of four-bit codes", elements.map(|n| n.div_ceil(2)), packed.len())?;
        Mismatch::unless_equal("scales of blocks", elements.map(|n| n.div_ceil(block)), absmax.len())?;
        let pairs = pairs_of(&code);
        Ok(Bnb4Matrix { rows, cols, block, packed, absmax, code, pairs })
    }

    /// Quantizes `values`, `[rows, cols]`. Codes and scales are bitsandbytes' own, byte for byte; with `double`, the
    /// mean of the scales may differ by its last bit.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] when `values` is not as long as the shape, or the block is empty.
    pub fn quantize(shape: [usize; 2], values: &[f32], options: Bnb4Options) -> Result<Self, Mismatch> {
        let [rows, cols] = shape;
        Mismatch::unless_equal("values", rows.checked_mul(cols), values.len())?;
        let decode = |first: usize, out: &mut [f32]| out.copy_from_slice(&values[first..first + out.len()]);
        Self::quantize_with(shape, options, decode)
    }

    /// As [`Bnb4Matrix::quantize`], of values that `decode(first, out)` writes from element `first` on, some at a time
    /// and on several threads: so no more of them than that is in memory.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] when the matrix has no columns, or the block is empty.
    pub fn quantize_with(
        shape: [usize; 2],
        options: Bnb4Options,
        decode: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Result<Self, Mismatch> {
        if options.block == 0 {
            return Err(Mismatch::new("block size", "at least 1", 0));
        }
        let elements = shape[0].checked_mul(shape[1]);
        let elements =
            elements.ok_or_else(|| Mismatch::new("values", "a size that fits into memory", "more"))?;
        let Encoded { packed, scales } = encode(elements, options, decode);
        let absmax = if options.double { Absmax::nest(&scales) } else { Absmax::Plain(scales) };
        Bnb4Matrix::new(shape, options.block, packed, absmax, options.kind.levels())
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How many elements of the flattened matrix share a scale.
    pub fn block(&self) -> usize {
        self.block
    }

    /// The codes, two elements a byte, the earlier one in the high half.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The scale of each block.
    pub fn absmax(&self) -> &Absmax {
        &self.absmax
    }

    /// The level of each code.
    pub fn code(&self) -> &[f32; 16] {
        &self.code
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.packed.len() + self.absmax.bytes() + size_of_val(&self.code)
    }

    pub(in crate::quant) fn decode(&self, row: usize, cols: Range<usize>, out: &mut [f32]) {
        let start = row * self.cols + cols.start;
        let end = start + cols.len();
        let (mut at, mut out) = (start, out);
        while at < end {
            let scale = self.absmax.value(at / self.block);
            let in_block = (self.block - at % self.block).min(end - at);
            let mut part;
            (part, out) = out.split_at_mut(in_block);
            if at % 2 == 1 {
                let first;
                (first, part) = part.split_at_mut(1);
                first[0] = self.pairs[usize::from(self.packed[at / 2])][1] * scale;
            }
            let bytes = &self.packed[at.div_ceil(2)..];
            let (pairs, last) = part.as_chunks_mut::<2>();
            for (pair, byte) in pairs.iter_mut().zip(bytes) {
                let levels = &self.pairs[usize::from(*byte)];
                *pair = [levels[0] * scale, levels[1] * scale];
            }
            if let [last] = last {
                *last = self.pairs[usize::from(bytes[pairs.len()])][0] * scale;
            }
            at += in_block;
        }
    }
}

/// The levels of both codes of a byte, the earlier element first.
type Pairs = [[f32; 2]; 256];

/// The table of `code`; matrices of a known type share one.
fn pairs_of(code: &[f32; 16]) -> Arc<Pairs> {
    static KNOWN: [OnceLock<Arc<Pairs>>; 2] = [OnceLock::new(), OnceLock::new()];
    let table = || Arc::new(std::array::from_fn(|byte: usize| [code[byte >> 4], code[byte & 15]]));
    let known = [Bnb4Type::Nf4, Bnb4Type::Fp4].iter().zip(&KNOWN).find(|(kind, _)| kind.levels() == *code);
    known.map_or_else(table, |(_, shared)| shared.get_or_init(table).clone())
}
