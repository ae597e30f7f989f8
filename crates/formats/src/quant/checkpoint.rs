//! Quantized matrices out of Hugging Face checkpoints.

use std::path::Path;

use serde_json::Value;

use super::{QuantizedMatrix, bnb, gptq};
use crate::{Checkpoint, Error, Result};

/// How the linear layers of a checkpoint are quantized: the `quantization_config` of its `config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuantizationConfig {
    /// bitsandbytes, four or eight bits; the tensors say which.
    Bitsandbytes,
    /// GPTQ.
    Gptq(gptq::GptqConfig),
}

impl QuantizationConfig {
    /// Reads the object that stands under `quantization_config` in the file at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for other methods and for layouts that are not read here, [`Error::Malformed`] when it
    /// is not the object it should be.
    pub fn parse(path: &Path, config: &Value) -> Result<Self> {
        match config.get("quant_method").and_then(Value::as_str) {
            Some("bitsandbytes") => Ok(QuantizationConfig::Bitsandbytes),
            Some("gptq") => gptq::GptqConfig::parse(path, config).map(QuantizationConfig::Gptq),
            Some(other) => Err(Error::Unsupported {
                path: path.to_owned(),
                setting: "quant_method".to_owned(),
                value: format!("{other:?}"),
                hint: "; bitsandbytes and gptq are".to_owned(),
            }),
            None => Err(Error::malformed(path, "`quantization_config` has no `quant_method`")),
        }
    }
}

impl QuantizedMatrix {
    /// The weight of the linear layer `module` (`model.layers.0.self_attn.q_proj`), or `None` when the checkpoint
    /// holds it unquantized or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`] when a part of it is not there, [`Error::Dtype`], [`Error::Shape`] or
    /// [`Error::Malformed`] when parts do not fit together, [`Error::Io`].
    pub fn load(checkpoint: &Checkpoint, module: &str, config: &QuantizationConfig) -> Result<Option<Self>> {
        match config {
            QuantizationConfig::Bitsandbytes => {
                if let Some(state) = bnb::state_of(checkpoint, module) {
                    bnb::load_four_bit(checkpoint, module, &state).map(|matrix| Some(matrix.into()))
                } else if checkpoint.contains(&format!("{module}.SCB")) {
                    bnb::load_int8(checkpoint, module).map(|matrix| Some(matrix.into()))
                } else {
                    Ok(None)
                }
            }
            QuantizationConfig::Gptq(config) if checkpoint.contains(&format!("{module}.qweight")) => {
                gptq::load(checkpoint, module, config).map(|matrix| Some(matrix.into()))
            }
            QuantizationConfig::Gptq(_) => Ok(None),
        }
    }
}
