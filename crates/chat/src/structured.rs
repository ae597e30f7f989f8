//! Replies in JSON: found in the text, checked against the schema, asked for once more when they do not fit.

use serde_json::Value;

use crate::{ChatModel, ChatRequest, Error, Finish, Form, Message, Reply, Result, schema};

/// A reply that fits its schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Structured {
    /// The document.
    pub value: Value,
    /// The replies that it took: one, or two when the first one had to be repaired.
    pub replies: Vec<Reply>,
    /// The last reply was cut off at its limit of tokens; these are the items that were whole.
    pub cut_off: bool,
}

/// Asks for a document of the schema in `request.form`. Of a reply that was cut off, what is whole is taken where it fits
/// the schema; a reply that does not fit goes back once, with what is wrong with it.
///
/// # Errors
/// [`Error::Form`] when the second reply does not fit either or there is no room for a second one, or the request names no
/// schema; otherwise the model's.
pub fn ask(model: &dyn ChatModel, request: &ChatRequest) -> Result<Structured> {
    let Some(Form::JsonSchema { schema, .. }) = &request.form else {
        return Err(Error::Form("the request names no schema".to_owned()));
    };
    let first = model.reply(request)?;
    let wrong = match fitting(schema, &first) {
        Ok((value, cut_off)) => return Ok(Structured { value, replies: vec![first], cut_off }),
        Err(wrong) => wrong,
    };
    let mut again = request.clone();
    again.messages.extend([
        Message::assistant(first.text.clone()),
        Message::user(format!(
            "This cannot be used: {wrong}. Answer once more with the whole JSON document, and nothing else."
        )),
    ]);
    let second = match model.reply(&again) {
        // The second request is longer than the first.
        Err(error @ (Error::Request(_) | Error::Rejected { .. })) => {
            return Err(Error::Form(format!("{wrong}; it could not be asked for again: {error}")));
        }
        reply => reply?,
    };
    match fitting(schema, &second) {
        Ok((value, cut_off)) => Ok(Structured { value, replies: vec![first, second], cut_off }),
        Err(wrong) => Err(Error::Form(wrong)),
    }
}

/// The document in a reply, and whether it is what is left of one that was cut off.
fn fitting(schema: &Value, reply: &Reply) -> std::result::Result<(Value, bool), String> {
    if let Some(value) = extract_json(&reply.text) {
        return schema::check(schema, &value).map(|()| (value, false));
    }
    if reply.finish != Finish::Length {
        return Err("it is no JSON document".to_owned());
    }
    let whole = whole_items(&reply.text).filter(|value| schema::check(schema, value).is_ok());
    whole
        .map(|value| (value, true))
        .ok_or_else(|| "it was cut off at the limit of tokens before anything was whole".to_owned())
}

/// A JSON document that was cut off, closed behind the last object or list that is a whole item of a list.
fn whole_items(text: &str) -> Option<Value> {
    let text = &text[text.find('{')?..];
    let (mut open, mut in_string, mut escaped) = (Vec::new(), false, false);
    let mut whole = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' => open.push('}'),
            b'[' => open.push(']'),
            b'}' | b']' => {
                open.pop()?;
                if open.last() == Some(&']') {
                    whole = Some((at + 1, open.clone()));
                }
            }
            _ => {}
        }
    }
    let (end, open) = whole?;
    let closed: String = text[..end].chars().chain(open.into_iter().rev()).collect();
    serde_json::from_str(&closed).ok()
}

/// The JSON object or list in a text: the whole of it, the content of its first fenced block, or what stands between
/// the first brace and the last one. What a model thought aloud in `<think>` is passed over.
pub fn extract_json(text: &str) -> Option<Value> {
    let text = text.rsplit_once("</think>").map_or(text, |(_, said)| said).trim();
    let parsed = |text: &str| serde_json::from_str::<Value>(text.trim()).ok();
    let structure = |value: &Value| value.is_object() || value.is_array();
    if let Some(value) = parsed(text).filter(structure) {
        return Some(value);
    }
    if let Some((_, rest)) = text.split_once("```") {
        let inside = rest.split_once("```").map_or(rest, |(inside, _)| inside);
        let inside = inside.strip_prefix("json").unwrap_or(inside);
        if let Some(value) = parsed(inside).filter(structure) {
            return Some(value);
        }
    }
    let between = |open: char, close: char| {
        let (start, end) = (text.find(open)?, text.rfind(close)?);
        parsed(text.get(start..=end)?)
    };
    between('{', '}').or_else(|| between('[', ']'))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;
    use crate::Usage;

    /// Says what it was told to say, and remembers what it was asked.
    struct Scripted {
        replies: Mutex<Vec<&'static str>>,
        asked: Mutex<Vec<ChatRequest>>,
    }

    impl Scripted {
        fn new(replies: &[&'static str]) -> Self {
            let replies = replies.iter().rev().copied().collect();
            Scripted { replies: Mutex::new(replies), asked: Mutex::default() }
        }
    }

    impl ChatModel for Scripted {
        fn name(&self) -> &str {
            "scripted"
        }

        fn identity(&self) -> String {
            "scripted".to_owned()
        }

        fn reply(&self, request: &ChatRequest) -> Result<Reply> {
            self.asked.lock().unwrap().push(request.clone());
            let text = self.replies.lock().unwrap().pop().unwrap_or_default().to_owned();
            let usage = Usage::default();
            // Whoever ends in the middle of a document was cut off.
            let finish =
                if text.starts_with('{') && !text.ends_with('}') { Finish::Length } else { Finish::Stop };
            Ok(Reply { text, finish, usage, cost: None, model: "m".into(), cached: false })
        }
    }

    fn request() -> ChatRequest {
        let schema =
            json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
        let form = Some(Form::JsonSchema { name: "n".into(), schema });
        ChatRequest { form, ..ChatRequest::new(vec![Message::user("A number?")], 10) }
    }

    #[test]
    fn a_wrong_reply_goes_back_once_with_what_is_wrong() {
        let model = Scripted::new(&["{\"n\": \"one\"}", "{\"n\": 1}"]);
        let answered = ask(&model, &request()).unwrap();
        assert_eq!(answered.value, json!({ "n": 1 }));
        assert_eq!(answered.replies.len(), 2);
        let asked = model.asked.lock().unwrap();
        assert_eq!(asked[1].messages.len(), 3);
        assert!(asked[1].messages[2].content.contains("/n: expected `type` \"integer\""));
    }

    #[test]
    fn two_wrong_replies_are_an_error() {
        let model = Scripted::new(&["I would rather not.", "No."]);
        let error = ask(&model, &request()).unwrap_err();
        assert_eq!(error, Error::Form("it is no JSON document".into()));
        assert!(!error.is_lasting());
    }

    #[test]
    fn what_is_whole_of_a_reply_that_was_cut_off_is_taken() {
        let item =
            json!({ "type": "object", "properties": { "q": { "type": "string" } }, "required": ["q"] });
        let schema = json!({ "type": "object", "properties": { "list": { "type": "array", "items": item } }, "required": ["list"] });
        let form = Some(Form::JsonSchema { name: "list".into(), schema });
        let request = ChatRequest { form, ..request() };
        let model = Scripted::new(&["{\"list\": [{\"q\": \"a \\\" } ]\"}, {\"q\": \"b\"}, {\"q\": \"c"]);
        let answered = ask(&model, &request).unwrap();
        assert_eq!(answered.value, json!({ "list": [{ "q": "a \" } ]" }, { "q": "b" }] }));
        assert!(answered.cut_off && answered.replies.len() == 1);

        let model = Scripted::new(&["{\"list\": [{\"q\": \"a", "{\"list\": []}"]);
        let answered = ask(&model, &request).unwrap();
        assert_eq!(
            (answered.value, answered.replies.len(), answered.cut_off),
            (json!({ "list": [] }), 2, false)
        );
    }

    #[test]
    fn json_is_found_in_what_stands_around_it() {
        let expected = Some(json!({ "a": [1] }));
        for text in [
            "{\"a\": [1]}",
            " \n{\"a\": [1]}\n",
            "Here you are:\n```json\n{\"a\": [1]}\n```\nAnything else?",
            "```\n{\"a\": [1]}",
            "<think>{\"a\": 2}?</think>{\"a\": [1]}",
            "Sure. {\"a\": [1]} I hope that helps.",
        ] {
            assert_eq!(extract_json(text), expected, "{text}");
        }
        for text in ["", "12", "\"a\"", "{\"a\": [1", "} {", "é```"] {
            assert_eq!(extract_json(text), None, "{text}");
        }
    }
}
