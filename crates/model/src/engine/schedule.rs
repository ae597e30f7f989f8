//! Who takes part in the next forward pass, and with how many tokens.

use compute::{Backend, KV_BLOCK};

use super::sequence::Sequence;
use super::{Engine, EngineSettings, Ticket};
use crate::stack::AdapterRows;

/// The rows of a forward pass, sequence after sequence.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub(super) ids: Vec<u32>,
    pub(super) positions: Vec<u32>,
    /// Row of the block table, of each.
    pub(super) sequences: Vec<u32>,
    /// Rows whose next token is wanted: the last one of a text, then those of its guesses.
    pub(super) last: Vec<u32>,
    /// Of each of these, whose it is.
    pub(super) owners: Vec<Ticket>,
    /// The rows of each adapter, where there are several.
    pub(super) adapters: Vec<AdapterRows>,
}

impl Pass {
    pub(super) fn clear(&mut self) {
        self.ids.clear();
        self.positions.clear();
        self.sequences.clear();
        self.last.clear();
        self.owners.clear();
        self.adapters.clear();
    }

    /// Adds the next `tokens` tokens of a sequence, and what it is guessed to go on with.
    pub(super) fn add(&mut self, sequence: &Sequence<'_>, tokens: usize) {
        let (guesses, end) = (&sequence.lookup.guesses, sequence.computed + tokens);
        self.ids.extend_from_slice(&sequence.ids[sequence.computed..end]);
        if end == sequence.ids.len() {
            let last = self.ids.len() as u32 - 1;
            self.last.extend(last..=last + guesses.len() as u32);
            self.owners.resize(self.last.len(), sequence.ticket);
        }
        self.ids.extend_from_slice(guesses);
        let rows = sequence.computed..end + guesses.len();
        self.sequences.extend(rows.clone().map(|_| sequence.slot));
        self.positions.extend(rows.map(|position| position as u32));
    }

    /// The token that stands behind the `row`-th of the wanted rows, if it is a guess.
    pub(super) fn guess(&self, row: usize) -> Option<u32> {
        let next = self.last.get(row + 1).filter(|_| self.owners[row] == self.owners[row + 1])?;
        Some(self.ids[*next as usize])
    }
}

/// Blocks for so many positions.
pub(super) fn blocks_of(positions: usize) -> usize {
    positions.div_ceil(KV_BLOCK)
}

impl<B: Backend> Engine<'_, B> {
    /// Gives free slots to those that wait, in the order of their tickets, as far as there is room for their prompts.
    pub(super) fn admit(&mut self) {
        let mut place = 0;
        while place < self.waiting.len() && !self.free_slots.is_empty() {
            let sequence = &mut self.waiting[place];
            let needed = blocks_of(sequence.ids.len() + 1).min(blocks_of(self.settings.context));
            let hashes = sequence.shareable();
            let (found, kept) = self.pool.find(hashes);
            // What another is computing just now is worth waiting for: the texts of one prompt, or many with one
            // context.
            let next = hashes.get(found);
            if next.is_some_and(|hash| self.running.iter().any(|other| other.will_publish(found, hash))) {
                place += 1;
                continue;
            }
            // Those that run want a block from time to time; without any left they would have to give way.
            let room = self.pool.available().saturating_sub(kept + self.running.len());
            if needed - found > room {
                return;
            }
            let (Some(slot), Some(mut sequence)) = (self.free_slots.pop(), self.waiting.remove(place)) else {
                return;
            };
            if sequence.start(slot, &mut self.pool, found) {
                self.totals.prompt_tokens += sequence.ids.len() as u64;
                self.totals.cached_tokens += sequence.computed as u64;
            }
            for (index, &block) in sequence.blocks.iter().enumerate() {
                self.cache.assign(slot, index, block);
            }
            let length = sequence.ids.len();
            let place = self.running.partition_point(|other| other.ticket < sequence.ticket);
            self.running.insert(place, sequence);
            // The room was counted; nobody else takes of it before.
            let grown = self.grow(place, length);
            debug_assert!(grown, "room for a prompt that was let in");
        }
    }

    /// Blocks for the first `positions` positions of a running sequence; false if there are not enough.
    pub(super) fn grow(&mut self, place: usize, positions: usize) -> bool {
        let sequence = &mut self.running[place];
        while sequence.blocks.len() < blocks_of(positions) {
            let Some(block) = self.pool.take() else { return false };
            self.cache.assign(sequence.slot, sequence.blocks.len(), block);
            sequence.blocks.push(block);
        }
        true
    }

    /// Blocks for every running sequence's tokens so far. Where there are not enough, the youngest give way: they wait
    /// again, and read what they wrote like a prompt. The oldest always goes on, so all come to their end.
    pub(super) fn make_room(&mut self) {
        let mut place = 0;
        while place < self.running.len() {
            if self.grow(place, self.running[place].ids.len()) {
                place += 1;
                continue;
            }
            let Some(mut youngest) = self.running.pop() else { return };
            youngest.leave(&mut self.pool);
            self.free_slots.push(youngest.slot);
            self.totals.preempted += 1;
            let place = self.waiting.partition_point(|other| other.ticket < youngest.ticket);
            self.waiting.insert(place, youngest);
        }
    }

    /// Says with how many tokens each running sequence takes part, in the order of [`Engine::running`].
    pub(super) fn share_out(&mut self) {
        let EngineSettings { step_tokens, prefill_chunk, .. } = self.settings;
        let writing = self.running.iter().filter(|sequence| sequence.uncomputed() == 1).count();
        let mut prompts = step_tokens.saturating_sub(writing);
        if writing > 0 {
            prompts = prompts.min(prefill_chunk);
        }
        self.shares.clear();
        for sequence in &self.running {
            let share = match sequence.uncomputed() {
                1 => 1,
                tokens => tokens.min(prompts),
            };
            if sequence.uncomputed() > 1 {
                prompts -= share;
            }
            self.shares.push(share);
        }
    }
}
