//! `config.json` of a Hugging Face folder: the shape of a decoder.

use std::path::Path;

use compute::AttentionShape;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// The model types that the decoder runs.
const SUPPORTED: &[&str] = &["llama"];

/// Shape of a Llama-family decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Tokens in the vocabulary, `V`.
    pub vocab_size: usize,
    /// Width of the residual stream, `H`.
    pub hidden_size: usize,
    /// Width of the gated layer, `I`.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head, `D`.
    pub head_dim: usize,
    /// Positions that the model was made for.
    pub max_positions: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f32,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Llama 3.1's stretching of the rotary angles.
    pub rope_scaling: Option<RopeScaling>,
    /// The head is the embedding table.
    pub tie_word_embeddings: bool,
}

/// Llama 3.1's rotary scaling (`rope_type: llama3`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RopeScaling {
    /// Factor on long wavelengths.
    pub factor: f64,
    /// Wavelengths above `original / low_freq_factor` are scaled in full.
    pub low_freq_factor: f64,
    /// Wavelengths below `original / high_freq_factor` are left alone.
    pub high_freq_factor: f64,
    /// Context of the first training stage.
    pub original_max_position_embeddings: f64,
}

/// The keys of `config.json` that are read.
#[derive(Debug, Deserialize)]
struct Raw {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f32>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
}

impl Config {
    /// Reads `dir/config.json`.
    ///
    /// # Errors
    /// When the file is missing or broken, or describes a model that the decoder does not run.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let raw: Raw = serde_json::from_str(&text).map_err(|e| Error::json(&path, e))?;
        Self::from_raw(raw).map_err(|reason| Error::Unsupported { path, reason })
    }

    fn from_raw(raw: Raw) -> std::result::Result<Self, String> {
        let model_type = raw.model_type.unwrap_or_else(|| "llama".into());
        if !SUPPORTED.contains(&model_type.as_str()) {
            return Err(format!(
                "model_type {model_type} is not supported (supported: {})",
                SUPPORTED.join(", ")
            ));
        }
        let activation = raw.hidden_act.unwrap_or_else(|| "silu".into());
        if activation != "silu" {
            return Err(format!("hidden_act {activation} is not supported (supported: silu)"));
        }
        if raw.attention_bias == Some(true) || raw.mlp_bias == Some(true) {
            return Err("projections with a bias are not supported".into());
        }
        // transformers 5 writes theta and scaling into one table, `rope_parameters`.
        let parameters = raw.rope_parameters.unwrap_or(Value::Null);
        let rope_theta = raw.rope_theta.or_else(|| parameters["rope_theta"].as_f64()).unwrap_or(10_000.0);
        let scaling = raw.rope_scaling.filter(|v| !v.is_null()).unwrap_or(parameters);
        let kv_heads = raw.num_key_value_heads.unwrap_or(raw.num_attention_heads);
        let head_dim = raw.head_dim.unwrap_or(raw.hidden_size / raw.num_attention_heads.max(1));
        let config = Config {
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            intermediate_size: raw.intermediate_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            kv_heads,
            head_dim,
            max_positions: raw.max_position_embeddings.unwrap_or(2048),
            rms_norm_eps: raw.rms_norm_eps.unwrap_or(1e-6),
            rope_theta,
            rope_scaling: rope_scaling(&scaling)?,
            tie_word_embeddings: raw.tie_word_embeddings.unwrap_or(false),
        };
        config.validate()?;
        Ok(config)
    }

    /// Says what makes this shape impossible.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn validate(&self) -> std::result::Result<(), String> {
        let limits = [
            ("vocab_size", self.vocab_size, 1 << 22),
            ("hidden_size", self.hidden_size, 1 << 17),
            ("intermediate_size", self.intermediate_size, 1 << 19),
            ("num_hidden_layers", self.layers, 1 << 10),
            ("num_attention_heads", self.heads, 1 << 10),
            ("num_key_value_heads", self.kv_heads, 1 << 10),
            ("head_dim", self.head_dim, 1 << 10),
            ("max_position_embeddings", self.max_positions, 1 << 24),
        ];
        for (key, value, limit) in limits {
            if value == 0 || value > limit {
                return Err(format!("{key} is {value}, expected 1 to {limit}"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!(
                "num_attention_heads {} is no multiple of num_key_value_heads {}",
                self.heads, self.kv_heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(format!("head_dim {} is odd", self.head_dim));
        }
        Ok(())
    }

    /// The document for `config.json`, as `transformers` reads it.
    pub fn to_json(&self, dtype: &str, bos: Option<u32>, eos: Option<u32>) -> Value {
        let mut json = serde_json::json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "max_position_embeddings": self.max_positions,
            "rms_norm_eps": f64::from(self.rms_norm_eps),
            "rope_theta": self.rope_theta,
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": dtype,
            "bos_token_id": bos,
            "eos_token_id": eos,
        });
        if let Some(s) = self.rope_scaling {
            json["rope_scaling"] = serde_json::json!({
                "rope_type": "llama3",
                "factor": s.factor,
                "low_freq_factor": s.low_freq_factor,
                "high_freq_factor": s.high_freq_factor,
                "original_max_position_embeddings": s.original_max_position_embeddings,
            });
        }
        // Written through f32 the epsilon would carry its rounding error.
        json["rms_norm_eps"] =
            serde_json::json!(format!("{:e}", self.rms_norm_eps).parse::<f64>().unwrap_or(1e-5));
        json
    }

    /// Heads of the attention.
    pub fn attention(&self) -> AttentionShape {
        AttentionShape {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            scale: 1.0 / (self.head_dim as f32).sqrt(),
        }
    }

    /// Number of parameters, embedding and head included.
    pub fn parameters(&self) -> usize {
        let (h, i, a) = (self.hidden_size, self.intermediate_size, self.attention());
        let layer = h * a.qkv_width() + a.q_width() * h + 3 * h * i + 2 * h;
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        self.layers * layer + tables * self.vocab_size * h + h
    }

    /// The rotary table `[positions, D]`: cosines of the `D / 2` angles, then their sines.
    pub fn rope_table(&self, positions: usize) -> Vec<f32> {
        let half = self.head_dim / 2;
        let frequencies: Vec<f32> = (0..half).map(|i| self.frequency(i) as f32).collect();
        let mut table = Vec::with_capacity(positions * self.head_dim);
        for position in 0..positions {
            // In f32, as the reference implementation multiplies.
            let angles = frequencies.iter().map(|f| position as f32 * f);
            table.extend(angles.clone().map(|a| f64::from(a).cos() as f32));
            table.extend(angles.map(|a| f64::from(a).sin() as f32));
        }
        table
    }

    fn frequency(&self, i: usize) -> f64 {
        let plain = self.rope_theta.powf(-((2 * i) as f64) / self.head_dim as f64);
        let Some(s) = self.rope_scaling else { return plain };
        let wavelength = std::f64::consts::TAU / plain;
        let original = s.original_max_position_embeddings;
        if wavelength < original / s.high_freq_factor {
            plain
        } else if wavelength > original / s.low_freq_factor {
            plain / s.factor
        } else {
            let smooth =
                (original / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
            (1.0 - smooth) * plain / s.factor + smooth * plain
        }
    }
}

fn rope_scaling(value: &Value) -> std::result::Result<Option<RopeScaling>, String> {
    let kind = value["rope_type"].as_str().or_else(|| value["type"].as_str());
    match kind {
        None | Some("default") => Ok(None),
        Some("llama3") => {
            serde_json::from_value(value.clone()).map(Some).map_err(|e| format!("rope scaling: {e}"))
        }
        Some(other) => Err(format!("rope scaling {other} is not supported (supported: default, llama3)")),
    }
}
