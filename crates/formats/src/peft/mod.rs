//! LoRA adapters as PEFT writes them: `adapter_config.json` and `adapter_model.safetensors` in one folder.

mod names;
mod patterns;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::hf::read_json;
use crate::safetensors::{self, SafetensorsFile, TensorBytes};
use crate::{Error, Result, atomic};

pub use names::{Part, parse_tensor_name, tensor_name};
pub use patterns::{PatternError, Patterns, names_module};

/// The settings' file name.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// The tensors' file name.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// The longest settings file that is read.
const CONFIG_LIMIT: u64 = 4 << 20;

/// Which modules carry an adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetModules {
    /// Names, each the end of a module's path (`q_proj`).
    Names(Vec<String>),
    /// A regular expression over whole paths, or `all-linear`.
    Pattern(String),
}

/// PEFT's settings of a LoRA adapter. Keys that are not listed are kept in `other` and written back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// The method; only `LORA` is supported.
    pub peft_type: String,
    /// The rank.
    #[serde(default = "default_rank")]
    pub r: usize,
    /// The numerator of the scale.
    #[serde(default = "default_alpha")]
    pub lora_alpha: f64,
    /// The share of inputs dropped in training.
    #[serde(default)]
    pub lora_dropout: f64,
    /// Which modules carry an adapter; unknown when absent.
    #[serde(default)]
    pub target_modules: Option<TargetModules>,
    /// Which biases were trained; only `none` is supported.
    #[serde(default = "default_bias")]
    pub bias: String,
    /// What the model does, `CAUSAL_LM` here.
    #[serde(default)]
    pub task_type: Option<String>,
    /// Whether the scale is `alpha / sqrt(r)` and not `alpha / r`.
    #[serde(default)]
    pub use_rslora: bool,
    /// Weight-decomposed LoRA (Liu et al. 2024).
    #[serde(default)]
    pub use_dora: bool,
    /// Where the base came from.
    #[serde(default)]
    pub base_model_name_or_path: Option<String>,
    /// The base's revision.
    #[serde(default)]
    pub revision: Option<String>,
    /// Modules that were trained and saved whole.
    #[serde(default)]
    pub modules_to_save: Option<Vec<String>>,
    /// Ranks that differ from `r`, by patterns as [`Patterns`] reads them.
    #[serde(default)]
    pub rank_pattern: BTreeMap<String, usize>,
    /// Numerators that differ from `lora_alpha`, likewise.
    #[serde(default)]
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Whether weights are stored transposed; not supported.
    #[serde(default)]
    pub fan_in_fan_out: bool,
    /// Whether the adapter was saved for use and not for more training.
    #[serde(default)]
    pub inference_mode: bool,
    /// How the adapter was initialised; some ways change the base as well and are not supported.
    #[serde(default = "default_init")]
    pub init_lora_weights: Value,
    /// Everything else that the file holds.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn default_rank() -> usize {
    8
}

fn default_alpha() -> f64 {
    8.0
}

fn default_bias() -> String {
    "none".to_owned()
}

fn default_init() -> Value {
    Value::Bool(true)
}

impl AdapterConfig {
    /// The settings of a new adapter for a causal language model, with PEFT's defaults for the rest.
    pub fn new(r: usize, lora_alpha: f64, target_modules: Vec<String>) -> Self {
        AdapterConfig {
            peft_type: "LORA".to_owned(),
            r,
            lora_alpha,
            lora_dropout: 0.0,
            target_modules: Some(TargetModules::Names(target_modules)),
            bias: default_bias(),
            task_type: Some("CAUSAL_LM".to_owned()),
            use_rslora: false,
            use_dora: false,
            base_model_name_or_path: None,
            revision: None,
            modules_to_save: None,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            fan_in_fan_out: false,
            inference_mode: true,
            init_lora_weights: default_init(),
            other: Map::new(),
        }
    }

    /// True if modules that `target_modules` names may be left out: which ones carry an adapter, its tensors say.
    pub fn narrows_targets(&self) -> bool {
        ["exclude_modules", "layers_to_transform"]
            .iter()
            .any(|key| self.other.get(*key).is_some_and(|value| !is_off(value)))
    }

    /// Refuses, by name, each setting that changes the mathematics in a way that is not implemented.
    fn check(&self, path: &Path) -> Result<()> {
        let refuse = |setting: &str, value: &dyn std::fmt::Display, hint: &str| {
            let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
            Err(Error::Unsupported {
                path: path.to_owned(),
                setting: setting.to_owned(),
                value: value.to_string(),
                hint,
            })
        };
        if self.peft_type != "LORA" {
            return refuse("peft_type", &self.peft_type, "expected LORA");
        }
        let ranks = || std::iter::once(&self.r).chain(self.rank_pattern.values());
        if ranks().any(|rank| *rank == 0) {
            return refuse("r", &0, "expected at least 1");
        }
        let alphas = || std::iter::once(&self.lora_alpha).chain(self.alpha_pattern.values());
        if let Some(alpha) = alphas().find(|alpha| !alpha.is_finite()) {
            return refuse("lora_alpha", alpha, "expected a finite number");
        }
        if self.bias != "none" {
            return refuse("bias", &self.bias, "expected none");
        }
        if self.fan_in_fan_out {
            return refuse("fan_in_fan_out", &true, "");
        }
        if let Some(way) = self.init_lora_weights.as_str()
            && ["pissa", "olora", "corda", "loftq", "lora_ga"].iter().any(|other| way.starts_with(other))
        {
            return refuse(
                "init_lora_weights",
                &way,
                "it changes the base; convert it to plain LORA with PEFT",
            );
        }
        let ranks = Patterns::new(&self.rank_pattern).map(drop).map_err(|error| ("rank_pattern", error));
        let alphas = Patterns::new(&self.alpha_pattern).map(drop).map_err(|error| ("alpha_pattern", error));
        if let Err((setting, error)) = ranks.and(alphas) {
            return refuse(setting, &error.pattern, &error.reason);
        }
        for setting in OTHER_REFUSED {
            if let Some(value) = self.other.get(*setting).filter(|value| !is_off(value)) {
                return refuse(setting, value, "");
            }
        }
        Ok(())
    }
}

/// Keys of PEFT's later versions that must be off: each changes what the two matrices mean or where they apply.
const OTHER_REFUSED: &[&str] = &[
    "lora_bias",
    "layer_replication",
    "ensure_weight_tying",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "trainable_token_indices",
    "target_parameters",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
];

fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Reads an adapter's settings and opens its tensors.
///
/// # Errors
///
/// [`Error::Io`] or [`Error::Malformed`] when a file is missing or broken, [`Error::Unsupported`] when a setting
/// changes the mathematics in a way that is not implemented here, [`Error::MissingTensor`] when one of a module's two
/// matrices is absent, [`Error::Shape`] when a shape contradicts the rank, and the errors of [`SafetensorsFile::open`].
pub fn read(folder: impl AsRef<Path>) -> Result<(AdapterConfig, SafetensorsFile)> {
    let config_path = folder.as_ref().join(CONFIG_FILE);
    let config: AdapterConfig = read_json(&config_path, CONFIG_LIMIT)?;
    config.check(&config_path)?;
    let file = SafetensorsFile::open(folder.as_ref().join(WEIGHTS_FILE))?;
    check_tensors(&config, &file)?;
    Ok((config, file))
}

/// Every tensor belongs to an adapter that is whole and has the rank that the settings say.
fn check_tensors(config: &AdapterConfig, file: &SafetensorsFile) -> Result<()> {
    let malformed = |reason: String| Err(Error::malformed(file.path(), reason));
    // The settings were checked, so the patterns compile.
    let Ok(ranks) = Patterns::new(&config.rank_pattern) else { return malformed("rank_pattern".to_owned()) };
    let saved = config.modules_to_save.as_deref().unwrap_or_default();
    for name in file.names() {
        let Some((module, part)) = parse_tensor_name(name) else {
            return malformed(format!(
                "tensor {name}: expected a name like {}",
                tensor_name("<module>", Part::A)
            ));
        };
        if part == Part::Saved && !saved.iter().any(|saved| names_module(saved, module)) {
            return malformed(format!("tensor {name}: {module} is not among modules_to_save"));
        }
        if part == Part::Magnitude && !config.use_dora {
            return malformed(format!("tensor {name}: use_dora is off"));
        }
        let rank = ranks.get(module).unwrap_or(config.r);
        let (_, shape) = file.info(name)?;
        let (expected, fits) = match (part, shape) {
            (Part::A | Part::EmbeddingA, [rows, _]) => (format!("[{rank}, in]"), *rows == rank),
            (Part::B | Part::EmbeddingB, [_, columns]) => (format!("[out, {rank}]"), *columns == rank),
            (Part::Magnitude, _) => ("[out]".to_owned(), shape.len() == 1),
            (Part::Base | Part::Saved, _) => ("[out, in]".to_owned(), shape.len() == 2),
            _ => (format!("two dimensions, one of them {rank}"), false),
        };
        if !fits {
            let (path, tensor) = (file.path().to_owned(), name.to_owned());
            return Err(Error::Shape { path, tensor, expected, got: shape.to_vec() });
        }
        for partner in
            part.partner().into_iter().chain((part == Part::A && config.use_dora).then_some(Part::Magnitude))
        {
            file.info(&tensor_name(module, partner))?;
        }
    }
    if file.names().next().is_none() {
        return malformed("no adapter tensors in it".to_owned());
    }
    Ok(())
}

/// Writes an adapter so that PEFT and [`read`] load it; creates the folder.
///
/// # Errors
///
/// [`Error::Io`] when the system refuses, [`Error::Malformed`] when a tensor's bytes do not fit its shape.
pub fn write(folder: impl AsRef<Path>, config: &AdapterConfig, tensors: &[TensorBytes<'_>]) -> Result<()> {
    let folder = folder.as_ref();
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let config_path = folder.join(CONFIG_FILE);
    let malformed = |reason: serde_json::Error| Error::malformed(&config_path, reason.to_string());
    let Value::Object(mut entries) = serde_json::to_value(config).map_err(malformed)? else {
        return Err(Error::malformed(&config_path, "the settings are not an object"));
    };
    integral_numbers(&mut entries);
    entries.sort_keys();
    let text = serde_json::to_string_pretty(&entries).map_err(malformed)?;
    // Readers look for the settings first, so they come last: a folder with settings has its tensors.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::write(folder.join(WEIGHTS_FILE), tensors, &metadata)?;
    atomic::write_atomic(&config_path, (text + "\n").as_bytes())
}

/// Some readers take only whole numbers for alpha, so 16.0 is written as 16.
fn integral_numbers(entries: &mut Map<String, Value>) {
    let whole = |value: &mut Value| {
        if let Some(number) = value.as_f64()
            && number.fract() == 0.0
            && number.abs() < 1e15
        {
            *value = Value::from(number as i64);
        }
    };
    if let Some(alpha) = entries.get_mut("lora_alpha") {
        whole(alpha);
    }
    if let Some(Value::Object(patterns)) = entries.get_mut("alpha_pattern") {
        patterns.values_mut().for_each(whole);
    }
}
