//! Fields that several routes have, and what they mean to the engine.

use model::Sampling;
use model::engine::{AdapterId, Constraint};
use rand::RngExt;
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::refusal::{Outcome, Refusal};
use crate::texts::{Places, Wanted, beside};

/// One or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        }
    }
}

/// `stream_options`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct StreamOptions {
    #[serde(default)]
    pub(super) include_usage: bool,
}

/// `response_format`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
    json_schema: Option<NamedSchema>,
}

#[derive(Debug, Clone, Deserialize)]
struct NamedSchema {
    schema: Option<Value>,
}

/// How tokens are chosen. What is not said is greedy, as the model was measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Choosing {
    pub(super) temperature: Option<f32>,
    pub(super) top_p: Option<f32>,
    pub(super) top_k: Option<usize>,
    pub(super) min_p: Option<f32>,
    pub(super) presence_penalty: Option<f32>,
    pub(super) frequency_penalty: Option<f32>,
    pub(super) repetition_penalty: Option<f32>,
    pub(super) seed: Option<i64>,
}

impl Choosing {
    pub(super) fn wanted(self, adapter: AdapterId) -> Wanted {
        let greedy = Sampling::default();
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(greedy.temperature),
            top_p: self.top_p.unwrap_or(greedy.top_p),
            top_k: self.top_k.unwrap_or(greedy.top_k),
            min_p: self.min_p.unwrap_or(greedy.min_p),
            presence_penalty: self.presence_penalty.unwrap_or(greedy.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(greedy.frequency_penalty),
            repetition_penalty: self.repetition_penalty.unwrap_or(greedy.repetition_penalty),
            seed: seed(self.seed),
            ..greedy
        };
        Wanted { sampling, ..Wanted::greedy(adapter) }
    }
}

/// A seed that was given, or one of chance.
pub(crate) fn seed(given: Option<i64>) -> u64 {
    given.map_or_else(|| rand::rng().random(), |seed| seed as u64)
}

impl ResponseFormat {
    /// The constraint that it means.
    pub(super) async fn constraint(self, app: &App, places: &Places) -> Outcome<Option<Constraint>> {
        let schema = match (self.kind.as_str(), self.json_schema) {
            ("text", _) => return Ok(None),
            ("json_object", _) => None,
            ("json_schema", Some(NamedSchema { schema: Some(schema) })) => Some(schema),
            ("json_schema", _) => {
                return Err(Refusal::field("response_format", "expected json_schema.schema"));
            }
            _ => return Err(Refusal::field("response_format", "expected text, json_object or json_schema")),
        };
        json_constraint((app, places), schema, "response_format").await.map(Some)
    }
}

/// Any JSON object, or one of a schema.
pub(crate) async fn json_constraint(
    (app, places): (&App, &Places),
    schema: Option<Value>,
    field: &'static str,
) -> Outcome<Constraint> {
    let app = app.clone();
    beside(places, move || {
        let grammars = app.catalogue.grammars()?;
        let compiled = match &schema {
            Some(schema) => grammars.json_schema(schema),
            None => grammars.json_object(),
        };
        compiled.map_err(|error| Refusal::field(field, error.to_string()))
    })
    .await
}

/// The limit under its old or its new name.
pub(super) fn max_tokens(old: Option<u64>, new: Option<u64>) -> Outcome<Option<usize>> {
    match new.or(old) {
        Some(0) => Err(Refusal::field("max_tokens", "expected at least 1")),
        given => Ok(given.map(|n| usize::try_from(n).unwrap_or(usize::MAX))),
    }
}

/// Refuses fields that would change the answer and that there is no code for.
pub(crate) fn refuse_present(fields: &[(&'static str, &Option<Value>)]) -> Outcome<()> {
    let said = |value: &Option<Value>| match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(values)) => !values.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::String(text)) => !text.is_empty() && text != "none",
        Some(_) => true,
    };
    match fields.iter().find(|(_, value)| said(value)) {
        Some((name, _)) => Err(Refusal::unsupported(name)),
        None => Ok(()),
    }
}
