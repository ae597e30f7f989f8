//! Answers, as they are written.

use ::chat::Message;
use compute::Cpu;
use model::engine::{Engine, EngineSettings, Event, FinishReason, Request, Stop};
use model::{Sampling, encode_prompt};

use super::base::Model;
use crate::args::SamplingArgs;
use crate::failure::{Failure, Outcome};

/// Writes answers with one model.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    model: &'a Model,
    sampling: Sampling,
    max_new_tokens: usize,
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
            repetition_penalty: args.repetition_penalty,
            seed: args.seed,
            ..Sampling::default()
        };
        Ok(Writer { model, sampling, max_new_tokens: args.max_new_tokens, engine: None })
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
        let room = (prompt.len() + self.max_new_tokens).next_power_of_two().min(decoder.positions());
        if self.engine.as_ref().is_none_or(|engine| engine.settings().context < room) {
            let engine = Engine::new(decoder, EngineSettings::new(1, room))?;
            self.engine = Some(engine.with_tokenizer(tokenizer));
        }
        let Some(engine) = self.engine.as_mut() else {
            return Err(Failure::unexpected("no room for an answer"));
        };
        let stop =
            Stop { tokens: tokenizer.eos_ids().to_vec(), max_tokens: self.max_new_tokens, ..Stop::default() };
        let request = Request { sampling: self.sampling.clone(), ..Request::greedy(prompt, stop) };
        let written = engine.write([request], &mut |_, event| match event {
            Event::Token { text, .. } | Event::Finished { text, .. } => show(text),
        })?;
        let Some(written) = written.into_iter().next() else {
            return Err(Failure::unexpected("the engine wrote no text"));
        };
        let text = tokenizer.decode(&written.ids, true)?.trim().to_owned();
        Ok(Answer {
            text,
            prompt_tokens: written.usage.prompt_tokens,
            tokens: written.ids.len(),
            complete: written.reason == FinishReason::Stop,
        })
    }
}
