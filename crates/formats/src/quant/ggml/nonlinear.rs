//! `IQ4_NL` and `IQ4_XS`: four-bit codes into a table of levels that are denser around zero.

use super::simple::{half, nibbles};

const LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

fn level(code: u8) -> f32 {
    f32::from(LEVELS[usize::from(code)])
}

/// Scale, codes.
pub(super) fn iq4_nl(block: &[u8], out: &mut [f32]) {
    let scale = half(block);
    nibbles(&block[2..], out, |_, code| scale * level(code));
}

/// Scale, 8 × upper two bits of a scale in 2 bytes, 8 × its lower four bits in 4 bytes, 8 × 16 bytes of codes. Decodes
/// sub-blocks of 32 from the element `first` on.
pub(super) fn iq4_xs(block: &[u8], first: usize, out: &mut [f32]) {
    let d = half(block);
    let upper = u16::from_le_bytes([block[2], block[3]]);
    let (lower, codes) = block[4..].split_at(4);
    let codes = codes.chunks_exact(16).enumerate().skip(first / 32);
    for ((sub, codes), out) in codes.zip(out.chunks_exact_mut(32)) {
        let low = (lower[sub / 2] >> (4 * (sub % 2))) & 15;
        let high = (upper >> (2 * sub)) as u8 & 3;
        let scale = d * (f32::from(low | high << 4) - 32.0);
        nibbles(codes, out, |_, code| scale * level(code));
    }
}
