//! The K-quants: super-blocks of 256 elements whose 8 or 16 sub-blocks have small integer scales of their own.
//!
//! Each decodes whole sub-blocks of one super-block, from the element `first` on, as many as there is room for.

use super::simple::half;

/// 16 × (4-bit scale, 4-bit minimum), 64 bytes of 2-bit codes, scale, minimum.
pub(super) fn q2_k(block: &[u8], first: usize, out: &mut [f32]) {
    let (scales, rest) = block.split_at(16);
    let (codes, rest) = rest.split_at(64);
    let (d, dmin) = (half(rest), half(&rest[2..]));
    for (sub, out) in (first / 16..).zip(out.chunks_exact_mut(16)) {
        let scale = d * f32::from(scales[sub] & 15);
        let minimum = dmin * f32::from(scales[sub] >> 4);
        for (code, out) in two_bits(codes, sub).zip(out) {
            *out = scale * f32::from(code) - minimum;
        }
    }
}

/// 32 bytes of third bits, 64 bytes of 2-bit codes, 16 × 6-bit scales in 12 bytes, scale.
pub(super) fn q3_k(block: &[u8], first: usize, out: &mut [f32]) {
    let (third, rest) = block.split_at(32);
    let (codes, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(12);
    let d = half(d);
    for (sub, out) in (first / 16..).zip(out.chunks_exact_mut(16)) {
        let low = (scales[sub % 8] >> (4 * (sub / 8))) & 15;
        let high = (scales[8 + sub % 4] >> (2 * (sub / 4))) & 3;
        let scale = d * (f32::from(low | (high << 4)) - 32.0);
        let third = &third[sub % 2 * 16..][..16];
        for ((code, third), out) in two_bits(codes, sub).zip(third).zip(out) {
            // The bit says that nothing is taken away.
            let offset = if (third >> (sub / 2)) & 1 == 1 { 0.0 } else { 4.0 };
            *out = scale * (f32::from(code) - offset);
        }
    }
}

/// Scale, minimum, 8 × (6-bit scale, 6-bit minimum) in 12 bytes, 128 bytes of 4-bit codes.
pub(super) fn q4_k(block: &[u8], first: usize, out: &mut [f32]) {
    let (d, dmin) = (half(block), half(&block[2..]));
    let (scales, codes) = block[4..].split_at(12);
    for (sub, out) in (first / 32..).zip(out.chunks_exact_mut(32)) {
        let (scale, minimum) = scale_and_minimum(scales, sub);
        let (scale, minimum) = (d * scale, dmin * minimum);
        let codes = &codes[32 * (sub / 2)..];
        for (code, out) in codes.iter().zip(out) {
            *out = scale * f32::from((code >> (4 * (sub % 2))) & 15) - minimum;
        }
    }
}

/// Scale, minimum, scales as in `Q4_K`, 32 bytes of fifth bits, 128 bytes of 4-bit codes.
pub(super) fn q5_k(block: &[u8], first: usize, out: &mut [f32]) {
    let (d, dmin) = (half(block), half(&block[2..]));
    let (scales, rest) = block[4..].split_at(12);
    let (fifth, codes) = rest.split_at(32);
    for (sub, out) in (first / 32..).zip(out.chunks_exact_mut(32)) {
        let (scale, minimum) = scale_and_minimum(scales, sub);
        let (scale, minimum) = (d * scale, dmin * minimum);
        let codes = &codes[32 * (sub / 2)..];
        for ((code, fifth), out) in codes.iter().zip(fifth).zip(out) {
            let code = (code >> (4 * (sub % 2))) & 15 | ((fifth >> sub) & 1) << 4;
            *out = scale * f32::from(code) - minimum;
        }
    }
}

/// 128 bytes of 4-bit codes, 64 bytes of their upper two bits, 16 signed scales, scale.
pub(super) fn q6_k(block: &[u8], first: usize, out: &mut [f32]) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(16);
    let d = half(d);
    for (sub, out) in (first / 16..).zip(out.chunks_exact_mut(16)) {
        let scale = d * f32::from(scales[sub] as i8);
        let low = &low[sub / 8 * 64 + sub % 4 * 16..][..16];
        for ((low, high), out) in low.iter().zip(two_bits(high, sub)).zip(out) {
            let low = (low >> (4 * (sub / 4 % 2))) & 15;
            *out = scale * (f32::from(low | high << 4) - 32.0);
        }
    }
}

/// Two bits of each of the 16 elements of sub-block `sub`: 32 bytes hold 128 elements, element `32 s + i` in the bits
/// `2 s` of byte `i`.
fn two_bits(codes: &[u8], sub: usize) -> impl Iterator<Item = u8> {
    codes[sub / 8 * 32 + sub % 2 * 16..][..16].iter().map(move |code| (code >> (2 * (sub / 2 % 4))) & 3)
}

/// The 6-bit scale and minimum of sub-block `sub` of 8. The first four of each stand in the low bits of bytes 0–3 and
/// 4–7; of the last four, the low halves stand in bytes 8–11 and the upper two bits on top of bytes 0–3 and 4–7.
pub(super) fn factor_and_lift(scales: &[u8], sub: usize) -> (u8, u8) {
    if sub < 4 {
        (scales[sub] & 63, scales[4 + sub] & 63)
    } else {
        let low = scales[4 + sub];
        (low & 15 | (scales[sub - 4] >> 6) << 4, low >> 4 | (scales[sub] >> 6) << 4)
    }
}

fn scale_and_minimum(scales: &[u8], sub: usize) -> (f32, f32) {
    let (scale, minimum) = factor_and_lift(scales, sub);
    (f32::from(scale), f32::from(minimum))
}
