//! What tells the families of decoders apart, as switches of one decoder.

use compute::Activation;

/// A family of decoders, as `transformers` calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Llama 2, 3 and 3.1 (Touvron et al. 2023; Dubey et al. 2024), SmolLM2, TinyLlama.
    Llama,
    /// Mistral 7B (Jiang et al. 2023).
    Mistral,
    /// Qwen 2 and 2.5 (Yang et al. 2024).
    Qwen2,
    /// Qwen 3 (Yang et al. 2025).
    Qwen3,
    /// Gemma 1 (Mesnard et al. 2024).
    Gemma,
    /// Gemma 2 (Riviere et al. 2024).
    Gemma2,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 6] =
        [Family::Llama, Family::Mistral, Family::Qwen2, Family::Qwen3, Family::Gemma, Family::Gemma2];

    /// `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Family::Llama => "llama",
            Family::Mistral => "mistral",
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
            Family::Gemma => "gemma",
            Family::Gemma2 => "gemma2",
        }
    }

    /// The class in `architectures` of `config.json`.
    pub fn architecture(self) -> &'static str {
        match self {
            Family::Llama => "LlamaForCausalLM",
            Family::Mistral => "MistralForCausalLM",
            Family::Qwen2 => "Qwen2ForCausalLM",
            Family::Qwen3 => "Qwen3ForCausalLM",
            Family::Gemma => "GemmaForCausalLM",
            Family::Gemma2 => "Gemma2ForCausalLM",
        }
    }

    /// The family that `config.json` calls `model_type`.
    pub fn from_model_type(model_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.model_type() == model_type)
    }
}

/// The switches of a decoder. [`Features::of`] has those of a family; the default is Llama's.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Whose names stand in files.
    pub family: Family,
    /// What the gate of the gated layer goes through.
    pub activation: Activation,
    /// Norms multiply by `1 + w`.
    pub one_plus_gain: bool,
    /// Embeddings are multiplied by `sqrt(H)`, rounded to f32.
    pub scaled_embedding: bool,
    /// The query, key and value projections have biases.
    pub qkv_bias: bool,
    /// The attention's output projection has a bias.
    pub out_bias: bool,
    /// The projections of the gated layer have biases.
    pub mlp_bias: bool,
    /// Query and key heads are normed before they turn.
    pub qk_norm: bool,
    /// The outputs of attention and gated layer are normed before they join the residual stream.
    pub post_norms: bool,
    /// Scores are multiplied by `1 / sqrt` of this instead of the head's width.
    pub query_scalar: Option<f64>,
    /// Scores become `cap · tanh(score / cap)`.
    pub attention_softcap: Option<f32>,
    /// Logits become `cap · tanh(logit / cap)`.
    pub logit_softcap: Option<f32>,
    /// Keys that a query of each layer sees, itself included; `None` is all, and so is a layer beyond the list.
    pub windows: Vec<Option<usize>>,
}

impl Default for Features {
    fn default() -> Self {
        Features::of(Family::Llama)
    }
}

impl Features {
    /// What every member of `family` has. Windows and caps are a model's own and stand in its `config.json`.
    pub fn of(family: Family) -> Self {
        let gemma = matches!(family, Family::Gemma | Family::Gemma2);
        Features {
            family,
            activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
            one_plus_gain: gemma,
            scaled_embedding: gemma,
            qkv_bias: family == Family::Qwen2,
            out_bias: false,
            mlp_bias: false,
            qk_norm: family == Family::Qwen3,
            post_norms: family == Family::Gemma2,
            query_scalar: None,
            attention_softcap: None,
            logit_softcap: None,
            windows: Vec::new(),
        }
    }

    /// The window of layer `l`.
    pub fn window(&self, l: usize) -> Option<usize> {
        self.windows.get(l).copied().flatten()
    }

    /// What a norm adds to its stored gain.
    pub fn gain_offset(&self) -> f32 {
        if self.one_plus_gain { 1.0 } else { 0.0 }
    }

    /// What a norm's stored gain starts from, so that it multiplies by one.
    pub fn neutral_gain(&self) -> f32 {
        1.0 - self.gain_offset()
    }
}
