//! What an examination allocates, before it does.

use compute::Backend;
use dataset::{ChoiceItem, Example};
use model::ActivationPlan;
use model::engine::Engine;

use super::options::largest_batch;
use super::{BATCH_TOKENS, Subject, Wanted, engine_settings};
use crate::Result;

/// Bytes on the device that the parts of an examination take beside the model, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExaminationMemory {
    /// Loss of the reference answers.
    pub losses: u64,
    /// Answers that are written.
    pub answers: u64,
    /// Options that are compared.
    pub choices: u64,
}

impl ExaminationMemory {
    /// Of the part that takes the most.
    pub fn most(&self) -> u64 {
        self.losses.max(self.answers).max(self.choices)
    }
}

/// Items that are looked at: the longest in bytes have the most tokens, or nearly.
const LONGEST_ITEMS: usize = 16;

impl<B: Backend> Subject<'_, B> {
    /// What [`Subject::questions`] and [`Subject::choices`] take on the device.
    ///
    /// # Errors
    /// When an example cannot be encoded.
    pub fn memory(
        &self,
        examples: &[Example],
        choices: &[ChoiceItem],
        wanted: Wanted,
    ) -> Result<ExaminationMemory> {
        Ok(ExaminationMemory {
            losses: self.loss_bytes(examples)?,
            answers: self.answer_bytes(&examples[..wanted.answers.min(examples.len())], wanted)?,
            choices: self.choice_bytes(choices)?,
        })
    }

    fn loss_bytes(&self, examples: &[Example]) -> Result<u64> {
        let samples = examples.iter().map(|e| self.encode(&e.id, &e.messages)).collect::<Result<Vec<_>>>()?;
        let lengths: Vec<usize> = samples.iter().map(|sample| sample.ids.len()).collect();
        let ranges = dataset::consecutive(&lengths, BATCH_TOKENS);
        let sizes = ranges.into_iter().map(|range| {
            let learned = samples[range.clone()].iter().flat_map(|sample| &sample.learned);
            (lengths[range].iter().sum(), learned.filter(|learned| **learned).count())
        });
        Ok(self.forward_bytes(sizes))
    }

    fn answer_bytes(&self, examples: &[Example], wanted: Wanted) -> Result<u64> {
        if examples.is_empty() {
            return Ok(0);
        }
        let settings = engine_settings(&self.prompts(examples)?, wanted);
        Ok(Engine::bytes(self.decoder, settings) as u64)
    }

    fn choice_bytes(&self, items: &[ChoiceItem]) -> Result<u64> {
        let mut items: Vec<&ChoiceItem> = items.iter().collect();
        items.sort_by_cached_key(|item| {
            let options = item.options.values().filter_map(|text| text.as_str()).map(str::len).sum::<usize>();
            std::cmp::Reverse(item.question.len() + item.context.as_ref().map_or(0, String::len) + options)
        });
        let longest = items.iter().take(LONGEST_ITEMS).map(|item| Ok(self.encode_options(item)?.tokens()));
        let longest = longest.collect::<Result<Vec<_>>>()?;
        let tokens = match items.len() > LONGEST_ITEMS {
            true => largest_batch(&longest).max(BATCH_TOKENS),
            // Few items may be one batch in whatever order.
            false => largest_batch(&longest).max(BATCH_TOKENS.min(longest.iter().sum())),
        };
        Ok(self.forward_bytes([(tokens, tokens)].into_iter()))
    }

    /// Of batches of so many tokens with so many labels, which take turns in the memory of the largest.
    fn forward_bytes(&self, sizes: impl Iterator<Item = (usize, usize)>) -> u64 {
        let most = sizes.fold((0, 0), |most, size| (most.0.max(size.0), most.1.max(size.1)));
        ActivationPlan::for_inference(self.decoder, most).total() as u64
    }
}
