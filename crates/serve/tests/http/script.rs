//! An engine that does what a test needs: as slow, as talkative or as broken as it should be.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use compute::Cpu;
use model::engine::{AdapterId, Engine, Event, FinishReason, Load, Refused, Request, Ticket, Usage};
use model::{OptionScore, Options};
use serve::Writer;

/// How it behaves.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// Texts that are written at once.
    pub(crate) slots: usize,
    /// Steps before the first token.
    pub(crate) prefill: usize,
    /// Time of a step.
    pub(crate) pace: Duration,
    /// Text of each token.
    pub(crate) token: String,
    /// The number of tokens of a request at which the engine panics.
    pub(crate) fatal: usize,
}

impl Default for Script {
    fn default() -> Self {
        Script { slots: 1, prefill: 0, pace: Duration::from_millis(2), token: " word".to_owned(), fatal: 666 }
    }
}

/// Tokens that texts had when they were cancelled.
pub(crate) type Cancelled = std::sync::Arc<Mutex<Vec<usize>>>;

/// Writes by the script; a real engine only gives the tickets.
pub(crate) struct Scripted<'m> {
    tickets: Engine<'m, Cpu>,
    script: Script,
    texts: VecDeque<Text>,
    cancelled: Cancelled,
    between: Vec<Event>,
}

struct Text {
    ticket: Ticket,
    prompt_tokens: usize,
    max_tokens: usize,
    steps: usize,
    written: usize,
}

impl<'m> Scripted<'m> {
    pub(crate) fn new(tickets: Engine<'m, Cpu>, script: Script, cancelled: Cancelled) -> Self {
        Scripted { tickets, script, texts: VecDeque::new(), cancelled, between: Vec::new() }
    }
}

fn end(text: &Text, reason: FinishReason) -> Event {
    let usage =
        Usage { prompt_tokens: text.prompt_tokens, completion_tokens: text.written, ..Usage::default() };
    Event::Finished { ticket: text.ticket, reason, text: String::new(), usage }
}

impl Writer for Scripted<'_> {
    fn submit(&mut self, request: Request) -> Result<Ticket, Refused> {
        let (prompt_tokens, max_tokens) = (request.prompt.len(), request.stop.max_tokens);
        let ticket = self.tickets.submit(request)?;
        self.tickets.cancel(ticket);
        self.tickets.step(&mut Vec::new());
        self.texts.push_back(Text { ticket, prompt_tokens, max_tokens, steps: 0, written: 0 });
        Ok(ticket)
    }

    fn cancel(&mut self, ticket: Ticket) {
        let Some(place) = self.texts.iter().position(|text| text.ticket == ticket) else { return };
        let Some(text) = self.texts.remove(place) else { return };
        self.cancelled.lock().unwrap().push(text.written);
        self.between.push(end(&text, FinishReason::Cancelled));
    }

    fn step(&mut self, events: &mut Vec<Event>) -> bool {
        events.append(&mut self.between);
        if self.texts.is_empty() {
            return !events.is_empty();
        }
        std::thread::sleep(self.script.pace);
        for text in self.texts.iter_mut().take(self.script.slots) {
            assert!(text.max_tokens != self.script.fatal, "the script says so");
            text.steps += 1;
            if text.steps > self.script.prefill {
                text.written += 1;
                let (ticket, token) = (text.ticket, self.script.token.clone());
                events.push(Event::Token { ticket, id: 1, text: token, logprob: None });
            }
        }
        self.texts.retain(|text| {
            let goes_on = text.written < text.max_tokens;
            if !goes_on {
                events.push(end(text, FinishReason::Length));
            }
            goes_on
        });
        true
    }

    fn load(&self) -> Load {
        let running = self.texts.len().min(self.script.slots);
        Load { running, waiting: self.texts.len() - running, ..Load::default() }
    }

    fn read(&mut self, options: &Options, _: AdapterId) -> model::Result<Vec<OptionScore>> {
        let score = |_| OptionScore { log_likelihood: -1.0, bytes: 1 };
        Ok((0..options.tokens().min(2)).map(score).collect())
    }
}
