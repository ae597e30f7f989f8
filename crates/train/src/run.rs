//! The loop: samples in, a trained decoder and the record of the run out.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};

use compute::Backend;
use dataset::{Batch, Sample};
use model::{Activations, Checkpointing, Context, Decoder, Labels, Tokens};
use track::{RunFolder, Stats, StepRow};

use crate::identity::Identity;
use crate::plan::Plan;
use crate::selection::Best;
use crate::session::{Done, Session};
use crate::{Error, Recipe, Result};

/// Hears what happens; what it does cannot change the run.
pub trait Observer {
    /// A step is done.
    fn step(&mut self, row: &StepRow, total: u64);
    /// The validation loss after a step.
    fn validated(&mut self, step: u64, loss: f64);
    /// Anything else that a person should know.
    fn note(&mut self, text: &str);
}

/// Measures a model during training. Training knows no metric: what is measured is the caller's affair.
pub trait Examiner<B: Backend>: Debug {
    /// Values by name, for the metrics of the run.
    ///
    /// # Errors
    /// Whatever stops the examination stops the run.
    fn examine(
        &self,
        decoder: &Decoder<B>,
    ) -> std::result::Result<Vec<(&'static str, f64)>, Box<dyn std::error::Error + Send + Sync>>;
}

/// What a run works on.
#[derive(Debug)]
pub struct Job<'a, B: Backend> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// What is learned from.
    pub samples: &'a [Sample],
    /// Samples for the validation loss; may be empty.
    pub validation: &'a [Sample],
    /// All that decides the run: recipe, data, base.
    pub identity: Identity,
    /// Go on from the newest checkpoint.
    pub resume: bool,
    /// Set from outside when the run is to stop: it keeps its state and leaves with [`Error::Interrupted`].
    pub stop: Option<&'a AtomicBool>,
    /// What is asked every `bench_steps` steps.
    pub examiner: Option<&'a dyn Examiner<B>>,
    /// What each layer computes again; without it what the recipe says, and nothing for `auto`.
    pub checkpointing: Option<Vec<Checkpointing>>,
    /// Bytes that were planned, to be compared with the peak.
    pub planned_memory: Option<u64>,
}

impl<'a, B: Backend> Job<'a, B> {
    /// A new run whose identity is that of its recipe and its samples.
    pub fn new(recipe: &'a Recipe, samples: &'a [Sample], validation: &'a [Sample]) -> Self {
        let identity = Identity::new(recipe)
            .with_samples("training samples", samples)
            .with_samples("validation samples", validation);
        Job {
            recipe,
            samples,
            validation,
            identity,
            resume: false,
            stop: None,
            examiner: None,
            checkpointing: None,
            planned_memory: None,
        }
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}

/// What came out of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Totals.
    pub stats: Stats,
    /// Validation loss per token after the last step, when there is validation data.
    pub validation_loss: Option<f64>,
    /// The evaluation whose weights the decoder has, where the best are kept and not the last.
    pub best: Option<Best>,
    /// Steps that were skipped because a value was not finite.
    pub skipped: u64,
}

/// Mean of −log p over the labelled tokens of `batches`; `None` when `stop` says so between two of them.
pub fn validation_loss<B: Backend>(
    decoder: &Decoder<B>,
    batches: &[Batch],
    activations: &mut Activations<B>,
    stop: &dyn Fn() -> bool,
) -> Option<f64> {
    let (mut loss, mut count) = (0.0, 0usize);
    for batch in batches {
        if stop() {
            return None;
        }
        let tokens = Tokens { ids: &batch.ids, positions: &batch.positions };
        decoder.forward(tokens, Context::Segments(&batch.segments), activations, true);
        let weights = vec![0.0; batch.rows.len()];
        let labels = Labels { rows: &batch.rows, labels: &batch.labels, weights: &weights };
        let output = decoder.loss(labels, batch.ids.len(), activations);
        loss -= output.log_probs.iter().map(|&l| f64::from(l)).sum::<f64>();
        count += batch.rows.len();
    }
    Some(loss / count.max(1) as f64)
}

/// Trains `decoder` and records every step in `folder`.
///
/// # Errors
/// When there is nothing to train on, a guard stops the run, the caller stops it, or the system refuses a file. What the
/// newest checkpoint holds is never lost.
pub fn run<B: Backend>(
    decoder: &mut Decoder<B>,
    job: &Job<'_, B>,
    folder: &mut RunFolder,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let recipe = job.recipe;
    let plan = Plan::new(recipe, job.samples);
    if plan.is_empty() {
        return Err(Error::NoExamples);
    }
    let mut session = Session::new(decoder, job, &plan)?;
    session.resume(decoder, folder, observer)?;
    loop {
        // An evaluation that was interrupted comes first.
        let Done::Completed = session.evaluate(decoder, folder, observer)? else {
            return session.interrupt(decoder, folder);
        };
        if session.must_save() {
            session.save(decoder, folder)?;
        }
        if session.ended() {
            break;
        }
        let Done::Completed = session.train_step(decoder, folder, observer)? else {
            return session.interrupt(decoder, folder);
        };
        track::failpoint::hit("run.step");
    }
    session.keep_best(decoder, folder, observer)?;
    let outcome = session.outcome(decoder);
    folder.write_stats(&outcome.stats)?;
    Ok(outcome)
}
