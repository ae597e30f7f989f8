//! Writing text: prompts take turns in a few slots, each leaving as soon as it is done.

use compute::{Backend, DeviceBuffer, LinearGroup, Matrix, Start};

use crate::forward::{Context, Tokens};
use crate::sampling::{Sampler, Sampling};
use crate::{Activations, Cache, Decoder, Result};

/// What ends a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// Tokens that end a text. They are not part of it.
    pub tokens: Vec<u32>,
    /// Tokens that a text may have.
    pub max_tokens: usize,
}

/// Memory for writing several texts at once.
#[derive(Debug)]
pub struct Generator<B: Backend> {
    activations: Activations<B>,
    cache: Cache<B>,
    last: B::Buffer,
    /// The low-rank side of the head's adapter.
    low: B::Buffer,
    logits: B::Buffer,
    host: Vec<f32>,
}

/// A text that is being written.
#[derive(Debug)]
struct Writing {
    prompt: usize,
    text: Vec<u32>,
    written: usize,
    sampler: Sampler,
}

impl<B: Backend> Generator<B> {
    /// Room for `slots` texts at once, prompt and answer of at most `capacity` tokens each.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(decoder: &Decoder<B>, slots: usize, capacity: usize) -> Result<Self> {
        let capacity = capacity.min(decoder.positions());
        let (h, v) = (decoder.config().hidden_size, decoder.config().vocab_size);
        Ok(Generator {
            activations: Activations::for_inference(decoder, capacity.max(slots))?,
            cache: Cache::new(decoder, slots, capacity)?,
            last: decoder.backend().zeros("last hidden states", slots * h)?,
            low: decoder.backend().zeros("logits", slots * decoder.end_ranks().0)?,
            logits: decoder.backend().zeros("logits", slots * v)?,
            host: vec![0.0; v],
        })
    }

    /// Logits of the position after each of `tokens`' sequences: `rows` names the last row of every sequence.
    fn project(&mut self, decoder: &Decoder<B>, rows: &[u32], tokens: usize) {
        let (h, v) = (decoder.config().hidden_size, decoder.config().vocab_size);
        let backend = decoder.backend();
        let hidden = Matrix::View(self.activations.hidden(tokens));
        backend.embed(self.last.view_mut(0, rows.len(), h), rows, hidden, 1.0);
        let (logits, last) = (self.logits.view_mut(0, rows.len(), v), self.last.view(0, rows.len(), h));
        let head = decoder.head_linear(self.activations.adapters.on);
        match head.adapter {
            None => backend.matmul(logits, last, head.weight),
            Some(_) => {
                let (rank, _) = decoder.end_ranks();
                let (low, layers) = (self.low.view_mut(0, rows.len(), rank), &[head]);
                backend.linear(logits, Some(low), last, &LinearGroup { layers, rank }, Start::Zero);
            }
        }
        if let Some(cap) = decoder.config().features.logit_softcap {
            backend.softcap(self.logits.view_mut(0, rows.len(), v), cap);
        }
    }

    fn logits(&mut self, decoder: &Decoder<B>, row: usize) -> &mut [f32] {
        let v = self.host.len();
        decoder.backend().read(&self.logits, row * v, &mut self.host);
        &mut self.host
    }

    /// Logits `[V]` of the token after `ids`.
    ///
    /// # Panics
    /// When `ids` is empty or longer than the capacity.
    pub fn next_logits(&mut self, decoder: &Decoder<B>, ids: &[u32], adapter: bool) -> Vec<f32> {
        self.prefill(decoder, 0, ids, adapter);
        self.logits(decoder, 0).to_vec()
    }

    fn prefill(&mut self, decoder: &Decoder<B>, slot: usize, ids: &[u32], adapter: bool) {
        let positions: Vec<u32> = (0..ids.len() as u32).collect();
        let slots = vec![slot as u32; ids.len()];
        let tokens = Tokens { ids, positions: &positions };
        let context = Context::Cached(&slots, &mut self.cache);
        decoder.forward(tokens, context, &mut self.activations, adapter);
        self.project(decoder, &[ids.len() as u32 - 1], ids.len());
    }

    /// Continues every prompt until its end; `on_token(prompt, token)` hears every token as it comes. A prompt that
    /// fills the capacity gets an empty text. The texts do not depend on which prompts stand beside them.
    pub fn generate(
        &mut self,
        decoder: &Decoder<B>,
        prompts: &[Vec<u32>],
        (sampling, stop): (&Sampling, &Stop),
        adapter: bool,
        on_token: &mut dyn FnMut(usize, u32),
    ) -> Vec<Vec<u32>> {
        let mut done: Vec<Vec<u32>> = vec![Vec::new(); prompts.len()];
        let mut waiting = (0..prompts.len()).rev().collect::<Vec<_>>();
        let mut slots: Vec<Option<Writing>> = (0..self.cache.slots()).map(|_| None).collect();
        loop {
            for (slot, place) in slots.iter_mut().enumerate() {
                while place.is_none() {
                    let Some(prompt) = waiting.pop() else { break };
                    let ids = &prompts[prompt];
                    if ids.is_empty() || ids.len() >= self.cache.capacity() || stop.max_tokens == 0 {
                        continue;
                    }
                    self.prefill(decoder, slot, ids, adapter);
                    let sampler = Sampler::new(sampling, prompt);
                    let mut writing = Writing { prompt, text: ids.clone(), written: 0, sampler };
                    if self.advance(decoder, 0, &mut writing, stop, on_token) {
                        *place = Some(writing);
                    } else {
                        done[prompt] = finish(&writing);
                    }
                }
            }
            let active: Vec<usize> = (0..slots.len()).filter(|&s| slots[s].is_some()).collect();
            if active.is_empty() {
                return done;
            }
            self.step(decoder, &slots, &active, adapter);
            for (row, &slot) in active.iter().enumerate() {
                let Some(mut writing) = slots[slot].take() else { continue };
                if self.advance(decoder, row, &mut writing, stop, on_token) {
                    slots[slot] = Some(writing);
                } else {
                    done[writing.prompt] = finish(&writing);
                }
            }
        }
    }

    /// One token of every active text through the decoder.
    fn step(&mut self, decoder: &Decoder<B>, slots: &[Option<Writing>], active: &[usize], adapter: bool) {
        let texts = || active.iter().filter_map(|&s| slots[s].as_ref());
        let ids: Vec<u32> = texts().filter_map(|w| w.text.last().copied()).collect();
        let positions: Vec<u32> = texts().map(|w| w.text.len() as u32 - 1).collect();
        let sequence: Vec<u32> = active.iter().map(|&s| s as u32).collect();
        let rows: Vec<u32> = (0..ids.len() as u32).collect();
        let tokens = Tokens { ids: &ids, positions: &positions };
        let context = Context::Cached(&sequence, &mut self.cache);
        decoder.forward(tokens, context, &mut self.activations, adapter);
        self.project(decoder, &rows, ids.len());
    }

    /// Chooses the next token from row `row` of the logits; false when the text is complete.
    fn advance(
        &mut self,
        decoder: &Decoder<B>,
        row: usize,
        writing: &mut Writing,
        stop: &Stop,
        on_token: &mut dyn FnMut(usize, u32),
    ) -> bool {
        let capacity = self.cache.capacity();
        let logits = self.logits(decoder, row);
        let token = writing.sampler.choose(logits, &writing.text);
        if stop.tokens.contains(&token) {
            return false;
        }
        on_token(writing.prompt, token);
        writing.text.push(token);
        writing.written += 1;
        writing.written < stop.max_tokens && writing.text.len() < capacity
    }
}

fn finish(writing: &Writing) -> Vec<u32> {
    let start = writing.text.len() - writing.written;
    writing.text[start..].to_vec()
}
