//! Texts for a list of requests, to their ends.

use std::collections::HashMap;

use compute::Backend;

use super::{Engine, Event, FinishReason, Request, Ticket, TokenLogprob, Usage};
use crate::Result;

/// A text that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// Its tokens.
    pub ids: Vec<u32>,
    /// What they say; empty without a tokenizer.
    pub text: String,
    /// Log-probabilities of its tokens, where they were asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// Why it ended.
    pub reason: FinishReason,
    /// What it took.
    pub usage: Usage,
}

impl<B: Backend> Engine<'_, B> {
    /// Writes the texts of `requests` to their ends, as many at a time as there are slots; `hear(request, event)` hears
    /// what happens. The texts have the order of the requests.
    ///
    /// # Errors
    /// When a request is refused, other than for a full queue; nothing is written then.
    pub fn write(
        &mut self,
        requests: impl IntoIterator<Item = Request>,
        hear: &mut dyn FnMut(usize, &Event),
    ) -> Result<Vec<Text>> {
        let mut requests = requests.into_iter().enumerate();
        let mut owners: HashMap<Ticket, usize> = HashMap::new();
        let (mut texts, mut events, mut next) = (Vec::new(), Vec::new(), requests.next());
        loop {
            while let Some((owner, request)) = next.take() {
                if self.is_full() {
                    next = Some((owner, request));
                    break;
                }
                match self.submit(request) {
                    Ok(ticket) => owners.insert(ticket, owner),
                    Err(refused) => {
                        owners.into_keys().for_each(|ticket| self.cancel(ticket));
                        return Err(refused.into());
                    }
                };
                let usage = Usage::default();
                let (ids, text, reason) = (Vec::new(), String::new(), FinishReason::Cancelled);
                texts.push(Text { ids, text, logprobs: Vec::new(), reason, usage });
                next = requests.next();
            }
            if !self.step(&mut events) && next.is_none() {
                return Ok(texts);
            }
            for event in events.drain(..) {
                let (Event::Token { ticket, .. } | Event::Finished { ticket, .. }) = &event;
                let Some(&owner) = owners.get(ticket) else { continue };
                hear(owner, &event);
                let written = &mut texts[owner];
                match event {
                    Event::Token { id, text, logprob, .. } => {
                        written.ids.push(id);
                        written.text += &text;
                        written.logprobs.extend(logprob);
                    }
                    Event::Finished { reason, text, usage, .. } => {
                        written.text += &text;
                        (written.reason, written.usage) = (reason, usage);
                    }
                }
            }
        }
    }
}
