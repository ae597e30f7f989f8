//! A random base in the storage that is measured.

use compute::DType;
use formats::quant::{BlockMatrix, BlockType, QuantizedMatrix};
use model::{Config, RandomStart, StoredTensor, TensorSource};

use super::SEED;
use crate::args::Storage;

/// A random start whose matrices are rounded to how they are stored.
pub(super) struct RandomBase {
    start: RandomStart,
    dtype: DType,
    blocks: Option<BlockType>,
}

impl RandomBase {
    pub(super) fn new(config: &Config, storage: Storage) -> Self {
        let dtype = match storage {
            Storage::F32 => DType::F32,
            Storage::F16 => DType::F16,
            Storage::Bf16 => DType::Bf16,
            Storage::Q8_0 | Storage::Q5_0 | Storage::Q4_0 => DType::F32,
        };
        let blocks = match storage {
            Storage::Q8_0 => Some(BlockType::Q8_0),
            Storage::Q5_0 => Some(BlockType::Q5_0),
            Storage::Q4_0 => Some(BlockType::Q4_0),
            _ => None,
        };
        RandomBase { start: RandomStart::new(config.clone(), SEED), dtype, blocks }
    }
}

impl TensorSource for RandomBase {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let tensor = self.start.tensor(name)?;
        let matrix = tensor.shape.len() == 2;
        Ok(if matrix && self.dtype != tensor.dtype { tensor.to(self.dtype) } else { tensor })
    }

    fn quantized(&self, name: &str) -> model::Result<Option<QuantizedMatrix>> {
        let Some(kind) = self.blocks else { return Ok(None) };
        let tensor = self.start.tensor(name)?;
        let &[rows, cols] = &tensor.shape[..] else { return Ok(None) };
        let data = kind.encode(&tensor.to_f32()).unwrap_or_default();
        Ok(BlockMatrix::new(kind, rows, cols, data).ok().map(QuantizedMatrix::from))
    }

    fn origin(&self) -> String {
        self.start.origin()
    }
}
