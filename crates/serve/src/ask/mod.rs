//! `/ask`: a question or a case, with options or without.

mod answer;
pub(crate) mod legacy;
mod options;

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use chat::{Message, Role};
use model::engine::Usage;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::json::{Json, reply};
use crate::openai::seed;
use crate::refusal::{Outcome, Refusal, Style};
use crate::stream::{Framing, Narrator, Sink, tell};
use crate::texts::{Prompt, Wanted, Written, beside, reason_name};
use crate::worker::Part;

use answer::Answer;
use options::{Choice, Given};

/// What is asked.
#[derive(Debug, Deserialize)]
pub(crate) struct AskRequest {
    /// What happened; stands before the question.
    case: Option<String>,
    question: Option<String>,
    /// A list of texts, or a map from letters to texts.
    options: Option<Given>,
    /// What the model is told before.
    system: Option<String>,
    model: Option<String>,
    seed: Option<i64>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    /// 0: only the options are compared, nothing is written.
    max_tokens: Option<usize>,
    stream: Option<bool>,
}

/// `POST /ask`.
pub(crate) async fn ask(State(app): State<App>, Json(request): Json<AskRequest>) -> Outcome<Response> {
    let begun = Instant::now();
    let name = app.catalogue.find(request.model.as_deref())?.clone();
    let texts = [request.case, request.question].into_iter().flatten().filter(|text| !text.trim().is_empty());
    let question = texts.collect::<Vec<_>>().join("\n\n");
    if question.is_empty() {
        return Err(Refusal::field("question", "expected a question or a case"));
    }
    let options = request.options.map(Given::lettered).transpose()?;
    let writes = request.max_tokens != Some(0);
    if options.is_none() && !writes {
        return Err(Refusal::field("max_tokens", "expected at least 1 where there are no options"));
    }
    let system: Vec<Message> =
        request.system.map(|text| Message::new(Role::System, text)).into_iter().collect();
    let mut wanted = Wanted {
        max_tokens: request.max_tokens,
        streamed: request.stream.unwrap_or(false),
        ..Wanted::greedy(name.adapter)
    };
    wanted.sampling.seed = seed(request.seed);
    wanted.sampling.temperature = request.temperature.unwrap_or(wanted.sampling.temperature);
    wanted.sampling.top_p = request.top_p.unwrap_or(wanted.sampling.top_p);
    wanted.check(&app)?;
    let places = app.places(1)?;

    let turns =
        |text: String| -> Vec<Message> { system.iter().cloned().chain([Message::user(text)]).collect() };
    let choice = match &options {
        None => None,
        Some(options) => {
            let (messages, texts) = (turns(question.clone()), options.texts());
            let shared = app.clone();
            let encoded = beside(&places, move || {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let (tokenizer, template) = (shared.catalogue.tokenizer(), shared.catalogue.template());
                Ok(model::Options::encode(tokenizer, template, &messages, &texts)?)
            })
            .await?;
            Some(options.choose(&app.read(encoded, name.adapter, places.clone()).await?))
        }
    };
    let letters = options.as_ref().map_or_else(Vec::new, options::Options::letters);
    let mut story = Story { model: name.name, choice, letters, begun, text: String::new() };
    if !writes {
        return Ok(reply(&story.document(&Written::default(), begun.elapsed())));
    }
    let asked = match &options {
        None => question,
        Some(options) => format!("{question}\n\n{}", options.listed()),
    };
    let prompt = Prompt::Conversation(turns(asked)).encode(&app, &places).await?;
    let parts = app.write(vec![prompt], &wanted, places).await?;
    if wanted.streamed {
        return Ok(tell(parts, story, Framing::Events, Style::Plain));
    }
    let written = parts.collect().await?.pop().ok_or_else(Refusal::defect)?;
    story.text.clone_from(&written.text);
    Ok(reply(&story.document(&written, begun.elapsed())))
}

/// One answer, whole or as it comes.
struct Story {
    model: String,
    choice: Option<Choice>,
    letters: Vec<char>,
    begun: Instant,
    text: String,
}

impl Story {
    fn document(&self, written: &Written, total: Duration) -> Value {
        let Answer { analysis, answer, letter } = Answer::of(&self.text, &self.letters);
        let mut document = json!({
            "model": self.model,
            "answer": answer,
            "analysis": analysis,
            "text": self.text,
            "finish_reason": written.reason.map(|reason| reason_name(Some(reason))),
        });
        if let Some(choice) = &self.choice {
            document["choice"] = choice.document();
            document["options"] = choice.options();
            document["written_letter"] = letter.map(String::from).into();
        }
        let Usage { prompt_tokens, cached_tokens, completion_tokens, .. } = written.usage;
        document["usage"] = json!({
            "prompt_tokens": prompt_tokens,
            "cached_tokens": cached_tokens,
            "completion_tokens": completion_tokens,
        });
        let milliseconds = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        document["timings"] = json!({
            "waiting_ms": milliseconds(written.usage.waiting),
            "prefill_ms": milliseconds(written.usage.prefill),
            "decode_ms": milliseconds(written.usage.decode),
            "total_ms": milliseconds(total),
        });
        document
    }
}

impl Narrator for Story {
    fn begin(&mut self, out: &mut Sink) {
        if let Some(choice) = &self.choice {
            out.put(&json!({ "choice": choice.document(), "options": choice.options() }));
        }
    }

    fn part(&mut self, part: Part, out: &mut Sink) {
        match part {
            Part::Token { text, .. } => {
                self.text.push_str(&text);
                if !text.is_empty() {
                    out.put(&json!({ "delta": text }));
                }
            }
            Part::End { reason, text, usage, .. } => {
                self.text.push_str(&text);
                let written = Written { reason: Some(reason), usage, ..Written::default() };
                let mut document = self.document(&written, self.begun.elapsed());
                document["done"] = true.into();
                out.put(&document);
            }
            Part::Taken | Part::Refused(_) | Part::Failed(_) => {}
        }
    }
}
