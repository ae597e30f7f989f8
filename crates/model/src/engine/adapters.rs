//! Which texts of a step are computed together: all whose adapters can lie side by side, as long as reading the weights
//! is what takes the time.

use compute::Backend;

use super::{AdapterId, Engine, Event, Pass};
use crate::activations::AdapterMemory;
use crate::forward::{Context, Tokens};
use crate::stack::AdapterRows;
use crate::{Decoder, Error, Result};

/// Rows of one adapter that share a forward with those of others. So many or more keep the multipliers busy on their own,
/// and beside others they would pay for the others' ranks.
const SHARING_ROWS: usize = 32;

/// Another adapter on the base.
#[derive(Debug)]
pub(super) struct Another<'m, B: Backend> {
    decoder: &'m Decoder<B>,
    memory: AdapterMemory<B>,
}

/// Adapters side by side.
#[derive(Debug)]
pub(super) struct Stack<B: Backend> {
    decoder: Decoder<B>,
    memory: AdapterMemory<B>,
    /// Whose they are, in their order.
    ids: Vec<AdapterId>,
}

/// How many rows of a step have this adapter.
#[derive(Debug, Clone, Copy)]
pub(super) struct PassRows {
    adapter: AdapterId,
    rows: usize,
}

impl<'m, B: Backend> Engine<'m, B> {
    /// Takes in the adapter of a decoder that [shares](Decoder::with_another) the engine's base.
    ///
    /// # Errors
    /// When it is on another base, or the device has no room.
    pub fn add_adapter(&mut self, decoder: &'m Decoder<B>) -> Result<AdapterId> {
        if !decoder.shares_base(self.decoder) {
            return Err(Error::Adapter("it is not on the base that this engine writes with".to_owned()));
        }
        let memory = AdapterMemory::for_inference(decoder, self.settings.step_tokens)?;
        self.logits.make_room(decoder, self.settings.wanted_rows())?;
        self.adapters.push(Another { decoder, memory });
        self.stack = self.stack()?;
        Ok(AdapterId(AdapterId::OWN.0 + self.adapters.len() as u32))
    }

    /// All adapters that can lie side by side; a single one needs no stack, as it is one.
    fn stack(&self) -> Result<Option<Stack<B>>> {
        let all = [self.decoder].into_iter().chain(self.adapters.iter().map(|another| another.decoder));
        let members = (AdapterId::OWN.0..).map(AdapterId).zip(all).filter(|(_, decoder)| decoder.stacks());
        let (ids, decoders): (Vec<_>, Vec<_>) = members.unzip();
        if decoders.is_empty() {
            return Ok(None);
        }
        let decoder = self.decoder.stack(&decoders)?;
        let memory = AdapterMemory::for_inference(&decoder, self.settings.step_tokens)?;
        Ok(Some(Stack { decoder, memory, ids }))
    }

    /// The place of an adapter among those that lie side by side.
    fn member(&self, adapter: AdapterId) -> Option<usize> {
        match &self.stack {
            Some(stack) => stack.ids.iter().position(|id| *id == adapter),
            None => (adapter == AdapterId::OWN && self.decoder.stacks()).then_some(0),
        }
    }

    /// The forward passes of a step.
    pub(super) fn passes(&mut self, events: &mut Vec<Event>) {
        let mut passes = std::mem::take(&mut self.passes);
        passes.clear();
        for (sequence, &share) in self.running.iter().zip(&self.shares).filter(|(_, share)| **share > 0) {
            let rows = share + sequence.lookup.guesses.len();
            match passes.binary_search_by_key(&sequence.adapter, |pass| pass.adapter) {
                Ok(place) => passes[place].rows += rows,
                Err(place) => passes.insert(place, PassRows { adapter: sequence.adapter, rows }),
            }
        }
        let shares = |pass: &PassRows| {
            pass.rows < SHARING_ROWS
                && (pass.adapter == AdapterId::BASE || self.member(pass.adapter).is_some())
        };
        // Those that share a pass come first, still in the order of their numbers.
        passes.sort_by_key(|pass| !shares(pass));
        let sharing = passes.iter().take_while(|pass| shares(pass)).count();
        let (together, alone) = passes.split_at(if sharing > 1 { sharing } else { 0 });
        for pass in std::iter::once(together).filter(|pass| !pass.is_empty()).chain(alone.chunks(1)) {
            self.pass(pass, events);
        }
        self.passes = passes;
    }

    /// The forward pass of the texts with these adapters.
    fn pass(&mut self, adapters: &[PassRows], events: &mut Vec<Event>) {
        self.pass.clear();
        for PassRows { adapter, .. } in adapters {
            let first = self.pass.ids.len();
            for (sequence, &share) in self.running.iter().zip(&self.shares) {
                if sequence.adapter == *adapter && share > 0 {
                    self.pass.add(sequence, share);
                }
            }
            if let Some(member) = self.member(*adapter).filter(|_| adapters.len() > 1) {
                self.pass.adapters.push(AdapterRows { rows: first..self.pass.ids.len(), member });
            }
        }
        self.forward(adapters);
        self.totals.forwards += 1;
        for (sequence, &share) in self.running.iter_mut().zip(&self.shares) {
            if adapters.iter().any(|pass| pass.adapter == sequence.adapter) {
                sequence.advance(share, &mut self.pool);
            }
        }
        let mut row = 0;
        while let Some(&ticket) = self.pass.owners.get(row) {
            let rows = self.pass.owners[row..].iter().take_while(|owner| **owner == ticket).count();
            let right = (row..row + rows).take_while(|&row| self.choose(row, events)).count();
            self.guessed(ticket, right);
            row += rows;
        }
    }

    /// The logits that are wanted of `self.pass`.
    fn forward(&mut self, adapters: &[PassRows]) {
        let Pass { ids, positions, sequences, last, adapters: rows, .. } = &self.pass;
        let tokens = Tokens { ids, positions };
        let context = Context::Cached(sequences, &mut self.cache);
        let (decoder, mut memory) = match (adapters, &mut self.stack) {
            ([PassRows { adapter, .. }], _) => {
                match adapter.0.checked_sub(2).map(|place| &mut self.adapters[place as usize]) {
                    Some(another) => (another.decoder, Some(&mut another.memory)),
                    None => (self.decoder, None),
                }
            }
            (_, Some(stack)) => (&stack.decoder, Some(&mut stack.memory)),
            (_, None) => (self.decoder, None),
        };
        if let Some(memory) = &mut memory {
            self.activations.exchange(memory);
        }
        match adapters {
            [PassRows { adapter, .. }] => {
                decoder.forward(tokens, context, &mut self.activations, *adapter != AdapterId::BASE);
            }
            _ => decoder.forward_mixed(tokens, context, &mut self.activations, rows),
        }
        if !last.is_empty() {
            self.logits.project(decoder, &self.activations, (last, ids.len()));
        }
        if let Some(memory) = memory {
            self.activations.exchange(memory);
        }
    }
}
