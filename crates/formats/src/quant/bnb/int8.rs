//! LLM.int8 weights: signed bytes with one scale a row.

use std::ops::Range;

use crate::quant::Mismatch;

/// A code is one of 127 steps up to the row's largest magnitude.
const STEP: f32 = 1.0 / 127.0;

/// A matrix `[rows, cols]` of signed bytes; an element is `code * scale[row] / 127`, where `scale` is the row's largest
/// magnitude (bitsandbytes' `SCB`).
#[derive(Debug, Clone, PartialEq)]
pub struct Int8Matrix {
    rows: usize,
    cols: usize,
    codes: Vec<i8>,
    scales: Vec<f32>,
}

impl Int8Matrix {
    /// Takes codes `[rows, cols]` and the largest magnitude of each row.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] when the parts are not as long as the shape asks for.
    pub fn new(shape: [usize; 2], codes: Vec<i8>, scales: Vec<f32>) -> Result<Self, Mismatch> {
        let [rows, cols] = shape;
        Mismatch::unless_columns(cols)?;
        Mismatch::unless_equal("int8 codes", rows.checked_mul(cols), codes.len())?;
        Mismatch::unless_equal("row scales", Some(rows), scales.len())?;
        Ok(Int8Matrix { rows, cols, codes, scales })
    }

    /// Quantizes `values`, `[rows, cols]`, as bitsandbytes' `int8_vectorwise_quant` does.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] when `values` is not as long as the shape.
    pub fn quantize(shape: [usize; 2], values: &[f32]) -> Result<Self, Mismatch> {
        let [rows, cols] = shape;
        Mismatch::unless_equal("values", rows.checked_mul(cols), values.len())?;
        let mut codes = Vec::with_capacity(values.len());
        let mut scales = Vec::with_capacity(rows);
        for row in 0..rows {
            let values = &values[row * cols..][..cols];
            let largest = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
            let factor = 127.0 / largest;
            codes.extend(values.iter().map(|value| (value * factor).round_ties_even() as i8));
            scales.push(largest);
        }
        Int8Matrix::new(shape, codes, scales)
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The codes, row by row.
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// The largest magnitude of each row.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.codes.len() + 4 * self.scales.len()
    }

    pub(in crate::quant) fn decode(&self, row: usize, cols: Range<usize>, out: &mut [f32]) {
        let scale = self.scales[row];
        for (code, out) in self.codes[row * self.cols..][cols].iter().zip(out) {
            // In this order, since that is how `int8_vectorwise_dequant` rounds.
            *out = f32::from(*code) * scale * STEP;
        }
    }
}
