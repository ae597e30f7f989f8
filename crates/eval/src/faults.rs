//! What is wrong with a file that is no JSON, no CSV or no text, in the words of those who have it.

use serde_json::error::Category;

/// What text that is not in UTF-8 is called.
pub(crate) const NOT_TEXT: &str = "not text in UTF-8";

/// Why bytes are not the JSON that was `expected`, such as `an item`.
pub(crate) fn json(bytes: &[u8], error: &serde_json::Error, expected: &str) -> String {
    if std::str::from_utf8(bytes).is_err() {
        return NOT_TEXT.to_owned();
    }
    match error.classify() {
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
    format!("{found} where {kind} is expected")
}

/// Why a record is no row of a CSV file.
pub(crate) fn csv(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => NOT_TEXT.to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Outcome;

    fn reason(text: &[u8]) -> String {
        json(text, &serde_json::from_slice::<Outcome>(text).unwrap_err(), "an item")
    }

    #[test]
    fn what_is_wrong_is_said_without_names_of_types() {
        for (text, said) in [
            (&b"{\"id\": \"q1\", \"rouge"[..], "cut off in the middle: expected an item"),
            (b"id,question", "no JSON: expected an item"),
            (b"{\"id\": \"caf\xe9\"}", "not text in UTF-8"),
            (b"null", "nothing where an item is expected"),
            (b"{\"rouge_l\": 1}", "missing field `id`"),
            (b"{\"id\": \"q1\", \"rouge_l\": \"high\"}", "a text where a number is expected"),
        ] {
            assert_eq!(reason(text), said);
        }
        assert!(
            reason(b"{\"id\": \"q1\", \"prediction\": 1}")
                .starts_with("unknown field `prediction`, expected one of `id`")
        );
    }
}
