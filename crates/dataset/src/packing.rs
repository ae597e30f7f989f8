//! Batches: one flat list of tokens, cut into segments, without padding.

use compute::Segment;

/// The order of `count` examples in an epoch: a permutation that depends on seed and epoch alone.
pub fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"order of examples").update(&seed.to_le_bytes()).update(&epoch.to_le_bytes());
    let mut keys = hasher.finalize_xof();
    let mut key = || {
        let mut bytes = [0; 8];
        keys.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    };
    let mut order: Vec<_> = (0..count).map(|at| (key(), at)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, at)| at).collect()
}

/// How many batches are open at a time while packing.
const OPEN_BATCHES: usize = 64;

/// Which examples go into which micro-batch of an epoch. Every example is in exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPlan {
    batches: Vec<Vec<usize>>,
}

impl BatchPlan {
    /// Packs examples of these lengths into batches of at most `budget` tokens; a longer example gets a batch alone.
    ///
    /// Each example, in the order of the epoch, goes to the first open batch that has room. Where too many are open,
    /// the fullest is closed.
    pub fn new(lengths: &[usize], budget: usize, seed: u64, epoch: u64) -> Self {
        struct Open {
            number: usize,
            tokens: usize,
            examples: Vec<usize>,
        }
        let mut open: Vec<Open> = Vec::new();
        let mut closed: Vec<Open> = Vec::new();
        for (number, example) in shuffled(lengths.len(), seed, epoch).into_iter().enumerate() {
            let length = lengths[example];
            if let Some(batch) = open.iter_mut().find(|batch| batch.tokens + length <= budget) {
                batch.tokens += length;
                batch.examples.push(example);
                continue;
            }
            if open.len() == OPEN_BATCHES {
                let fullest =
                    open.iter().enumerate().max_by_key(|(at, batch)| (batch.tokens, usize::MAX - at));
                let fullest = fullest.map_or(0, |(at, _)| at);
                closed.push(open.remove(fullest));
            }
            open.push(Open { number, tokens: length, examples: vec![example] });
        }
        closed.extend(open);
        closed.sort_unstable_by_key(|batch| batch.number);
        BatchPlan { batches: closed.into_iter().map(|batch| batch.examples).collect() }
    }

    /// Batches of `size` examples, the last one with what is left.
    ///
    /// # Panics
    /// `size` is 0.
    pub fn unpacked(count: usize, size: usize, seed: u64, epoch: u64) -> Self {
        let order = shuffled(count, seed, epoch);
        BatchPlan { batches: order.chunks(size).map(<[usize]>::to_vec).collect() }
    }

    /// The batches, each the places of its examples.
    pub fn batches(&self) -> &[Vec<usize>] {
        &self.batches
    }

    /// Share of the budget that the batches fill.
    pub fn fill(&self, lengths: &[usize], budget: usize) -> f64 {
        let tokens: usize = self.batches.iter().flatten().map(|&example| lengths[example]).sum();
        tokens as f64 / (self.batches.len().max(1) * budget.max(1)) as f64
    }
}

/// Ranges of consecutive items of at most `budget` tokens together; a longer one stands alone.
pub fn consecutive(lengths: &[usize], budget: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let (mut from, mut size) = (0, 0);
    for (i, &length) in lengths.iter().enumerate() {
        if i > from && size + length > budget {
            ranges.push(from..i);
            (from, size) = (i, 0);
        }
        size += length;
    }
    if from < lengths.len() {
        ranges.push(from..lengths.len());
    }
    ranges
}

/// An example as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The example's id.
    pub id: String,
    /// The tokens.
    pub ids: Vec<u32>,
    /// For each token whether it is to be learned.
    pub learned: Vec<bool>,
}

/// A micro-batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The tokens of all examples, one after another.
    pub ids: Vec<u32>,
    /// The place of each token in its example.
    pub positions: Vec<u32>,
    /// One segment for each example.
    pub segments: Vec<Segment>,
    /// Tokens at which a label is predicted, ascending: the token before each learned one.
    pub rows: Vec<u32>,
    /// The token to predict at each of `rows`.
    pub labels: Vec<u32>,
}

impl Batch {
    /// Lays examples one after another. The first token of an example is never a label: nothing stands before it.
    pub fn new<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut batch = Batch::default();
        batch.refill(samples);
        batch
    }

    /// An empty batch with room for `tokens` tokens of `examples` examples.
    pub fn with_capacity(tokens: usize, examples: usize) -> Self {
        let list = || Vec::with_capacity(tokens);
        Batch {
            ids: list(),
            positions: list(),
            segments: Vec::with_capacity(examples),
            rows: list(),
            labels: list(),
        }
    }

    /// As [`Batch::new`], in the memory of this one.
    pub fn refill<'a>(&mut self, samples: impl IntoIterator<Item = &'a Sample>) {
        self.ids.clear();
        self.positions.clear();
        self.segments.clear();
        self.rows.clear();
        self.labels.clear();
        for sample in samples {
            let start = self.ids.len();
            self.segments.push(Segment::whole(start, sample.ids.len()));
            self.ids.extend_from_slice(&sample.ids);
            self.positions.extend(0..sample.ids.len() as u32);
            for (at, (&id, &learned)) in sample.ids.iter().zip(&sample.learned).enumerate().skip(1) {
                if learned {
                    self.rows.push((start + at - 1) as u32);
                    self.labels.push(id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_item_once_and_keep_to_the_budget() {
        assert_eq!(consecutive(&[3, 4, 9, 1, 1], 7), [0..2, 2..3, 3..5]);
        assert!(consecutive(&[], 7).is_empty());
    }
}
