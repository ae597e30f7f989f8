//! AdamW with 8-bit moments (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization"), as bitsandbytes'
//! `AdamW8bit`: blocks of 256 values, each scaled by its largest, in a code book whose steps grow with the value.
//!
//! Unlike there, small tensors are kept in 8 bits as well, the moments live on the host, and every value gets its nearest
//! code: bitsandbytes' CPU code does not find it for values below a ten-thousandth of their block's largest.

use std::sync::LazyLock;

use crate::AdamW;

/// Values that share a scale.
pub(crate) const BLOCK: usize = 256;

/// The moments of a flat list of parameters. A block never reaches over the end of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct EightBitMoments {
    /// First element of each block, and the number of elements.
    bounds: Vec<usize>,
    /// Codes of the first moment.
    pub m: Vec<u8>,
    /// Codes of the second moment.
    pub v: Vec<u8>,
    /// Scale of each block of the first moment.
    pub m_scale: Vec<f32>,
    /// Scale of each block of the second moment.
    pub v_scale: Vec<f32>,
}

impl EightBitMoments {
    /// Zero moments for parameters of these lengths, one after another.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut bounds = vec![0];
        let mut end = 0;
        for length in lengths {
            let start = end;
            end += length;
            bounds.extend((start..end).step_by(BLOCK).skip(1));
            if end > start {
                bounds.push(end);
            }
        }
        let blocks = bounds.len() - 1;
        let (m, v) = (CODES.signed.nearest(0.0), CODES.unsigned.nearest(0.0));
        EightBitMoments {
            bounds,
            m: vec![m; end],
            v: vec![v; end],
            m_scale: vec![0.0; blocks],
            v_scale: vec![0.0; blocks],
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.m.len()
    }

    /// True for moments of nothing.
    pub fn is_empty(&self) -> bool {
        self.m.is_empty()
    }

    /// The blocks of `range`, with their part of `params` and `grads`, which begin at its first element.
    ///
    /// # Panics
    /// When `range` cuts a block, or the slices have another length.
    pub(crate) fn blocks<'a>(
        &'a mut self,
        range: std::ops::Range<usize>,
        params: &'a mut [f32],
        grads: &'a [f32],
    ) -> Vec<Block<'a>> {
        let first = self.bounds.binary_search(&range.start).expect("a range begins with a block");
        let last = self.bounds.binary_search(&range.end).expect("a range ends with a block");
        assert_eq!((params.len(), grads.len()), (range.len(), range.len()), "values of the range");
        let (mut params, mut grads) = (params, grads);
        let (mut m, mut v) = (&mut self.m[range.clone()], &mut self.v[range]);
        let mut scales = self.m_scale[first..last].iter_mut().zip(&mut self.v_scale[first..last]);
        let mut blocks = Vec::with_capacity(last - first);
        for bounds in self.bounds[first..=last].windows(2) {
            let length = bounds[1] - bounds[0];
            let Some((m_scale, v_scale)) = scales.next() else { break };
            blocks.push(Block {
                params: params.split_off_mut(..length).unwrap_or_default(),
                grads: grads.split_off(..length).unwrap_or_default(),
                m: m.split_off_mut(..length).unwrap_or_default(),
                v: v.split_off_mut(..length).unwrap_or_default(),
                m_scale,
                v_scale,
            });
        }
        blocks
    }
}

/// A block of parameters with its moments.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    params: &'a mut [f32],
    grads: &'a [f32],
    m: &'a mut [u8],
    v: &'a mut [u8],
    m_scale: &'a mut f32,
    v_scale: &'a mut f32,
}

impl Block<'_> {
    /// One step: moments are decoded, moved and used in f32, then encoded again.
    pub(crate) fn step(&mut self, step: &AdamW) {
        let f = step.factors();
        let (signed, unsigned) = (&CODES.signed, &CODES.unsigned);
        let (mut m, mut v) = ([0.0f32; BLOCK], [0.0f32; BLOCK]);
        let (mut m_max, mut v_max) = (0.0f32, 0.0f32);
        for (i, (p, &g)) in self.params.iter_mut().zip(self.grads).enumerate() {
            let g = g * f.grad_scale;
            let old = signed.values[usize::from(self.m[i])] * *self.m_scale;
            m[i] = old * f.beta1 + f.one_minus_beta1 * g;
            let old = unsigned.values[usize::from(self.v[i])] * *self.v_scale;
            v[i] = old * f.beta2 + f.one_minus_beta2 * g * g;
            (m_max, v_max) = (m_max.max(m[i].abs()), v_max.max(v[i]));
            let denominator = v[i].sqrt() / f.root_correction + f.eps;
            *p = *p * f.decay - f.step_size * (m[i] / denominator);
        }
        (*self.m_scale, *self.v_scale) = (m_max, v_max);
        signed.encode(&m[..self.m.len()], m_max, self.m);
        unsigned.encode(&v[..self.v.len()], v_max, self.v);
    }
}

/// 256 values in ascending order, and the middles between neighbours.
#[derive(Debug)]
struct CodeBook {
    values: [f32; 256],
    middles: [f32; 255],
}

struct CodeBooks {
    signed: CodeBook,
    unsigned: CodeBook,
}

static CODES: LazyLock<CodeBooks> =
    LazyLock::new(|| CodeBooks { signed: CodeBook::dynamic(true), unsigned: CodeBook::dynamic(false) });

impl CodeBook {
    /// bitsandbytes' `create_dynamic_map(signed)`: for each of seven powers of ten a number of evenly spread values
    /// that doubles with the power, then 0 and 1.
    fn dynamic(signed: bool) -> Self {
        let mut values = vec![0.0, 1.0];
        for exponent in 0..7 {
            let steps = if signed { 1usize << exponent } else { 2 << exponent };
            let scale = 10f64.powi(exponent - 6) as f32;
            // torch.linspace(0.1, 1, steps + 1) counts from both ends, with fused steps.
            let width = (1.0f32 - 0.1) / steps as f32;
            let boundary = |i: usize| match i < steps.div_ceil(2) {
                true => width.mul_add(i as f32, 0.1),
                false => (-width).mul_add((steps - i) as f32, 1.0),
            };
            for i in 0..steps {
                let value = scale * ((boundary(i) + boundary(i + 1)) / 2.0);
                values.push(value);
                if signed {
                    values.push(-value);
                }
            }
        }
        values.sort_unstable_by(f32::total_cmp);
        let values: [f32; 256] = std::array::from_fn(|i| values[i]);
        CodeBook { values, middles: std::array::from_fn(|i| (values[i] + values[i + 1]) / 2.0) }
    }

    /// The code whose value is nearest to `x`.
    fn nearest(&self, x: f32) -> u8 {
        let mut code = 0;
        for width in [128, 64, 32, 16, 8, 4, 2, 1] {
            code += if self.middles[code + width - 1] < x { width } else { 0 };
        }
        code as u8
    }

    fn encode(&self, values: &[f32], scale: f32, codes: &mut [u8]) {
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        for (code, &value) in codes.iter_mut().zip(values) {
            *code = self.nearest(value * inverse);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_code_book_is_its_own_nearest() {
        for book in [&CODES.signed, &CODES.unsigned] {
            assert!(book.values.windows(2).all(|pair| pair[0] < pair[1]), "256 different values");
            assert!((0..=255u8).all(|code| book.nearest(book.values[usize::from(code)]) == code));
            assert_eq!((book.nearest(2.0), book.values[255]), (255, 1.0));
        }
        assert_eq!((CODES.signed.nearest(-2.0), CODES.unsigned.nearest(-2.0)), (0, 0));
        assert_eq!(CODES.unsigned.values[0], 0.0);
    }

    #[test]
    fn code_books_are_those_of_bitsandbytes() {
        let text = include_str!("../tests/data/adamw_8bit.txt");
        for (name, book) in [("signed ", &CODES.signed), ("unsigned ", &CODES.unsigned)] {
            let hex = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            for (i, value) in book.values.iter().enumerate() {
                let bits = u32::from_str_radix(&hex[8 * i..8 * i + 8], 16).unwrap().swap_bytes();
                assert_eq!(value.to_bits(), bits, "{name}{i}: {value}, expected {}", f32::from_bits(bits));
            }
        }
    }

    #[test]
    fn blocks_end_where_parameters_end() {
        let moments = EightBitMoments::new([300, 0, 256, 5]);
        assert_eq!(moments.bounds, [0, 256, 300, 556, 561]);
        assert_eq!((moments.len(), moments.m_scale.len()), (561, 4));
    }
}
