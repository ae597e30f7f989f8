//! Fields that several routes have, and what they mean to the engine.

use model::Sampling;
use model::engine::AdapterId;
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::openai::{json_constraint, seed};
use crate::refusal::{Outcome, Refusal};
use crate::texts::{Places, Wanted};

/// `options`: those that change the text. Options of the machine (`num_ctx`, `num_gpu`, `num_thread`, …) are the
/// server's own business; a prompt that does not fit is refused whatever they say.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Options {
    /// Tokens that an answer may have; negative: as many as fit.
    num_predict: Option<i64>,
    temperature: Option<f32>,
    top_k: Option<i64>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    seed: Option<i64>,
    stop: Option<Stop>,
    repeat_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    mirostat: Option<f64>,
    typical_p: Option<f64>,
    tfs_z: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

impl Options {
    /// What they mean. What is not said is greedy, as the model was measured.
    pub(super) fn wanted(self, adapter: AdapterId) -> Outcome<Wanted> {
        let neutral = |value: Option<f64>| value.is_none_or(|v| v == 0.0 || v == 1.0);
        if self.mirostat.is_some_and(|mode| mode != 0.0) {
            return Err(Refusal::unsupported("mirostat"));
        }
        if !neutral(self.typical_p) || !neutral(self.tfs_z) {
            return Err(Refusal::unsupported("typical_p or tfs_z"));
        }
        let greedy = Sampling::default();
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(greedy.temperature),
            top_k: self.top_k.map_or(greedy.top_k, |k| usize::try_from(k).unwrap_or(0)),
            top_p: self.top_p.unwrap_or(greedy.top_p),
            min_p: self.min_p.unwrap_or(greedy.min_p),
            repetition_penalty: self.repeat_penalty.unwrap_or(greedy.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(greedy.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(greedy.frequency_penalty),
            seed: seed(self.seed),
            ..greedy
        };
        let stop = match self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Many(texts)) => texts,
        };
        let max_tokens = match self.num_predict {
            Some(0) => return Err(Refusal::field("num_predict", "expected a number other than 0")),
            given => given.and_then(|n| usize::try_from(n).ok()),
        };
        Ok(Wanted { sampling, stop, max_tokens, ..Wanted::greedy(adapter) })
    }
}

/// Sets the constraint that `format` means: nothing, `"json"`, or a schema.
pub(super) async fn constrain(
    about: (&App, &Places),
    wanted: &mut Wanted,
    format: Option<Value>,
) -> Outcome<()> {
    let schema = match format {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(name)) if name.is_empty() => return Ok(()),
        Some(Value::String(name)) if name == "json" => None,
        Some(schema @ Value::Object(_)) => Some(schema),
        Some(_) => return Err(Refusal::field("format", "expected \"json\" or a JSON schema")),
    };
    wanted.constraint = Some(json_constraint(about, schema, "format").await?);
    Ok(())
}
