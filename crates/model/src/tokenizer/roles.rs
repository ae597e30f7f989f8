//! What a model's folder says about its special tokens.

use std::fs;
use std::path::Path;

use formats::GgufFile;
use serde_json::Value;

use super::gguf::token_id;
use crate::{Error, Result};

/// The file of the special tokens' roles.
pub(crate) const CONFIG_FILE: &str = "tokenizer_config.json";
/// The longest file that is read.
const FILE_LIMIT: u64 = 256 << 20;

/// The special tokens' texts by role, as a model's folder names them.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpecialTexts {
    pub(crate) bos: Option<String>,
    pub(crate) eos: Option<String>,
    pub(crate) pad: Option<String>,
    pub(crate) unk: Option<String>,
}

impl SpecialTexts {
    pub(crate) fn from_dir(folder: &Path) -> Result<Self> {
        let mut texts = SpecialTexts::default();
        for file in [CONFIG_FILE, "special_tokens_map.json"] {
            let Some(config) = read_object(&folder.join(file))? else { continue };
            let text = |key: &str| {
                let value = config.get(key)?;
                value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
            };
            texts.bos = texts.bos.or_else(|| text("bos_token"));
            texts.eos = texts.eos.or_else(|| text("eos_token"));
            texts.pad = texts.pad.or_else(|| text("pad_token"));
            texts.unk = texts.unk.or_else(|| text("unk_token"));
        }
        Ok(texts)
    }

    /// The texts of the tokens whose ids a GGUF file gives.
    pub(crate) fn from_gguf(file: &GgufFile) -> Result<Self> {
        let tokens: &[String] = file.get("tokenizer.ggml.tokens")?.unwrap_or_default();
        let text = |role: &str| -> Result<Option<String>> {
            let id = token_id(file, role, tokens.len())?;
            Ok(id.and_then(|id| tokens.get(id as usize)).cloned())
        };
        Ok(SpecialTexts {
            bos: text("bos")?,
            eos: text("eos")?,
            pad: text("padding")?,
            unk: text("unknown")?,
        })
    }
}

/// A number or a list of numbers that are ids.
pub(super) fn ids_in(value: Option<&Value>, vocab_size: usize) -> Vec<u32> {
    let values = match value {
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    let ids = values.iter().filter_map(Value::as_u64).filter(|id| *id < vocab_size as u64);
    ids.filter_map(|id| u32::try_from(id).ok()).collect()
}

/// A JSON file, or nothing where there is none.
pub(crate) fn read_object(path: &Path) -> Result<Option<Value>> {
    if !path.is_file() {
        return Ok(None);
    }
    serde_json::from_slice(&read_limited(path)?).map(Some).map_err(|source| Error::json(path, source))
}

/// A file's bytes, unless it is longer than any file of its kind.
pub(crate) fn read_limited(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(|source| Error::io(path, source))?.len();
    if length > FILE_LIMIT {
        let reason = format!("{length} bytes long, expected at most {FILE_LIMIT}");
        return Err(Error::Tokenizer { path: path.to_owned(), reason });
    }
    fs::read(path).map_err(|source| Error::io(path, source))
}
