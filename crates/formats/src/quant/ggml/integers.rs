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
            BlockType::Q8_0 => words[0] = std::array::from_fn(|q| word(&block[2..], q) ^ 0x8080_8080),
            BlockType::Q4_0 => words[0] = nibbles(&block[2..]),
            BlockType::Q5_0 => words[0] = with_fifth_bits(nibbles(&block[6..]), word(&block[2..], 0)),
            BlockType::Q4_1 => {
                words[0] = nibbles(&block[4..]);
                minimum = -half(&block[2..]);
            }
            BlockType::Q5_1 => {
                words[0] = with_fifth_bits(nibbles(&block[8..]), word(&block[4..], 0));
                minimum = -half(&block[2..]);
            }
            BlockType::Q4_K | BlockType::Q5_K => {
                minimum = half(&block[2..]);
                let (fifth, codes) = if self == BlockType::Q5_K {
                    (&block[16..48], &block[48..])
                } else {
                    (&[][..], &block[16..])
                };
                for (sub, words) in words.iter_mut().enumerate() {
                    let (factor, lift) = super::k_quants::factor_and_lift(&block[4..16], sub);
                    (factors[sub], lifts[sub]) = ([factor; 2], lift);
                    for (q, to) in words.iter_mut().enumerate() {
                        *to = (word(&codes[32 * (sub / 2)..], q) >> (4 * (sub % 2))) & 0x0f0f_0f0f;
                        if !fifth.is_empty() {
                            *to |= ((word(fifth, q) >> sub) & 0x0101_0101) << 4;
                        }
                    }
                }
            }
            BlockType::Q6_K => {
                let (low, high) = (&block[..128], &block[128..192]);
                for (sub, words) in words.iter_mut().enumerate() {
                    factors[sub] = [block[192 + 2 * sub], block[193 + 2 * sub]];
                    let (part, quarter) = (sub / 4, sub % 4);
                    for (q, to) in words.iter_mut().enumerate() {
                        let nibble = word(&low[64 * part + 32 * (quarter % 2)..], q) >> (4 * (quarter / 2));
                        let upper = word(&high[32 * part..], q) >> (2 * quarter);
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

fn word(bytes: &[u8], index: usize) -> u32 {
    let at = 4 * index;
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// 32 codes of four bits in 16 bytes: the low halves first.
fn nibbles(bytes: &[u8]) -> [u32; 8] {
    std::array::from_fn(|q| (word(bytes, q % 4) >> (4 * (q / 4))) & 0x0f0f_0f0f)
}

/// Bit `i` of `fifth` on top of code `i`.
fn with_fifth_bits(words: [u32; 8], fifth: u32) -> [u32; 8] {
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
