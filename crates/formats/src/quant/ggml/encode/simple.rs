//! Encoders of the simple types, byte for byte those of `gguf` 0.19.0.

use half::{bf16, f16};

pub(super) fn f32(values: &[f32], out: &mut [u8]) {
    out.copy_from_slice(&values[0].to_le_bytes());
}

pub(super) fn f16(values: &[f32], out: &mut [u8]) {
    put_half(values[0], out);
}

pub(super) fn bf16(values: &[f32], out: &mut [u8]) {
    out.copy_from_slice(&bf16::from_f32(values[0]).to_le_bytes());
}

pub(super) fn bf16_is_finite(bytes: &[u8]) -> bool {
    bf16::from_le_bytes([bytes[0], bytes[1]]).is_finite()
}

pub(super) fn q4_0(values: &[f32], out: &mut [u8]) {
    let scale = extreme(values) / -8.0;
    let inverse = inverse(scale);
    put_half(scale, out);
    put_nibbles(&codes(values, |value| code(value * inverse + 8.5, 15)), &mut out[2..]);
}

pub(super) fn q4_1(values: &[f32], out: &mut [u8]) {
    let (minimum, maximum) = range(values);
    let scale = (maximum - minimum) / 15.0;
    let inverse = inverse(scale);
    put_half(scale, out);
    put_half(minimum, &mut out[2..]);
    put_nibbles(&codes(values, |value| code((value - minimum) * inverse + 0.5, 15)), &mut out[4..]);
}

pub(super) fn q5_0(values: &[f32], out: &mut [u8]) {
    let scale = extreme(values) / -16.0;
    let inverse = inverse(scale);
    put_half(scale, out);
    put_five_bits(&codes(values, |value| code(value * inverse + 16.5, 31)), &mut out[2..]);
}

pub(super) fn q5_1(values: &[f32], out: &mut [u8]) {
    let (minimum, maximum) = range(values);
    let scale = (maximum - minimum) / 31.0;
    let inverse = inverse(scale);
    put_half(scale, out);
    put_half(minimum, &mut out[2..]);
    put_five_bits(&codes(values, |value| code((value - minimum) * inverse + 0.5, 31)), &mut out[4..]);
}

pub(super) fn q8_0(values: &[f32], out: &mut [u8]) {
    let scale = extreme(values).abs() / 127.0;
    let inverse = inverse(scale);
    put_half(scale, out);
    for (value, out) in values.iter().zip(&mut out[2..]) {
        *out = (value * inverse).round() as i8 as u8;
    }
}

/// The value of the largest magnitude, the first of equals.
fn extreme(values: &[f32]) -> f32 {
    let larger = |extreme: f32, value: f32| if value.abs() > extreme.abs() { value } else { extreme };
    values.iter().copied().reduce(larger).unwrap_or(0.0)
}

fn range(values: &[f32]) -> (f32, f32) {
    values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Rounds down to a code; the cast saturates at 0.
fn code(value: f32, most: u8) -> u8 {
    (value as u8).min(most)
}

fn codes(values: &[f32], code: impl Fn(f32) -> u8) -> [u8; 32] {
    std::array::from_fn(|i| code(values[i]))
}

/// `value` in half precision, at the start of `out`.
pub(super) fn put_half(value: f32, out: &mut [u8]) {
    out[..2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
}

/// The low four bits of 32 codes in 16 bytes.
pub(super) fn put_nibbles(codes: &[u8; 32], out: &mut [u8]) {
    let (low, high) = codes.split_at(16);
    for ((low, high), out) in low.iter().zip(high).zip(out) {
        *out = (low & 15) | (high << 4);
    }
}

/// Bit 4 of 32 codes in 4 bytes, then their low bits.
pub(super) fn put_five_bits(codes: &[u8; 32], out: &mut [u8]) {
    let fifth = codes.iter().enumerate().fold(0, |bits, (i, code)| bits | (u32::from(code >> 4) << i));
    out[..4].copy_from_slice(&fifth.to_le_bytes());
    put_nibbles(codes, &mut out[4..]);
}
