//! What can go wrong below the model: memory and formats. Shape mismatches are bugs of the caller and panic.

use crate::DType;

/// Errors of a backend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine has less memory than a buffer needs.
    #[error("out of memory: {bytes} bytes wanted for {what}")]
    OutOfMemory {
        /// What the buffer was for.
        what: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// A weight's bytes do not fit its shape.
    #[error("a weight of {rows} x {cols} in {dtype:?} needs {expected} bytes, got {got}")]
    WeightSize {
        /// Rows of the weight.
        rows: usize,
        /// Columns of the weight.
        cols: usize,
        /// Storage type.
        dtype: DType,
        /// Bytes that the shape asks for.
        expected: usize,
        /// Bytes that were given.
        got: usize,
    },
}
