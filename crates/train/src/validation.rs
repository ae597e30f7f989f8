//! The loss on what is not learned from.

use compute::Backend;
use dataset::Batch;
use model::{Activations, Context, Decoder, Labels, Tokens};

use crate::ranks::{Alone, Communicator};

/// Mean of −log p over the labelled tokens of `batches`; `None` when `stop` says so between two of them.
pub fn validation_loss<B: Backend>(
    decoder: &Decoder<B>,
    batches: &[Batch],
    activations: &mut Activations<B>,
    stop: &dyn Fn() -> bool,
) -> Option<f64> {
    shared_validation_loss(&Alone, decoder, batches, activations, stop)
}

/// As [`validation_loss`], the batches dealt out to the ranks; `None` on all when one of them stops. The sum is made in
/// the order of the batches, so its bits do not depend on the number of ranks.
pub(crate) fn shared_validation_loss<B: Backend>(
    ranks: &dyn Communicator,
    decoder: &Decoder<B>,
    batches: &[Batch],
    activations: &mut Activations<B>,
    stop: &dyn Fn() -> bool,
) -> Option<f64> {
    let size = ranks.size();
    // A sum for each batch, and at the end whether this rank stops.
    let mut own = vec![0.0; batches.len().div_ceil(size) + 1];
    let width = own.len();
    for (sum, batch) in batches.iter().skip(ranks.rank()).step_by(size).enumerate() {
        if stop() {
            own[width - 1] = 1.0;
            break;
        }
        own[sum] = log_prob(decoder, batch, activations);
    }
    let all = ranks.gather(&own);
    if all.iter().skip(width - 1).step_by(width).any(|&stopped| stopped != 0.0) {
        return None;
    }
    let loss = (0..batches.len()).fold(0.0, |loss, at| loss - all[at % size * width + at / size]);
    let count: usize = batches.iter().map(|batch| batch.rows.len()).sum();
    Some(loss / count.max(1) as f64)
}

/// Sum of log p over the labelled tokens of a batch.
fn log_prob<B: Backend>(decoder: &Decoder<B>, batch: &Batch, activations: &mut Activations<B>) -> f64 {
    let tokens = Tokens { ids: &batch.ids, positions: &batch.positions };
    decoder.forward(tokens, Context::Segments(&batch.segments), activations, true);
    let weights = vec![0.0; batch.rows.len()];
    let labels = Labels { rows: &batch.rows, labels: &batch.labels, weights: &weights };
    let output = decoder.loss(labels, batch.ids.len(), activations);
    output.log_probs.iter().map(|&l| f64::from(l)).sum()
}
