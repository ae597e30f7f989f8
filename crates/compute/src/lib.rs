//! The operations of a transformer on plain buffers, each forward and backward, behind one [`Backend`] trait.
//!
//! There is no autograd: every operation has its backward written next to it, with shapes in its docs, a test
//! against finite differences and, where a reference exists, a test against PyTorch's numbers.
//!
//! Axes: `T` tokens of a batch (all segments, flat), `H` hidden width, `N`/`K` rows and columns of a weight,
//! `R` LoRA rank, `V` vocabulary, `D` head width.
//!
//! **Bits do not depend on company**: every output element is reduced in an order fixed by its own row alone, so
//! the same tokens give the same bits whatever the batch around them and however many threads work.

mod adamw;
mod adapters;
mod backend;
pub mod cpu;
mod eight_bit;
mod encoder;
mod error;
mod kept;
mod layout;
mod operands;

pub use adamw::{AdamW, Factors};
pub use adapters::{Dropout, Magnitude, MagnitudeBackward};
pub use backend::{
    Adapter, AttentionBackward, AttentionForward, Backend, BlockTables, CachedAttention, DeviceBuffer,
    Linear, LinearGroup, Matrix, Start, TokenLoss, TokenLossOutput, View, ViewMut,
};
pub use cpu::Cpu;
pub use eight_bit::EightBitMoments;
pub use encoder::{BidirectionalAttention, EncoderBackend, LayerNorm};
pub use error::Error;
pub use kept::{Codes, Waiting};
pub use layout::{Activation, AttentionShape, DType, KV_BLOCK, Segment};
pub use operands::{HeadNorm, HeadNormBackward, NormGain, NormInput, RmsNorm, RmsNormBackward};

/// Result of a compute operation.
pub type Result<T> = std::result::Result<T, Error>;
