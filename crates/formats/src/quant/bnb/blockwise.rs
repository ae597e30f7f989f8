//! 8-bit codes in blocks with one scale each: the second level of double quantization, and 8-bit optimizer states.

use crate::quant::Mismatch;

/// The grid on which values of [-1, 1] are looked up.
const GRID: f32 = 65535.0;

/// Values as 8-bit codes; value `i` is `code[codes[i]] * absmax[i / block]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Blockwise8 {
    codes: Vec<u8>,
    absmax: Vec<f32>,
    code: Box<[f32; 256]>,
    block: usize,
}

impl Blockwise8 {
    /// Takes codes, a scale for each block, and the level of each code.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] when the block is empty or the scales are not one a block.
    pub fn new(
        codes: Vec<u8>,
        absmax: Vec<f32>,
        code: Box<[f32; 256]>,
        block: usize,
    ) -> Result<Self, Mismatch> {
        if block == 0 {
            return Err(Mismatch::new("block size", "at least 1", block));
        }
        Mismatch::unless_equal("scales of 8-bit blocks", Some(codes.len().div_ceil(block)), absmax.len())?;
        Ok(Blockwise8 { codes, absmax, code, block })
    }

    /// Quantizes as bitsandbytes does on a CPU: a value's place on a grid of 65,536 steps decides on its level, so
    /// that a value which is no more than half a step from the middle of two levels may get the farther one.
    ///
    /// # Panics
    ///
    /// When `block` is 0.
    pub fn quantize(values: &[f32], code: Box<[f32; 256]>, block: usize) -> Self {
        let middles: Vec<f32> = code.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        let mut codes = Vec::with_capacity(values.len());
        let mut absmax = Vec::with_capacity(values.len().div_ceil(block));
        for values in values.chunks(block) {
            let largest = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
            absmax.push(largest);
            codes.extend(values.iter().map(|value| nearest(value / largest, &middles)));
        }
        Blockwise8 { codes, absmax, code, block }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// One code a value.
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// One scale a block.
    pub fn absmax(&self) -> &[f32] {
        &self.absmax
    }

    /// The level of each code.
    pub fn code(&self) -> &[f32; 256] {
        &self.code
    }

    /// The number of values in a block.
    pub fn block(&self) -> usize {
        self.block
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.codes.len() + 4 * (self.absmax.len() + self.code.len())
    }

    /// Value `index`.
    ///
    /// # Panics
    ///
    /// When there is no such value.
    pub fn value(&self, index: usize) -> f32 {
        self.code[usize::from(self.codes[index])] * self.absmax[index / self.block]
    }
}

/// The code whose level is nearest to a value of [-1, 1], after rounding the value to the grid; 0 for a NaN, which a
/// block of zeros gives.
fn nearest(value: f32, middles: &[f32]) -> u8 {
    if value.is_nan() {
        return 0;
    }
    let step = ((value.clamp(-1.0, 1.0) + 1.0) * 0.5 * GRID + 0.5).floor();
    let on_grid = step / GRID * 2.0 - 1.0;
    // 255 middles at most.
    middles.partition_point(|middle| *middle < on_grid) as u8
}
