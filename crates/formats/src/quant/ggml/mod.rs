//! ggml's block formats, as GGUF files hold them: a row is a run of blocks, each with its own scale.
//!
//! Layouts and arithmetic follow `gguf` 0.19.0 (`gguf/quants.py`), which agrees with llama.cpp's `ggml-quants.c`.

mod encode;
mod integers;
mod k_quants;
mod matrix;
mod nonlinear;
mod simple;

pub use encode::Unencodable;
pub use integers::{IntegerBlock, SUB_BLOCK};
pub use matrix::BlockMatrix;

/// The most elements that a block has.
const MAX_ELEMENTS: usize = 256;

/// The most elements that cannot be decoded one without the other.
const STRETCH: usize = 32;

/// A block format that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(non_camel_case_types, missing_docs)]
pub enum BlockType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ4_NL,
    IQ4_XS,
}

impl BlockType {
    /// All of them.
    pub const ALL: [BlockType; 15] = [
        BlockType::F32,
        BlockType::F16,
        BlockType::Bf16,
        BlockType::Q4_0,
        BlockType::Q4_1,
        BlockType::Q5_0,
        BlockType::Q5_1,
        BlockType::Q8_0,
        BlockType::Q2_K,
        BlockType::Q3_K,
        BlockType::Q4_K,
        BlockType::Q5_K,
        BlockType::Q6_K,
        BlockType::IQ4_NL,
        BlockType::IQ4_XS,
    ];

    /// The name that ggml gives it.
    pub fn name(self) -> &'static str {
        match self {
            BlockType::F32 => "F32",
            BlockType::F16 => "F16",
            BlockType::Bf16 => "BF16",
            BlockType::Q4_0 => "Q4_0",
            BlockType::Q4_1 => "Q4_1",
            BlockType::Q5_0 => "Q5_0",
            BlockType::Q5_1 => "Q5_1",
            BlockType::Q8_0 => "Q8_0",
            BlockType::Q2_K => "Q2_K",
            BlockType::Q3_K => "Q3_K",
            BlockType::Q4_K => "Q4_K",
            BlockType::Q5_K => "Q5_K",
            BlockType::Q6_K => "Q6_K",
            BlockType::IQ4_NL => "IQ4_NL",
            BlockType::IQ4_XS => "IQ4_XS",
        }
    }

    /// ggml's number for it (`enum ggml_type`).
    pub fn ggml(self) -> u32 {
        match self {
            BlockType::F32 => 0,
            BlockType::F16 => 1,
            BlockType::Q4_0 => 2,
            BlockType::Q4_1 => 3,
            BlockType::Q5_0 => 6,
            BlockType::Q5_1 => 7,
            BlockType::Q8_0 => 8,
            BlockType::Q2_K => 10,
            BlockType::Q3_K => 11,
            BlockType::Q4_K => 12,
            BlockType::Q5_K => 13,
            BlockType::Q6_K => 14,
            BlockType::IQ4_NL => 20,
            BlockType::IQ4_XS => 23,
            BlockType::Bf16 => 30,
        }
    }

    /// The type with ggml's number `number`, if it is one of these.
    pub fn from_ggml(number: u32) -> Option<BlockType> {
        BlockType::ALL.into_iter().find(|kind| kind.ggml() == number)
    }

    /// Elements in a block.
    pub fn elements(self) -> usize {
        match self {
            BlockType::F32 | BlockType::F16 | BlockType::Bf16 => 1,
            BlockType::Q4_0
            | BlockType::Q4_1
            | BlockType::Q5_0
            | BlockType::Q5_1
            | BlockType::Q8_0
            | BlockType::IQ4_NL => 32,
            BlockType::Q2_K
            | BlockType::Q3_K
            | BlockType::Q4_K
            | BlockType::Q5_K
            | BlockType::Q6_K
            | BlockType::IQ4_XS => MAX_ELEMENTS,
        }
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        match self {
            BlockType::F32 => 4,
            BlockType::F16 | BlockType::Bf16 => 2,
            BlockType::Q4_0 | BlockType::IQ4_NL => 18,
            BlockType::Q4_1 => 20,
            BlockType::Q5_0 => 22,
            BlockType::Q5_1 => 24,
            BlockType::Q8_0 => 34,
            BlockType::Q2_K => 84,
            BlockType::Q3_K => 110,
            BlockType::Q4_K => 144,
            BlockType::Q5_K => 176,
            BlockType::Q6_K => 210,
            BlockType::IQ4_XS => 136,
        }
    }

    /// The bytes of a row of `cols` elements; `None` when they are not whole blocks or exceed the address space.
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        if !cols.is_multiple_of(self.elements()) {
            return None;
        }
        (cols / self.elements()).checked_mul(self.bytes())
    }

    /// Decodes whole blocks.
    ///
    /// # Panics
    ///
    /// When `bytes` is not a whole number of blocks, or `out` not as many elements.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        assert!(bytes.len().is_multiple_of(self.bytes()), "{} bytes are no whole blocks", bytes.len());
        assert_eq!(out.len(), bytes.len() / self.bytes() * self.elements(), "room for the elements");
        let decode_block = self.decoder();
        for (block, out) in bytes.chunks_exact(self.bytes()).zip(out.chunks_exact_mut(self.elements())) {
            decode_block(block, 0, out);
        }
    }

    /// Elements of a block that can be decoded by themselves.
    fn stretch(self) -> usize {
        self.elements().min(STRETCH)
    }

    /// What decodes whole stretches of one block, from an element on.
    fn decoder(self) -> fn(&[u8], usize, &mut [f32]) {
        match self {
            BlockType::F32 => |block, _, out| simple::f32(block, out),
            BlockType::F16 => |block, _, out| simple::f16(block, out),
            BlockType::Bf16 => |block, _, out| simple::bf16(block, out),
            BlockType::Q4_0 => |block, _, out| simple::q4_0(block, out),
            BlockType::Q4_1 => |block, _, out| simple::q4_1(block, out),
            BlockType::Q5_0 => |block, _, out| simple::q5_0(block, out),
            BlockType::Q5_1 => |block, _, out| simple::q5_1(block, out),
            BlockType::Q8_0 => |block, _, out| simple::q8_0(block, out),
            BlockType::IQ4_NL => |block, _, out| nonlinear::iq4_nl(block, out),
            BlockType::IQ4_XS => nonlinear::iq4_xs,
            BlockType::Q2_K => k_quants::q2_k,
            BlockType::Q3_K => k_quants::q3_k,
            BlockType::Q4_K => k_quants::q4_k,
            BlockType::Q5_K => k_quants::q5_k,
            BlockType::Q6_K => k_quants::q6_k,
        }
    }
}
