//! Sizes of an encoder, from its `config.json`.

use std::path::Path;

use serde_json::Value;

use crate::tokenizer::read_limited;
use crate::{Error, Result};

/// The largest size that is believed.
const LIMIT: u64 = 1 << 22;

/// Sizes and settings of an encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of a state.
    pub hidden_size: usize,
    /// Width inside the feed-forward layer.
    pub intermediate_size: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Rows of the table of positions.
    pub max_positions: usize,
    /// The row of the first token: RoBERTa's come after that of padding.
    pub first_position: usize,
    /// Rows of the table of token types: the first is that of a text, the second that of the second text of a pair.
    pub token_types: usize,
    /// Added to the variance in norms.
    pub layer_norm_eps: f32,
    /// Whether words are told from their continuations by the blank before them, so that a text needs one too
    /// (RoBERTa's byte-level BPE).
    pub blank_before_text: bool,
}

impl EncoderConfig {
    /// The most tokens of a text, with those that begin and end it.
    pub fn longest_text(&self) -> usize {
        self.max_positions - self.first_position
    }

    pub(super) fn from_dir(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let json: Value = serde_json::from_slice(&read_limited(&path)?).map_err(|e| Error::json(&path, e))?;
        Self::from_json(&json).map_err(|reason| Error::Unsupported { path, reason })
    }

    fn from_json(json: &Value) -> std::result::Result<Self, String> {
        let size = |key: &str| match json.get(key).and_then(Value::as_u64) {
            Some(size @ 1..LIMIT) => Ok(size as usize),
            _ => Err(format!(
                "{key} is {}, expected a size from 1 to {LIMIT}",
                json.get(key).unwrap_or(&Value::Null)
            )),
        };
        let is = |key: &str, expected: &str| match json.get(key).and_then(Value::as_str) {
            None => Ok(()),
            Some(value) if value == expected => Ok(()),
            Some(value) => Err(format!("{key} is {value:?}, supported is {expected:?}")),
        };
        let kind = json.get("model_type").and_then(Value::as_str).unwrap_or("bert");
        let roberta = match kind {
            "bert" => false,
            "roberta" | "xlm-roberta" => true,
            _ => return Err(format!("model_type is {kind:?}, supported are bert, roberta and xlm-roberta")),
        };
        is("hidden_act", "gelu")?;
        is("position_embedding_type", "absolute")?;
        let pad =
            json.get("pad_token_id").and_then(Value::as_u64).filter(|pad| *pad < LIMIT).unwrap_or(1) as usize;
        let config = Self {
            vocab_size: size("vocab_size")?,
            hidden_size: size("hidden_size")?,
            intermediate_size: size("intermediate_size")?,
            layers: size("num_hidden_layers")?,
            heads: size("num_attention_heads")?,
            max_positions: size("max_position_embeddings")?,
            first_position: if roberta { pad + 1 } else { 0 },
            token_types: size("type_vocab_size")?,
            layer_norm_eps: json.get("layer_norm_eps").and_then(Value::as_f64).unwrap_or(1e-12) as f32,
            blank_before_text: kind == "roberta",
        };
        if !config.hidden_size.is_multiple_of(config.heads) {
            let (width, heads) = (config.hidden_size, config.heads);
            return Err(format!("hidden_size {width} is no multiple of num_attention_heads {heads}"));
        }
        if config.max_positions < config.first_position + 3 {
            return Err(format!("max_position_embeddings is {}, which leaves no room", config.max_positions));
        }
        if config.layers > 1024 {
            return Err(format!("num_hidden_layers is {}, expected at most 1024", config.layers));
        }
        Ok(config)
    }
}
