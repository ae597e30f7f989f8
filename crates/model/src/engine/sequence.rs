//! A request on its way: waiting, its prompt being read, its text being written.

use std::time::{Duration, Instant};

use compute::KV_BLOCK;

use super::blocks::{BlockHash, BlockPool, hash_block};
use super::lookup::Lookup;
use super::sampler::Sampler;
use super::stop_strings::StopStrings;
use super::{AdapterId, Constraint, Event, FinishReason, Request, Ticket, Usage};
use crate::{DecodeStream, Tokenizer};

/// One text.
#[derive(Debug)]
pub(super) struct Sequence<'m> {
    pub(super) ticket: Ticket,
    pub(super) adapter: AdapterId,
    pub(super) sampler: Sampler,
    pub(super) constraint: Option<Constraint>,
    pub(super) logprobs: Option<usize>,
    /// Prompt and text.
    pub(super) ids: Vec<u32>,
    pub(super) lookup: Lookup,
    prompt_tokens: usize,
    stop_tokens: Vec<u32>,
    max_tokens: usize,
    /// Tokens whose keys and values are in the cache.
    pub(super) computed: usize,
    /// Its row in the table of blocks while it runs.
    pub(super) slot: u32,
    /// Blocks that it holds.
    pub(super) blocks: Vec<u32>,
    /// Hashes of the whole blocks of `ids`, as far as they are known.
    hashes: Vec<BlockHash>,
    /// Blocks that others can find.
    published: usize,
    text: Option<DecodeStream<'m>>,
    stop_strings: StopStrings,
    cached_tokens: usize,
    submitted: Instant,
    started: Option<Instant>,
    first_token: Option<Instant>,
}

impl<'m> Sequence<'m> {
    pub(super) fn new(ticket: Ticket, request: Request, tokenizer: Option<&'m Tokenizer>) -> Self {
        let Request { prompt, adapter, sampling, choice, stop, logprobs, constraint } = request;
        Sequence {
            ticket,
            adapter,
            sampler: Sampler::new(&sampling, choice, &prompt),
            constraint,
            logprobs,
            prompt_tokens: prompt.len(),
            ids: prompt,
            lookup: Lookup::new(),
            stop_tokens: stop.tokens,
            max_tokens: stop.max_tokens,
            computed: 0,
            slot: 0,
            blocks: Vec::new(),
            hashes: Vec::new(),
            published: 0,
            text: tokenizer.map(|tokenizer| tokenizer.decode_stream(true)),
            stop_strings: StopStrings::new(&stop.strings),
            cached_tokens: 0,
            submitted: Instant::now(),
            started: None,
            first_token: None,
        }
    }

    /// Tokens that have no keys and values yet: one while the text is being written.
    pub(super) fn uncomputed(&self) -> usize {
        self.ids.len() - self.computed
    }

    /// Hashes of the blocks that need not be computed where they are known. The last token always is: its output is
    /// wanted.
    pub(super) fn shareable(&mut self) -> &[BlockHash] {
        let count = (self.ids.len() - 1) / KV_BLOCK;
        self.hash_to(count);
        &self.hashes[..count]
    }

    fn hash_to(&mut self, count: usize) {
        while self.hashes.len() < count {
            let ids = &self.ids[self.hashes.len() * KV_BLOCK..][..KV_BLOCK];
            self.hashes.push(hash_block(self.hashes.last(), self.adapter, ids));
        }
    }

    /// Whether the block with this hash, the `index`-th of its text, comes in one of the next steps.
    pub(super) fn will_publish(&self, index: usize, hash: &BlockHash) -> bool {
        self.published <= index && self.hashes.get(index) == Some(hash)
    }

    /// Takes its place: the first `found` blocks are there already. True for the first time.
    pub(super) fn start(&mut self, slot: u32, pool: &mut BlockPool, found: usize) -> bool {
        self.slot = slot;
        self.blocks.extend(self.hashes[..found].iter().map_while(|hash| pool.share(hash)));
        self.published = self.blocks.len();
        self.computed = self.blocks.len() * KV_BLOCK;
        let first = self.started.is_none();
        if first {
            self.started = Some(Instant::now());
            self.cached_tokens = self.computed;
        }
        first
    }

    /// Gives its blocks back. What it had can be found until the room is wanted; the end goes first, as it is of use to
    /// the fewest.
    pub(super) fn leave(&mut self, pool: &mut BlockPool) {
        self.blocks.drain(..).rev().for_each(|block| pool.release(block));
        (self.computed, self.published) = (0, 0);
    }

    /// `tokens` more have keys and values.
    pub(super) fn advance(&mut self, tokens: usize, pool: &mut BlockPool) {
        self.computed += tokens;
        let complete = self.computed / KV_BLOCK;
        self.hash_to(complete);
        for index in self.published..complete {
            pool.publish(self.blocks[index], self.hashes[index]);
        }
        self.published = self.published.max(complete);
    }

    /// Takes the token that was chosen: the text that is certain now, and why the text ends, if it does. No text: the
    /// token is not part of it.
    pub(super) fn write(&mut self, token: u32, context: usize) -> (Option<String>, Option<FinishReason>) {
        self.first_token.get_or_insert_with(Instant::now);
        let ends = self.constraint.as_ref().is_some_and(|constraint| constraint.is_end(token));
        if ends || self.stop_tokens.contains(&token) {
            return (None, Some(FinishReason::Stop));
        }
        self.ids.push(token);
        self.sampler.wrote(token);
        let passed = match self.text.as_mut().map(|text| text.push(token)) {
            None => String::new(),
            Some(Ok(text)) => text,
            Some(Err(_)) => return (Some(String::new()), Some(FinishReason::Tokenizer)),
        };
        let passed = self.stop_strings.push(passed);
        let taken = self.constraint.as_mut().map_or(Ok(()), |constraint| constraint.take(token));
        let reason = if passed.stopped {
            // Nothing behind the stop string is part of the text.
            self.text = None;
            Some(FinishReason::Stop)
        } else if taken.is_err() {
            Some(FinishReason::Constraint)
        } else if self.constraint.as_ref().is_some_and(Constraint::is_complete) {
            Some(FinishReason::Stop)
        } else if self.room(context) == 0 {
            Some(FinishReason::Length)
        } else {
            None
        };
        (Some(passed.text), reason)
    }

    /// Tokens that may still be written.
    pub(super) fn room(&self, context: usize) -> usize {
        let room = self.max_tokens.saturating_sub(self.completion_tokens());
        room.min(context.saturating_sub(self.ids.len()))
    }

    fn completion_tokens(&self) -> usize {
        self.ids.len() - self.prompt_tokens
    }

    /// The event of its end.
    pub(super) fn finish(self, reason: FinishReason) -> Event {
        let (now, zero) = (Instant::now(), Duration::ZERO);
        let usage = Usage {
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached_tokens,
            completion_tokens: self.completion_tokens(),
            waiting: self.started.unwrap_or(now) - self.submitted,
            prefill: self.started.map_or(zero, |started| self.first_token.unwrap_or(now) - started),
            decode: self.first_token.map_or(zero, |first| now - first),
        };
        let Sequence { ticket, text, mut stop_strings, .. } = self;
        let held = text.and_then(|text| text.finish().ok()).unwrap_or_default();
        // An incomplete character may complete a stop string as little as it can be one.
        let passed = stop_strings.push(held);
        let text = if passed.stopped { passed.text } else { passed.text + &stop_strings.finish() };
        Event::Finished { ticket, reason, text, usage }
    }
}
