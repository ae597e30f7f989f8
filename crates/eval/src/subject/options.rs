//! Options of many questions, read in batches.

use compute::Backend;
use model::{Activations, OptionScore, Options};

use super::{BATCH_TOKENS, Progress, Stage, Subject};
use crate::Result;

impl<B: Backend> Subject<'_, B> {
    /// The scores of each question's options, in their order.
    ///
    /// # Errors
    /// When the device has no room.
    pub(crate) fn read_options(
        &self,
        questions: &[Options],
        progress: Progress<'_>,
    ) -> Result<Vec<Vec<OptionScore>>> {
        let lengths: Vec<usize> = questions.iter().map(Options::tokens).collect();
        let mut activations = Activations::for_inference(self.decoder, largest_batch(&lengths))?;
        let mut scores = Vec::with_capacity(questions.len());
        for range in dataset::consecutive(&lengths, BATCH_TOKENS) {
            let batch = &questions[range.clone()];
            scores.extend(Options::read_all(batch, self.decoder, &mut activations, self.adapter));
            progress(Stage::Choices, range.end, questions.len());
        }
        Ok(scores)
    }
}

/// Tokens of the largest batch that questions of these lengths are cut into.
pub(super) fn largest_batch(lengths: &[usize]) -> usize {
    let batches = dataset::consecutive(lengths, BATCH_TOKENS).into_iter();
    batches.map(|range| lengths[range].iter().sum()).max().unwrap_or(0)
}
