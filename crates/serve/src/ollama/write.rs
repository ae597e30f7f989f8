//! `POST /api/generate` and `POST /api/chat`.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use chat::{Message, Role};
use model::engine::{FinishReason, Usage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::{Options, constrain};
use super::models::tagged;
use crate::app::App;
use crate::json::{Json, reply};
use crate::openai::{logprobs, refuse_present};
use crate::refusal::{Outcome, Refusal, Style};
use crate::stream::{Framing, Narrator, Sink, tell};
use crate::texts::{Places, Prompt, Token, Wanted, reason_name};
use crate::worker::Part;

/// What both routes take: a prompt or a conversation, and how it goes on.
#[derive(Debug, Deserialize)]
pub(crate) struct WriteRequest {
    model: Option<String>,
    prompt: Option<String>,
    system: Option<String>,
    /// Without a template.
    raw: Option<bool>,
    messages: Option<Vec<Turn>>,
    stream: Option<bool>,
    options: Option<Options>,
    format: Option<Value>,
    keep_alive: Option<Value>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    template: Option<Value>,
    context: Option<Value>,
    suffix: Option<Value>,
    images: Option<Value>,
    tools: Option<Value>,
    think: Option<Value>,
}

/// A message.
#[derive(Debug, Deserialize)]
struct Turn {
    role: Role,
    #[serde(default)]
    content: String,
    images: Option<Value>,
    tool_calls: Option<Value>,
}

/// Goes on with a prompt.
pub(crate) async fn generate(
    State(app): State<App>,
    Json(mut request): Json<WriteRequest>,
) -> Outcome<Response> {
    refuse_present(&[
        ("template", &request.template),
        ("context", &request.context),
        ("suffix", &request.suffix),
        ("images", &request.images),
        ("think", &request.think),
    ])?;
    let prompt = request.prompt.take().unwrap_or_default();
    let prompt = match (prompt.is_empty(), request.raw.unwrap_or(false)) {
        (true, _) => None,
        (false, true) => Some(Prompt::Raw(prompt)),
        (false, false) => {
            let system = request.system.take().filter(|text| !text.is_empty());
            let system = system.map(|text| Message::new(Role::System, text));
            Some(Prompt::Conversation(system.into_iter().chain([Message::user(prompt)]).collect()))
        }
    };
    request.answer(app, prompt, Shape::Generate).await
}

/// Goes on with a conversation.
pub(crate) async fn chat(State(app): State<App>, Json(mut request): Json<WriteRequest>) -> Outcome<Response> {
    refuse_present(&[("tools", &request.tools), ("think", &request.think)])?;
    let message = |turn: Turn| {
        refuse_present(&[("messages.images", &turn.images), ("messages.tool_calls", &turn.tool_calls)])?;
        Ok(Message::new(turn.role, turn.content))
    };
    let turns = request.messages.take().unwrap_or_default();
    let messages = turns.into_iter().map(message).collect::<Outcome<Vec<_>>>()?;
    let prompt = (!messages.is_empty()).then_some(Prompt::Conversation(messages));
    request.answer(app, prompt, Shape::Chat).await
}

/// Where the text stands in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `response`.
    Generate,
    /// `message.content`.
    Chat,
}

impl WriteRequest {
    async fn answer(self, app: App, prompt: Option<Prompt>, shape: Shape) -> Outcome<Response> {
        let name = app.catalogue.find(self.model.as_deref())?.clone();
        let mut wanted = Wanted {
            logprobs: self.logprobs.unwrap_or(false).then_some(self.top_logprobs.unwrap_or(0)),
            streamed: self.stream.unwrap_or(true),
            ..self.options.unwrap_or_default().wanted(name.adapter)?
        };
        wanted.check(&app)?;
        let places = app.places(1)?;
        constrain((&app, &places), &mut wanted, self.format).await?;
        let told = tagged(&name.name);
        let story =
            Story { model: told, shape, logprobs: wanted.logprobs.is_some(), begun: Instant::now(), app };
        // A model is loaded, or sent away, by asking nothing of it.
        let Some(prompt) = prompt else {
            // Python's client makes it 0.0.
            let now = |value: &Value| value.as_f64() == Some(0.0) || value == "0";
            let unload = self.keep_alive.as_ref().is_some_and(now);
            let mut document = story.document("");
            document["done"] = true.into();
            document["done_reason"] = if unload { "unload" } else { "load" }.into();
            return Ok(reply(&document));
        };
        story.write((prompt, places), &wanted).await
    }
}

/// One response, whole or as it comes.
pub(crate) struct Story {
    pub(crate) model: String,
    pub(crate) shape: Shape,
    pub(crate) logprobs: bool,
    pub(crate) begun: Instant,
    pub(crate) app: App,
}

impl Story {
    /// Writes the text for a prompt.
    pub(crate) async fn write(
        self,
        (prompt, places): (Prompt, Places),
        wanted: &Wanted,
    ) -> Outcome<Response> {
        let prompt = prompt.encode(&self.app, &places).await?;
        let parts = self.app.write(vec![prompt], wanted, places).await?;
        if wanted.streamed {
            return Ok(tell(parts, self, Framing::Lines, Style::Plain));
        }
        let written = parts.collect().await?.pop().ok_or_else(Refusal::defect)?;
        let mut document = self.document(&written.text);
        if self.logprobs {
            document["logprobs"] = written.tokens.iter().map(|token| self.logprob(token)).collect();
        }
        self.end(&mut document, written.reason, &written.usage);
        Ok(reply(&document))
    }

    fn document(&self, text: &str) -> Value {
        let mut document = json!({ "model": self.model, "created_at": track::utc_timestamp() });
        match self.shape {
            Shape::Generate => document["response"] = text.into(),
            Shape::Chat => document["message"] = json!({ "role": "assistant", "content": text }),
        }
        document["done"] = false.into();
        document
    }

    fn logprob(&self, token: &Token) -> Value {
        logprobs::content(&self.app.catalogue, token)
    }

    /// Adds what stands at the end; durations are in nanoseconds.
    fn end(&self, document: &mut Value, reason: Option<FinishReason>, usage: &Usage) {
        let nanoseconds = |duration: Duration| Value::from(duration.as_nanos() as u64);
        document["done"] = true.into();
        document["done_reason"] = reason_name(reason).into();
        document["total_duration"] = nanoseconds(self.begun.elapsed());
        document["load_duration"] = nanoseconds(usage.waiting);
        document["prompt_eval_count"] = usage.prompt_tokens.into();
        document["prompt_eval_duration"] = nanoseconds(usage.prefill);
        document["eval_count"] = usage.completion_tokens.into();
        document["eval_duration"] = nanoseconds(usage.decode);
    }
}

impl Narrator for Story {
    fn part(&mut self, part: Part, out: &mut Sink) {
        match part {
            Part::Token { id, text, logprob, .. } => {
                let token = logprob.map(|logprob| Token { id, offset: 0, logprob });
                if text.is_empty() && token.is_none() {
                    return;
                }
                let mut document = self.document(&text);
                if let Some(token) = token {
                    document["logprobs"] = json!([self.logprob(&token)]);
                }
                out.put(&document);
            }
            Part::End { reason, text, usage, .. } => {
                let mut document = self.document(&text);
                self.end(&mut document, Some(reason), &usage);
                out.put(&document);
            }
            Part::Taken | Part::Refused(_) | Part::Failed(_) => {}
        }
    }
}
