//! Hugging Face folders: safetensors in f32, f16 or bf16, with linear layers that bitsandbytes or GPTQ may have
//! quantized.

use std::collections::BTreeSet;
use std::path::Path;

use compute::DType;
use formats::quant::{QuantizationConfig, QuantizedMatrix};
use formats::{Checkpoint, Dtype};
use serde_json::Value;

use super::{EMBEDDING, HEAD};
use crate::weights::StoredTensor;
use crate::{Config, Error, Result};

/// The weights of a folder, and how they are quantized.
#[derive(Debug)]
pub(super) struct FolderBase {
    checkpoint: Checkpoint,
    quantization: Option<QuantizationConfig>,
}

impl FolderBase {
    pub(super) fn open(folder: &Path) -> Result<(Self, Config)> {
        let mut config = Config::from_dir(folder)?;
        let checkpoint = Checkpoint::open(folder)?;
        // As transformers 5 does: a head that is stored and differs from the embedding is not tied to it.
        if config.tie_word_embeddings && checkpoint.contains(HEAD) {
            config.tie_word_embeddings =
                checkpoint.tensor(HEAD)?.bytes == checkpoint.tensor(EMBEDDING)?.bytes;
        }
        Ok((FolderBase { checkpoint, quantization: quantization(folder)? }, config))
    }

    pub(super) fn path(&self) -> &Path {
        self.checkpoint.path()
    }

    pub(super) fn is_quantized(&self) -> bool {
        self.quantization.is_some()
    }

    fn origin(&self) -> String {
        self.path().display().to_string()
    }

    pub(super) fn tensor(&self, name: &str, used: &mut BTreeSet<String>) -> Result<StoredTensor> {
        let (dtype, shape) = self.info(name)?;
        used.insert(name.to_owned());
        Ok(StoredTensor { dtype, shape, bytes: self.checkpoint.tensor(name)?.bytes })
    }

    /// Type and shape of a tensor, from the header of its file.
    pub(super) fn info(&self, name: &str) -> Result<(DType, Vec<usize>)> {
        if !self.checkpoint.contains(name) {
            return Err(Error::MissingTensor { origin: self.origin(), tensor: name.to_owned() });
        }
        let (dtype, shape) = self.checkpoint.info(name)?;
        let dtype = match dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::Bf16,
            other => {
                let dtype = format!("{other:?}");
                return Err(Error::TensorType { origin: self.origin(), tensor: name.to_owned(), dtype });
            }
        };
        Ok((dtype, shape.to_vec()))
    }

    pub(super) fn read_into(&self, name: &str, into: &mut [u8], used: &mut BTreeSet<String>) -> Result<()> {
        used.insert(name.to_owned());
        Ok(self.checkpoint.read_into(name, into)?)
    }

    pub(super) fn quantized(
        &self,
        name: &str,
        used: &mut BTreeSet<String>,
    ) -> Result<Option<QuantizedMatrix>> {
        let Some(config) = &self.quantization else { return Ok(None) };
        let Some(module) = name.strip_suffix(".weight") else { return Ok(None) };
        let Some(matrix) = QuantizedMatrix::load(&self.checkpoint, module, config)? else { return Ok(None) };
        // Its codes, scales and tables all begin with the module's name; a bias is a tensor of its own.
        let parts = self.checkpoint.names().filter(|part| {
            let part = part.strip_prefix(module).and_then(|rest| rest.strip_prefix('.'));
            part.is_some_and(|part| part != "bias")
        });
        used.extend(parts.map(str::to_owned));
        Ok(Some(matrix))
    }

    /// Tensors that were not used and are not harmless.
    pub(super) fn strays(&self, used: &BTreeSet<String>) -> Result<Vec<String>> {
        let harmless = |name: &str| name == HEAD || name.ends_with(".rotary_emb.inv_freq");
        let mut strays = Vec::new();
        for name in self.checkpoint.names().filter(|name| !used.contains(*name) && !harmless(name)) {
            // AutoGPTQ gave every layer a bias, of zeros where the model has none.
            let unneeded = self.quantization.is_some()
                && name.ends_with(".bias")
                && self.checkpoint.f32(name)?.iter().all(|value| *value == 0.0);
            if !unneeded {
                strays.push(name.to_owned());
            }
        }
        Ok(strays)
    }
}

/// How the folder's linear layers are quantized: `quantization_config` of `config.json`, or AutoGPTQ's own file.
fn quantization(folder: &Path) -> Result<Option<QuantizationConfig>> {
    let read = |name: &str| -> Result<Option<Value>> {
        let path = folder.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::json(&path, e)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path, error)),
        }
    };
    let config = read("config.json")?;
    if let Some(own) = config.as_ref().and_then(|config| config.get("quantization_config"))
        && !own.is_null()
    {
        return Ok(Some(QuantizationConfig::parse(&folder.join("config.json"), own)?));
    }
    const AUTO_GPTQ: &str = "quantize_config.json";
    Ok(match read(AUTO_GPTQ)? {
        Some(own) => {
            let config = formats::quant::GptqConfig::parse(&folder.join(AUTO_GPTQ), &own)?;
            Some(QuantizationConfig::Gptq(config))
        }
        None => None,
    })
}
