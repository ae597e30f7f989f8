//! Blocks of one element (floats) and of 32 elements with one scale: `Q4_0` to `Q8_0`.
//!
//! A block of 32 four-bit codes is 16 bytes: element `i` is the low half of byte `i`, element `16 + i` its high half.

use half::{bf16, f16};

/// The half-precision number at the start of `bytes`.
pub(super) fn half(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// Spreads 16 bytes over 32 elements; `value` gets the element's index and its four bits.
pub(super) fn nibbles(codes: &[u8], out: &mut [f32], value: impl Fn(usize, u8) -> f32) {
    let (low, high) = out.split_at_mut(codes.len());
    for (i, ((code, low), high)) in codes.iter().zip(low).zip(high).enumerate() {
        *low = value(i, code & 15);
        *high = value(codes.len() + i, code >> 4);
    }
}

pub(super) fn f32(block: &[u8], out: &mut [f32]) {
    out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
}

pub(super) fn f16(block: &[u8], out: &mut [f32]) {
    out[0] = half(block);
}

pub(super) fn bf16(block: &[u8], out: &mut [f32]) {
    out[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32();
}

/// Scale, codes: `scale * (code - 8)`.
pub(super) fn q4_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block);
    nibbles(&block[2..], out, |_, code| scale * (f32::from(code) - 8.0));
}

/// Scale, minimum, codes: `scale * code + minimum`.
pub(super) fn q4_1(block: &[u8], out: &mut [f32]) {
    let (scale, minimum) = (half(block), half(&block[2..]));
    nibbles(&block[4..], out, |_, code| scale * f32::from(code) + minimum);
}

/// Scale, fifth bits, codes: `scale * (code - 16)`.
pub(super) fn q5_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block);
    let fifth = fifth_bits(&block[2..]);
    nibbles(&block[6..], out, |i, code| scale * (f32::from(fifth(i) | code) - 16.0));
}

/// Scale, minimum, fifth bits, codes: `scale * code + minimum`.
pub(super) fn q5_1(block: &[u8], out: &mut [f32]) {
    let (scale, minimum) = (half(block), half(&block[2..]));
    let fifth = fifth_bits(&block[4..]);
    nibbles(&block[8..], out, |i, code| scale * f32::from(fifth(i) | code) + minimum);
}

/// Bit `i` of 32, in its place above a four-bit code.
fn fifth_bits(bytes: &[u8]) -> impl Fn(usize) -> u8 + use<> {
    let bits = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    move |i| ((bits >> i) as u8 & 1) << 4
}

/// Scale, signed bytes: `scale * code`.
pub(super) fn q8_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block);
    for (code, out) in block[2..].iter().zip(out) {
        *out = f32::from(*code as i8) * scale;
    }
}
