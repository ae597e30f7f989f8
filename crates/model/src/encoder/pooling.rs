//! From the states of a text's tokens to one vector, and how a folder of sentence-transformers says which way.

use std::path::{Component, Path};

use serde_json::Value;

use super::HiddenStates;
use crate::tokenizer::read_object;
use crate::{Error, Result};

/// The list of what a text goes through.
const MODULES: &str = "modules.json";

/// Where pooling is described unless the list of modules has another place.
const FOLDER: &str = "1_Pooling";

/// Keys of files before sentence-transformers 5, each of one mode.
const FLAGS: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// How the states of a text's tokens become one vector: Reimers & Gurevych 2019, "Sentence-BERT", section 3;
/// sentence-transformers 6.2, `pooling.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// The mean over all tokens, with those that begin and end the text.
    #[default]
    Mean,
    /// The state of the token that begins the text.
    Cls,
    /// The largest value over all tokens, for each column.
    Max,
}

impl Pooling {
    /// `[H]` of states `[T, H]`.
    pub(super) fn pool(self, states: &HiddenStates) -> Vec<f32> {
        match self {
            Pooling::Mean => states.mean(),
            Pooling::Cls => states.values[..states.width].to_vec(),
            Pooling::Max => {
                let mut most = vec![f32::NEG_INFINITY; states.width];
                for row in states.rows() {
                    most.iter_mut().zip(row).for_each(|(most, value)| *most = most.max(*value));
                }
                most
            }
        }
    }

    /// What the folder says; the mean where it says nothing.
    pub(super) fn from_dir(folder: &Path) -> Result<Self> {
        let list = folder.join(MODULES);
        let module = match read_object(&list)? {
            Some(json) => {
                pooling_module(&json).map_err(|reason| Error::Unsupported { path: list, reason })?
            }
            None => None,
        };
        let path = folder.join(module.as_deref().unwrap_or(FOLDER)).join("config.json");
        match read_object(&path)? {
            Some(json) => Self::from_json(&json).map_err(|reason| Error::Unsupported { path, reason }),
            None if module.is_some() => {
                Err(Error::Unsupported { path, reason: format!("not there, though {MODULES} names it") })
            }
            None => Ok(Pooling::Mean),
        }
    }

    fn from_json(json: &Value) -> std::result::Result<Self, String> {
        let json = json.as_object().ok_or("expected an object")?;
        if json.get("include_prompt").is_some_and(|value| *value != Value::Bool(true)) {
            return Err("include_prompt is not true, supported is pooling over the prompt too".to_owned());
        }
        let mut modes = Vec::new();
        match json.get("pooling_mode") {
            Some(Value::String(mode)) => modes.push(mode.as_str()),
            Some(Value::Array(named)) => {
                for mode in named {
                    modes.push(
                        mode.as_str().ok_or_else(|| format!("pooling_mode names {mode}, expected texts"))?,
                    );
                }
            }
            Some(other) => return Err(format!("pooling_mode is {other}, expected a text")),
            None => {
                for (key, mode) in FLAGS {
                    match json.get(key) {
                        Some(Value::Bool(true)) => modes.push(mode),
                        Some(Value::Bool(false)) | None => {}
                        Some(other) => return Err(format!("{key} is {other}, expected true or false")),
                    }
                }
            }
        }
        match modes[..] {
            [] | ["mean"] => Ok(Pooling::Mean),
            ["cls"] => Ok(Pooling::Cls),
            ["max"] => Ok(Pooling::Max),
            _ => {
                Err(format!("the pooling is {}, supported is one of mean, cls and max", modes.join(" and ")))
            }
        }
    }
}

/// The folder of the only pooling module, where the list has one. Every other module must be one whose work is done
/// here: vectors would be wrong without it.
fn pooling_module(json: &Value) -> std::result::Result<Option<String>, String> {
    let modules = json.as_array().ok_or("expected a list of modules")?;
    let mut found = None;
    for module in modules {
        let text = |key: &str| module.get(key).and_then(Value::as_str);
        let kind = text("type").ok_or("a module has no type")?;
        match kind.rsplit('.').next() {
            Some("Transformer" | "Normalize") => {}
            Some("Pooling") if found.is_none() => {
                let place = text("path").unwrap_or(FOLDER);
                let inside = Path::new(place).components().all(|part| matches!(part, Component::Normal(_)));
                if place.is_empty() || !inside {
                    return Err(format!("the path of {kind} is {place:?}, expected a folder in this one"));
                }
                found = Some(place.to_owned());
            }
            Some("Pooling") => return Err(format!("{kind} comes twice")),
            _ => {
                return Err(format!(
                    "the module {kind} is not supported (Transformer, Pooling, Normalize are)"
                ));
            }
        }
    }
    Ok(found)
}
