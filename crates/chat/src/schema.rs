//! A check of JSON documents against the part of JSON Schema (draft 2020-12) that structured output uses. A keyword
//! that is not known is an error, so that no schema is checked by halves.

use serde_json::Value;

/// Levels of a schema that are followed.
const DEPTH: usize = 32;
/// Keywords that say something to people only.
const ANNOTATIONS: [&str; 6] = ["title", "description", "default", "examples", "$schema", "$comment"];

/// Whether `document` is what `schema` asks for.
///
/// Known are `type`, `properties`, `required`, `additionalProperties: false`, `items`, `minItems`, `maxItems`,
/// `uniqueItems`, `enum`, `const`, `minLength`, `maxLength`, `minimum` and `maximum`.
///
/// # Errors
/// The first thing that is wrong, with its place as a JSON Pointer, or a keyword that is not known.
pub fn check(schema: &Value, document: &Value) -> Result<(), String> {
    at(schema, document, "", 0)
}

fn at(schema: &Value, value: &Value, place: &str, depth: usize) -> Result<(), String> {
    let place_name = if place.is_empty() { "the document" } else { place };
    let Some(schema) = schema.as_object() else {
        return Err(format!("the schema of {place_name} is no object"));
    };
    if depth > DEPTH {
        return Err(format!("the schema has more than {DEPTH} levels"));
    }
    for (keyword, wanted) in schema {
        let fits = match keyword.as_str() {
            "type" => is_type(wanted, value)?,
            "enum" => wanted.as_array().is_some_and(|values| values.contains(value)),
            "const" => wanted == value,
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= count(wanted)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= count(wanted)),
            "minItems" => value.as_array().is_none_or(|items| items.len() >= count(wanted)),
            "maxItems" => value.as_array().is_none_or(|items| items.len() <= count(wanted)),
            "minimum" => number(value).is_none_or(|n| number(wanted).is_some_and(|least| n >= least)),
            "maximum" => number(value).is_none_or(|n| number(wanted).is_some_and(|most| n <= most)),
            "uniqueItems" => {
                wanted != &Value::Bool(true) || value.as_array().is_none_or(|items| unique(items))
            }
            "required" => {
                let names = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
                let missing =
                    value.as_object().and_then(|map| names.into_iter().find(|n| !map.contains_key(*n)));
                if let Some(name) = missing {
                    return Err(format!("{place_name}: `{name}` is missing"));
                }
                true
            }
            "properties" | "items" => true,
            "additionalProperties" if wanted == &Value::Bool(true) => true,
            "additionalProperties" if wanted == &Value::Bool(false) => {
                let known = schema.get("properties").and_then(Value::as_object);
                let extra = value.as_object().and_then(|map| {
                    map.keys().find(|name| known.is_none_or(|known| !known.contains_key(*name)))
                });
                if let Some(name) = extra {
                    return Err(format!("{place_name}: `{name}` is not asked for"));
                }
                true
            }
            other if ANNOTATIONS.contains(&other) => true,
            other => return Err(format!("the schema's keyword `{other}` is not known")),
        };
        if !fits {
            return Err(format!("{place_name}: expected `{keyword}` {wanted}, got {}", shortened(value)));
        }
    }
    inside(schema, value, place, depth)
}

/// The members of an object and the items of a list.
fn inside(
    schema: &serde_json::Map<String, Value>,
    value: &Value,
    place: &str,
    depth: usize,
) -> Result<(), String> {
    if let (Some(properties), Some(map)) =
        (schema.get("properties").and_then(Value::as_object), value.as_object())
    {
        for (name, schema) in properties {
            if let Some(value) = map.get(name) {
                at(schema, value, &format!("{place}/{name}"), depth + 1)?;
            }
        }
    }
    if let (Some(schema), Some(items)) = (schema.get("items"), value.as_array()) {
        for (index, value) in items.iter().enumerate() {
            at(schema, value, &format!("{place}/{index}"), depth + 1)?;
        }
    }
    Ok(())
}

fn is_type(wanted: &Value, value: &Value) -> Result<bool, String> {
    if let Some(several) = wanted.as_array() {
        return several.iter().try_fold(false, |found, one| Ok(found || is_type(one, value)?));
    }
    Ok(match wanted.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("number") => value.is_number(),
        Some("integer") => number(value).is_some_and(|n| n.fract() == 0.0),
        _ => return Err(format!("the schema's type {wanted} is not known")),
    })
}

fn count(wanted: &Value) -> usize {
    wanted.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX)
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn unique(items: &[Value]) -> bool {
    items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn questions() -> Value {
        json!({
            "type": "object",
            "properties": {
                "questions": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 2,
                    "items": {
                        "type": "object",
                        "properties": {
                            "question": { "type": "string", "minLength": 3 },
                            "level": { "enum": ["easy", "hard"] }
                        },
                        "required": ["question"],
                        "additionalProperties": false
                    }
                }
            },
            "required": ["questions"],
            "additionalProperties": false
        })
    }

    #[test]
    fn a_document_of_the_schema_is_taken() {
        let document = json!({ "questions": [{ "question": "Why?", "level": "hard" }] });
        assert_eq!(check(&questions(), &document), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let wrong = |document: Value| check(&questions(), &document).unwrap_err();
        assert_eq!(wrong(json!({})), "the document: `questions` is missing");
        assert_eq!(wrong(json!({ "questions": [], "more": 1 })), "the document: `more` is not asked for");
        assert!(wrong(json!({ "questions": [] })).starts_with("/questions: expected `minItems` 1"));
        assert_eq!(wrong(json!({ "questions": [{}] })), "/questions/0: `question` is missing");
        assert!(wrong(json!({ "questions": [{ "question": "?" }] })).contains("/questions/0/question"));
        assert!(wrong(json!({ "questions": [{ "question": 3 }] })).contains("`type` \"string\", got 3"));
        assert!(wrong(json!({ "questions": [{ "question": "Why?", "level": 1 }] })).contains("level"));
        assert!(wrong(json!([])).contains("`type` \"object\""));
    }

    #[test]
    fn a_keyword_that_is_not_known_is_not_passed_over() {
        let schema = json!({ "type": "string", "pattern": "a+" });
        assert_eq!(check(&schema, &json!("aa")).unwrap_err(), "the schema's keyword `pattern` is not known");
    }
}
