//! What lives through a run: memory, optimizer, guard, sums, and the place in the plan.

use std::time::Instant;

use compute::Backend;
use dataset::{Batch, Sample};
use model::{Activations, Decoder};
use track::{SkippedStep, Stats, StepRow};

use crate::checkpoint::{self, State, Totals};
use crate::dropout;
use crate::guard::Guard;
use crate::noise::Noise;
use crate::optimizer::{Optimizer, Regularisation, Settings};
use crate::plan::{Plan, PlannedStep};
use crate::ranks;
use crate::record::Record;
use crate::run::{Job, Outcome};
use crate::schedule::Schedule;
use crate::selection::Selection;
use crate::validation::shared_validation_loss;
use crate::{Error, Result};

/// How a part of the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It did what was due.
    Completed,
    /// The caller wants the run to stop; nothing of this part has happened.
    Interrupted,
}

/// A run between its first step and its last.
pub(crate) struct Session<'a, B: Backend> {
    job: &'a Job<'a, B>,
    plan: &'a Plan,
    /// Tokens of every sample.
    lengths: Vec<usize>,
    schedule: Schedule,
    activations: Activations<B>,
    optimizer: Optimizer<B>,
    batch: Batch,
    /// A key for every token of the batch; empty without dropout.
    dropout_keys: Vec<u64>,
    validation: Vec<Batch>,
    guard: Guard,
    /// The weights have moved since this process began.
    moved: bool,
    /// Steps that are done.
    step: u64,
    /// The evaluation due after `step` has been made.
    evaluated: bool,
    /// The checkpoint of `step` is on the disk.
    saved: bool,
    /// `step` has the lowest validation loss so far.
    is_best: bool,
    validation_loss: Option<f64>,
    selection: Selection,
    totals: Totals,
}

impl<'a, B: Backend> Session<'a, B> {
    pub(crate) fn new(decoder: &Decoder<B>, job: &'a Job<'a, B>, plan: &'a Plan) -> Result<Self> {
        let recipe = job.recipe;
        for (key, wanted) in [
            ("early_stopping_patience", recipe.early_stopping_patience.is_some()),
            ("load_best_model_at_end", recipe.load_best_model_at_end),
        ] {
            if wanted && job.validation.is_empty() {
                let reason = "there are no validation rows (split.val)".to_owned();
                return Err(Error::Recipe { key, reason });
            }
        }
        let validation = batches(job.validation, plan.largest_batch);
        let capacity = validation.iter().map(|b| b.ids.len()).max().unwrap_or(0).max(plan.largest_batch);
        let schedule = Schedule {
            peak: recipe.learning_rate,
            warmup: recipe.warmup(plan.len()),
            total: plan.len(),
            decay: recipe.lr_scheduler,
            min_ratio: recipe.cosine_min_lr_ratio,
        };
        let layers = job.checkpointing.clone();
        let layers = layers.or_else(|| recipe.gradient_checkpointing.everywhere(decoder.config().layers));
        let layers = layers.unwrap_or_default();
        Ok(Session {
            job,
            plan,
            lengths: job.samples.iter().map(|sample| sample.ids.len()).collect(),
            schedule,
            activations: Activations::for_checkpointed_training(decoder, capacity, &layers)?,
            optimizer: Optimizer::new(decoder, Settings::from(recipe))?,
            batch: Batch::with_capacity(plan.largest_batch, plan.most_examples()),
            dropout_keys: Vec::new(),
            validation,
            guard: Guard::new(recipe.nonfinite_patience),
            moved: false,
            step: 0,
            evaluated: true,
            saved: false,
            is_best: false,
            validation_loss: None,
            selection: Selection::default(),
            totals: Totals::default(),
        })
    }

    /// Brings all ranks to where rank 0 is: at the start, or after the newest whole checkpoint if that is wanted.
    pub(crate) fn begin(&mut self, decoder: &mut Decoder<B>, record: &mut Record<'_>) -> Result<()> {
        let ranks = self.job.ranks;
        let resumed = match ranks.rank() {
            0 => Some(self.resume(decoder, record)?),
            _ => None,
        };
        let resumed: Option<State> = ranks::share(ranks, resumed)?;
        let backend = decoder.backend().clone();
        ranks::broadcast_buffer(ranks, &*backend, &mut decoder.parameters.values);
        if let Some(cut) = ranks::describe(self.plan, &self.lengths, ranks.size()) {
            record.note(&cut);
        }
        let Some(state) = resumed else { return Ok(()) };
        self.optimizer.moments.share(&*backend, ranks);
        self.optimizer.steps = state.optimizer_steps;
        (self.step, self.evaluated, self.saved) = (state.step, state.evaluated, state.evaluated);
        self.guard.skipped_in_row = state.skipped_in_row;
        self.guard.watched = state.gradients_seen;
        self.validation_loss = state.validation_loss;
        self.selection = state.selection;
        self.totals = state.totals;
        Ok(())
    }

    /// Loads the newest whole checkpoint, if that is wanted and there is one.
    fn resume(&mut self, decoder: &mut Decoder<B>, record: &mut Record<'_>) -> Result<Option<State>> {
        let Some(folder) = record.folder() else { return Ok(None) };
        checkpoint::remove_stale(&folder.checkpoints())?;
        if !self.job.resume {
            return Ok(None);
        }
        let newest = checkpoint::newest(&folder.checkpoints())?;
        if let Some((place, state)) = &newest.found {
            checkpoint::same_run(place, state, &self.job.identity)?;
            checkpoint::load(place, state, decoder, &mut self.optimizer)?;
        }
        folder.rewind(newest.found.as_ref().map_or(0, |(_, state)| state.step))?;
        for reason in newest.skipped {
            record.note(&format!("passed over {reason}"));
        }
        let Some((_, state)) = newest.found else {
            record.note("there is no checkpoint to go on from; starting anew");
            return Ok(None);
        };
        record.note(&format!("going on after step {} of {}", state.step, self.plan.len()));
        Ok(Some(state))
    }

    /// The step that was done last; there is none before the first.
    fn planned(&self) -> Option<&'a PlannedStep> {
        self.step.checked_sub(1).and_then(|index| self.plan.steps.get(index as usize))
    }

    fn epoch(&self) -> f64 {
        self.planned().map_or(0.0, PlannedStep::epochs)
    }

    /// True when no step is left, or none is worth it.
    pub(crate) fn ended(&self) -> bool {
        self.step >= self.plan.len() || self.selection.exhausted(self.job.recipe.early_stopping_patience)
    }

    /// One step: gradients of this rank's part, their sum over all ranks, guard, optimizer, record. Interrupted between
    /// two batches on any rank, it leaves the weights as they were.
    pub(crate) fn train_step(&mut self, decoder: &mut Decoder<B>, record: &mut Record<'_>) -> Result<Done> {
        let (job, plan, ranks) = (self.job, self.plan, self.job.ranks);
        let planned = &plan.steps[self.step as usize];
        let step = self.step + 1;
        let clock = Instant::now();
        self.optimizer.clear(decoder);
        let mut stopped = job.stopping();
        for batch in &ranks::part(&planned.batches, &self.lengths, (ranks.rank(), ranks.size())) {
            stopped = job.stopping();
            if stopped {
                break;
            }
            self.batch.refill(batch.iter().map(|&i| &job.samples[i]));
            let noise = job.recipe.neftune_noise_alpha.map(|alpha| Noise {
                alpha,
                seed: job.recipe.seed,
                step,
                samples: job.samples,
                batch,
            });
            if job.recipe.lora_dropout > 0.0 {
                dropout::keys(&mut self.dropout_keys, (job.recipe.seed, step), job.samples, batch);
            }
            let regularisation = Regularisation { dropout_keys: &self.dropout_keys, noise };
            let activations = &mut self.activations;
            self.optimizer.accumulate_regularised(decoder, &self.batch, activations, regularisation);
        }
        // Who has stopped has not done its part, and the others must know before they go on.
        if self.optimizer.exchange_sums(ranks, stopped) {
            return Ok(Done::Interrupted);
        }
        self.optimizer.exchange_gradients(decoder, ranks);
        let sums = self.optimizer.sums();
        let loss = sums.loss / sums.labels.max(1) as f64;
        let grad_norm = self.optimizer.grad_norm(decoder);
        let rate = self.schedule.rate(step - 1);
        if !(loss.is_finite() && grad_norm.is_finite()) {
            let id = |&i: &usize| job.samples[i].id.clone();
            record.skipped(&SkippedStep {
                step,
                loss: loss.to_string(),
                grad_norm: grad_norm.to_string(),
                examples: planned.batches.iter().map(|batch| batch.iter().map(id).collect()).collect(),
            })?;
        }
        let accepted = self.guard.accept(step, loss, grad_norm)?;
        if accepted {
            let backend = decoder.backend().clone();
            let parameters = &decoder.parameters.list;
            self.guard.watch((step, self.moved), &*backend, parameters, self.optimizer.gradients())?;
            self.optimizer.step(decoder, rate, grad_norm);
            self.moved |= rate > 0.0;
            self.totals.loss += loss;
        } else {
            self.totals.skipped += 1;
        }
        let elapsed = clock.elapsed().as_secs_f64();
        self.totals.tokens += sums.tokens;
        self.totals.examples += sums.examples;
        self.totals.seconds += elapsed;
        (self.step, self.evaluated, self.saved, self.is_best) = (step, false, false, false);
        if !accepted {
            record.note(&format!("step {step} skipped: loss {loss}, gradient norm {grad_norm}"));
            return Ok(Done::Completed);
        }
        let row = StepRow {
            step,
            epoch: planned.epochs(),
            loss,
            grad_norm,
            learning_rate: rate,
            tokens: self.totals.tokens,
            learned_tokens: sums.labels,
            tokens_per_second: sums.tokens as f64 / elapsed.max(1e-9),
            elapsed_s: self.totals.seconds,
        };
        record.step(&row, plan.len())?;
        Ok(Done::Completed)
    }

    /// What is measured after this step: the validation loss, and what the caller's examiner asks. Interrupted, it
    /// has recorded nothing.
    pub(crate) fn evaluate(&mut self, decoder: &Decoder<B>, record: &mut Record<'_>) -> Result<Done> {
        if self.evaluated {
            return Ok(Done::Completed);
        }
        let (job, step, ranks) = (self.job, self.step, self.job.ranks);
        let due = |every: u64| every > 0 && step.is_multiple_of(every);
        let last = step == self.plan.len();
        let mut values = Vec::new();
        let mut selection = self.selection;
        if !self.validation.is_empty() && (last || due(job.recipe.eval_steps)) {
            let stopping = || job.stopping();
            let activations = &mut self.activations;
            let loss = shared_validation_loss(ranks, decoder, &self.validation, activations, &stopping);
            let Some(loss) = loss else { return Ok(Done::Interrupted) };
            if job.recipe.load_best_model_at_end || job.recipe.early_stopping_patience.is_some() {
                self.is_best = selection.observe(step, loss);
            }
            match loss.is_finite() {
                true => {
                    self.validation_loss = Some(loss);
                    values.push(("loss", loss));
                    record.validated(step, loss);
                }
                false => record.note(&format!("step {step}: the validation loss is {loss}")),
            }
        }
        let examined = due(job.recipe.bench_steps);
        if examined && ranks.any(job.stopping()) {
            return Ok(Done::Interrupted);
        }
        if let Some(examiner) = job.examiner.filter(|_| examined) {
            let found = examiner.examine(decoder).map_err(|source| Error::Examination { step, source })?;
            for (name, value) in found {
                record.note(&format!("step {step}: {} {value:.4}", name.replace('_', " ")));
                values.push((name, value));
            }
        }
        record.evaluated(step, self.epoch(), values)?;
        self.selection = selection;
        self.evaluated = true;
        if self.ended() && !last {
            record.note(&format!(
                "stopped early after step {step}: the validation loss no longer falls (best {:.4} after step {})",
                selection.best.map_or(f64::NAN, |best| best.loss),
                selection.best.map_or(0, |best| best.step),
            ));
        }
        track::failpoint::hit("run.evaluated");
        Ok(Done::Completed)
    }

    /// Whether this step is one whose state is kept.
    pub(crate) fn must_save(&self) -> bool {
        let Some(planned) = self.planned().filter(|_| !self.saved) else { return false };
        let due = match self.job.recipe.save_steps {
            0 => planned.ends_epoch(),
            every => self.step.is_multiple_of(every),
        };
        due || self.ended() || (self.is_best && self.job.recipe.load_best_model_at_end)
    }

    /// Has rank 0 write the checkpoint of this step, if all ranks hold the same weights.
    pub(crate) fn save(&mut self, decoder: &Decoder<B>, record: &mut Record<'_>) -> Result<()> {
        ranks::compare(self.job.ranks, self.step, decoder)?;
        self.saved = true;
        let Some(folder) = record.folder() else { return Ok(()) };
        // The record of the steps must not be younger than the state.
        folder.sync()?;
        let state = State {
            step: self.step,
            evaluated: self.evaluated,
            optimizer_steps: self.optimizer.steps,
            identity: self.job.identity.clone(),
            totals: self.totals,
            skipped_in_row: self.guard.skipped_in_row,
            gradients_seen: self.guard.watched,
            validation_loss: self.validation_loss,
            selection: self.selection,
        };
        let keep = self.job.recipe.save_total_limit;
        checkpoint::save(&folder.checkpoints(), keep, decoder, &self.optimizer, &state)?;
        Ok(())
    }

    /// Keeps the state and says so, as an error that ends the run.
    pub(crate) fn interrupt<T>(&mut self, decoder: &Decoder<B>, record: &mut Record<'_>) -> Result<T> {
        if self.step > 0 && !self.saved {
            self.save(decoder, record)?;
        }
        let folder = record.folder().filter(|_| self.step > 0);
        let checkpoint = folder.map(|folder| checkpoint::place(&folder.checkpoints(), self.step));
        Err(Error::Interrupted { step: self.step, steps: self.plan.len(), checkpoint })
    }

    /// Puts the best weights in the place of the last, if the recipe wants that.
    pub(crate) fn keep_best(&self, decoder: &mut Decoder<B>, record: &mut Record<'_>) -> Result<()> {
        let wanted = self.selection.best.filter(|_| self.job.recipe.load_best_model_at_end);
        let Some(best) = wanted.filter(|best| best.step != self.step) else { return Ok(()) };
        let Some(folder) = record.folder() else { return Ok(()) };
        checkpoint::load_step(&folder.checkpoints(), best.step, decoder)?;
        record.note(&format!("the weights of step {} are kept: validation loss {:.4}", best.step, best.loss));
        Ok(())
    }

    /// The totals of the run.
    pub(crate) fn outcome(&self, decoder: &Decoder<B>) -> Outcome {
        let (totals, steps) = (&self.totals, self.step);
        let seconds = totals.seconds.max(1e-9);
        let c = decoder.config();
        // As transformers counts: 6 operations a token for every parameter that is not an embedding.
        let weights = c.parameters() - c.vocab_size * c.hidden_size;
        let best = self.selection.best.filter(|_| self.job.recipe.load_best_model_at_end);
        let stats = Stats {
            train_runtime: totals.seconds,
            train_samples_per_second: totals.examples as f64 / seconds,
            train_steps_per_second: steps as f64 / seconds,
            train_tokens_per_second: totals.tokens as f64 / seconds,
            total_flos: 6.0 * weights as f64 * totals.tokens as f64,
            train_loss: totals.loss / (steps - totals.skipped).max(1) as f64,
            steps,
            epoch: self.epoch(),
            eval_loss: self.validation_loss,
            best_step: best.map(|best| best.step),
            best_eval_loss: best.map(|best| best.loss),
            stopped_early: steps < self.plan.len(),
            skipped_steps: totals.skipped,
            planned_memory_bytes: self.job.planned_memory,
            peak_memory_bytes: self.job.planned_memory.and_then(|_| track::memory::peak()),
        };
        Outcome { stats, validation_loss: self.validation_loss, best, skipped: totals.skipped }
    }
}

/// Samples in their order, packed into batches of at most `tokens` tokens (a longer sample stands alone).
fn batches(samples: &[Sample], tokens: usize) -> Vec<Batch> {
    let lengths: Vec<usize> = samples.iter().map(|s| s.ids.len()).collect();
    dataset::consecutive(&lengths, tokens).into_iter().map(|range| Batch::new(&samples[range])).collect()
}
