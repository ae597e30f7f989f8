//! Rows encoded with an importance of their columns.

use super::super::BlockType;
use super::search::{Trials, affine, symmetric};
use super::simple::{put_five_bits, put_half, put_nibbles};
use super::{MAX_ELEMENTS, k_quants};

/// Whether importance changes what is written.
pub(super) fn chooses(kind: BlockType) -> bool {
    kind.elements() > 1 && kind != BlockType::Q8_0
}

/// Encodes one row.
pub(super) fn row(kind: BlockType, values: &[f32], importance: &[f32], out: &mut [u8]) {
    let (elements, bytes) = (kind.elements(), kind.bytes());
    let blocks = values.chunks_exact(elements).zip(importance.chunks_exact(elements));
    let blocks = blocks.zip(out.chunks_exact_mut(bytes));
    if elements == MAX_ELEMENTS {
        let encode_block = match kind {
            BlockType::Q4_K => k_quants::weighted_q4_k,
            BlockType::Q5_K => k_quants::weighted_q5_k,
            _ => k_quants::weighted_q6_k,
        };
        blocks.for_each(|((values, importance), out)| encode_block(values, importance, out));
        return;
    }
    let variance = values.iter().fold(0.0, |sum, value| sum + value * value) / values.len() as f32;
    for ((values, importance), out) in blocks {
        let values: &[f32; 32] = &values.as_chunks().0[0];
        let weights = std::array::from_fn(|i| importance[i] * (variance + values[i] * values[i]).sqrt());
        let mut codes = [0; 32];
        match kind {
            BlockType::Q4_0 | BlockType::Q5_0 => {
                let most = if kind == BlockType::Q4_0 { 8 } else { 16 };
                put_half(symmetric(values, Some(&weights), most, &mut codes), out);
            }
            _ => {
                let most = if kind == BlockType::Q4_1 { 15 } else { 31 };
                let trials = Trials { most, first: -0.9, step: 0.05, steps: 36 };
                let (scale, minimum) = affine(values, &weights, trials, &mut codes);
                put_half(scale, out);
                put_half(-minimum, &mut out[2..]);
            }
        }
        match kind {
            BlockType::Q4_0 => put_nibbles(&codes, &mut out[2..]),
            BlockType::Q4_1 => put_nibbles(&codes, &mut out[4..]),
            BlockType::Q5_0 => put_five_bits(&codes, &mut out[2..]),
            _ => put_five_bits(&codes, &mut out[4..]),
        }
    }
}
