//! `POST /v1/chat/completions`.

use axum::extract::State;
use axum::response::Response;
use chat::{Message, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fields::{Choosing, OneOrMany, ResponseFormat, StreamOptions, max_tokens, refuse_present};
use super::{Document, Head, Total, logprobs};
use crate::app::App;
use crate::json::{Json, reply};
use crate::refusal::{Outcome, Refusal, Style};
use crate::stream::{Framing, Narrator, Sink, tell};
use crate::texts::{Prompt, Token, Wanted, reason_name};
use crate::worker::Part;

/// A conversation to go on with. Fields that change nothing here, such as `user`, are not listed and not refused.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatRequest {
    model: Option<String>,
    messages: Vec<Turn>,
    #[serde(default)]
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<usize>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    stop: Option<OneOrMany>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    repetition_penalty: Option<f32>,
    seed: Option<i64>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    response_format: Option<ResponseFormat>,
    tools: Option<Value>,
    tool_choice: Option<Value>,
    functions: Option<Value>,
    logit_bias: Option<Value>,
    audio: Option<Value>,
    prediction: Option<Value>,
}

/// A message.
#[derive(Debug, Deserialize)]
struct Turn {
    role: String,
    content: Option<Content>,
    tool_calls: Option<Value>,
}

/// A text, whole or in parts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Piece>),
}

#[derive(Debug, Deserialize)]
struct Piece {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

impl Turn {
    fn message(self) -> Outcome<Message> {
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return Err(Refusal::field("messages", "expected the roles system, user and assistant")),
        };
        refuse_present(&[("messages.tool_calls", &self.tool_calls)])?;
        let text = match self.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                let text = |part: Piece| match part.kind.as_str() {
                    "text" => Ok(part.text.unwrap_or_default()),
                    _ => Err(Refusal::field("messages", "expected parts of type text")),
                };
                parts.into_iter().map(text).collect::<Outcome<Vec<_>>>()?.concat()
            }
        };
        Ok(Message::new(role, text))
    }
}

/// Goes on with a conversation.
pub(crate) async fn complete(State(app): State<App>, Json(request): Json<ChatRequest>) -> Outcome<Response> {
    refuse_present(&[
        ("tools", &request.tools),
        ("tool_choice", &request.tool_choice.filter(|choice| choice != "auto")),
        ("functions", &request.functions),
        ("logit_bias", &request.logit_bias),
        ("audio", &request.audio),
        ("prediction", &request.prediction),
    ])?;
    let name = app.catalogue.find(request.model.as_deref())?.clone();
    let messages = request.messages.into_iter().map(Turn::message).collect::<Outcome<Vec<_>>>()?;
    if messages.is_empty() {
        return Err(Refusal::field("messages", "expected at least one"));
    }
    let choosing = Choosing {
        temperature: request.temperature,
        top_p: request.top_p,
        top_k: request.top_k,
        min_p: request.min_p,
        presence_penalty: request.presence_penalty,
        frequency_penalty: request.frequency_penalty,
        repetition_penalty: request.repetition_penalty,
        seed: request.seed,
    };
    let mut wanted = Wanted {
        max_tokens: max_tokens(request.max_tokens, request.max_completion_tokens)?,
        stop: request.stop.map_or_else(Vec::new, OneOrMany::into_vec),
        choices: request.n.unwrap_or(1),
        streamed: request.stream.unwrap_or(false),
        logprobs: match (request.logprobs.unwrap_or(false), request.top_logprobs) {
            (true, top) => Some(top.unwrap_or(0)),
            (false, None | Some(0)) => None,
            (false, Some(_)) => {
                return Err(Refusal::field("top_logprobs", "expected logprobs: true with it"));
            }
        },
        ..choosing.wanted(name.adapter)
    };
    wanted.check(&app)?;
    let places = app.places(wanted.choices)?;
    if let Some(format) = request.response_format {
        wanted.constraint = format.constraint(&app, &places).await?;
    }
    let prompt = Prompt::Conversation(messages).encode(&app, &places).await?;
    let parts = app.write(vec![prompt], &wanted, places).await?;
    let include_usage = request.stream_options.unwrap_or_default().include_usage;
    let mut story = Story {
        head: Head::new("chatcmpl", name.name),
        choices: wanted.choices,
        logprobs: wanted.logprobs.is_some(),
        include_usage,
        total: Total::default(),
        app: app.clone(),
    };
    if wanted.streamed {
        return Ok(tell(parts, story, Framing::Events, Style::OpenAi));
    }
    let written = parts.collect().await?;
    let choices: Vec<Value> = written
        .iter()
        .enumerate()
        .map(|(index, text)| {
            story.total.add(index, wanted.choices, &text.usage);
            let message = json!({ "role": "assistant", "content": text.text, "refusal": null });
            let reason = reason_name(text.reason);
            let logprobs = story.logprobs(&text.tokens);
            json!({ "index": index, "message": message, "logprobs": logprobs, "finish_reason": reason })
        })
        .collect();
    Ok(reply(&story.head.document("chat.completion", choices, Some(story.total.document()))))
}

/// What a stream's documents are called.
const CHUNK: &str = "chat.completion.chunk";

/// A part of a message.
#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Value,
    finish_reason: Option<&'static str>,
}

/// What is new in it.
#[derive(Debug, Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

impl<'a> Delta<'a> {
    fn text(text: &'a str) -> Self {
        Delta { content: Some(text), ..Delta::default() }
    }
}

/// One response, whole or as it comes.
struct Story {
    head: Head,
    choices: usize,
    logprobs: bool,
    include_usage: bool,
    total: Total,
    app: App,
}

impl Story {
    fn logprobs(&self, tokens: &[Token]) -> Value {
        let catalogue = &self.app.catalogue;
        match self.logprobs {
            true => {
                let content: Vec<Value> = tokens.iter().map(|t| logprobs::content(catalogue, t)).collect();
                json!({ "content": content, "refusal": null })
            }
            false => Value::Null,
        }
    }

    fn chunk<'a>(
        &'a self,
        index: usize,
        delta: Delta<'a>,
        tokens: &[Token],
        finish_reason: Option<&'static str>,
    ) -> Document<'a, [Choice<'a>; 1]> {
        let logprobs = if tokens.is_empty() { Value::Null } else { self.logprobs(tokens) };
        let choice = Choice { index, delta, logprobs, finish_reason };
        self.head.document(CHUNK, [choice], self.include_usage.then_some(Value::Null))
    }
}

impl Narrator for Story {
    fn begin(&mut self, out: &mut Sink) {
        for index in 0..self.choices {
            let begin = Delta { role: Some("assistant"), content: Some("") };
            out.put(&self.chunk(index, begin, &[], None));
        }
    }

    fn part(&mut self, part: Part, out: &mut Sink) {
        match part {
            Part::Token { text_number, id, text, logprob } => {
                let token = logprob.map(|logprob| Token { id, offset: 0, logprob });
                if !text.is_empty() || token.is_some() {
                    out.put(&self.chunk(text_number, Delta::text(&text), token.as_slice(), None));
                }
            }
            Part::End { text_number, reason, text, usage } => {
                self.total.add(text_number, self.choices, &usage);
                if !text.is_empty() {
                    out.put(&self.chunk(text_number, Delta::text(&text), &[], None));
                }
                let reason = reason_name(Some(reason));
                out.put(&self.chunk(text_number, Delta::default(), &[], Some(reason)));
            }
            Part::Taken | Part::Refused(_) | Part::Failed(_) => {}
        }
    }

    fn finish(&mut self, out: &mut Sink) {
        if self.include_usage {
            let usage = Some(self.total.document());
            let none: [Choice<'_>; 0] = [];
            out.put(&self.head.document(CHUNK, none, usage));
        }
        out.text("[DONE]");
    }
}
