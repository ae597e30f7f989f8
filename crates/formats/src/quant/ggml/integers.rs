//! Blocks as small unsigned integers with their scales, undecoded: what products of integers are made of.

use half::f16;

use super::BlockType;

/// Elements that an [`IntegerBlock`] counts its scales by.
pub const SUB_BLOCK: usize = 32;

/// A block of 32 or 256 elements. Element `i` of sub-block `s` is
/// `scale · factor(s) · (code − offset) − minimum · lift(s)`, with `factor` and `lift` 1 where the type has none.
#[derive(Debug, Clone)]
pub struct IntegerBlock {
    /// Codes of each sub-block, four to a word, the first in its lowest byte.
    pub words: [[u32; SUB_BLOCK / 4]; 8],
    /// The block's scale.
    pub scale: f16,
    /// The block's minimum; zero where the type has none.
    pub minimum: f16,
    /// `factor` of each half of each sub-block, as the block stores them (`Q6_K`: signed).
    pub factors: [[u8; 2]; 8],
    /// `lift` of each sub-block.
    pub lifts: [u8; 8],
}

impl BlockType {
    /// What is taken from every code of an [`IntegerBlock`]; `None` for the types that are no linear integers.
    pub fn integer_offset(self) -> Option<u8> {
        match self {
            BlockType::Q8_0 => Some(128),
            BlockType::Q6_K => Some(32),
            BlockType::Q5_0 => Some(16),
            BlockType::Q4_0 => Some(8),
            BlockType::Q4_1 | BlockType::Q5_1 | BlockType::Q4_K | BlockType::Q5_K => Some(0),
            _ => None,
        }
    }

    /// The integers of a block.
    ///
    /// # Panics
    ///
    /// When `block` is not a whole block, or the type has no [`BlockType::integer_offset`].
    pub fn integers(self, block: &[u8]) -> IntegerBlock {
        assert_eq!(block.len(), self.bytes(), "a block of {}", self.name());
        let mut words = [[0; 8]; 8];
        let (mut minimum, mut factors, mut lifts) = (f16::ZERO, [[1; 2]; 8], [1; 8]);
        let scale_at = if self == BlockType::Q6_K { 208 } else { 0 };
        match self {
            BlockType::Q8_0 => words[0] = words_of(first(&block[2..])).map(|word| word ^ 0x8080_8080),
            BlockType::Q4_0 => words[0] = nibbles(first(&block[2..])),
            BlockType::Q5_0 => words[0] = with_fifth_bits(nibbles(first(&block[6..])), first(&block[2..])),
            BlockType::Q4_1 => {
                words[0] = nibbles(first(&block[4..]));
                minimum = -half(&block[2..]);
            }
            BlockType::Q5_1 => {
                words[0] = with_fifth_bits(nibbles(first(&block[8..])), first(&block[4..]));
                minimum = -half(&block[2..]);
            }
            BlockType::Q4_K | BlockType::Q5_K => {
                minimum = half(&block[2..]);
                let (fifth, codes) = match self {
                    BlockType::Q5_K => (words_of(first(&block[16..])), &block[48..]),
                    _ => ([0; 8], &block[16..]),
                };
                let codes: &[[u8; 32]; 4] = codes.as_chunks().0.first_chunk().expect("128 bytes of codes");
                for (sub, words) in words.iter_mut().enumerate() {
                    let (factor, lift) = super::k_quants::factor_and_lift(&block[4..16], sub);
                    (factors[sub], lifts[sub]) = ([factor; 2], lift);
                    let codes = words_of(&codes[sub / 2]);
                    for ((to, code), fifth) in words.iter_mut().zip(codes).zip(fifth) {
                        *to = (code >> (4 * (sub % 2))) & 0x0f0f_0f0f | ((fifth >> sub) & 0x0101_0101) << 4;
                    }
                }
            }
            BlockType::Q6_K => {
                let codes: &[[u8; 32]; 6] = block.as_chunks().0.first_chunk().expect("192 bytes of codes");
                let (low, high) = codes.split_at(4);
                for (sub, words) in words.iter_mut().enumerate() {
                    factors[sub] = [block[192 + 2 * sub], block[193 + 2 * sub]];
                    let (part, quarter) = (sub / 4, sub % 4);
                    let (low, high) = (words_of(&low[2 * part + quarter % 2]), words_of(&high[part]));
                    for ((to, low), high) in words.iter_mut().zip(low).zip(high) {
                        let (nibble, upper) = (low >> (4 * (quarter / 2)), high >> (2 * quarter));
                        *to = nibble & 0x0f0f_0f0f | (upper & 0x0303_0303) << 4;
                    }
                }
            }
            _ => panic!("{} has no integers", self.name()),
        }
        IntegerBlock { words, scale: half(&block[scale_at..]), minimum, factors, lifts }
    }
}

fn half(bytes: &[u8]) -> f16 {
    f16::from_le_bytes([bytes[0], bytes[1]])
}

/// The first bytes of a block's part.
#[inline(always)]
fn first<const N: usize>(bytes: &[u8]) -> &[u8; N] {
    bytes.first_chunk().expect("the block is whole")
}

#[inline(always)]
fn words_of(bytes: &[u8; SUB_BLOCK]) -> [u32; 8] {
    std::array::from_fn(|q| u32::from_le_bytes(std::array::from_fn(|i| bytes[4 * q + i])))
}

/// 32 codes of four bits in 16 bytes: the low halves first.
fn nibbles(bytes: &[u8; SUB_BLOCK / 2]) -> [u32; 8] {
    std::array::from_fn(|q| {
        let word = u32::from_le_bytes(std::array::from_fn(|i| bytes[q % 4 * 4 + i]));
        (word >> (4 * (q / 4))) & 0x0f0f_0f0f
    })
}

/// Bit `i` of `fifth` on top of code `i`.
fn with_fifth_bits(words: [u32; 8], fifth: &[u8; 4]) -> [u32; 8] {
    let fifth = u32::from_le_bytes(*fifth);
    std::array::from_fn(|q| {
        let bits = (fifth >> (4 * q)) & 15;
        // Bit `i` of four goes to byte `i`.
        words[q] | (bits.wrapping_mul(0x0020_4081) & 0x0101_0101) << 4
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_scales_give_what_the_decoder_gives() {
        let mut state = 7u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for kind in BlockType::ALL {
            let Some(offset) = kind.integer_offset() else { continue };
            for _ in 0..50 {
                let mut block: Vec<u8> = (0..kind.bytes()).map(|_| random()).collect();
                // Halves that are numbers.
                for at in [0, 2, 208] {
                    if let Some(high) = block.get_mut(at + 1) {
                        *high &= 0xbf;
                    }
                }
                let mut decoded = vec![0.0; kind.elements()];
                kind.decode(&block, &mut decoded);
                let integers = kind.integers(&block);
                for (i, want) in decoded.iter().enumerate() {
                    let (sub, at) = (i / SUB_BLOCK, i % SUB_BLOCK);
                    let code = (integers.words[sub][at / 4] >> (8 * (at % 4))) as u8;
                    let factor = integers.factors[sub][at / 16];
                    let factor =
                        if kind == BlockType::Q6_K { f32::from(factor as i8) } else { f32::from(factor) };
                    let value = integers.scale.to_f32() * factor * (f32::from(code) - f32::from(offset))
                        - integers.minimum.to_f32() * f32::from(integers.lifts[sub]);
                    assert!((value - want).abs() <= 1e-6 * want.abs().max(1.0), "{}: {i}", kind.name());
                }
            }
        }
    }
}
