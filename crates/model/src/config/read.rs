//! The way from `config.json`, with the meaning that transformers 5.23 gives to its keys (`configuration_*.py` and
//! `modeling_rope_utils.py`). What would change the mathematics and is not implemented is refused by name.

use std::path::Path;

use compute::Activation;
use serde_json::{Map, Value};

use super::{Config, Family, Features, MAX_LAYERS, RopeScaling};
use crate::Error;
use crate::tokenizer::read_limited;

type Outcome<T> = Result<T, String>;

/// Keys that no supported family has and that change the mathematics of those that do. They may be there if they say
/// that the feature is off.
const FOREIGN: &[&str] = &[
    "use_bidirectional_attention",
    "attention_multiplier",
    "residual_multiplier",
    "embedding_multiplier",
    "logits_scaling",
    "logit_scale",
    "clip_qkv",
    "num_experts",
    "num_local_experts",
    "no_rope_layers",
    "use_qk_norm",
    "kv_lora_rank",
    "num_kv_shared_layers",
];

/// Keys of a rotary table that are understood.
const ROPE_KEYS: &[&str] = &[
    "rope_type",
    "type",
    "rope_theta",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
];

impl Config {
    /// Reads `dir/config.json`.
    ///
    /// # Errors
    /// When the file is missing or broken, or describes a model that the decoder does not run.
    pub fn from_dir(dir: &Path) -> crate::Result<Self> {
        let path = dir.join("config.json");
        let text = read_limited(&path)?;
        let json: Value = serde_json::from_slice(&text).map_err(|e| Error::json(&path, e))?;
        Self::from_json(&json).map_err(|reason| Error::Unsupported { path, reason })
    }

    /// Reads the document of a `config.json`.
    ///
    /// # Errors
    /// A sentence that names the key that is missing, wrong or not supported.
    pub fn from_json(json: &Value) -> Result<Self, String> {
        let keys = Keys(json.as_object().ok_or("expected an object")?);
        let family = family(&keys)?;
        for key in FOREIGN {
            if keys.0.get(*key).is_some_and(|value| !is_off(value)) {
                return Err(format!("{key} is not supported by a {} decoder", family.model_type()));
            }
        }
        let defaults = Defaults::of(family);
        let (hidden, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
        let kv_heads = match keys.0.get("num_key_value_heads") {
            None => defaults.kv_heads.unwrap_or(heads),
            Some(Value::Null) => heads,
            Some(_) => keys.size("num_key_value_heads")?,
        };
        let head_dim = keys.optional_size("head_dim")?.or(defaults.head_dim);
        let layers = keys.size("num_hidden_layers")?;
        // Before a list of layers is made.
        if layers > MAX_LAYERS {
            return Err(format!("num_hidden_layers is {layers}, expected 1 to {MAX_LAYERS}"));
        }
        let max_positions = keys.optional_size("max_position_embeddings")?.unwrap_or(defaults.max_positions);
        let (rope_theta, rope_scaling) = rope(&keys, max_positions)?;
        let config = Config {
            vocab_size: keys.size("vocab_size")?,
            hidden_size: hidden,
            intermediate_size: keys.size("intermediate_size")?,
            layers,
            heads,
            kv_heads,
            head_dim: head_dim.unwrap_or(hidden / heads.max(1)),
            max_positions,
            rms_norm_eps: keys.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
            rope_theta,
            rope_scaling,
            tie_word_embeddings: keys.flag("tie_word_embeddings")?.unwrap_or(defaults.tied),
            features: features(&keys, family, layers)?,
        };
        config.validate()?;
        Ok(config)
    }
}

/// What a family's class assumes of a key that is not there.
struct Defaults {
    /// `None`: as many as query heads.
    kv_heads: Option<usize>,
    /// `None`: `hidden_size / num_attention_heads`.
    head_dim: Option<usize>,
    max_positions: usize,
    tied: bool,
}

impl Defaults {
    fn of(family: Family) -> Self {
        let (kv_heads, head_dim, max_positions, tied) = match family {
            Family::Llama => (None, None, 2048, false),
            Family::Mistral => (Some(8), None, 131_072, false),
            Family::Qwen2 => (Some(32), None, 32_768, false),
            Family::Qwen3 => (Some(32), Some(128), 32_768, false),
            Family::Gemma => (Some(16), Some(256), 8192, true),
            Family::Gemma2 => (Some(4), Some(256), 8192, true),
        };
        Defaults { kv_heads, head_dim, max_positions, tied }
    }
}

/// The document, with errors that name the key.
struct Keys<'a>(&'a Map<String, Value>);

impl<'a> Keys<'a> {
    /// The value of a key that is there and not null.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn read<T>(&self, key: &str, what: &str, as_type: impl Fn(&'a Value) -> Option<T>) -> Outcome<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        as_type(value).map(Some).ok_or_else(|| format!("{key} is {value}, expected {what}"))
    }

    fn optional_size(&self, key: &str) -> Outcome<Option<usize>> {
        self.read(key, "a whole number", |value| value.as_u64().and_then(|n| usize::try_from(n).ok()))
    }

    fn size(&self, key: &str) -> Outcome<usize> {
        self.optional_size(key)?.ok_or_else(|| format!("{key} is missing"))
    }

    fn number(&self, key: &str) -> Outcome<Option<f64>> {
        self.read(key, "a number", Value::as_f64)
    }

    fn flag(&self, key: &str) -> Outcome<Option<bool>> {
        self.read(key, "true or false", Value::as_bool)
    }

    fn text(&self, key: &str) -> Outcome<Option<&'a str>> {
        self.read(key, "a string", Value::as_str)
    }

    fn object(&self, key: &str) -> Outcome<Option<&'a Map<String, Value>>> {
        self.read(key, "an object", Value::as_object)
    }
}

/// Whether a value says that a feature is not there: null, false, one, zero or nothing in it.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(n) => n.as_f64().is_some_and(|n| n == 0.0 || n == 1.0),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::String(_) => false,
    }
}

fn family(keys: &Keys<'_>) -> Outcome<Family> {
    let model_type = keys.text("model_type")?.ok_or("model_type is missing")?;
    Family::from_model_type(model_type).ok_or_else(|| {
        let supported = Family::ALL.map(Family::model_type).join(", ");
        format!("model_type {model_type} is not supported (supported: {supported})")
    })
}

fn features(keys: &Keys<'_>, family: Family, layers: usize) -> Outcome<Features> {
    let mut f = Features::of(family);
    f.activation = activation(keys, family, f.activation)?;
    // Qwen2 has its biases whatever the key says, and Mistral none: their classes do not read it.
    if matches!(family, Family::Llama | Family::Qwen3 | Family::Gemma | Family::Gemma2) {
        f.qkv_bias = keys.flag("attention_bias")?.unwrap_or(false);
        f.out_bias = f.qkv_bias;
    }
    if family == Family::Llama {
        f.mlp_bias = keys.flag("mlp_bias")?.unwrap_or(false);
    }
    if family == Family::Gemma2 {
        let cap = |key: &str, default: f64| -> Outcome<Option<f32>> {
            Ok(if keys.0.contains_key(key) { keys.number(key)? } else { Some(default) }.map(|cap| cap as f32))
        };
        f.query_scalar = Some(keys.number("query_pre_attn_scalar")?.unwrap_or(256.0));
        f.attention_softcap = cap("attn_logit_softcapping", 50.0)?;
        f.logit_softcap = cap("final_logit_softcapping", 30.0)?;
    }
    f.windows = windows(keys, family, layers)?;
    Ok(f)
}

fn activation(keys: &Keys<'_>, family: Family, default: Activation) -> Outcome<Activation> {
    let key = if family == Family::Gemma2 { "hidden_activation" } else { "hidden_act" };
    match keys.text(key)? {
        None => Ok(default),
        Some("silu" | "swish") => Ok(Activation::Silu),
        Some("gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
        // Gemma's first files say gelu and mean its tanh form.
        Some("gelu") if family == Family::Gemma => Ok(Activation::GeluTanh),
        Some(other) => Err(format!("{key} {other} is not supported (supported: silu, gelu_pytorch_tanh)")),
    }
}

/// The window of each layer; nothing where no layer has one.
fn windows(keys: &Keys<'_>, family: Family, layers: usize) -> Outcome<Vec<Option<usize>>> {
    let given = match keys.0.contains_key("sliding_window") {
        true => keys.optional_size("sliding_window")?,
        false => Some(4096),
    };
    let (window, slides): (_, Box<dyn Fn(usize) -> bool>) = match family {
        Family::Llama | Family::Gemma => (None, Box::new(|_| false)),
        Family::Mistral => (given, Box::new(|_| given.is_some())),
        Family::Qwen2 | Family::Qwen3 => {
            let window = given.filter(|_| keys.flag("use_sliding_window") == Ok(Some(true)));
            let from = keys.optional_size("max_window_layers")?.unwrap_or(28);
            (window, Box::new(move |l| window.is_some() && l >= from))
        }
        Family::Gemma2 => (given, Box::new(|l| l % 2 == 0)),
    };
    let mut sliding: Vec<bool> = (0..layers).map(slides).collect();
    if let Some(types) = keys.read("layer_types", "a list", Value::as_array)? {
        let named = types.iter().map(|kind| match kind.as_str() {
            Some("full_attention") => Ok(false),
            Some("sliding_attention") => Ok(true),
            _ => Err(format!(
                "layer type {kind} is not supported (supported: full_attention, sliding_attention)"
            )),
        });
        let named: Vec<bool> = named.collect::<Outcome<_>>()?;
        if named.len() != layers {
            return Err(format!("layer_types has {} entries for {layers} layers", named.len()));
        }
        // These families' classes do not read the key, so it must say what they do.
        let unread = matches!(family, Family::Llama | Family::Mistral | Family::Gemma);
        if unread && named != sliding {
            return Err(format!("layer_types of a {} decoder differ from its windows", family.model_type()));
        }
        sliding = named;
    }
    if !sliding.contains(&true) {
        return Ok(Vec::new());
    }
    let window = window.ok_or("layers with sliding_attention need a sliding_window that is in use")?;
    Ok(sliding.into_iter().map(|sliding| sliding.then_some(window)).collect())
}

/// Base and scaling of the rotary angles. New files have one table, `rope_parameters`; old ones `rope_theta` beside
/// `rope_scaling`, which wins where both are there.
fn rope(keys: &Keys<'_>, max_positions: usize) -> Outcome<(f64, Option<RopeScaling>)> {
    let empty = Map::new();
    let old = keys.object("rope_scaling")?.filter(|table| !table.is_empty());
    let table = Keys(old.or(keys.object("rope_parameters")?).unwrap_or(&empty));
    for (key, value) in table.0 {
        let known = ROPE_KEYS.contains(&key.as_str()) || key == "partial_rotary_factor" && is_off(value);
        if !known && !value.is_null() {
            return Err(format!("{key} in the rotary parameters is not supported"));
        }
    }
    if keys.0.get("partial_rotary_factor").is_some_and(|value| !is_off(value)) {
        return Err("partial_rotary_factor is not supported".into());
    }
    let theta = table.number("rope_theta")?.or(keys.number("rope_theta")?).unwrap_or(10_000.0);
    let number = |key: &str| -> Outcome<f64> {
        let value = table.number(key)?.ok_or_else(|| format!("{key} of the rotary parameters is missing"))?;
        if value.is_finite() && value > 0.0 { Ok(value) } else { Err(format!("{key} is {value}")) }
    };
    let scaling = match table.text("rope_type")?.or(table.text("type")?) {
        None | Some("default") => None,
        Some("linear") => Some(RopeScaling::Linear { factor: number("factor")? }),
        Some("llama3") => {
            let original = table.number("original_max_position_embeddings")?;
            Some(RopeScaling::Llama3 {
                factor: number("factor")?,
                low_freq_factor: number("low_freq_factor")?,
                high_freq_factor: number("high_freq_factor")?,
                original_max_position_embeddings: original.unwrap_or(max_positions as f64),
            })
        }
        Some(other) => {
            return Err(format!(
                "rope scaling {other} is not supported (supported: default, linear, llama3)"
            ));
        }
    };
    Ok((theta, scaling))
}
