//! Matrices as other people quantized them, kept in their own bits and decoded where they are used.
//!
//! | family | source | code |
//! |---|---|---|
//! | ggml blocks | GGUF files | [`ggml`] |
//! | NF4, FP4 | bitsandbytes `*-bnb-4bit` checkpoints, or quantized here on load | [`bnb`] |
//! | int8 with row scales | bitsandbytes LLM.int8 checkpoints | [`bnb`] |
//! | GPTQ | AutoGPTQ and GPTQModel checkpoints | [`gptq`] |
//!
//! A matrix is `[rows, cols]` = `[out, in]`, row-major, so `y = x Wᵀ` walks along rows. The decoders here are the
//! scalar reference: clear, exact, and right for any range of columns. Faster ones live beside the products that use
//! them and are tested against these.

use std::ops::Range;

pub mod bnb;
mod checkpoint;
pub mod ggml;
pub mod gptq;

pub use bnb::{Absmax, Blockwise8, Bnb4Matrix, Bnb4Options, Bnb4Type, Int8Matrix};
pub use checkpoint::QuantizationConfig;
pub use ggml::{BlockMatrix, BlockType, Unencodable};
pub use gptq::{Columns, GptqConfig, GptqMatrix, GptqParts};

/// Parts of a quantized matrix that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part}: expected {expected}, got {got}")]
pub struct Mismatch {
    /// The part.
    pub part: &'static str,
    /// What would fit.
    pub expected: String,
    /// What was given.
    pub got: String,
}

impl Mismatch {
    pub(crate) fn new(part: &'static str, expected: impl ToString, got: impl ToString) -> Self {
        Mismatch { part, expected: expected.to_string(), got: got.to_string() }
    }

    /// A mismatch without columns: then there could be any number of rows, whatever the size of the data.
    pub(crate) fn unless_columns(cols: usize) -> Result<(), Mismatch> {
        if cols == 0 { Err(Mismatch::new("columns", "at least 1", 0)) } else { Ok(()) }
    }

    /// A mismatch unless `expected` is there and equals `got`; `None` stands for a size beyond the address space.
    pub(crate) fn unless_equal(
        part: &'static str,
        expected: Option<usize>,
        got: usize,
    ) -> Result<(), Mismatch> {
        match expected {
            Some(expected) if expected == got => Ok(()),
            Some(expected) => Err(Mismatch::new(part, expected, got)),
            None => Err(Mismatch::new(part, "a size that fits into memory", got)),
        }
    }
}

/// A matrix in the bits of its quantization, `[rows, cols]`.
#[derive(Debug, Clone, PartialEq)]
pub enum QuantizedMatrix {
    /// ggml blocks along the rows.
    Blocks(BlockMatrix),
    /// bitsandbytes NF4 or FP4, in blocks of the flattened matrix.
    Bnb4(Bnb4Matrix),
    /// Signed bytes with one scale a row.
    Int8(Int8Matrix),
    /// Small integers with a scale and a zero for each row and group of columns.
    Gptq(GptqMatrix),
}

impl QuantizedMatrix {
    /// The number of rows (out features).
    pub fn rows(&self) -> usize {
        match self {
            QuantizedMatrix::Blocks(matrix) => matrix.rows(),
            QuantizedMatrix::Bnb4(matrix) => matrix.rows(),
            QuantizedMatrix::Int8(matrix) => matrix.rows(),
            QuantizedMatrix::Gptq(matrix) => matrix.rows(),
        }
    }

    /// The number of columns (in features).
    pub fn cols(&self) -> usize {
        match self {
            QuantizedMatrix::Blocks(matrix) => matrix.cols(),
            QuantizedMatrix::Bnb4(matrix) => matrix.cols(),
            QuantizedMatrix::Int8(matrix) => matrix.cols(),
            QuantizedMatrix::Gptq(matrix) => matrix.cols(),
        }
    }

    /// How many bytes of memory the matrix holds: codes, scales and code books.
    pub fn bytes(&self) -> usize {
        match self {
            QuantizedMatrix::Blocks(matrix) => matrix.data().len(),
            QuantizedMatrix::Bnb4(matrix) => matrix.bytes(),
            QuantizedMatrix::Int8(matrix) => matrix.bytes(),
            QuantizedMatrix::Gptq(matrix) => matrix.bytes(),
        }
    }

    /// Decodes columns `cols` of row `row` into `out`.
    ///
    /// # Panics
    ///
    /// When the row or the columns are outside the matrix, or `out` is not as long as `cols`.
    pub fn decode(&self, row: usize, cols: Range<usize>, out: &mut [f32]) {
        assert!(row < self.rows(), "row {row} of {}", self.rows());
        assert!(cols.start <= cols.end && cols.end <= self.cols(), "columns {cols:?} of {}", self.cols());
        assert_eq!(out.len(), cols.len(), "room for the columns {cols:?}");
        match self {
            QuantizedMatrix::Blocks(matrix) => matrix.decode(row, cols, out),
            QuantizedMatrix::Bnb4(matrix) => matrix.decode(row, cols, out),
            QuantizedMatrix::Int8(matrix) => matrix.decode(row, cols, out),
            QuantizedMatrix::Gptq(matrix) => matrix.decode(row, cols, out),
        }
    }

    /// All values, `[rows, cols]`.
    pub fn to_f32(&self) -> Vec<f32> {
        let cols = self.cols();
        let mut values = vec![0.0; self.rows() * cols];
        if cols > 0 {
            for (row, out) in values.chunks_exact_mut(cols).enumerate() {
                self.decode(row, 0..cols, out);
            }
        }
        values
    }
}

impl From<BlockMatrix> for QuantizedMatrix {
    fn from(matrix: BlockMatrix) -> Self {
        QuantizedMatrix::Blocks(matrix)
    }
}

impl From<Bnb4Matrix> for QuantizedMatrix {
    fn from(matrix: Bnb4Matrix) -> Self {
        QuantizedMatrix::Bnb4(matrix)
    }
}

impl From<Int8Matrix> for QuantizedMatrix {
    fn from(matrix: Int8Matrix) -> Self {
        QuantizedMatrix::Int8(matrix)
    }
}

impl From<GptqMatrix> for QuantizedMatrix {
    fn from(matrix: GptqMatrix) -> Self {
        QuantizedMatrix::Gptq(matrix)
    }
}
