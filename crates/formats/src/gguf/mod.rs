//! GGUF files, versions 2 and 3: metadata of typed values, then tensors in ggml's block formats.
//!
//! Source: ggml's `docs/gguf.md` and `ggml/src/gguf.cpp`. One parser reads every file; what it accepts, it has checked:
//! every count and length against the bytes that are left, every product and every padding for overflow, every tensor
//! against the end of the file and against its neighbours.

mod adapter;
mod file;
mod importance;
mod mix;
mod names;
mod parse;
mod read_adapter;
mod value;
mod write;

pub use adapter::{AdapterTensor, GgufAdapter, write_adapter};
pub use file::{GgufFile, TensorInfo};
pub use importance::{Importance, InputSquares};
pub use mix::{FileType, Mix};
pub use names::{gguf_name, hugging_face_module, interleaved_row};
pub use read_adapter::{AdapterFactors, AdapterFile, Extents};
pub use value::{Array, FromValue, Value};
pub use write::{NewTensor, write};

/// The first four bytes.
const MAGIC: [u8; 4] = *b"GGUF";
/// The version that is written.
const VERSION: u32 = 3;
/// Where a tensor may begin, unless the metadata says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;
/// The metadata key that says otherwise.
const ALIGNMENT_KEY: &str = "general.alignment";
/// The most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 4;
/// The longest string that is read.
const MAX_STRING: u64 = 1 << 20;
/// The longest array that is read.
const MAX_ARRAY: u64 = 4 << 20;

/// `length` up to the next multiple of `alignment`, a power of two; `None` on overflow.
fn padded(length: u64, alignment: u64) -> Option<u64> {
    length.checked_next_multiple_of(alignment)
}
