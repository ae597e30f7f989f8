//! Products of integers, the fast way of serving: activations are rounded to 8 bits in blocks of 32 with a scale each,
//! and multiplied with the codes of ggml's quantized weights as they are, four products and their sum an instruction.
//!
//! Weights are repacked when they are loaded ([`Panels`]). An output element is summed over the blocks of its row in
//! their order, whatever stands beside it: bits do not depend on company here either. What the rounding of the
//! activations costs is for the caller to measure.

mod activations;
mod format;
mod lanes;
mod panels;
mod product;
#[cfg(test)]
mod tests;

pub(super) use activations::Activations;
pub(super) use panels::Panels;
pub(super) use product::{Addend, Factor, Output, product};
