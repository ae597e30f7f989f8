//! The way from a GGUF file's metadata, with the meaning that llama.cpp gives to its keys (`src/llama-model.cpp`) and
//! its converter writes (`convert_hf_to_gguf.py`). What would change the mathematics and is not implemented is refused
//! by name.

use formats::GgufFile;
use formats::gguf::{FromValue, Value};

use super::{Config, Family, Features, MAX_LAYERS, RopeScaling};
use crate::{Error, Result};

/// Factors of the rotary wavelengths, `[D / 2]`, where they are scaled as in Llama 3.
pub(crate) const ROPE_FACTORS: &str = "rope_freqs.weight";
const EMBEDDING: &str = "token_embd.weight";
const HEAD: &str = "output.weight";

/// Architectures that are read. Mistral's files say `llama`.
const FAMILIES: [(&str, Family); 5] = [
    ("llama", Family::Llama),
    ("qwen2", Family::Qwen2),
    ("qwen3", Family::Qwen3),
    ("gemma", Family::Gemma),
    ("gemma2", Family::Gemma2),
];

/// Keys below the architecture's name that change the mathematics. They may be there if they say that the feature is
/// off.
const FOREIGN: &[&str] = &[
    "expert_count",
    "expert_used_count",
    "logit_scale",
    "residual_scale",
    "embedding_scale",
    "attention.scale",
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.kv_lora_rank",
    "use_parallel_residual",
    "rope.scaling.attn_factor",
];

/// Layers of Gemma 2 27B, whose scores alone are scaled by `H / heads` (llama.cpp tells it by them as well).
pub(super) const GEMMA2_27B_LAYERS: usize = 46;
/// Gemma 2's window and caps where the file does not say.
const GEMMA2_WINDOW: usize = 4096;
const GEMMA2_ATTENTION_CAP: f64 = 50.0;
const GEMMA2_LOGIT_CAP: f64 = 30.0;

impl Config {
    /// The architecture's name in GGUF.
    pub fn gguf_architecture(&self) -> &'static str {
        let family = self.features.family;
        FAMILIES.iter().find(|(_, own)| *own == family).map_or("llama", |(name, _)| name)
    }

    /// The length of a head, where llama.cpp keeps the rows of q and k interleaved; `None` for the other families.
    pub fn interleaved_heads(&self) -> Option<usize> {
        (self.gguf_architecture() == "llama").then_some(self.head_dim)
    }

    /// Reads the metadata of a GGUF file; what a file only shows by its tensors (biases, a head of its own) is taken
    /// from their names.
    ///
    /// # Errors
    /// When a key is missing or wrong, or describes a model that the decoder does not run.
    pub fn from_gguf(file: &GgufFile) -> Result<Self> {
        refuse_other_files(file)?;
        let architecture: &str = file.require("general.architecture")?;
        let Some((_, family)) = FAMILIES.iter().find(|(name, _)| *name == architecture) else {
            let supported = FAMILIES.map(|(name, _)| name).join(", ");
            return Err(unsupported(
                file,
                format!("architecture {architecture} is not supported (supported: {supported})"),
            ));
        };
        let keys = Keys { file, architecture };
        keys.refuse_foreign()?;
        let config = keys.config(*family)?;
        config.validate().map_err(|reason| unsupported(file, reason))?;
        Ok(config)
    }
}

fn unsupported(file: &GgufFile, reason: String) -> Error {
    Error::Unsupported { path: file.path().to_owned(), reason }
}

/// Adapters, projectors and parts of split files are no bases.
fn refuse_other_files(file: &GgufFile) -> Result<()> {
    if let Some(kind) = file.get::<&str>("general.type")?.filter(|kind| *kind != "model") {
        return Err(unsupported(file, format!("is a GGUF file of the type {kind}, expected a model")));
    }
    match file.get::<u64>("split.count")? {
        Some(count) if count > 1 => Err(unsupported(
            file,
            format!("is one of {count} parts; join them with `llama-gguf-split --merge`"),
        )),
        _ => Ok(()),
    }
}

/// The metadata below the architecture's name.
struct Keys<'a> {
    file: &'a GgufFile,
    architecture: &'a str,
}

impl<'a> Keys<'a> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn get<T: FromValue<'a>>(&self, name: &str) -> Result<Option<T>> {
        Ok(self.file.get(&self.key(name))?)
    }

    fn require<T: FromValue<'a>>(&self, name: &str) -> Result<T> {
        Ok(self.file.require(&self.key(name))?)
    }

    fn wrong(&self, name: &str, reason: impl std::fmt::Display) -> Error {
        unsupported(self.file, format!("`{}` {reason}", self.key(name)))
    }

    fn refuse_foreign(&self) -> Result<()> {
        for name in FOREIGN {
            let off = match self.file.metadata().get(&self.key(name)) {
                None | Some(Value::Bool(false)) => true,
                Some(value) => {
                    let number = f64::from_value(value).or(u64::from_value(value).map(|n| n as f64));
                    number.is_some_and(|n| n == 0.0 || n == 1.0)
                }
            };
            if !off {
                return Err(self.wrong(name, "is not supported"));
            }
        }
        Ok(())
    }

    /// A number that is the same for all layers, given once or for each.
    fn of_layers(&self, name: &str) -> Result<Option<usize>> {
        let key = self.key(name);
        if let Some(values) = self.file.metadata().get(&key).and_then(Vec::<u64>::from_value) {
            return match &values[..] {
                [first, rest @ ..] if rest.iter().all(|n| n == first) => Ok(usize::try_from(*first).ok()),
                _ => Err(self.wrong(name, "differs between layers, which is not supported")),
            };
        }
        self.get(name)
    }

    fn config(&self, family: Family) -> Result<Config> {
        let hidden_size: usize = self.require("embedding_length")?;
        let layers: usize = self.require("block_count")?;
        if layers > MAX_LAYERS {
            return Err(self.wrong("block_count", format!("is {layers}, expected at most {MAX_LAYERS}")));
        }
        let heads = self.of_layers("attention.head_count")?;
        let heads = heads.ok_or_else(|| self.wrong("attention.head_count", "is missing"))?;
        let kv_heads = self.of_layers("attention.head_count_kv")?.unwrap_or(heads);
        let intermediate = self.of_layers("feed_forward_length")?;
        let head_dim = self.head_dim(hidden_size, heads)?;
        let (rope_theta, rope_scaling) = self.rope(head_dim)?;
        let features = self.features(family, (layers, hidden_size, heads, head_dim))?;
        Ok(Config {
            vocab_size: *self.file.info(EMBEDDING)?.shape.first().unwrap_or(&0),
            hidden_size,
            intermediate_size: intermediate.ok_or_else(|| self.wrong("feed_forward_length", "is missing"))?,
            layers,
            heads,
            kv_heads,
            head_dim,
            max_positions: self.require("context_length")?,
            rms_norm_eps: self.require::<f64>("attention.layer_norm_rms_epsilon")? as f32,
            rope_theta,
            rope_scaling,
            tie_word_embeddings: !self.file.contains(HEAD),
            features,
        })
    }

    fn head_dim(&self, hidden_size: usize, heads: usize) -> Result<usize> {
        let head_dim = self.get("attention.key_length")?.unwrap_or(hidden_size / heads.max(1));
        for name in ["attention.value_length", "rope.dimension_count"] {
            if let Some(other) = self.get::<usize>(name)?.filter(|other| *other != head_dim) {
                return Err(self.wrong(name, format!("is {other}, expected the head's width, {head_dim}")));
            }
        }
        Ok(head_dim)
    }

    fn features(
        &self,
        family: Family,
        (layers, hidden_size, heads, head_dim): (usize, usize, usize, usize),
    ) -> Result<Features> {
        let mut f = Features::of(family);
        let has = |name: &str| self.file.contains(name);
        f.qkv_bias = has("blk.0.attn_q.bias");
        f.out_bias = has("blk.0.attn_output.bias");
        f.mlp_bias = has("blk.0.ffn_gate.bias");
        let window = self.get::<usize>("attention.sliding_window")?.filter(|window| *window > 0);
        match (family, window) {
            (Family::Gemma2, window) => {
                let window = Some(window.unwrap_or(GEMMA2_WINDOW));
                f.windows = (0..layers).map(|l| window.filter(|_| l % 2 == 0)).collect();
                let cap = |name, default| Ok::<_, Error>(self.get::<f64>(name)?.unwrap_or(default));
                let caps = (
                    cap("attn_logit_softcapping", GEMMA2_ATTENTION_CAP)?,
                    cap("final_logit_softcapping", GEMMA2_LOGIT_CAP)?,
                );
                f.attention_softcap = Some(caps.0 as f32);
                f.logit_softcap = Some(caps.1 as f32);
                let scalar = if layers == GEMMA2_27B_LAYERS { hidden_size / heads.max(1) } else { head_dim };
                f.query_scalar = Some(scalar as f64);
            }
            (Family::Llama, Some(window)) => {
                // Mistral with its window; llama.cpp itself lets all of its layers see everything.
                f = Features { family: Family::Mistral, windows: vec![Some(window); layers], ..f };
            }
            (_, Some(window)) => {
                return Err(self.wrong("attention.sliding_window", format!("is {window}, expected none")));
            }
            (_, None) => {}
        }
        Ok(f)
    }

    fn rope(&self, head_dim: usize) -> Result<(f64, Option<RopeScaling>)> {
        let theta = self.get("rope.freq_base")?.unwrap_or(10_000.0);
        let old = self.get::<f64>("rope.scale_linear")?.filter(|factor| *factor != 1.0);
        let linear = match (self.get::<&str>("rope.scaling.type")?, old) {
            (None | Some("none"), factor) => factor,
            (Some("linear"), _) => Some(self.require("rope.scaling.factor")?),
            (Some(other), _) => {
                return Err(self.wrong("rope.scaling.type", format!("is {other} (supported: none, linear)")));
            }
        };
        let llama3 = match self.file.contains(ROPE_FACTORS) {
            true => self.llama3(theta, head_dim)?,
            false => None,
        };
        match (linear, llama3) {
            (Some(_), Some(_)) => Err(self.wrong("rope.scaling.type", "is given beside rope_freqs.weight")),
            (Some(factor), None) if !(factor.is_finite() && factor > 0.0) => {
                Err(self.wrong("rope.scaling.factor", format!("is {factor}")))
            }
            (linear, llama3) => Ok((theta, linear.map(|factor| RopeScaling::Linear { factor }).or(llama3))),
        }
    }

    /// The scaling of Llama 3 that has the factors of `rope_freqs.weight`. The file keeps only the factors; they are
    /// those of one length of the first context, a power of two.
    fn llama3(&self, theta: f64, head_dim: usize) -> Result<Option<RopeScaling>> {
        let factors = self.file.f32(ROPE_FACTORS)?;
        if factors.len() != head_dim / 2 {
            let (expected, got) = (vec![head_dim / 2], vec![factors.len()]);
            let origin = self.file.path().display().to_string();
            return Err(Error::TensorShape { origin, tensor: ROPE_FACTORS.into(), expected, got });
        }
        if factors.iter().all(|factor| *factor == 1.0) {
            return Ok(None);
        }
        let factor = f64::from(factors.iter().fold(0.0f32, |largest, factor| largest.max(*factor)));
        let fits = |scaling: &RopeScaling| {
            factors.iter().enumerate().all(|(i, given)| {
                let plain = theta.powf(-((2 * i) as f64) / head_dim as f64);
                let expected = plain / scaling.frequency(plain);
                (f64::from(*given) / expected - 1.0).abs() < 1e-4
            })
        };
        let scaling = (4..=20)
            .map(|power| RopeScaling::Llama3 {
                factor,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_max_position_embeddings: f64::from(1 << power),
            })
            .find(fits);
        scaling.map(Some).ok_or_else(|| {
            unsupported(self.file, format!("the factors in {ROPE_FACTORS} are not those of Llama 3"))
        })
    }
}
