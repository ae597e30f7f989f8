//! Which block format each tensor of a file gets.
//!
//! Source: llama.cpp's `src/llama-quant.cpp` (`llama_tensor_get_type`, `tensor_type_fallback`). A "mix" such as
//! `Q4_K_M` spends more bits where errors cost most: on the head, on some of the values' and down projections.

use crate::quant::BlockType;

/// What a file's matrices are stored as (`enum llama_ftype`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(non_camel_case_types, missing_docs)]
pub enum FileType {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
    Q5_0,
    Q6_K,
    Q4_K_M,
    Q5_K_M,
}

impl FileType {
    /// All of them.
    pub const ALL: [FileType; 9] = [
        FileType::F32,
        FileType::F16,
        FileType::Bf16,
        FileType::Q8_0,
        FileType::Q4_0,
        FileType::Q5_0,
        FileType::Q6_K,
        FileType::Q4_K_M,
        FileType::Q5_K_M,
    ];

    /// The name that stands in the names of files: `Q4_K_M`.
    pub fn name(self) -> &'static str {
        match self {
            FileType::Q4_K_M => "Q4_K_M",
            FileType::Q5_K_M => "Q5_K_M",
            _ => self.common().name(),
        }
    }

    /// llama.cpp's number for it, the value of `general.file_type`.
    pub fn number(self) -> u32 {
        match self {
            FileType::F32 => 0,
            FileType::F16 => 1,
            FileType::Q4_0 => 2,
            FileType::Q8_0 => 7,
            FileType::Q5_0 => 8,
            FileType::Q4_K_M => 15,
            FileType::Q5_K_M => 17,
            FileType::Q6_K => 18,
            FileType::Bf16 => 32,
        }
    }

    /// The format of most matrices.
    pub fn common(self) -> BlockType {
        match self {
            FileType::F32 => BlockType::F32,
            FileType::F16 => BlockType::F16,
            FileType::Bf16 => BlockType::Bf16,
            FileType::Q8_0 => BlockType::Q8_0,
            FileType::Q4_0 => BlockType::Q4_0,
            FileType::Q5_0 => BlockType::Q5_0,
            FileType::Q6_K => BlockType::Q6_K,
            FileType::Q4_K_M => BlockType::Q4_K,
            FileType::Q5_K_M => BlockType::Q5_K,
        }
    }

    /// Whether matrices are in blocks with scales.
    pub fn is_quantized(self) -> bool {
        self.common().elements() > 1
    }
}

/// What the choice depends on beside a tensor's name and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// What was asked for.
    pub file_type: FileType,
    /// Layers of the model.
    pub layers: usize,
    /// The head is the embedding table.
    pub tied: bool,
    /// Whether importance is known.
    pub importance: bool,
    /// A model of 80 layers with grouped heads (Llama 2 and 3 70B, Qwen 2 72B), whose value projections are small and
    /// worth more bits.
    pub seventy_billion: bool,
}

impl Mix {
    /// The format of the tensor that GGUF calls `name`, of this shape (slowest first). Vectors stay `F32`.
    pub fn kind(&self, name: &str, shape: &[usize]) -> BlockType {
        let &[_, cols] = shape else { return BlockType::F32 };
        let common = self.file_type.common();
        if !self.file_type.is_quantized() {
            return common;
        }
        let head = name == "output.weight" || (self.tied && name == "token_embd.weight");
        let layer = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        let layer = layer.and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest)));
        let wanted = match layer {
            _ if head => head_of(common, cols),
            Some((layer, "attn_v.weight")) => self.values(layer),
            Some((layer, "ffn_down.weight")) => self.down(layer),
            _ => common,
        };
        fitting(wanted, cols)
    }

    fn values(&self, layer: usize) -> BlockType {
        match self.file_type {
            FileType::Q4_K_M | FileType::Q5_K_M if self.more_bits(layer) => BlockType::Q6_K,
            FileType::Q4_K_M if self.seventy_billion => BlockType::Q5_K,
            other => other.common(),
        }
    }

    fn down(&self, layer: usize) -> BlockType {
        let first = layer < self.layers / 8;
        match self.file_type {
            FileType::Q4_K_M | FileType::Q5_K_M if self.more_bits(layer) => BlockType::Q6_K,
            FileType::Q4_0 if self.importance && first => BlockType::Q4_1,
            FileType::Q5_0 if self.importance && first => BlockType::Q5_1,
            other => other.common(),
        }
    }

    /// The first and last eighth of the layers, and every third between (`use_more_bits`).
    fn more_bits(&self, layer: usize) -> bool {
        let eighth = self.layers / 8;
        layer < eighth || layer >= 7 * self.layers / 8 || (layer - eighth) % 3 == 2
    }
}

/// The format of the head, which is worth more than the others.
fn head_of(common: BlockType, cols: usize) -> BlockType {
    if common == BlockType::Q8_0 || !cols.is_multiple_of(common.elements()) {
        BlockType::Q8_0
    } else {
        BlockType::Q6_K
    }
}

/// `wanted`, or what llama.cpp falls back to where a row is no whole number of its blocks.
fn fitting(wanted: BlockType, cols: usize) -> BlockType {
    if cols.is_multiple_of(wanted.elements()) {
        return wanted;
    }
    let smaller = match wanted {
        BlockType::Q4_K => BlockType::Q5_0,
        BlockType::Q5_K => BlockType::Q5_1,
        BlockType::Q6_K => BlockType::Q8_0,
        other => other,
    };
    if cols.is_multiple_of(smaller.elements()) { smaller } else { BlockType::F16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(file_type: FileType, layers: usize) -> Mix {
        Mix { file_type, layers, tied: false, importance: false, seventy_billion: false }
    }

    fn downs(mix: Mix, cols: usize) -> Vec<BlockType> {
        (0..mix.layers).map(|layer| mix.kind(&format!("blk.{layer}.ffn_down.weight"), &[64, cols])).collect()
    }

    #[test]
    fn q4_k_m_spends_more_bits_as_llama_cpp_does() {
        // Layers of a Llama of 7 billion whose down projection is Q6_K in published Q4_K_M files.
        let more: Vec<usize> = downs(mix(FileType::Q4_K_M, 32), 11_008)
            .iter()
            .enumerate()
            .filter_map(|(layer, kind)| (*kind == BlockType::Q6_K).then_some(layer))
            .collect();
        assert_eq!(more, [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]);
        let q4_k_m = mix(FileType::Q4_K_M, 32);
        assert_eq!(q4_k_m.kind("output.weight", &[32_000, 4096]), BlockType::Q6_K);
        assert_eq!(q4_k_m.kind("token_embd.weight", &[32_000, 4096]), BlockType::Q4_K);
        assert_eq!(q4_k_m.kind("blk.5.attn_v.weight", &[4096, 4096]), BlockType::Q4_K);
        assert_eq!(q4_k_m.kind("blk.5.attn_norm.weight", &[4096]), BlockType::F32);
        let tied = Mix { tied: true, ..q4_k_m };
        assert_eq!(tied.kind("token_embd.weight", &[32_000, 4096]), BlockType::Q6_K);
        let large = Mix { layers: 80, seventy_billion: true, ..q4_k_m };
        assert_eq!(large.kind("blk.10.attn_v.weight", &[1024, 8192]), BlockType::Q5_K);
    }

    #[test]
    fn rows_of_other_widths_fall_back_as_in_llama_cpp() {
        // SmolLM2 has rows of 576 and 960, multiples of 32 and not of 256.
        for (file_type, wide, narrow) in [
            (FileType::Q4_K_M, BlockType::Q4_K, BlockType::Q5_0),
            (FileType::Q5_K_M, BlockType::Q5_K, BlockType::Q5_1),
            (FileType::Q6_K, BlockType::Q6_K, BlockType::Q8_0),
            (FileType::Q8_0, BlockType::Q8_0, BlockType::Q8_0),
            (FileType::Q4_0, BlockType::Q4_0, BlockType::Q4_0),
        ] {
            let mix = Mix { tied: true, ..mix(file_type, 30) };
            assert_eq!(mix.kind("blk.4.attn_q.weight", &[576, 1536]), wide);
            assert_eq!(mix.kind("blk.4.attn_q.weight", &[576, 576]), narrow);
            assert_eq!(mix.kind("blk.4.attn_q.weight", &[576, 172]), BlockType::F16);
            assert_eq!(mix.kind("token_embd.weight", &[49_152, 576]), BlockType::Q8_0);
        }
        assert_eq!(mix(FileType::Bf16, 30).kind("blk.4.attn_q.weight", &[576, 172]), BlockType::Bf16);
    }

    #[test]
    fn importance_keeps_the_first_down_projections_of_the_simple_types_safe() {
        let weighted = Mix { importance: true, ..mix(FileType::Q4_0, 16) };
        assert_eq!(downs(weighted, 64)[..3], [BlockType::Q4_1, BlockType::Q4_1, BlockType::Q4_0]);
        assert_eq!(downs(mix(FileType::Q4_0, 16), 64)[0], BlockType::Q4_0);
    }
}
