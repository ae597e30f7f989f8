//! The protocol of OpenAI's chat completions, as it is spoken by those who say that they speak it: what is not needed
//! is not looked at, and what is missing is made do without.

use chat::{ChatRequest, Finish, Form, Message, Role, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How a reply in JSON is asked for. Servers know the first, the first two, or only the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rung {
    /// `response_format: json_schema`.
    Schema,
    /// `response_format: json_object`, the schema in words.
    Object,
    /// The schema in words.
    Words,
}

impl Rung {
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            0 => Rung::Schema,
            1 => Rung::Object,
            _ => Rung::Words,
        }
    }
}

/// The body of a request.
pub(crate) fn body(request: &ChatRequest, model: &str, rung: Rung, extra: &Map<String, Value>) -> Value {
    let mut messages = request.messages.clone();
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    match &request.form {
        None => {}
        Some(Form::Choice(texts)) => {
            let texts = texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ");
            add(&mut messages, &format!("Answer with exactly one of these and nothing else: {texts}."));
        }
        Some(Form::JsonSchema { name, schema }) => {
            if rung == Rung::Schema {
                let format = json!({ "name": name, "strict": true, "schema": schema });
                let format = json!({ "type": "json_schema", "json_schema": format });
                body.insert("response_format".to_owned(), format);
            } else {
                add(
                    &mut messages,
                    &format!("Answer with one JSON document of this schema and nothing else:\n{schema}"),
                );
            }
            if rung == Rung::Object {
                body.insert("response_format".to_owned(), json!({ "type": "json_object" }));
            }
        }
    }
    body.insert("messages".to_owned(), json!(messages));
    body.insert("max_tokens".to_owned(), json!(request.max_tokens));
    // A float of 32 bits has more digits in JSON than anybody wrote.
    let temperature = (f64::from(request.temperature) * 1e4).round() / 1e4;
    body.insert("temperature".to_owned(), json!(temperature));
    if let Some(seed) = request.seed {
        body.insert("seed".to_owned(), json!(seed));
    }
    if !request.stop.is_empty() {
        body.insert("stop".to_owned(), json!(request.stop));
    }
    body.extend(extra.iter().map(|(name, value)| (name.clone(), value.clone())));
    body.retain(|_, value| !value.is_null());
    Value::Object(body)
}

/// Adds an instruction to the last turn of the person.
fn add(messages: &mut Vec<Message>, instruction: &str) {
    match messages.last_mut() {
        Some(last) if last.role == Role::User => last.content = format!("{}\n\n{instruction}", last.content),
        _ => messages.push(Message::user(instruction)),
    }
}

/// What is read of a reply.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Completion {
    model: Option<String>,
    choices: Vec<Choice>,
    usage: Option<Counted>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    message: Said,
    finish_reason: Option<String>,
    /// OpenRouter has the error of a provider here.
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    content: Value,
    refusal: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counted {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    /// OpenRouter.
    cost: Option<f64>,
}

/// A reply as it was understood.
#[derive(Debug, PartialEq)]
pub(crate) struct Understood {
    pub(crate) text: String,
    pub(crate) finish: Finish,
    pub(crate) usage: Option<Usage>,
    pub(crate) cost: Option<f64>,
    pub(crate) model: Option<String>,
}

/// Why a body is no reply.
#[derive(Debug, PartialEq)]
pub(crate) enum NoReply {
    /// It says that something went wrong, with the status that it names.
    Failed(Option<u16>, String),
    /// It is not what a server of this protocol sends; asking again may help.
    Malformed(String),
}

/// Reads the body of a reply.
pub(crate) fn understand(body: &str) -> Result<Understood, NoReply> {
    let value: Value = serde_json::from_str(body)
        .map_err(|error| NoReply::Malformed(format!("a body that is no JSON: {error}")))?;
    let failed = |error: &Value| {
        let code = error.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        NoReply::Failed(code.and_then(|code| u16::try_from(code).ok()), said(error))
    };
    if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
        return Err(failed(error));
    }
    let completion: Completion = serde_json::from_value(value)
        .map_err(|error| NoReply::Malformed(format!("a body that is no chat completion: {error}")))?;
    let Some(choice) = completion.choices.into_iter().next() else {
        return Err(NoReply::Malformed("a body without `choices`".to_owned()));
    };
    if let Some(error) = choice.error.filter(|error| !error.is_null()) {
        return Err(failed(&error));
    }
    let (text, refused) = match (text_of(&choice.message.content), choice.message.refusal) {
        (Some(text), _) => (text, false),
        (None, Some(refusal)) => (refusal, true),
        (None, None) => (String::new(), false),
    };
    let finish = if refused { Finish::ContentFilter } else { finish(choice.finish_reason) };
    let counted = completion.usage.unwrap_or_default();
    let usage = match (counted.prompt_tokens, counted.completion_tokens) {
        (None, None) => None,
        (prompt, completion) => Some(Usage {
            prompt_tokens: prompt.unwrap_or(0),
            completion_tokens: completion.unwrap_or(0),
            estimated: false,
        }),
    };
    let cost = counted.cost.filter(|cost| cost.is_finite() && *cost >= 0.0);
    Ok(Understood { text, finish, usage, cost, model: completion.model })
}

fn finish(reason: Option<String>) -> Finish {
    Finish::from_word(reason.as_deref().unwrap_or_default())
}

/// The text of a message, which may come in parts.
fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            (!texts.is_empty()).then(|| texts.concat())
        }
        _ => None,
    }
}

/// What an error says, on one line of a few hundred characters.
pub(crate) fn said(error: &Value) -> String {
    let text = error
        .as_str()
        .or_else(|| error.get("message").and_then(Value::as_str))
        .or_else(|| {
            error.get("error").and_then(|error| error.as_str().or_else(|| error.get("message")?.as_str()))
        })
        .or_else(|| error.get("detail").and_then(Value::as_str))
        .map_or_else(|| error.to_string(), str::to_owned);
    line(&text)
}

/// The words of a text that came from elsewhere, on one line of a few hundred characters without control characters.
pub(crate) fn line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_groq_and_openrouter_add_does_not_disturb() {
        let groq = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"llama","choices":[{"index":0,
            "message":{"role":"assistant","content":"Yes.","reasoning":"…","tool_calls":null},"logprobs":null,
            "finish_reason":"stop"}],"usage":{"queue_time":0.1,"prompt_tokens":9,"prompt_time":0.1,
            "completion_tokens":2,"completion_time":0.1,"total_tokens":11},"service_tier":"on_demand",
            "x_groq":{"id":"req_1"},"system_fingerprint":null}"#;
        let reply = understand(groq).unwrap();
        assert_eq!((reply.text.as_str(), reply.finish), ("Yes.", Finish::Stop));
        assert_eq!(reply.usage.map(|usage| usage.total()), Some(11));

        let router = r#"{"choices":[{"message":{"content":[{"type":"text","text":"N"},{"type":"text","text":"o"}]},
            "finish_reason":"tool_use","native_finish_reason":"STOP"}],"usage":{"completion_tokens":2,"cost":0.01}}"#;
        let reply = understand(router).unwrap();
        assert_eq!((reply.text.as_str(), reply.finish), ("No", Finish::Other("tool_use".into())));
        assert_eq!(reply.cost, Some(0.01));
        assert_eq!(understand(r#"{"choices":[{"message":{"content":null}}]}"#).unwrap().usage, None);
    }

    #[test]
    fn an_error_behind_a_good_status_is_an_error() {
        let failed = |body: &str| understand(body).unwrap_err();
        assert_eq!(
            failed(r#"{"error":{"code":429,"message":"slow\ndown"}}"#),
            NoReply::Failed(Some(429), "slow down".into())
        );
        assert_eq!(failed(r#"{"choices":[{"error":{"message":"x"}}]}"#), NoReply::Failed(None, "x".into()));
        for malformed in ["", "<html>", "[]", "{}", r#"{"choices":[]}"#, r#"{"choices":3}"#] {
            assert!(matches!(failed(malformed), NoReply::Malformed(_)), "{malformed}");
        }
    }

    #[test]
    fn the_schema_goes_where_the_server_can_use_it() {
        let form = Form::JsonSchema { name: "n".into(), schema: json!({ "type": "object" }) };
        let request = ChatRequest { form: Some(form), ..ChatRequest::new(vec![Message::user("A?")], 5) };
        let at = |rung| body(&request, "m", rung, &Map::new());
        assert_eq!(at(Rung::Schema)["response_format"]["json_schema"]["schema"], json!({ "type": "object" }));
        assert_eq!(at(Rung::Schema)["messages"][0]["content"], "A?");
        assert_eq!(at(Rung::Object)["response_format"]["type"], "json_object");
        assert_eq!(at(Rung::Words).get("response_format"), None);
        for rung in [Rung::Object, Rung::Words] {
            assert!(at(rung)["messages"][0]["content"].as_str().unwrap().ends_with("{\"type\":\"object\"}"));
        }
    }

    #[test]
    fn extra_fields_replace_ours_and_null_takes_them_away() {
        let extra = json!({ "max_tokens": null, "max_completion_tokens": 7, "temperature": 1 });
        let request = ChatRequest { temperature: 0.1, ..ChatRequest::new(vec![Message::user("A?")], 5) };
        let plain = body(&request, "m", Rung::Schema, &Map::new());
        assert_eq!((&plain["temperature"], &plain["max_tokens"]), (&json!(0.1), &json!(5)));
        let changed = body(&request, "m", Rung::Schema, extra.as_object().unwrap());
        assert_eq!((&changed["temperature"], changed.get("max_tokens")), (&json!(1), None));
        assert_eq!(changed["max_completion_tokens"], 7);
    }
}
