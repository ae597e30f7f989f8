//! The way to `config.json`.

use compute::Activation;
use serde_json::{Value, json};

use super::{Config, Family, RopeScaling};

impl Config {
    /// The document for `config.json`, as `transformers` reads it.
    pub fn to_json(&self, dtype: &str, bos: Option<u32>, eos: Option<u32>) -> Value {
        let mut json = json!({
            "architectures": [self.features.family.architecture()],
            "model_type": self.features.family.model_type(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "max_position_embeddings": self.max_positions,
            // Written through f32 these would carry its rounding error.
            "rms_norm_eps": shortest(self.rms_norm_eps),
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": dtype,
            "bos_token_id": bos,
            "eos_token_id": eos,
        });
        if let Some(scaling) = self.rope_scaling {
            json["rope_scaling"] = rope_scaling(scaling);
        }
        self.family_keys(&mut json);
        json
    }

    fn family_keys(&self, json: &mut Value) {
        let f = &self.features;
        let activation = match f.activation {
            Activation::Silu => "silu",
            Activation::GeluTanh => "gelu_pytorch_tanh",
        };
        let window = f.windows.iter().flatten().next();
        let types = || -> Vec<&str> {
            let kind = |l| if f.window(l).is_some() { "sliding_attention" } else { "full_attention" };
            (0..self.layers).map(kind).collect()
        };
        json["hidden_act"] = json!(activation);
        match f.family {
            Family::Llama => {
                json["attention_bias"] = json!(f.qkv_bias);
                json["mlp_bias"] = json!(f.mlp_bias);
            }
            Family::Mistral => json["sliding_window"] = json!(window),
            Family::Qwen2 | Family::Qwen3 => {
                json["use_sliding_window"] = json!(window.is_some());
                json["sliding_window"] = json!(window);
                json["max_window_layers"] = json!(self.layers);
                json["layer_types"] = json!(types());
                if f.family == Family::Qwen3 {
                    json["attention_bias"] = json!(f.qkv_bias);
                }
            }
            Family::Gemma => {
                json["hidden_activation"] = json!(activation);
                json["attention_bias"] = json!(f.qkv_bias);
            }
            Family::Gemma2 => {
                json["hidden_activation"] = json!(activation);
                json["attention_bias"] = json!(f.qkv_bias);
                json["query_pre_attn_scalar"] = number(f.query_scalar.unwrap_or(self.head_dim as f64));
                json["attn_logit_softcapping"] = json!(f.attention_softcap.map(shortest));
                json["final_logit_softcapping"] = json!(f.logit_softcap.map(shortest));
                json["sliding_window"] = json!(window);
                json["layer_types"] = json!(types());
            }
        }
    }
}

/// A number without a fraction as an integer, which `transformers` insists on for some keys.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value < 1e15 { json!(value as u64) } else { json!(value) }
}

/// The f64 whose shortest digits are those of the f32.
fn shortest(value: f32) -> f64 {
    format!("{value:e}").parse().unwrap_or_else(|_| f64::from(value))
}

fn rope_scaling(scaling: RopeScaling) -> Value {
    match scaling {
        RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings: original,
        } => json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": number(original),
        }),
    }
}
