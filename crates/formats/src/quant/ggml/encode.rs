//! Encoders of the simple types, byte for byte those of `gguf` 0.19.0.

use half::{bf16, f16};

pub(super) fn f32(values: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(values[0].to_le_bytes());
}

pub(super) fn f16(values: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(f16::from_f32(values[0]).to_le_bytes());
}

pub(super) fn bf16(values: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(bf16::from_f32(values[0]).to_le_bytes());
}

pub(super) fn q4_0(values: &[f32], bytes: &mut Vec<u8>) {
    let scale = extreme(values) / -8.0;
    let inverse = inverse(scale);
    f16(&[scale], bytes);
    push_nibbles(values, bytes, |value| code(value * inverse + 8.5, 15));
}

pub(super) fn q4_1(values: &[f32], bytes: &mut Vec<u8>) {
    let (minimum, maximum) = range(values);
    let scale = (maximum - minimum) / 15.0;
    let inverse = inverse(scale);
    f16(&[scale], bytes);
    f16(&[minimum], bytes);
    push_nibbles(values, bytes, |value| code((value - minimum) * inverse + 0.5, 15));
}

pub(super) fn q5_0(values: &[f32], bytes: &mut Vec<u8>) {
    let scale = extreme(values) / -16.0;
    let inverse = inverse(scale);
    let code = |value: f32| code(value * inverse + 16.5, 31);
    f16(&[scale], bytes);
    push_fifth_bits(values, bytes, code);
    push_nibbles(values, bytes, code);
}

pub(super) fn q5_1(values: &[f32], bytes: &mut Vec<u8>) {
    let (minimum, maximum) = range(values);
    let scale = (maximum - minimum) / 31.0;
    let inverse = inverse(scale);
    let code = |value: f32| code((value - minimum) * inverse + 0.5, 31);
    f16(&[scale], bytes);
    f16(&[minimum], bytes);
    push_fifth_bits(values, bytes, code);
    push_nibbles(values, bytes, code);
}

pub(super) fn q8_0(values: &[f32], bytes: &mut Vec<u8>) {
    let scale = extreme(values).abs() / 127.0;
    let inverse = inverse(scale);
    f16(&[scale], bytes);
    bytes.extend(values.iter().map(|value| (value * inverse).round() as i8 as u8));
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

/// The low four bits of 32 codes in 16 bytes.
fn push_nibbles(values: &[f32], bytes: &mut Vec<u8>, code: impl Fn(f32) -> u8) {
    let (low, high) = values.split_at(values.len() / 2);
    bytes.extend(low.iter().zip(high).map(|(low, high)| (code(*low) & 15) | (code(*high) << 4)));
}

/// Bit 4 of 32 codes in 4 bytes.
fn push_fifth_bits(values: &[f32], bytes: &mut Vec<u8>, code: impl Fn(f32) -> u8) {
    let bits =
        values.iter().enumerate().fold(0, |bits, (i, value)| bits | (u32::from(code(*value) >> 4) << i));
    bytes.extend(bits.to_le_bytes());
}
