//! The loop: samples in, a trained decoder and the record of the run out.

use std::time::Instant;

use compute::Backend;
use dataset::{Batch, Sample};
use model::{Activations, Context, Decoder, Labels, Tokens};
use track::{RunFolder, Stats, StepRow};

use crate::checkpoint::{self, State};
use crate::guard::Guard;
use crate::optimizer::{Optimizer, Settings};
use crate::plan::Plan;
use crate::schedule::Schedule;
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

/// What a run works on.
#[derive(Debug)]
pub struct Job<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// What is learned from.
    pub samples: &'a [Sample],
    /// Samples for the validation loss; may be empty.
    pub validation: &'a [Sample],
    /// Hash of all that decides the run: recipe, data, base.
    pub run_hash: String,
    /// Go on from the newest checkpoint.
    pub resume: bool,
}

/// What came out of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Totals.
    pub stats: Stats,
    /// Validation loss per token after the last step, when there is validation data.
    pub validation_loss: Option<f64>,
    /// Steps that were skipped because a value was not finite.
    pub skipped: u64,
}

/// Mean of −log p over the labelled tokens of `batches`.
pub fn validation_loss<B: Backend>(
    decoder: &Decoder<B>,
    batches: &[Batch],
    activations: &mut Activations<B>,
) -> f64 {
    let (mut loss, mut count) = (0.0, 0usize);
    for batch in batches {
        let tokens = Tokens { ids: &batch.ids, positions: &batch.positions };
        decoder.forward(tokens, Context::Segments(&batch.segments), activations, true);
        let weights = vec![0.0; batch.rows.len()];
        let labels = Labels { rows: &batch.rows, labels: &batch.labels, weights: &weights };
        let output = decoder.loss(labels, batch.ids.len(), activations);
        loss -= output.log_probs.iter().map(|&l| f64::from(l)).sum::<f64>();
        count += batch.rows.len();
    }
    loss / count.max(1) as f64
}

/// Trains `decoder` and records every step in `folder`.
///
/// # Errors
/// When there is nothing to train on, a guard stops the run, or the system refuses a file.
pub fn run<B: Backend>(
    decoder: &mut Decoder<B>,
    job: &Job<'_>,
    folder: &mut RunFolder,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let plan = Plan::new(job.recipe, job.samples);
    if plan.is_empty() {
        return Err(Error::NoExamples);
    }
    let mut session = Session::new(decoder, job, &plan)?;
    let start = session.resume(decoder, job, folder, observer)?;
    for (index, planned) in plan.steps.iter().enumerate().skip(start) {
        let step = index as u64 + 1;
        let clock = Instant::now();
        session.optimizer.clear(decoder);
        for batch in &planned.batches {
            let batch = Batch::new(batch.iter().map(|&i| &job.samples[i]));
            session.optimizer.accumulate(decoder, &batch, &mut session.activations);
        }
        match session.finish_step(decoder, step, planned.epochs(), clock)? {
            Some(row) => {
                folder.log_step(&row)?;
                observer.step(&row, plan.len());
            }
            None => {
                folder.log_eval(step, planned.epochs(), [("skipped", 1.0)])?;
                observer.note(&format!("step {step} skipped: loss or gradient is not finite"));
            }
        }
        let last = step == plan.len();
        let recipe = job.recipe;
        if last || (recipe.eval_steps > 0 && step.is_multiple_of(recipe.eval_steps)) {
            session.validate(decoder, step, planned.epochs(), folder, observer)?;
        }
        let due = match recipe.save_steps {
            0 => planned.ends_epoch(),
            every => step.is_multiple_of(every),
        };
        if due || last {
            session.save(decoder, step, job, folder)?;
        }
    }
    let outcome = session.outcome(decoder, &plan);
    folder.write_stats(&outcome.stats)?;
    Ok(outcome)
}

/// What lives through a run.
struct Session<B: Backend> {
    activations: Activations<B>,
    optimizer: Optimizer<B>,
    schedule: Schedule,
    guard: Guard,
    validation: Vec<Batch>,
    validation_loss: Option<f64>,
    started: u64,
    skipped: u64,
    loss_sum: f64,
    tokens: u64,
    examples: u64,
    seconds: f64,
}

impl<B: Backend> Session<B> {
    fn new(decoder: &Decoder<B>, job: &Job<'_>, plan: &Plan) -> Result<Self> {
        let recipe = job.recipe;
        let validation = batches(job.validation, plan.largest_batch);
        let capacity = validation.iter().map(|b| b.ids.len()).max().unwrap_or(0).max(plan.largest_batch);
        let schedule = Schedule {
            peak: recipe.learning_rate,
            warmup: recipe.warmup(plan.len()),
            total: plan.len(),
            decay: recipe.lr_scheduler,
        };
        Ok(Session {
            activations: Activations::for_training(decoder, capacity)?,
            optimizer: Optimizer::new(decoder, Settings::from(recipe))?,
            schedule,
            guard: Guard::default(),
            validation,
            validation_loss: None,
            started: 0,
            skipped: 0,
            loss_sum: 0.0,
            tokens: 0,
            examples: 0,
            seconds: 0.0,
        })
    }

    /// Goes on from the newest whole checkpoint, if that is wanted; the number of steps that are done.
    fn resume(
        &mut self,
        decoder: &mut Decoder<B>,
        job: &Job<'_>,
        folder: &mut RunFolder,
        observer: &mut dyn Observer,
    ) -> Result<usize> {
        checkpoint::remove_stale(&folder.checkpoints())?;
        if !job.resume {
            return Ok(0);
        }
        let newest = checkpoint::newest(&folder.checkpoints())?;
        for reason in newest.skipped {
            observer.note(&format!("passed over {reason}"));
        }
        let Some((place, state)) = newest.found else {
            observer.note("there is no checkpoint to go on from; starting anew");
            folder.rewind(0)?;
            return Ok(0);
        };
        if state.run_hash != job.run_hash {
            let reason = "recipe, data or base model have changed since it was written".to_owned();
            return Err(Error::Checkpoint { path: place, reason });
        }
        checkpoint::load(&place, &state, decoder, &mut self.optimizer)?;
        folder.rewind(state.step)?;
        observer.note(&format!("going on after step {}", state.step));
        self.started = state.step;
        self.loss_sum = state.loss_sum;
        self.tokens = state.tokens;
        self.examples = state.examples;
        self.seconds = state.seconds;
        Ok(state.step as usize)
    }

    /// The optimizer's part of a step; `None` when the step was skipped because a value is not finite.
    fn finish_step(
        &mut self,
        decoder: &mut Decoder<B>,
        step: u64,
        epoch: f64,
        clock: Instant,
    ) -> Result<Option<StepRow>> {
        let sums = self.optimizer.sums();
        let loss = sums.loss / sums.labels.max(1) as f64;
        let grad_norm = self.optimizer.grad_norm(decoder);
        let rate = self.schedule.rate(step - 1);
        let accepted = self.guard.accept(step, loss, grad_norm)?;
        if accepted {
            let backend = decoder.backend().clone();
            if self.started == 0 {
                // A resumed run was watched when it started.
                let moved = (0..step - 1).any(|s| self.schedule.rate(s) > 0.0);
                self.guard.watch(
                    (step, moved),
                    &*backend,
                    &decoder.parameters.list,
                    self.optimizer.gradients(),
                )?;
            }
            self.optimizer.step(decoder, rate, grad_norm);
            self.loss_sum += loss;
        } else {
            self.skipped += 1;
        }
        let elapsed = clock.elapsed().as_secs_f64();
        self.tokens += sums.tokens;
        self.examples += sums.examples;
        self.seconds += elapsed;
        Ok(accepted.then(|| StepRow {
            step,
            epoch,
            loss,
            grad_norm,
            learning_rate: rate,
            tokens: self.tokens,
            tokens_per_second: sums.tokens as f64 / elapsed.max(1e-9),
            elapsed_s: self.seconds,
        }))
    }

    fn validate(
        &mut self,
        decoder: &Decoder<B>,
        step: u64,
        epoch: f64,
        folder: &mut RunFolder,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        if self.validation.is_empty() {
            return Ok(());
        }
        let loss = validation_loss(decoder, &self.validation, &mut self.activations);
        self.validation_loss = Some(loss);
        folder.log_eval(step, epoch, [("loss", loss)])?;
        observer.validated(step, loss);
        Ok(())
    }

    fn save(&self, decoder: &Decoder<B>, step: u64, job: &Job<'_>, folder: &RunFolder) -> Result<()> {
        folder.sync()?;
        let state = State {
            step,
            optimizer_steps: self.optimizer.steps,
            run_hash: job.run_hash.clone(),
            loss_sum: self.loss_sum,
            tokens: self.tokens,
            examples: self.examples,
            seconds: self.seconds,
        };
        let keep = job.recipe.save_total_limit;
        checkpoint::save(&folder.checkpoints(), keep, decoder, &self.optimizer, &state)?;
        Ok(())
    }

    fn outcome(&self, decoder: &Decoder<B>, plan: &Plan) -> Outcome {
        let steps = plan.len();
        let seconds = self.seconds.max(1e-9);
        let c = decoder.config();
        // As transformers counts: 6 operations a token for every parameter that is not an embedding.
        let weights = c.parameters() - c.vocab_size * c.hidden_size;
        let stats = Stats {
            train_runtime: self.seconds,
            train_samples_per_second: self.examples as f64 / seconds,
            train_steps_per_second: steps as f64 / seconds,
            train_tokens_per_second: self.tokens as f64 / seconds,
            total_flos: 6.0 * weights as f64 * self.tokens as f64,
            train_loss: self.loss_sum / (steps - self.skipped).max(1) as f64,
            steps,
            epoch: plan.steps.last().map_or(0.0, |s| s.epochs()),
        };
        Outcome { stats, validation_loss: self.validation_loss, skipped: self.skipped }
    }
}

/// Samples in their order, packed into batches of at most `tokens` tokens (a longer sample stands alone).
fn batches(samples: &[Sample], tokens: usize) -> Vec<Batch> {
    let lengths: Vec<usize> = samples.iter().map(|s| s.ids.len()).collect();
    dataset::consecutive(&lengths, tokens).into_iter().map(|range| Batch::new(&samples[range])).collect()
}

impl Recipe {
    /// A hash of all that this recipe decides, leaving out where the run is kept.
    pub fn hash(&self) -> String {
        let decides = Recipe { output_dir: String::new(), ..self.clone() };
        let text = serde_json::to_string(&decides).expect("a recipe is plain data");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}
