//! The shape of a decoder, as `config.json` of a Hugging Face folder describes it.

mod features;
mod gguf;
mod read;
mod rope;
mod write;
mod write_gguf;

use compute::AttentionShape;

pub use features::{Family, Features};
pub(crate) use gguf::ROPE_FACTORS;
pub use rope::RopeScaling;

/// More layers than any decoder has.
const MAX_LAYERS: usize = 1 << 10;

/// Shape of a decoder.
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
    /// Stretching of the rotary angles.
    pub rope_scaling: Option<RopeScaling>,
    /// The head is the embedding table.
    pub tie_word_embeddings: bool,
    /// What its family does differently.
    pub features: Features,
}

impl Config {
    /// Says what makes this shape impossible.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn validate(&self) -> Result<(), String> {
        let limits = [
            ("vocab_size", self.vocab_size, 1 << 22),
            ("hidden_size", self.hidden_size, 1 << 17),
            ("intermediate_size", self.intermediate_size, 1 << 19),
            ("num_hidden_layers", self.layers, MAX_LAYERS),
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
        self.validate_numbers()
    }

    fn validate_numbers(&self) -> Result<(), String> {
        let f = &self.features;
        let positive = [
            ("rms_norm_eps", Some(f64::from(self.rms_norm_eps))),
            ("rope_theta", Some(self.rope_theta)),
            ("query_pre_attn_scalar", f.query_scalar),
            ("attn_logit_softcapping", f.attention_softcap.map(f64::from)),
            ("final_logit_softcapping", f.logit_softcap.map(f64::from)),
        ];
        for (key, value) in positive {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v > 0.0)) {
                return Err(format!("{key} is {value}, expected a number above 0"));
            }
        }
        if f.windows.contains(&Some(0)) {
            return Err("sliding_window is 0, expected at least 1".into());
        }
        if !f.windows.is_empty() && f.windows.len() != self.layers {
            return Err(format!("layer_types has {} entries for {} layers", f.windows.len(), self.layers));
        }
        let mut windows = f.windows.iter().flatten();
        if let Some(first) = windows.next()
            && windows.any(|window| window != first)
        {
            return Err("sliding windows of different lengths are not supported".into());
        }
        Ok(())
    }

    /// Heads of the attention, without a window.
    pub fn attention(&self) -> AttentionShape {
        let shape = AttentionShape::new(self.heads, self.kv_heads, self.head_dim);
        let scale = self.features.query_scalar.map_or(shape.scale, |scalar| (1.0 / scalar.sqrt()) as f32);
        AttentionShape { scale, softcap: self.features.attention_softcap, ..shape }
    }

    /// Heads of the attention of layer `l`, with its window.
    pub fn attention_of(&self, l: usize) -> AttentionShape {
        AttentionShape { window: self.features.window(l), ..self.attention() }
    }

    /// Factor on embeddings.
    pub fn embedding_scale(&self) -> f32 {
        if self.features.scaled_embedding { (self.hidden_size as f64).sqrt() as f32 } else { 1.0 }
    }

    /// Number of parameters, embedding and head included.
    pub fn parameters(&self) -> usize {
        let (h, i, a, f) = (self.hidden_size, self.intermediate_size, self.attention(), &self.features);
        let extra = |present: bool, count: usize| if present { count } else { 0 };
        let layer = h * a.qkv_width()
            + a.q_width() * h
            + 3 * h * i
            + 2 * h
            + extra(f.qkv_bias, a.qkv_width())
            + extra(f.out_bias, h)
            + extra(f.mlp_bias, 2 * i + h)
            + extra(f.qk_norm, 2 * self.head_dim)
            + extra(f.post_norms, 2 * h);
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        self.layers * layer + tables * self.vocab_size * h + h
    }
}
