//! `POST /v1/completions`: texts that go on, without a template.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{Choosing, OneOrMany, StreamOptions, max_tokens, refuse_present};
use super::{Document, Head, Total, logprobs};
use crate::app::App;
use crate::json::{Json, reply};
use crate::refusal::{Outcome, Refusal, Style};
use crate::stream::{Framing, Narrator, Sink, tell};
use crate::texts::{Prompt, Token, Wanted, reason_name};
use crate::worker::Part;

/// OpenAI's default, which its clients know.
const MAX_TOKENS: u64 = 16;
/// What its documents are called.
const OBJECT: &str = "text_completion";

/// Texts to go on with.
#[derive(Debug, Deserialize)]
pub(crate) struct CompletionRequest {
    model: Option<String>,
    prompt: Prompts,
    #[serde(default)]
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<usize>,
    max_tokens: Option<u64>,
    stop: Option<OneOrMany>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    repetition_penalty: Option<f32>,
    seed: Option<i64>,
    logprobs: Option<usize>,
    echo: Option<Value>,
    suffix: Option<Value>,
    logit_bias: Option<Value>,
    best_of: Option<usize>,
}

/// Texts or tokens, one or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Prompts {
    Text(String),
    Texts(Vec<String>),
    Ids(Vec<u32>),
    IdLists(Vec<Vec<u32>>),
}

impl Prompts {
    fn each(self) -> Vec<Prompt> {
        match self {
            Prompts::Text(text) => vec![Prompt::Raw(text)],
            Prompts::Texts(texts) => texts.into_iter().map(Prompt::Raw).collect(),
            Prompts::Ids(ids) => vec![Prompt::Ids(ids)],
            Prompts::IdLists(lists) => lists.into_iter().map(Prompt::Ids).collect(),
        }
    }
}

/// Goes on with texts.
pub(crate) async fn complete(
    State(app): State<App>,
    Json(request): Json<CompletionRequest>,
) -> Outcome<Response> {
    refuse_present(&[
        ("echo", &request.echo),
        ("suffix", &request.suffix),
        ("logit_bias", &request.logit_bias),
    ])?;
    let choices = request.n.unwrap_or(1);
    if request.best_of.is_some_and(|best_of| best_of != choices) {
        return Err(Refusal::unsupported("best_of"));
    }
    let name = app.catalogue.find(request.model.as_deref())?.clone();
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
    let wanted = Wanted {
        max_tokens: max_tokens(None, Some(request.max_tokens.unwrap_or(MAX_TOKENS)))?,
        stop: request.stop.map_or_else(Vec::new, OneOrMany::into_vec),
        choices,
        streamed: request.stream.unwrap_or(false),
        logprobs: request.logprobs,
        ..choosing.wanted(name.adapter)
    };
    wanted.check(&app)?;
    let prompts = request.prompt.each();
    let most = app.settings.limits.prompts;
    if prompts.is_empty() || prompts.len() * choices > most {
        return Err(Refusal::field("prompt", format!("expected 1 to {most} texts in all")));
    }
    let texts = prompts.len() * choices;
    let places = app.places(texts)?;
    let mut encoded = Vec::with_capacity(prompts.len());
    for prompt in prompts {
        encoded.push(prompt.encode(&app, &places).await?);
    }
    let parts = app.write(encoded, &wanted, places).await?;
    let mut story = Story {
        head: Head::new("cmpl", name.name),
        choices,
        include_usage: request.stream_options.unwrap_or_default().include_usage,
        total: Total::default(),
        offsets: vec![0; texts],
        app: app.clone(),
    };
    if wanted.streamed {
        return Ok(tell(parts, story, Framing::Events, Style::OpenAi));
    }
    let written = parts.collect().await?;
    let entries: Vec<Choice<'_>> = written
        .iter()
        .enumerate()
        .map(|(index, text)| {
            story.total.add(index, choices, &text.usage);
            let logprobs = wanted.logprobs.map(|_| logprobs::columns(&app.catalogue, &text.tokens));
            Choice { index, text: &text.text, logprobs, finish_reason: Some(reason_name(text.reason)) }
        })
        .collect();
    Ok(reply(&story.head.document(OBJECT, entries, Some(story.total.document()))))
}

/// A text, or a part of it.
#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: usize,
    text: &'a str,
    logprobs: Option<Value>,
    finish_reason: Option<&'static str>,
}

struct Story {
    head: Head,
    choices: usize,
    include_usage: bool,
    total: Total,
    /// Bytes that each text has so far.
    offsets: Vec<usize>,
    app: App,
}

impl Story {
    fn chunk<'a>(
        &'a self,
        index: usize,
        text: &'a str,
        tokens: &[Token],
        finish_reason: Option<&'static str>,
    ) -> Document<'a, [Choice<'a>; 1]> {
        let catalogue = &self.app.catalogue;
        let logprobs = (!tokens.is_empty()).then(|| logprobs::columns(catalogue, tokens));
        let choice = Choice { index, text, logprobs, finish_reason };
        self.head.document(OBJECT, [choice], self.include_usage.then_some(Value::Null))
    }
}

impl Narrator for Story {
    fn part(&mut self, part: Part, out: &mut Sink) {
        match part {
            Part::Token { text_number, id, text, logprob } => {
                let offset = self.offsets[text_number];
                self.offsets[text_number] += text.len();
                let token = logprob.map(|logprob| Token { id, offset, logprob });
                if !text.is_empty() || token.is_some() {
                    out.put(&self.chunk(text_number, &text, token.as_slice(), None));
                }
            }
            Part::End { text_number, reason, text, usage } => {
                self.total.add(text_number, self.choices, &usage);
                out.put(&self.chunk(text_number, &text, &[], Some(reason_name(Some(reason)))));
            }
            Part::Taken | Part::Refused(_) | Part::Failed(_) => {}
        }
    }

    fn finish(&mut self, out: &mut Sink) {
        if self.include_usage {
            let none: [Choice<'_>; 0] = [];
            out.put(&self.head.document(OBJECT, none, Some(self.total.document())));
        }
        out.text("[DONE]");
    }
}
