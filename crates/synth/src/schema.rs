//! The form of the model's replies.

use chat::Form;
use serde_json::{Value, json};

use crate::{Draft, Kind};

/// So many questions are taken from a reply where the prompt names no number.
pub(crate) const MOST: usize = 500;

/// Tokens of a reply with one question that are not its texts.
const AROUND_TEXTS: usize = 48;

/// What replies have to be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// Questions, at least.
    pub(crate) least: usize,
    /// About so many at most; who writes some more than that is not turned away.
    pub(crate) most: Option<usize>,
    /// Tokens that a reply may have, where no text may be so long that not one question is whole, be every character of
    /// it a token.
    pub(crate) room: Option<usize>,
}

/// What a reply looks like.
pub(crate) fn form(kind: Kind, wanted: Wanted) -> Form {
    let text = |share: usize| {
        let mut text = json!({ "type": "string" });
        if let Some(room) = wanted.room {
            text["maxLength"] = json!((room.saturating_sub(AROUND_TEXTS) / share).max(1));
        }
        text
    };
    // The question has a third; its answers share the rest.
    let mut properties = json!({ "question": text(3) });
    let mut required = vec!["question", "answer"];
    match kind {
        Kind::Qa => properties["answer"] = text(2),
        Kind::Mc => {
            properties["answer"] = text(6);
            properties["distractors"] =
                json!({ "type": "array", "items": text(6), "minItems": 3, "maxItems": 3 });
            required.push("distractors");
        }
    }
    let question = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false
    });
    let most = wanted.most.map_or(MOST, |most| most + most.div_ceil(2));
    let mut questions = json!({ "type": "array", "items": question, "maxItems": most });
    if wanted.least > 0 {
        questions["minItems"] = json!(wanted.least);
    }
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
        let wanted = Wanted { most: Some(2), ..Wanted::default() };
        let Form::JsonSchema { schema, .. } = form(Kind::Mc, wanted) else { panic!("no schema") };
        let question = json!({ "question": "Q?", "answer": "a", "distractors": ["b", "c", "d"] });
        let document = json!({ "questions": [question, question] });
        assert_eq!(chat::schema::check(&schema, &document), Ok(()));
        let drafts = drafts(&document);
        assert_eq!((drafts.len(), drafts[1].distractors.len()), (2, 3));
        let two = json!({ "questions": [{ "question": "Q?", "answer": "a", "distractors": ["b", "c"] }] });
        assert!(chat::schema::check(&schema, &two).is_err());
        let Form::JsonSchema { schema, .. } = form(Kind::Qa, wanted) else { panic!("no schema") };
        assert_eq!(chat::schema::check(&schema, &json!({ "questions": [] })), Ok(()));
        assert!(chat::schema::check(&schema, &document).is_err());
    }

    #[test]
    fn one_question_is_whole_whatever_it_is_written_in() {
        for (kind, distractors) in [(Kind::Qa, 0), (Kind::Mc, 3)] {
            let wanted = Wanted { least: 1, most: Some(1), room: Some(300) };
            let Form::JsonSchema { schema, .. } = form(kind, wanted) else { panic!("no schema") };
            let item = &schema["properties"]["questions"]["items"]["properties"];
            let length = |text: &Value| text["maxLength"].as_u64().unwrap() as usize;
            let options = distractors * item.get("distractors").map_or(0, |list| length(&list["items"]));
            let texts = length(&item["question"]) + length(&item["answer"]) + options;
            assert!((200..=300 - AROUND_TEXTS).contains(&texts), "{texts}");
            let none = json!({ "questions": [] });
            assert!(chat::schema::check(&schema, &none).is_err(), "at least one is wanted");
        }
    }
}
