//! Answers, as they are written.

use ::chat::Message;
use compute::Cpu;
use model::{Generator, Sampling, Stop, encode_prompt};

use super::base::Model;
use crate::args::SamplingArgs;
use crate::failure::{Failure, Outcome};

/// Writes answers with one model.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    model: &'a Model,
    sampling: Sampling,
    max_new_tokens: usize,
    generator: Option<(usize, Generator<Cpu>)>,
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
        Ok(Writer { model, sampling, max_new_tokens: args.max_new_tokens, generator: None })
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
        let needed = (prompt.len() + self.max_new_tokens).min(decoder.positions());
        if self.generator.as_ref().is_none_or(|(room, _)| *room < needed) {
            self.generator = Some((needed, Generator::new(decoder, 1, needed)?));
        }
        let Some((_, generator)) = self.generator.as_mut() else {
            return Err(Failure::unexpected("no room for an answer"));
        };
        let stop = Stop { tokens: tokenizer.eos_ids().to_vec(), max_tokens: self.max_new_tokens };
        let mut stream = tokenizer.decode_stream(true);
        let mut failed = None;
        let prompt_tokens = prompt.len();
        let texts =
            generator.generate(
                decoder,
                &[prompt],
                (&self.sampling, &stop),
                true,
                &mut |_, token| match stream.push(token) {
                    Ok(text) => show(&text),
                    Err(error) => failed = Some(error),
                },
            );
        if let Some(error) = failed {
            return Err(error.into());
        }
        show(&stream.finish()?);
        let ids = &texts[0];
        let text = tokenizer.decode(ids, true)?.trim().to_owned();
        let limit = self.max_new_tokens.min(needed - prompt_tokens);
        Ok(Answer { text, prompt_tokens, tokens: ids.len(), complete: ids.len() < limit })
    }
}
