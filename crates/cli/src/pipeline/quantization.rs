//! How the base of an adapter was quantized when the adapter was trained. It is kept beside the adapter, in the keys of
//! transformers' `BitsAndBytesConfig`, so that the adapter answers on the base that it learned on.

use std::path::Path;

use formats::quant::{Bnb4Options, Bnb4Type};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome, io};

const FILE: &str = "base_quantization.json";

#[derive(Debug, Serialize, Deserialize)]
struct Quantization {
    load_in_4bit: bool,
    bnb_4bit_quant_type: String,
    bnb_4bit_use_double_quant: bool,
    /// Values that share a scale.
    blocksize: usize,
}

/// Writes the options beside an adapter; nothing for a base that is not quantized.
pub(crate) fn write(adapter: &Path, options: Option<Bnb4Options>) -> Outcome<()> {
    let Some(options) = options else { return Ok(()) };
    let quantization = Quantization {
        load_in_4bit: true,
        bnb_4bit_quant_type: options.kind.name().to_owned(),
        bnb_4bit_use_double_quant: options.double,
        blocksize: options.block,
    };
    let path = adapter.join(FILE);
    let text = serde_json::to_string_pretty(&quantization).map_err(|e| Failure::input(e.to_string()))?;
    Ok(formats::atomic::write_atomic(path, text.as_bytes())?)
}

/// The options beside an adapter, if there are any.
pub(crate) fn read(adapter: &Path) -> Outcome<Option<Bnb4Options>> {
    let path = adapter.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(io(&path))?;
    let wrong = |reason: String| Failure::input(format!("{}: {reason}", path.display()));
    let found: Quantization = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let kind = [Bnb4Type::Nf4, Bnb4Type::Fp4].into_iter().find(|k| k.name() == found.bnb_4bit_quant_type);
    let kind = kind.ok_or_else(|| wrong(format!("{:?} is no four-bit type", found.bnb_4bit_quant_type)))?;
    let options = Bnb4Options { kind, block: found.blocksize, double: found.bnb_4bit_use_double_quant };
    Ok(found.load_in_4bit.then_some(options))
}
