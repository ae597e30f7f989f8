//! What is wrong with a file that is no JSON, no CSV or no text, in the words of those who have it.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

/// What text that is not in UTF-8 is called.
pub const NOT_TEXT: &str = "not text in UTF-8";

/// The object that `bytes` are, or why they are not the one that was `expected`, such as `an item`.
///
/// # Errors
/// What is wrong, in words.
pub fn object<T: DeserializeOwned>(bytes: &[u8], expected: &str) -> Result<T, String> {
    // serde takes a list for the fields of an object, one after the other.
    match bytes.trim_ascii_start().first() {
        Some(b'[') => Err(format!("a list: expected {expected}")),
        _ => serde_json::from_slice(bytes).map_err(|error| json(bytes, &error, expected)),
    }
}

/// As [`object`], of a value that was read.
///
/// # Errors
/// What is wrong, in words.
pub fn object_of<T: DeserializeOwned>(value: Value, expected: &str) -> Result<T, String> {
    match value {
        Value::Array(_) => Err(format!("a list: expected {expected}")),
        value => serde_json::from_value(value).map_err(|error| json(b"", &error, expected)),
    }
}

/// Why bytes are not the JSON that was `expected`.
pub fn json(bytes: &[u8], error: &serde_json::Error, expected: &str) -> String {
    if std::str::from_utf8(bytes).is_err() {
        return NOT_TEXT.to_owned();
    }
    match error.classify() {
        Category::Eof if bytes.trim_ascii().is_empty() => format!("empty: expected {expected}"),
        Category::Eof => format!("cut off in the middle: expected {expected}"),
        Category::Syntax | Category::Io => format!("no JSON: expected {expected}"),
        Category::Data => {
            let text = error.to_string();
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            in_words(text, expected)
        }
    }
}

/// serde's `invalid type: string "Ms Smith", expected struct Outcome` without what stands there and the names of types.
fn in_words(text: &str, expected: &str) -> String {
    if let Some(field) = text.strip_prefix("missing field ") {
        return format!("no {field} in it: expected {expected}");
    }
    if let Some((field, known)) =
        text.strip_prefix("unknown field ").and_then(|text| text.split_once(", expected "))
    {
        let known = known.strip_prefix("one of ").unwrap_or(known);
        return format!("{field} is no part of it: expected {expected}, of {known}");
    }
    let Some((found, kind)) =
        text.strip_prefix("invalid type: ").and_then(|text| text.rsplit_once(", expected "))
    else {
        return text.to_owned();
    };
    let found = match found.split([' ', '`']).next() {
        Some("string") => "a text",
        Some("integer" | "floating") => "a number",
        Some("boolean") => "true or false",
        Some("map") => "an object",
        Some("sequence") => "a list",
        _ => "nothing",
    };
    let kind = match kind {
        "a string" => "a text",
        "f64" | "f32" => "a number",
        "u64" | "u32" | "usize" | "i64" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        _ => expected,
    };
    format!("{found}: expected {kind}")
}

/// Why a record is no row of a CSV file.
pub fn csv(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => NOT_TEXT.to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[serde(rename = "id")]
        _id: String,
        #[serde(rename = "score", default)]
        _score: Option<f64>,
    }

    #[test]
    fn what_is_wrong_is_said_without_names_of_types_and_without_what_stands_there() {
        for (text, said) in [
            (&b"{\"id\": \"q1\", \"score"[..], "cut off in the middle: expected an item"),
            (b" ", "empty: expected an item"),
            (b"id,question", "no JSON: expected an item"),
            (b"{\"id\": \"caf\xe9\"}", "not text in UTF-8"),
            (b"null", "nothing: expected an item"),
            (b" [\"q1\", 1]", "a list: expected an item"),
            (b"{\"score\": 1}", "no `id` in it: expected an item"),
            (b"{\"id\": \"q1\", \"score\": \"high\"}", "a text: expected a number"),
            (
                b"{\"id\": \"q1\", \"prediction\": 1}",
                "`prediction` is no part of it: expected an item, of `id` or `score`",
            ),
        ] {
            assert_eq!(object::<Item>(text, "an item").unwrap_err(), said);
        }
    }
}
