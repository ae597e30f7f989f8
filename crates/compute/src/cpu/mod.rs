//! The CPU backend.

mod gemm;
mod isa;
mod threads;

pub use isa::Isa;
pub use threads::Threads;
