//! The form of a judge's replies, and what is read from them.

use super::settings::{Mode, Scale, Settings};
use super::{FailureKind, Verdict, Winner};
use chat::{Finish, Form, Reply, extract_json};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What answers are called in a prompt.
pub(super) const LETTERS: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];

/// How a refusal begins. A reply of prose that begins otherwise is unreadable, not a refusal.
const REFUSALS: [&str; 8] =
    ["i cannot", "i can't", "i can’t", "i'm sorry", "i’m sorry", "i am sorry", "i'm unable", "i am unable"];

/// What is read from a reply: the verdict and the judge's reasons.
pub(super) type Parsed = Result<(Verdict, Option<String>), (FailureKind, String)>;

/// What a reply about `shown` answers looks like. The reasons come first, so that the verdict follows from them.
pub(super) fn form(settings: &Settings, shown: usize) -> Form {
    let verdict = match settings.mode {
        Mode::Pointwise => {
            ("scores", object(settings.criteria().into_iter().map(|name| (name, score(settings.scale)))))
        }
        Mode::Rubric => ("score", score(Scale::OneToFive)),
        Mode::Pairwise => ("winner", json!({ "type": "string", "enum": ["A", "B", "tie"] })),
        Mode::Listwise => {
            let letter = json!({ "type": "string", "enum": &LETTERS[..shown] });
            ("ranking", json!({ "type": "array", "items": letter, "minItems": shown, "maxItems": shown }))
        }
    };
    let mut rationale = json!({ "type": "string" });
    if let Some(longest) = settings.longest_rationale {
        rationale["maxLength"] = json!(longest);
    }
    let fields = [("rationale".to_owned(), rationale), (verdict.0.to_owned(), verdict.1)];
    Form::JsonSchema { name: format!("{}_judgement", settings.mode.name()), schema: object(fields) }
}

fn score(scale: Scale) -> Value {
    if scale.has_fractions() {
        return json!({ "type": "number", "minimum": scale.low(), "maximum": scale.high() });
    }
    // Every server that knows schemas knows an enumeration; not every one knows bounds.
    let values: Vec<u64> = (scale.low() as u64..=scale.high() as u64).collect();
    json!({ "type": "integer", "enum": values })
}

fn object(fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    let properties: Map<String, Value> = fields.into_iter().collect();
    let required: Vec<&String> = properties.keys().collect();
    json!({ "type": "object", "required": required, "additionalProperties": false, "properties": properties })
}

/// The verdict on `shown` systems in a reply. More forms are read than are asked for: numbers in quotation marks, a
/// score in an object of its own, and the `[RESULT]` of the Prometheus models.
pub(super) fn parse(settings: &Settings, shown: &[&str], reply: &Reply) -> Parsed {
    let text = reply.text.trim();
    let Some(document) = extract_json(text).filter(Value::is_object) else {
        let result = text.rsplit_once("[RESULT]").map(|(before, result)| (before.trim(), result.trim()));
        return match (result, settings.mode) {
            (Some((before, result)), Mode::Rubric | Mode::Pairwise) => {
                let before = before.strip_prefix("Feedback:").unwrap_or(before).trim();
                let value = result.parse::<u64>().map_or_else(|_| json!(result), |score| json!(score));
                Ok((verdict(settings, shown, &value)?, Some(before.to_owned())))
            }
            _ => Err(without_document(reply)),
        };
    };
    let field = match settings.mode {
        Mode::Pointwise => "scores",
        Mode::Rubric => "score",
        Mode::Pairwise => "winner",
        Mode::Listwise => "ranking",
    };
    let missing = || (FailureKind::Incomplete, format!("`{field}` is missing"));
    let verdict = verdict(settings, shown, document.get(field).ok_or_else(missing)?)?;
    let rationale = document.get("rationale").and_then(Value::as_str).map(str::to_owned);
    Ok((verdict, rationale))
}

fn without_document(reply: &Reply) -> (FailureKind, String) {
    let begin: String = reply.text.trim().chars().take(24).collect::<String>().to_lowercase();
    match reply.finish {
        Finish::ContentFilter => {
            (FailureKind::Refused, "the provider's filter took the reply away".to_owned())
        }
        Finish::Length => (FailureKind::CutOff, "it was cut off at the limit of tokens".to_owned()),
        _ if REFUSALS.iter().any(|refusal| begin.starts_with(refusal)) => {
            (FailureKind::Refused, "the judge would not judge".to_owned())
        }
        _ => (FailureKind::Unparsable, "it is no JSON document".to_owned()),
    }
}

fn verdict(settings: &Settings, shown: &[&str], value: &Value) -> Result<Verdict, (FailureKind, String)> {
    match settings.mode {
        Mode::Pointwise => {
            let read = |name: String| Ok((name.clone(), on_scale(value.get(&name), settings.scale, &name)?));
            settings
                .criteria()
                .into_iter()
                .map(read)
                .collect::<Result<BTreeMap<_, _>, _>>()
                .map(Verdict::Scores)
        }
        Mode::Rubric => {
            let score = on_scale(Some(value), Scale::OneToFive, "score")?;
            Ok(Verdict::Scores(BTreeMap::from([("rubric".to_owned(), score)])))
        }
        Mode::Pairwise => match value.as_str().map(str::trim) {
            Some("A") => Ok(Verdict::Winner(Winner::First)),
            Some("B") => Ok(Verdict::Winner(Winner::Second)),
            Some(word) if word.eq_ignore_ascii_case("tie") => Ok(Verdict::Winner(Winner::Tie)),
            _ => Err((FailureKind::OutOfRange, format!("expected A, B or tie, got {value}"))),
        },
        Mode::Listwise => {
            let place = |letter: &Value| {
                LETTERS[..shown.len()].iter().position(|other| Some(*other) == letter.as_str().map(str::trim))
            };
            let places: Option<Vec<usize>> = value.as_array().into_iter().flatten().map(place).collect();
            let whole = |places: &Vec<usize>| {
                places.len() == shown.len() && (0..shown.len()).all(|place| places.contains(&place))
            };
            let Some(places) = places.filter(whole) else {
                let letters = LETTERS[..shown.len()].join(", ");
                return Err((
                    FailureKind::Incomplete,
                    format!("expected each of {letters} once, got {value}"),
                ));
            };
            Ok(Verdict::Ranking(places.into_iter().map(|place| shown[place].to_owned()).collect()))
        }
    }
}

fn on_scale(value: Option<&Value>, scale: Scale, name: &str) -> Result<f64, (FailureKind, String)> {
    let value = value.ok_or_else(|| (FailureKind::Incomplete, format!("`{name}` is missing")))?;
    let score = number(value)
        .ok_or_else(|| (FailureKind::Unparsable, format!("`{name}`: expected a number, got {value}")))?;
    if !scale.holds(score) {
        return Err((FailureKind::OutOfRange, format!("`{name}`: {score} is not on the scale {scale}")));
    }
    Ok(score)
}

/// A number, in quotation marks or not, by itself or as the `score` of an object.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        Value::Object(fields) => fields.get("score").filter(|score| !score.is_object()).and_then(number),
        _ => None,
    }
}
