//! Encoders: what llama.cpp's quantizer writes for the same values and the same importance (`ggml-quants.c`).

mod k_quants;
mod search;
mod simple;
mod weighted;

use super::simple::half;
use super::{BlockType, MAX_ELEMENTS};

/// Why values have no place in a block format.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unencodable {
    /// The format is only read here.
    #[error("{} cannot be written", .0.name())]
    NoEncoder(BlockType),
    /// A value that is not finite.
    #[error("element {at} is {value}")]
    NotFinite {
        /// Where it is.
        at: usize,
        /// What it is.
        value: f32,
    },
    /// A value that the format's half-precision numbers cannot hold.
    #[error("the values from element {at} on are too large for {}", .kind.name())]
    TooLarge {
        /// Where the block begins.
        at: usize,
        /// The format.
        kind: BlockType,
    },
}

/// Beyond it no block format of half-precision scales reaches; below it sums of cubes are finite.
const REACH: f32 = 1e7;

/// Encodes one block of values.
type EncodeBlock = fn(&[f32], &mut [u8]);

impl BlockType {
    /// Whether [`BlockType::encode`] knows the format.
    pub fn is_writable(self) -> bool {
        self.encoder().is_some()
    }

    fn encoder(self) -> Option<EncodeBlock> {
        Some(match self {
            BlockType::F32 => simple::f32,
            BlockType::F16 => simple::f16,
            BlockType::Bf16 => simple::bf16,
            BlockType::Q4_0 => simple::q4_0,
            BlockType::Q4_1 => simple::q4_1,
            BlockType::Q5_0 => simple::q5_0,
            BlockType::Q5_1 => simple::q5_1,
            BlockType::Q8_0 => simple::q8_0,
            BlockType::Q4_K => k_quants::q4_k,
            BlockType::Q5_K => k_quants::q5_k,
            BlockType::Q6_K => k_quants::q6_k,
            BlockType::Q2_K | BlockType::Q3_K | BlockType::IQ4_NL | BlockType::IQ4_XS => return None,
        })
    }

    /// Encodes whole blocks: the simple types byte for byte as `gguf-py` does, the K-quants as llama.cpp's quantizer.
    ///
    /// # Errors
    ///
    /// Those of [`BlockType::encode_rows`].
    ///
    /// # Panics
    ///
    /// When `values` is not a whole number of blocks.
    pub fn encode(self, values: &[f32]) -> Result<Vec<u8>, Unencodable> {
        let blocks = values.len() / self.elements();
        let mut bytes = vec![0; blocks * self.bytes()];
        self.encode_rows(values, None, &mut bytes)?;
        Ok(bytes)
    }

    /// Encodes whole rows into `out`. Any run of a matrix's rows gives the bytes that the whole matrix gives there, so
    /// that threads can share one.
    ///
    /// `importance`, `[cols]`, weighs the squared error of each column; it is what llama.cpp calls an importance
    /// matrix. `Q8_0` and the floats have no choice to make and pay it no heed.
    ///
    /// # Errors
    ///
    /// [`Unencodable`] when there is no encoder, or a value is not finite or too large for the format.
    ///
    /// # Panics
    ///
    /// When `values` is not a whole number of blocks and of rows, or `out` has not the room.
    pub fn encode_rows(
        self,
        values: &[f32],
        importance: Option<&[f32]>,
        out: &mut [u8],
    ) -> Result<(), Unencodable> {
        let encode_block = self.encoder().ok_or(Unencodable::NoEncoder(self))?;
        let (elements, bytes) = (self.elements(), self.bytes());
        assert!(values.len().is_multiple_of(elements), "{} values are no whole blocks", values.len());
        assert_eq!(out.len(), values.len() / elements * bytes, "room for the blocks");
        if let Some((at, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(Unencodable::NotFinite { at, value });
        }
        let too_large = |block: usize| Unencodable::TooLarge { at: block * elements, kind: self };
        if elements > 1
            && let Some(at) = values.iter().position(|value| value.abs() > REACH)
        {
            return Err(too_large(at / elements));
        }
        match importance {
            Some(importance) if weighted::chooses(self) => {
                let cols = importance.len();
                let whole = cols > 0 && cols.is_multiple_of(elements) && values.len().is_multiple_of(cols);
                assert!(whole, "{} values are no rows of {cols}", values.len());
                let rows = values.chunks_exact(cols).zip(out.chunks_exact_mut(cols / elements * bytes));
                rows.for_each(|(row, out)| weighted::row(self, row, importance, out));
            }
            _ => {
                let blocks = values.chunks_exact(elements).zip(out.chunks_exact_mut(bytes));
                blocks.for_each(|(block, out)| encode_block(block, out));
            }
        }
        match out.chunks_exact(bytes).position(|block| !self.has_finite_scales(block)) {
            Some(block) => Err(too_large(block)),
            None => Ok(()),
        }
    }

    /// Whether the half-precision numbers of a block are finite.
    fn has_finite_scales(self, block: &[u8]) -> bool {
        let scales = match self {
            BlockType::F32 => return true,
            BlockType::Bf16 => return simple::bf16_is_finite(block),
            BlockType::Q6_K => &block[208..],
            BlockType::Q4_1 | BlockType::Q5_1 | BlockType::Q4_K | BlockType::Q5_K => &block[..4],
            _ => &block[..2],
        };
        scales.chunks_exact(2).all(|scale| half(scale).is_finite())
    }
}
