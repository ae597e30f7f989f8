//! The levels that codes stand for.

/// A four-bit data type of bitsandbytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bnb4Type {
    /// Levels at equal steps of the normal distribution's mass (QLoRA, appendix E).
    Nf4,
    /// One sign, two exponent, one mantissa bit, scaled to at most 1.
    Fp4,
}

impl Bnb4Type {
    /// The level of each code.
    pub fn levels(self) -> [f32; 16] {
        match self {
            Bnb4Type::Nf4 => NF4,
            Bnb4Type::Fp4 => FP4,
        }
    }

    /// The name in a checkpoint's quantization state.
    pub fn name(self) -> &'static str {
        match self {
            Bnb4Type::Nf4 => "nf4",
            Bnb4Type::Fp4 => "fp4",
        }
    }
}

const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// Twelfths: 0, 1/16, 8, 12, 4, 6, 2, 3, and the same below zero.
const FP4: [f32; 16] = [
    0.0,
    0.0625 / 12.0,
    8.0 / 12.0,
    1.0,
    4.0 / 12.0,
    0.5,
    2.0 / 12.0,
    0.25,
    0.0,
    -0.0625 / 12.0,
    -8.0 / 12.0,
    -1.0,
    -4.0 / 12.0,
    -0.5,
    -2.0 / 12.0,
    -0.25,
];

/// The dynamic 8-bit code book, ascending: seven decades below 1, each with twice the levels of the one below it, and
/// 0 and 1 (bitsandbytes' `create_dynamic_map`). With a sign, it is mirrored but for 1.
pub fn dynamic_map(signed: bool) -> [f32; 256] {
    let mut levels = Vec::with_capacity(256);
    for decade in 0..7 {
        let steps = if signed { 1 << decade } else { 2 << decade };
        // Powers of ten are exact in f64 up to their rounding, as Python's `10 ** n` is.
        let scale = 10f64.powi(decade - 6) as f32;
        for step in 0..steps {
            let middle = (boundary(step, steps) + boundary(step + 1, steps)) / 2.0;
            levels.push(scale * middle);
            if signed {
                levels.push(-scale * middle);
            }
        }
    }
    levels.extend([0.0, 1.0]);
    levels.sort_by(f32::total_cmp);
    std::array::from_fn(|i| levels[i])
}

/// Point `index` of `torch.linspace(0.1, 1, steps + 1)`: counted from the nearer end, the product not rounded before
/// the sum.
fn boundary(index: usize, steps: usize) -> f32 {
    let (start, end) = (0.1f32, 1.0f32);
    let step = (end - start) / steps as f32;
    if index < steps.div_ceil(2) {
        step.mul_add(index as f32, start)
    } else {
        (-step).mul_add((steps - index) as f32, end)
    }
}
