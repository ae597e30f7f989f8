//! A matrix of ggml blocks.

use std::ops::Range;

use super::{BlockType, MAX_ELEMENTS};
use crate::quant::Mismatch;

/// A matrix `[rows, cols]` whose rows are whole numbers of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockMatrix {
    kind: BlockType,
    rows: usize,
    cols: usize,
    row_bytes: usize,
    data: Vec<u8>,
}

impl BlockMatrix {
    /// Takes `rows` rows of `cols` elements.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] when `cols` is not a whole number of blocks, or `data` is not as long as the rows.
    pub fn new(kind: BlockType, rows: usize, cols: usize, data: Vec<u8>) -> Result<Self, Mismatch> {
        let Some(row_bytes) = kind.row_bytes(cols) else {
            return Err(Mismatch::new(
                "columns",
                format!("a multiple of {} ({})", kind.elements(), kind.name()),
                cols,
            ));
        };
        Mismatch::unless_columns(cols)?;
        Mismatch::unless_equal("bytes of blocks", row_bytes.checked_mul(rows), data.len())?;
        Ok(BlockMatrix { kind, rows, cols, row_bytes, data })
    }

    /// The block format.
    pub fn kind(&self) -> BlockType {
        self.kind
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All blocks, row by row.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The blocks of a row.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &[u8] {
        &self.data[row * self.row_bytes..][..self.row_bytes]
    }

    /// The same rows in another order: row `r` of the result is row `source(r)` of this matrix.
    ///
    /// # Panics
    ///
    /// When `source` gives a row that is not there.
    pub fn reordered(&self, source: impl Fn(usize) -> usize) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        for row in 0..self.rows {
            data.extend_from_slice(self.row(source(row)));
        }
        BlockMatrix { data, ..*self }
    }

    pub(in crate::quant) fn decode(&self, row: usize, cols: Range<usize>, out: &mut [f32]) {
        let (elements, bytes, stretch) = (self.kind.elements(), self.kind.bytes(), self.kind.stretch());
        // Powers of two all: a product asks for stretches of one block, which divisions would take longer than.
        let shift = elements.trailing_zeros();
        let decode_block = self.kind.decoder();
        let row = self.row(row);
        let (mut at, mut out) = (cols.start, out);
        while at < cols.end {
            let block = &row[(at >> shift) * bytes..][..bytes];
            let from = at & (elements - 1);
            let part;
            (part, out) = out.split_at_mut((elements - from).min(cols.end - at));
            let skip = from & (stretch - 1);
            let whole = (skip + part.len() + stretch - 1) & !(stretch - 1);
            if whole == part.len() {
                decode_block(block, from, part);
            } else {
                let mut decoded = [0.0; MAX_ELEMENTS];
                decode_block(block, from - skip, &mut decoded[..whole]);
                part.copy_from_slice(&decoded[skip..][..part.len()]);
            }
            at += part.len();
        }
    }
}
