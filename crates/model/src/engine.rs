//! Writing many texts at once: requests join and leave at any step.

mod constraint;
mod logprobs;
mod request;

use std::collections::VecDeque;

use compute::Backend;

use crate::{Decoder, Result, Tokenizer};

pub use constraint::{Constraint, ConstraintError, Grammars};
pub use logprobs::TokenLogprob;
pub use request::{
    AdapterId, EngineSettings, Event, FinishReason, Load, Refused, Request, Stop, Ticket, Usage,
};

/// Writes texts with one decoder. One thread drives it: [`Engine::submit`], then [`Engine::step`] while it says that
/// there is something to do.
#[derive(Debug)]
pub struct Engine<'m, B: Backend> {
    decoder: &'m Decoder<B>,
    tokenizer: Option<&'m Tokenizer>,
    settings: EngineSettings,
    next: u64,
    waiting: VecDeque<(Ticket, Request)>,
    ended: Vec<Event>,
}

impl<'m, B: Backend> Engine<'m, B> {
    /// An engine without a tokenizer: its events have no text.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(decoder: &'m Decoder<B>, settings: EngineSettings) -> Result<Self> {
        Ok(Engine {
            decoder,
            tokenizer: None,
            settings,
            next: 0,
            waiting: VecDeque::new(),
            ended: Vec::new(),
        })
    }

    /// With the tokenizer that its events take their text from.
    pub fn with_tokenizer(mut self, tokenizer: &'m Tokenizer) -> Self {
        self.tokenizer = Some(tokenizer);
        self
    }

    /// What the engine takes on.
    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// Takes a request; its text begins in a later [`Engine::step`].
    ///
    /// # Errors
    /// When it cannot be taken, now or ever.
    pub fn submit(&mut self, request: Request) -> std::result::Result<Ticket, Refused> {
        self.check(&request)?;
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.push_back((ticket, request));
        Ok(ticket)
    }

    fn check(&self, request: &Request) -> std::result::Result<(), Refused> {
        let limit = self.settings.context.min(self.decoder.positions()).saturating_sub(1);
        if request.prompt.is_empty() {
            return Err(Refused::EmptyPrompt);
        }
        if request.prompt.len() > limit {
            return Err(Refused::PromptTooLong { tokens: request.prompt.len(), limit });
        }
        let waiting = self.waiting.len();
        if waiting >= self.settings.queue {
            return Err(Refused::QueueFull { waiting });
        }
        if !request.stop.strings.is_empty() && self.tokenizer.is_none() {
            return Err(Refused::NoTokenizer);
        }
        Ok(())
    }

    /// Ends a text where it is: its room is free before the next step, which reports the end. Nothing happens for a
    /// text that has ended.
    pub fn cancel(&mut self, ticket: Ticket) {
        let Some(place) = self.waiting.iter().position(|(t, _)| *t == ticket) else { return };
        self.waiting.remove(place);
        let (reason, usage) = (FinishReason::Cancelled, Usage::default());
        self.ended.push(Event::Finished { ticket, reason, text: String::new(), usage });
    }

    /// One forward pass: every text that is being written gets a token, prompts go on. Adds to `events` what happened.
    /// False when there was nothing to do.
    pub fn step(&mut self, events: &mut Vec<Event>) -> bool {
        events.append(&mut self.ended);
        while let Some((ticket, request)) = self.waiting.pop_front() {
            let usage = Usage { prompt_tokens: request.prompt.len(), ..Usage::default() };
            let reason = FinishReason::Length;
            events.push(Event::Finished { ticket, reason, text: String::new(), usage });
        }
        false
    }

    /// How busy it is.
    pub fn load(&self) -> Load {
        Load { waiting: self.waiting.len(), positions: self.settings.positions, ..Load::default() }
    }
}
