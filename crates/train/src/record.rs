//! What a run leaves behind and lets hear: on rank 0 a run folder and an observer, on the others nothing.

use track::{RunFolder, SkippedStep, StepRow};

use crate::Result;
use crate::run::Observer;

/// The record of a run, as one rank sees it.
pub(crate) struct Record<'a> {
    kept: Option<(&'a mut RunFolder, &'a mut dyn Observer)>,
}

impl<'a> Record<'a> {
    /// The record of rank 0.
    pub(crate) fn new(folder: &'a mut RunFolder, observer: &'a mut dyn Observer) -> Self {
        Record { kept: Some((folder, observer)) }
    }

    /// That of another rank.
    pub(crate) fn none() -> Self {
        Record { kept: None }
    }

    /// The run folder, where this rank has it.
    pub(crate) fn folder(&mut self) -> Option<&mut RunFolder> {
        self.kept.as_mut().map(|(folder, _)| &mut **folder)
    }

    /// A step is done.
    pub(crate) fn step(&mut self, row: &StepRow, total: u64) -> Result<()> {
        let Some((folder, observer)) = &mut self.kept else { return Ok(()) };
        folder.log_step(row)?;
        observer.step(row, total);
        Ok(())
    }

    /// A step is left out.
    pub(crate) fn skipped(&mut self, step: &SkippedStep) -> Result<()> {
        match self.folder() {
            Some(folder) => Ok(folder.log_skipped(step)?),
            None => Ok(()),
        }
    }

    /// The values of an evaluation, by name.
    pub(crate) fn evaluated(
        &mut self,
        step: u64,
        epoch: f64,
        values: Vec<(&'static str, f64)>,
    ) -> Result<()> {
        match self.folder() {
            Some(folder) if !values.is_empty() => Ok(folder.log_eval(step, epoch, values)?),
            _ => Ok(()),
        }
    }

    /// The validation loss of an evaluation.
    pub(crate) fn validated(&mut self, step: u64, loss: f64) {
        if let Some((_, observer)) = &mut self.kept {
            observer.validated(step, loss);
        }
    }

    /// Anything else that a person should know.
    pub(crate) fn note(&mut self, text: &str) {
        if let Some((_, observer)) = &mut self.kept {
            observer.note(text);
        }
    }
}
