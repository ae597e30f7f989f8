//! GGUF files: the names, the order of rows and the norms of llama.cpp's converter, undone.

use std::collections::BTreeSet;
use std::path::Path;

use compute::DType;
use formats::GgufFile;
use formats::gguf::{gguf_name, interleaved_row};
use formats::quant::{BlockType, QuantizedMatrix};

use super::{EMBEDDING, HEAD};
use crate::config::ROPE_FACTORS;
use crate::weights::StoredTensor;
use crate::{Config, Error, Result};

/// The weights of a GGUF file.
#[derive(Debug)]
pub(super) struct GgufBase {
    file: GgufFile,
    /// The length of a head, where the rows of q and k are kept interleaved.
    interleaved: Option<usize>,
    four_norms: bool,
    /// What the converter has added to the gains of norms.
    gain_offset: f32,
}

impl GgufBase {
    pub(super) fn open(path: &Path) -> Result<(Self, Config)> {
        let file = GgufFile::open(path)?;
        let mut config = Config::from_gguf(&file)?;
        let base = GgufBase {
            interleaved: config.interleaved_heads(),
            four_norms: config.features.post_norms,
            gain_offset: config.features.gain_offset(),
            file,
        };
        if !config.tie_word_embeddings {
            // A second copy of the embedding is no head of its own.
            config.tie_word_embeddings = base.file.equal(&base.name(EMBEDDING)?, &base.name(HEAD)?)?;
        }
        Ok((base, config))
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn is_quantized(&self) -> bool {
        self.file.names().any(|name| self.file.info(name).is_ok_and(|info| plain(info.kind).is_none()))
    }

    fn origin(&self) -> String {
        self.path().display().to_string()
    }

    /// The tensor's name in the file; refused when it is not there.
    fn name(&self, name: &str) -> Result<String> {
        let own = gguf_name(name, self.four_norms).unwrap_or_else(|| name.to_owned());
        match self.file.contains(&own) {
            true => Ok(own),
            false => Err(Error::MissingTensor { origin: self.origin(), tensor: own }),
        }
    }

    pub(super) fn tensor(&self, name: &str, used: &mut BTreeSet<String>) -> Result<StoredTensor> {
        let own = self.name(name)?;
        let info = self.file.info(&own)?;
        let shape = info.shape.clone();
        let mut tensor = match plain(info.kind) {
            Some(dtype) => StoredTensor { dtype, shape, bytes: self.file.bytes(&own)? },
            None => StoredTensor::from_f32(shape, &self.file.f32(&own)?),
        };
        used.insert(own);
        if let Some(head) = self.interleaved.filter(|_| is_rotary(name)) {
            self.check_heads(name, &tensor.shape, head)?;
            let rows = tensor.shape[0];
            let row = tensor.bytes.len() / rows.max(1);
            let ours = (0..rows).flat_map(|r| &tensor.bytes[interleaved_row(r, head) * row..][..row]);
            tensor.bytes = ours.copied().collect();
        }
        if self.gain_offset != 0.0 && name.ends_with("norm.weight") {
            let gains: Vec<f32> = tensor.to_f32().iter().map(|gain| gain - self.gain_offset).collect();
            tensor = StoredTensor::from_f32(tensor.shape, &gains);
        }
        Ok(tensor)
    }

    /// Type and shape of a tensor that is to be read as it stands in the file.
    pub(super) fn info(&self, name: &str) -> Result<Option<(DType, Vec<usize>)>> {
        let info = self.file.info(&self.name(name)?)?;
        let reordered = self.interleaved.is_some() && is_rotary(name);
        let changed = self.gain_offset != 0.0 && name.ends_with("norm.weight");
        Ok(plain(info.kind).filter(|_| !reordered && !changed).map(|dtype| (dtype, info.shape.clone())))
    }

    /// Reads a tensor of which [`GgufBase::info`] is known.
    pub(super) fn read_into(&self, name: &str, into: &mut [u8], used: &mut BTreeSet<String>) -> Result<()> {
        let own = self.name(name)?;
        self.file.read_into(&own, into)?;
        used.insert(own);
        Ok(())
    }

    pub(super) fn quantized(
        &self,
        name: &str,
        used: &mut BTreeSet<String>,
    ) -> Result<Option<QuantizedMatrix>> {
        let own = self.name(name)?;
        let info = self.file.info(&own)?;
        if info.shape.len() != 2 || plain(info.kind).is_some() {
            return Ok(None);
        }
        let matrix = self.file.matrix(&own)?;
        used.insert(own);
        let Some(head) = self.interleaved.filter(|_| is_rotary(name)) else { return Ok(Some(matrix.into())) };
        self.check_heads(name, &[matrix.rows(), matrix.cols()], head)?;
        Ok(Some(matrix.reordered(|row| interleaved_row(row, head)).into()))
    }

    fn check_heads(&self, name: &str, shape: &[usize], head: usize) -> Result<()> {
        if shape.first().is_some_and(|rows| rows.is_multiple_of(head)) {
            return Ok(());
        }
        Err(Error::Unsupported {
            path: self.path().to_owned(),
            reason: format!("tensor {name} of shape {shape:?} is not made of heads of {head}"),
        })
    }

    /// Tensors that were not used and are not harmless.
    pub(super) fn strays(&self, used: &BTreeSet<String>) -> Vec<String> {
        // The rotary factors are read with the config; a tied head may be there all the same.
        let harmless = |name: &str| name == ROPE_FACTORS || name == "output.weight";
        let strays = self.file.names().filter(|name| !used.contains(*name) && !harmless(name));
        strays.map(str::to_owned).collect()
    }
}

/// The storage type of tensors that are not quantized.
fn plain(kind: BlockType) -> Option<DType> {
    match kind {
        BlockType::F32 => Some(DType::F32),
        BlockType::F16 => Some(DType::F16),
        BlockType::Bf16 => Some(DType::Bf16),
        _ => None,
    }
}

/// Whether rotary embedding turns what this weight or bias gives.
fn is_rotary(name: &str) -> bool {
    [".q_proj.weight", ".k_proj.weight", ".q_proj.bias", ".k_proj.bias"].iter().any(|end| name.ends_with(end))
}
