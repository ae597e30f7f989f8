//! bitsandbytes: NF4 and FP4 with and without double quantization, 8-bit blocks with a dynamic map, LLM.int8 rows.
//!
//! Sources: Dettmers et al. 2023, "QLoRA" (arXiv:2305.14314, §3); Dettmers et al. 2022, "8-bit Optimizers via
//! Block-wise Quantization" (arXiv:2110.02861); Dettmers et al. 2022, "LLM.int8()" (arXiv:2208.07339). Bytes follow
//! bitsandbytes 0.50.2 on CPU.

mod blockwise;
mod checkpoint;
mod code_book;
mod encode;
mod four_bit;
mod int8;

pub use blockwise::Blockwise8;
pub(crate) use checkpoint::{load_four_bit, load_int8, state_of};
pub use code_book::{Bnb4Type, dynamic_map};
pub use four_bit::{Absmax, Bnb4Matrix, Bnb4Options};
pub use int8::Int8Matrix;
