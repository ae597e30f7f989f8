//! A random base in the storage that is measured.

use compute::DType;
use model::{Config, RandomStart, StoredTensor, TensorSource};

use super::SEED;
use crate::args::Storage;

/// A random start whose matrices are rounded to how they are stored.
pub(super) struct RandomBase {
    start: RandomStart,
    dtype: DType,
}

impl RandomBase {
    pub(super) fn new(config: &Config, storage: Storage) -> Self {
        let dtype = match storage {
            Storage::F32 => DType::F32,
            Storage::F16 => DType::F16,
            Storage::Bf16 => DType::Bf16,
        };
        RandomBase { start: RandomStart::new(config.clone(), SEED), dtype }
    }
}

impl TensorSource for RandomBase {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let tensor = self.start.tensor(name)?;
        let matrix = tensor.shape.len() == 2;
        Ok(if matrix && self.dtype != tensor.dtype { tensor.to(self.dtype) } else { tensor })
    }

    fn origin(&self) -> String {
        self.start.origin()
    }
}
