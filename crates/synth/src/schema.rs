//! The form of the model's replies.

use chat::Form;
use serde_json::{Value, json};

use crate::{Draft, Kind};

/// So many questions are taken from a reply where the prompt names no number.
const MOST: usize = 500;

/// What a reply of about `most` questions looks like; who writes some more than that is not turned away.
pub(crate) fn form(kind: Kind, most: Option<usize>) -> Form {
    let text = || json!({ "type": "string" });
    let mut properties = json!({ "question": text(), "answer": text() });
    let mut required = vec!["question", "answer"];
    if kind == Kind::Mc {
        properties["distractors"] = json!({ "type": "array", "items": text(), "minItems": 3, "maxItems": 3 });
        required.push("distractors");
    }
    let question = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false
    });
    let questions = json!({ "type": "array", "items": question, "maxItems": most.map_or(MOST, |most| most + most.div_ceil(2)) });
    let schema = json!({
        "type": "object",
        "properties": { "questions": questions },
        "required": ["questions"],
        "additionalProperties": false
    });
    Form::JsonSchema { name: format!("{}_questions", kind.as_str()), schema }
}

/// The questions in a document of that form.
pub(crate) fn drafts(document: &Value) -> Vec<Draft> {
    let questions = document["questions"].as_array();
    questions
        .into_iter()
        .flatten()
        .filter_map(|question| serde_json::from_value(question.clone()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_the_form_becomes_drafts() {
        let Form::JsonSchema { schema, .. } = form(Kind::Mc, Some(2)) else { panic!("no schema") };
        let question = json!({ "question": "Q?", "answer": "a", "distractors": ["b", "c", "d"] });
        let document = json!({ "questions": [question, question] });
        assert_eq!(chat::schema::check(&schema, &document), Ok(()));
        let drafts = drafts(&document);
        assert_eq!((drafts.len(), drafts[1].distractors.len()), (2, 3));
        let two = json!({ "questions": [{ "question": "Q?", "answer": "a", "distractors": ["b", "c"] }] });
        assert!(chat::schema::check(&schema, &two).is_err());
        let Form::JsonSchema { schema, .. } = form(Kind::Qa, Some(2)) else { panic!("no schema") };
        assert_eq!(chat::schema::check(&schema, &json!({ "questions": [] })), Ok(()));
        assert!(chat::schema::check(&schema, &document).is_err());
    }
}
