//! How values wait for the backward.

/// What a device keeps of the values that wait for the backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Waiting {
    /// The values.
    #[default]
    Exact,
    /// The values in bf16, which is what products of bf16 make of them.
    Bf16,
    /// [`Codes`] of the values in bf16. The forward goes on with these; the backward sees what the codes give back.
    Codes,
}

/// Integers with a scale for each block of a row, as ActNN (Chen et al. 2021) and GACT (Liu et al. 2022) keep
/// activations; here to the nearest, which keeps runs repeatable, instead of at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// 8 bits, of the values in bf16: off by at most a 254th of the largest of a block.
    Eight,
    /// 16 bits: off by at most a 65,000th of the largest of a block.
    Sixteen,
}

impl Codes {
    /// Values that share a scale, which is a bf16.
    pub const BLOCK: usize = 64;

    /// f32 values in whose room a row of `width` codes goes with its scales.
    pub const fn room(self, width: usize) -> usize {
        let code = match self {
            Codes::Eight => 1,
            Codes::Sixteen => 2,
        };
        (code * width).div_ceil(4) + (2 * width.div_ceil(Codes::BLOCK)).div_ceil(4)
    }
}
