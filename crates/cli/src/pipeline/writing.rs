//! Answers, as they are written.

use ::chat::Message;
use compute::Cpu;
use model::engine::{Constraint, Engine, EngineSettings, Event, FinishReason, Grammars, Request, Stop};
use model::{Sampling, encode_prompt};

use super::base::Model;
use crate::args::{FormArgs, SamplingArgs};
use crate::failure::{self, Failure, Outcome};

/// Writes answers with one model.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    model: &'a Model,
    sampling: Sampling,
    stop: Stop,
    form: Option<Constraint>,
    engine: Option<Engine<'a, Cpu>>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) prompt_tokens: usize,
    pub(crate) tokens: usize,
    /// The model ended it; otherwise the limit did.
    pub(crate) complete: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(model: &'a Model, args: &SamplingArgs) -> Outcome<Self> {
        let sampling = Sampling {
            temperature: args.temperature,
            top_k: args.top_k,
            top_p: args.top_p,
            min_p: args.min_p,
            repetition_penalty: args.repetition_penalty,
            presence_penalty: args.presence_penalty,
            frequency_penalty: args.frequency_penalty,
            seed: args.seed,
            ..Sampling::default()
        };
        let stop = Stop {
            tokens: model.tokenizer.eos_ids().to_vec(),
            strings: args.stop.clone(),
            max_tokens: args.max_new_tokens,
        };
        Ok(Writer { model, sampling, stop, form: form(model, &args.form)?, engine: None })
    }

    /// Answers the last message; `show` hears the text as it comes.
    pub(crate) fn answer(&mut self, messages: &[Message], show: &mut dyn FnMut(&str)) -> Outcome<Answer> {
        let Model { decoder, tokenizer, template, .. } = self.model;
        let prompt = encode_prompt(tokenizer, template, messages)?;
        if prompt.len() >= decoder.positions() {
            return Err(Failure::input(format!(
                "the conversation has {} tokens, the model reads {}",
                prompt.len(),
                decoder.positions()
            ))
            .hint("start a new conversation"));
        }
        // Room for the next turns of a conversation as well: what this one leaves in the cache is read again.
        let room = (prompt.len() + self.stop.max_tokens).next_power_of_two().min(decoder.positions());
        if self.engine.as_ref().is_none_or(|engine| engine.settings().context < room) {
            let engine = Engine::new(decoder, EngineSettings::new(1, room))?;
            self.engine = Some(engine.with_tokenizer(tokenizer));
        }
        let Some(engine) = self.engine.as_mut() else {
            return Err(Failure::unexpected("no room for an answer"));
        };
        let request = Request {
            sampling: self.sampling.clone(),
            constraint: self.form.clone(),
            ..Request::greedy(prompt, self.stop.clone())
        };
        let written = engine.write([request], &mut |_, event| match event {
            Event::Token { text, .. } | Event::Finished { text, .. } => show(text),
        })?;
        let Some(written) = written.into_iter().next() else {
            return Err(Failure::unexpected("the engine wrote no text"));
        };
        Ok(Answer {
            text: written.text.trim().to_owned(),
            prompt_tokens: written.usage.prompt_tokens,
            tokens: written.ids.len(),
            complete: written.reason == FinishReason::Stop,
        })
    }
}

/// The constraint on the answers, if there is one.
fn form(model: &Model, args: &FormArgs) -> Outcome<Option<Constraint>> {
    if args.choices.is_empty() && args.regex.is_none() && args.json_schema.is_none() {
        return Ok(None);
    }
    let grammars = Grammars::new(&model.tokenizer).map_err(model::Error::from)?;
    let constraint = match (&args.regex, &args.json_schema) {
        (Some(pattern), _) => grammars.regex(pattern),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(failure::io(path))?;
            let schema = serde_json::from_str(&text)
                .map_err(|e| Failure::input(format!("{}: not valid JSON: {e}", path.display())))?;
            grammars.json_schema(&schema)
        }
        (None, None) => grammars.choice(&args.choices),
    };
    Ok(Some(constraint.map_err(model::Error::from)?))
}
