//! The loop: samples in, a trained decoder and the record of the run out.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};

use compute::Backend;
use dataset::Sample;
use model::{Checkpointing, Decoder};
use track::{RunFolder, Stats, StepRow};

use crate::identity::Identity;
use crate::plan::Plan;
use crate::ranks::{Alone, Communicator};
use crate::record::Record;
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
    /// The processes that share the work. All have the same recipe and samples; only rank 0 resumes and examines.
    pub ranks: &'a dyn Communicator,
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
            ranks: &Alone,
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

/// Trains `decoder` and records every step in `folder`: what rank 0 does, and the only process.
///
/// # Errors
/// When there is nothing to train on, a guard stops the run, the caller stops it, or the system refuses a file. What the
/// newest checkpoint holds is never lost. After any error but [`Error::Interrupted`], which all ranks agree on, the
/// others may be waiting.
pub fn run<B: Backend>(
    decoder: &mut Decoder<B>,
    job: &Job<'_, B>,
    folder: &mut RunFolder,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let outcome = carry_out(decoder, job, &mut Record::new(folder, observer))?;
    folder.write_stats(&outcome.stats)?;
    Ok(outcome)
}

/// Does the part of another rank than 0 in the run that rank 0 records.
///
/// # Errors
/// As [`run`].
pub fn assist<B: Backend>(decoder: &mut Decoder<B>, job: &Job<'_, B>) -> Result<()> {
    carry_out(decoder, job, &mut Record::none()).map(drop)
}

fn carry_out<B: Backend>(
    decoder: &mut Decoder<B>,
    job: &Job<'_, B>,
    record: &mut Record<'_>,
) -> Result<Outcome> {
    let recipe = job.recipe;
    let plan = Plan::new(recipe, job.samples);
    if plan.is_empty() {
        return Err(Error::NoExamples);
    }
    let mut session = Session::new(decoder, job, &plan)?;
    session.begin(decoder, record)?;
    loop {
        // An evaluation that was interrupted comes first.
        let Done::Completed = session.evaluate(decoder, record)? else {
            return session.interrupt(decoder, record);
        };
        if session.must_save() {
            session.save(decoder, record)?;
        }
        if session.ended() {
            break;
        }
        let Done::Completed = session.train_step(decoder, record)? else {
            return session.interrupt(decoder, record);
        };
        track::failpoint::hit("run.step");
    }
    session.keep_best(decoder, record)?;
    Ok(session.outcome(decoder))
}
