//! Writing many texts at once: requests join and leave at any step, prompts are read in chunks while others go on
//! (Yu et al. 2022; Agrawal et al. 2023), and what prompts have in common is computed once (Kwon et al. 2023).
//!
//! A text depends on its request alone: not on what else is in the batch, how its prompt is cut, or what was found in
//! the cache.

mod adapters;
mod blocks;
mod constraint;
mod logprobs;
mod lookup;
mod memory;
mod request;
mod sampler;
mod schedule;
mod sequence;
mod stop_strings;
mod texts;

use std::collections::VecDeque;

use compute::Backend;

use crate::logits::Logits;
use crate::{Activations, Cache, Decoder, Result, Tokenizer};
use adapters::{Another, PassRows, Stack};
use blocks::BlockPool;
use logprobs::Distribution;
use sampler::Candidate;
use schedule::{Pass, blocks_of};
use sequence::Sequence;

pub use constraint::{Constraint, ConstraintError, Grammars};
pub use logprobs::TokenLogprob;
pub use request::{
    AdapterId, EngineSettings, Event, FinishReason, Load, Refused, Request, Stop, Ticket, Usage,
};
pub use texts::Text;

/// Writes texts with one decoder. One thread drives it: [`Engine::submit`], then [`Engine::step`] while it says that
/// there is something to do. All its memory is allocated at the start.
#[derive(Debug)]
pub struct Engine<'m, B: Backend> {
    decoder: &'m Decoder<B>,
    /// Those of [`AdapterId`] 2 and on.
    adapters: Vec<Another<'m, B>>,
    /// They and the decoder's own side by side, as far as they can be.
    stack: Option<Stack<B>>,
    tokenizer: Option<&'m Tokenizer>,
    settings: EngineSettings,
    activations: Activations<B>,
    logits: Logits<B>,
    cache: Cache<B>,
    pool: BlockPool,
    next: u64,
    /// By ticket, as the next.
    waiting: VecDeque<Sequence<'m>>,
    running: Vec<Sequence<'m>>,
    free_slots: Vec<u32>,
    /// Events of what happened between steps.
    between: Vec<Event>,
    totals: Load,
    // Of one step:
    pass: Pass,
    passes: Vec<PassRows>,
    shares: Vec<usize>,
    row: Vec<f32>,
    candidates: Vec<Candidate>,
    ended: Vec<(Ticket, FinishReason)>,
}

impl<'m, B: Backend> Engine<'m, B> {
    /// An engine without a tokenizer: its events have no text.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(decoder: &'m Decoder<B>, settings: EngineSettings) -> Result<Self> {
        let settings = settings.within(decoder.positions());
        let EngineSettings { slots, context, step_tokens, .. } = settings;
        let blocks = blocks_of(settings.positions);
        let vocabulary = decoder.config().vocab_size;
        Ok(Engine {
            decoder,
            adapters: Vec::new(),
            stack: None,
            tokenizer: None,
            settings,
            activations: Activations::for_inference(decoder, step_tokens)?,
            logits: Logits::new(decoder, settings.wanted_rows())?,
            cache: Cache::paged(decoder, (slots, context), blocks)?,
            pool: BlockPool::new(blocks),
            next: 0,
            waiting: VecDeque::new(),
            running: Vec::with_capacity(slots),
            free_slots: (0..slots as u32).rev().collect(),
            between: Vec::new(),
            totals: Load::default(),
            pass: Pass::default(),
            passes: Vec::new(),
            shares: Vec::with_capacity(slots),
            row: vec![0.0; vocabulary],
            candidates: Vec::new(),
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
    pub fn submit(&mut self, mut request: Request) -> std::result::Result<Ticket, Refused> {
        self.check(&request)?;
        if request.adapter == AdapterId::OWN && self.decoder.adapter().is_none() {
            request.adapter = AdapterId::BASE;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        let empty = request.stop.max_tokens == 0;
        let sequence = Sequence::new(ticket, request, self.tokenizer);
        match empty {
            true => self.between.push(sequence.finish(FinishReason::Length)),
            false => self.waiting.push_back(sequence),
        }
        Ok(ticket)
    }

    fn check(&self, request: &Request) -> std::result::Result<(), Refused> {
        let limit = self.settings.context.saturating_sub(1);
        if request.prompt.is_empty() {
            return Err(Refused::EmptyPrompt);
        }
        if request.prompt.len() > limit {
            return Err(Refused::PromptTooLong { tokens: request.prompt.len(), limit });
        }
        let vocabulary = self.decoder.config().vocab_size;
        if let Some(&id) = request.prompt.iter().find(|id| **id as usize >= vocabulary) {
            return Err(Refused::UnknownToken { id, vocabulary });
        }
        if request.adapter.0 > AdapterId::OWN.0 + self.adapters.len() as u32 {
            return Err(Refused::UnknownAdapter(request.adapter.0));
        }
        if let Some((name, got, expected)) = request.sampling.wrong() {
            return Err(Refused::Setting { name, got: got.to_string(), expected });
        }
        if !request.stop.strings.is_empty() && self.tokenizer.is_none() {
            return Err(Refused::NoTokenizer);
        }
        if self.is_full() {
            return Err(Refused::QueueFull { waiting: self.waiting.len() });
        }
        Ok(())
    }

    /// Whether a request would have to wait for others that wait already, more than may.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= self.settings.queue.saturating_add(self.free_slots.len())
    }

    /// Ends a text where it is: its room is free before the next step, which reports the end. Nothing happens for a
    /// text that has ended.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.end(ticket, FinishReason::Cancelled);
    }

    /// Takes a text out, wherever it is.
    fn end(&mut self, ticket: Ticket, reason: FinishReason) {
        let sequence = if let Ok(place) = self.running.binary_search_by_key(&ticket, |s| s.ticket) {
            let mut sequence = self.running.remove(place);
            sequence.leave(&mut self.pool);
            self.free_slots.push(sequence.slot);
            sequence
        } else if let Ok(place) = self.waiting.binary_search_by_key(&ticket, |s| s.ticket)
            && let Some(sequence) = self.waiting.remove(place)
        {
            sequence
        } else {
            return;
        };
        self.between.push(sequence.finish(reason));
    }

    /// One forward pass: every text that is being written gets a token or more, prompts go on. Adds to `events` what
    /// happened.
    /// False when nothing did: there is nothing to do until the next request.
    pub fn step(&mut self, events: &mut Vec<Event>) -> bool {
        let before = events.len();
        events.append(&mut self.between);
        self.make_room();
        self.admit();
        if self.running.is_empty() {
            return events.len() > before;
        }
        self.share_out();
        self.guess();
        self.passes(events);
        let mut ended = std::mem::take(&mut self.ended);
        ended.drain(..).for_each(|(ticket, reason)| self.end(ticket, reason));
        self.ended = ended;
        events.append(&mut self.between);
        true
    }

    /// Chooses the next token of the sequence that has row `row` of the logits. True if the next row has read it: it was
    /// guessed.
    fn choose(&mut self, row: usize, events: &mut Vec<Event>) -> bool {
        let ticket = self.pass.owners[row];
        let Ok(place) = self.running.binary_search_by_key(&ticket, |s| s.ticket) else { return false };
        let sequence = &mut self.running[place];
        self.logits.read(self.decoder, (row, 0), &mut self.row);
        let distribution = sequence.logprobs.map(|top| Distribution::of(&self.row, top));
        let mut broken = false;
        let constraint = sequence.constraint.as_mut();
        let forbid = |logits: &mut [f32]| {
            broken = constraint.is_some_and(|constraint| constraint.forbid(logits).is_err());
        };
        let chosen = sequence.sampler.choose(&mut self.row, &sequence.ids, forbid, &mut self.candidates);
        let Some(id) = chosen.filter(|_| !broken) else {
            self.ended.push((ticket, FinishReason::Constraint));
            return false;
        };
        let (text, reason) = sequence.write(id, self.settings.context);
        if let Some(text) = text {
            self.totals.completion_tokens += 1;
            let logprob = distribution.map(|distribution| {
                let mut logit = [0.0];
                self.logits.read(self.decoder, (row, id as usize), &mut logit);
                distribution.logprob(logit[0])
            });
            events.push(Event::Token { ticket, id, text, logprob });
        }
        if let Some(reason) = reason {
            self.ended.push((ticket, reason));
            return false;
        }
        let guessed = self.pass.guess(row) == Some(id);
        if guessed {
            self.running[place].advance(1, &mut self.pool);
        }
        guessed
    }

    /// How busy it is.
    pub fn load(&self) -> Load {
        Load {
            running: self.running.len(),
            waiting: self.waiting.len(),
            positions_held: self.pool.held() * compute::KV_BLOCK,
            positions_kept: self.pool.kept() * compute::KV_BLOCK,
            positions: self.settings.positions,
            ..self.totals
        }
    }
}
