//! Which examples make which step, for the whole run, known before it starts: so the schedule knows its end, the
//! longest batch is known, and a resumed run goes on exactly where it was.

use dataset::{BatchPlan, Sample};

use crate::Recipe;

/// One step: examples by number, batch by batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Position in its epoch after this step, in 0..=1.
    pub epoch_done: EpochShare,
    /// The examples of each batch.
    pub batches: Vec<Vec<usize>>,
}

/// A share of an epoch as a fraction, so that plans compare exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochShare {
    /// Batches done.
    pub done: usize,
    /// Batches of the epoch.
    pub of: usize,
}

/// All steps of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<PlannedStep>,
    /// Tokens of the largest batch.
    pub largest_batch: usize,
}

impl Plan {
    /// The plan of `recipe` over `samples`: every sample once an epoch, in an order that `seed` and epoch decide.
    pub fn new(recipe: &Recipe, samples: &[Sample]) -> Self {
        let lengths: Vec<usize> = samples.iter().map(|s| s.ids.len()).collect();
        let mut plan = Plan { steps: Vec::new(), largest_batch: 0 };
        for epoch in 0..recipe.num_epochs {
            let batches = match recipe.sample_packing {
                true => BatchPlan::new(&lengths, recipe.micro_batch_tokens, recipe.seed, epoch as u64),
                false => {
                    BatchPlan::unpacked(lengths.len(), recipe.micro_batch_size, recipe.seed, epoch as u64)
                }
            };
            let batches = batches.batches();
            let mut done = 0;
            for step in batches.chunks(recipe.gradient_accumulation_steps) {
                done += step.len();
                let epoch_done = EpochShare { done, of: batches.len() };
                plan.steps.push(PlannedStep { epoch, epoch_done, batches: step.to_vec() });
            }
        }
        if recipe.max_steps > 0 {
            plan.steps.truncate(recipe.max_steps as usize);
        }
        let tokens = |batch: &Vec<usize>| batch.iter().map(|&i| lengths[i]).sum();
        plan.largest_batch = plan.steps.iter().flat_map(|step| &step.batches).map(tokens).max().unwrap_or(0);
        plan
    }

    /// Examples of the batch that has most of them.
    pub fn most_examples(&self) -> usize {
        self.steps.iter().flat_map(|step| &step.batches).map(Vec::len).max().unwrap_or(0)
    }

    /// Number of steps.
    pub fn len(&self) -> u64 {
        self.steps.len() as u64
    }

    /// True for a plan without steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl PlannedStep {
    /// Epochs after this step, as a number with a fraction.
    pub fn epochs(&self) -> f64 {
        self.epoch as f64 + self.epoch_done.done as f64 / self.epoch_done.of.max(1) as f64
    }

    /// True for the last step of its epoch.
    pub fn ends_epoch(&self) -> bool {
        self.epoch_done.done == self.epoch_done.of
    }
}
