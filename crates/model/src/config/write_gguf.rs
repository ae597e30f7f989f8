//! The way to a GGUF file's metadata: what llama.cpp's converter writes (`convert_hf_to_gguf.py`), and a refusal of what
//! llama.cpp would run differently or not at all (`src/models/*.cpp`).

use compute::Activation;
use formats::gguf::Value;

use super::gguf::{GEMMA2_27B_LAYERS, ROPE_FACTORS};
use super::{Config, Family, RopeScaling};

/// Layers of the models that llama.cpp takes for those of 70 billion parameters.
const SEVENTY_BILLION_LAYERS: usize = 80;

impl Config {
    /// The metadata of the shape, without the vocabulary.
    ///
    /// # Errors
    /// A sentence about what llama.cpp has no place for.
    pub(crate) fn gguf_metadata(&self) -> Result<Vec<(String, Value)>, String> {
        self.refuse_beyond_llama_cpp()?;
        let architecture = self.gguf_architecture();
        let f = &self.features;
        let mut metadata = Vec::new();
        let mut put = |key: &str, value: Value| metadata.push((format!("{architecture}.{key}"), value));
        for (key, value) in [
            ("vocab_size", self.vocab_size),
            ("context_length", self.max_positions),
            ("embedding_length", self.hidden_size),
            ("block_count", self.layers),
            ("feed_forward_length", self.intermediate_size),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("attention.key_length", self.head_dim),
            ("attention.value_length", self.head_dim),
            ("rope.dimension_count", self.head_dim),
        ] {
            let value = u32::try_from(value).map_err(|_| format!("{key} is {value}"))?;
            put(key, value.into());
        }
        put("attention.layer_norm_rms_epsilon", self.rms_norm_eps.into());
        put("rope.freq_base", (self.rope_theta as f32).into());
        if let Some(RopeScaling::Linear { factor }) = self.rope_scaling {
            put("rope.scaling.type", "linear".into());
            put("rope.scaling.factor", (factor as f32).into());
        }
        if let Some(window) = f.windows.iter().flatten().next() {
            put("attention.sliding_window", u32::try_from(*window).unwrap_or(u32::MAX).into());
        }
        if let Some(cap) = f.attention_softcap {
            put("attn_logit_softcapping", cap.into());
        }
        if let Some(cap) = f.logit_softcap {
            put("final_logit_softcapping", cap.into());
        }
        Ok(metadata)
    }

    /// The tensor of Llama 3's scaling: by what each of the `D / 2` frequencies is divided.
    pub(crate) fn gguf_rope_factors(&self) -> Option<(&'static str, Vec<f32>)> {
        let scaling = self.rope_scaling.filter(|scaling| matches!(scaling, RopeScaling::Llama3 { .. }))?;
        let factors = (0..self.head_dim / 2).map(|i| {
            let plain = self.rope_theta.powf(-((2 * i) as f64) / self.head_dim as f64);
            (plain / scaling.frequency(plain)) as f32
        });
        Some((ROPE_FACTORS, factors.collect()))
    }

    /// Whether llama.cpp gives its value projections the bits of a model of 70 billion parameters.
    pub(crate) fn is_seventy_billion(&self) -> bool {
        let family = self.features.family;
        self.layers == SEVENTY_BILLION_LAYERS
            && match family {
                Family::Llama | Family::Mistral => self.heads != self.kv_heads,
                Family::Qwen2 => true,
                Family::Qwen3 | Family::Gemma | Family::Gemma2 => false,
            }
    }

    fn refuse_beyond_llama_cpp(&self) -> Result<(), String> {
        let (f, architecture) = (&self.features, self.gguf_architecture());
        let llama = architecture == "llama";
        let gemma = matches!(f.family, Family::Gemma | Family::Gemma2);
        let activation = if gemma { Activation::GeluTanh } else { Activation::Silu };
        let refusals = [
            (f.out_bias && !llama, "a bias of the attention's output"),
            (f.mlp_bias && !llama, "biases of the gated layer"),
            (f.activation != activation, "this activation"),
            (f.qk_norm && f.family != Family::Qwen3, "norms of queries and keys"),
            (!self.tie_word_embeddings && gemma, "a head apart from the embedding"),
            (f.attention_softcap.is_some() != (f.family == Family::Gemma2), "this cap of the scores"),
            (f.logit_softcap.is_some() != (f.family == Family::Gemma2), "this cap of the logits"),
            (!self.has_llama_cpp_windows(), "these sliding windows"),
            (!self.has_llama_cpp_scale(), "this query_pre_attn_scalar"),
            (
                matches!(self.rope_scaling, Some(RopeScaling::Llama3 { .. })) && !llama,
                "Llama 3's rope_scaling",
            ),
            (
                f.family == Family::Qwen2 && self.heads * self.head_dim != self.hidden_size,
                "heads that are not as wide together as the model",
            ),
        ];
        match refusals.into_iter().find(|(refused, _)| *refused) {
            Some((_, what)) => {
                Err(format!("llama.cpp's architecture {architecture} has no place for {what}"))
            }
            None => Ok(()),
        }
    }

    /// Gemma 2 has a window in every second layer. Mistral's is written and llama.cpp does not look at it: it is the
    /// same model up to as many tokens. The others have none.
    fn has_llama_cpp_windows(&self) -> bool {
        let f = &self.features;
        match f.family {
            Family::Gemma2 => (0..self.layers).all(|l| f.window(l).is_some() == (l % 2 == 0)),
            Family::Mistral => f.windows.iter().all(Option::is_some),
            _ => f.windows.iter().all(Option::is_none),
        }
    }

    fn has_llama_cpp_scale(&self) -> bool {
        let expected = match (self.features.family, self.layers) {
            (Family::Gemma2, GEMMA2_27B_LAYERS) => self.hidden_size / self.heads,
            _ => self.head_dim,
        };
        self.features.query_scalar.is_none_or(|scalar| scalar == expected as f64)
    }
}
