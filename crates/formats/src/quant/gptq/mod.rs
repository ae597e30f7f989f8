//! GPTQ: integers of 2, 4 or 8 bits with a scale and a zero for each row and group of columns.
//!
//! Source: Frantar et al. 2022, "GPTQ" (arXiv:2210.17323); the dequantization `scale * (code - zero)` is that of
//! AutoGPTQ 0.7.1 (`nn_modules/qlinear/qlinear_cuda.py`) and GPTQModel 7.7.0 (`nn_modules/qlinear/__init__.py`).

mod checkpoint;

use std::ops::Range;

use super::Mismatch;

pub use checkpoint::GptqConfig;
pub(super) use checkpoint::load;

/// Which group each column belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// Columns `g * size ..` belong to group `g`.
    Consecutive {
        /// Columns in a group.
        size: usize,
    },
    /// The group of each column, where columns were quantized in the order of their activations (`desc_act`).
    Each(Vec<u32>),
}

/// A matrix `[rows, cols]`, repacked so that a row's codes stand in the order of its columns.
///
/// An element is `scales[row, group] * (code - zeros[row, group])`. The code of column `c` is `bits` wide and starts at
/// bit `c * bits` of the row's bytes, lowest bits first; a row begins on a byte.
#[derive(Debug, Clone, PartialEq)]
pub struct GptqMatrix {
    rows: usize,
    cols: usize,
    bits: usize,
    row_bytes: usize,
    codes: Vec<u8>,
    groups: usize,
    scales: Vec<f32>,
    zeros: Vec<u8>,
    columns: Columns,
}

/// The parts of a [`GptqMatrix`].
#[derive(Debug, Clone, PartialEq)]
pub struct GptqParts {
    /// `[rows, cols]`.
    pub shape: [usize; 2],
    /// Bits of a code: 2, 4 or 8.
    pub bits: usize,
    /// `[rows, ceil(cols * bits / 8)]`.
    pub codes: Vec<u8>,
    /// `[rows, groups]`.
    pub scales: Vec<f32>,
    /// `[rows, groups]`.
    pub zeros: Vec<u8>,
    /// Which group each column belongs to.
    pub columns: Columns,
}

impl GptqMatrix {
    /// Puts the parts together.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] when the parts are not as long as the shape asks for, or a column's group does not exist.
    pub fn new(parts: GptqParts) -> Result<Self, Mismatch> {
        let GptqParts { shape: [rows, cols], bits, codes, scales, zeros, columns } = parts;
        if ![2, 4, 8].contains(&bits) {
            return Err(Mismatch::new("bits", "2, 4 or 8", bits));
        }
        Mismatch::unless_columns(cols)?;
        let row_bytes = cols.checked_mul(bits).map_or(usize::MAX, |bits| bits.div_ceil(8));
        Mismatch::unless_equal("bytes of codes", row_bytes.checked_mul(rows), codes.len())?;
        let groups = match &columns {
            Columns::Consecutive { size: 0 } => return Err(Mismatch::new("group size", "at least 1", 0)),
            Columns::Consecutive { size } => cols.div_ceil(*size),
            Columns::Each(group) => {
                Mismatch::unless_equal("groups of columns", Some(cols), group.len())?;
                let groups = scales.len().checked_div(rows).unwrap_or(0);
                match group.iter().find(|group| **group as usize >= groups) {
                    Some(group) => {
                        return Err(Mismatch::new("group of a column", format!("below {groups}"), group));
                    }
                    None => groups,
                }
            }
        };
        Mismatch::unless_equal("scales", groups.checked_mul(rows), scales.len())?;
        Mismatch::unless_equal("zeros", groups.checked_mul(rows), zeros.len())?;
        Ok(GptqMatrix { rows, cols, bits, row_bytes, codes, groups, scales, zeros, columns })
    }

    /// The number of rows (out features).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns (in features).
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bits of a code: 2, 4 or 8.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// The number of groups of columns.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Which group each column belongs to.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// A row's codes, lowest bits first.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn row_codes(&self, row: usize) -> &[u8] {
        &self.codes[row * self.row_bytes..][..self.row_bytes]
    }

    /// The scale of each group of a row.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn row_scales(&self, row: usize) -> &[f32] {
        &self.scales[row * self.groups..][..self.groups]
    }

    /// The zero of each group of a row.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn row_zeros(&self, row: usize) -> &[u8] {
        &self.zeros[row * self.groups..][..self.groups]
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let columns = match &self.columns {
            Columns::Consecutive { .. } => 0,
            Columns::Each(groups) => 4 * groups.len(),
        };
        self.codes.len() + 4 * self.scales.len() + self.zeros.len() + columns
    }

    pub(in crate::quant) fn decode(&self, row: usize, cols: Range<usize>, out: &mut [f32]) {
        let (codes, scales, zeros) = (self.row_codes(row), self.row_scales(row), self.row_zeros(row));
        let mask = (1u16 << self.bits) - 1;
        for (col, out) in cols.zip(out) {
            let group = match &self.columns {
                Columns::Consecutive { size } => col / size,
                Columns::Each(groups) => groups[col] as usize,
            };
            let bit = col * self.bits;
            let code = (u16::from(codes[bit / 8]) >> (bit % 8)) & mask;
            *out = scales[group] * (f32::from(code) - f32::from(zeros[group]));
        }
    }
}
