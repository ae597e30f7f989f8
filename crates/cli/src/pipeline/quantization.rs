//! How the base of an adapter was quantized when the adapter was trained. It is kept beside the adapter, in the keys of
//! transformers' `BitsAndBytesConfig`, so that the adapter answers on the base that it learned on.

use std::path::Path;

use formats::quant::{Bnb4Options, Bnb4Type};
use model::Quantize;
use serde::{Deserialize, Serialize};

use super::base::folder_of;
use crate::failure::{Failure, Outcome, io};

const FILE: &str = "base_quantization.json";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Quantization {
    load_in_8bit: bool,
    load_in_4bit: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    four_bit: Option<FourBit>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FourBit {
    bnb_4bit_quant_type: String,
    bnb_4bit_use_double_quant: bool,
    /// Values that share a scale.
    blocksize: usize,
}

/// Writes the bits beside an adapter; nothing for a base that is not quantized on load.
pub(crate) fn write(adapter: &Path, bits: Option<Quantize>) -> Outcome<()> {
    let quantization = match bits {
        // In ggml's blocks a base is asked, not trained on.
        None | Some(Quantize::Blocks(_)) => return Ok(()),
        Some(Quantize::EightBit) => Quantization { load_in_8bit: true, ..Quantization::default() },
        Some(Quantize::FourBit(options)) => {
            let four_bit = FourBit {
                bnb_4bit_quant_type: options.kind.name().to_owned(),
                bnb_4bit_use_double_quant: options.double,
                blocksize: options.block,
            };
            Quantization { load_in_4bit: true, four_bit: Some(four_bit), ..Quantization::default() }
        }
    };
    let path = adapter.join(FILE);
    let text = serde_json::to_string_pretty(&quantization).map_err(|e| Failure::input(e.to_string()))?;
    Ok(formats::atomic::write_atomic(path, text.as_bytes())?)
}

/// The bits that are named beside an adapter, if there are any.
pub(crate) fn read(adapter: &Path) -> Outcome<Option<Quantize>> {
    let path = folder_of(adapter).join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(io(&path))?;
    let wrong = |reason: String| Failure::input(format!("{}: {reason}", path.display()));
    let found: Quantization = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    match (found.load_in_8bit, found.load_in_4bit, found.four_bit) {
        (false, false, _) => Ok(None),
        (true, false, _) => Ok(Some(Quantize::EightBit)),
        (false, true, Some(four_bit)) => {
            let name = four_bit.bnb_4bit_quant_type;
            let kind = [Bnb4Type::Nf4, Bnb4Type::Fp4].into_iter().find(|kind| kind.name() == name);
            let kind = kind.ok_or_else(|| wrong(format!("{name:?} is no four-bit type")))?;
            let (block, double) = (four_bit.blocksize, four_bit.bnb_4bit_use_double_quant);
            Ok(Some(Bnb4Options { kind, block, double }.into()))
        }
        (false, true, None) => Err(wrong("four bits, without their type and block".into())),
        (true, true, _) => Err(wrong("four bits and eight bits at once".into())),
    }
}
