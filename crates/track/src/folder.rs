//! The folder of a run that is being written.

use crate::lock::Lock;
use crate::metrics::{METRICS_FILE, MetricsLog};
use crate::skipped::{self, SkippedStep};
use crate::{Error, EvalRow, Manifest, Result, Row, Stats, StepRow};
use formats::atomic::write_atomic;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) const RECIPE_FILE: &str = "recipe.yaml";
pub(crate) const MANIFEST_FILE: &str = "manifest.json";
pub(crate) const STATS_FILE: &str = "stats.json";

/// A run folder with its lock held; dropping it gives the folder free.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    log: MetricsLog,
    _lock: Lock,
}

impl RunFolder {
    /// Makes a folder for a new run. A run that ended before its first step has nothing to lose: the new one takes its
    /// place.
    ///
    /// # Errors
    /// [`Error::AlreadyARun`] if it holds what a run has made, [`Error::InUse`] if another process writes there.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        std::fs::create_dir_all(path).map_err(Error::io(path))?;
        let lock = Lock::take(path)?;
        if let Some(found) = result_of_a_run(path)? {
            return Err(Error::AlreadyARun { path: path.to_path_buf(), found });
        }
        let log = MetricsLog::open(path, u64::MAX)?;
        Ok(Self { path: path.to_path_buf(), log, _lock: lock })
    }

    /// Reopens a run after a stop or a kill: repairs a torn last line. Call [`rewind`](Self::rewind) with the
    /// checkpoint's step before the first row.
    ///
    /// # Errors
    /// [`Error::NotARun`] if the folder holds none, [`Error::InUse`] if another process writes there.
    pub fn resume(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !Self::holds_run(path) {
            return Err(Error::NotARun { path: path.to_path_buf() });
        }
        let lock = Lock::take(path)?;
        let log = MetricsLog::open(path, u64::MAX)?;
        Ok(Self { path: path.to_path_buf(), log, _lock: lock })
    }

    /// Whether `path` holds a run, finished or not.
    pub fn holds_run(path: impl AsRef<Path>) -> bool {
        path.as_ref().join(METRICS_FILE).exists()
    }

    /// Drops the rows after `step`, those that the resumed run will make again; 0 drops all.
    pub fn rewind(&mut self, step: u64) -> Result<()> {
        self.log = MetricsLog::open(&self.path, step)?;
        skipped::rewind(&self.path, step)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the checkpoints are.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Where the adapter is written.
    pub fn adapter(&self) -> PathBuf {
        self.path.join("adapter")
    }

    /// Where the per-item outcomes are written.
    pub fn eval(&self) -> PathBuf {
        self.path.join("eval")
    }

    /// Where the report is written.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Writes `recipe.yaml`: the recipe as resolved.
    pub fn write_recipe(&self, yaml: &str) -> Result<()> {
        Ok(write_atomic(self.path.join(RECIPE_FILE), yaml.as_bytes())?)
    }

    /// Writes `manifest.json`.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        self.write_json(MANIFEST_FILE, manifest)
    }

    /// Writes `stats.json`.
    pub fn write_stats(&self, stats: &Stats) -> Result<()> {
        self.write_json(STATS_FILE, stats)
    }

    /// Appends a step to `metrics.jsonl` and `loss.csv`.
    ///
    /// # Errors
    /// [`Error::StepOrder`] for a step that is not after the last one, [`Error::NotFinite`] for a value that is
    /// no number.
    pub fn log_step(&mut self, row: &StepRow) -> Result<()> {
        self.log.append(&Row::Step(row.clone()))
    }

    /// Appends an evaluation made after `step` to `metrics.jsonl`. The names get the prefix `eval_` where they
    /// lack it.
    ///
    /// # Errors
    /// As [`log_step`](Self::log_step).
    pub fn log_eval<'a>(
        &mut self,
        step: u64,
        epoch: f64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        let name = |name: &str| if name.starts_with("eval_") { name.into() } else { format!("eval_{name}") };
        let values: BTreeMap<String, f64> =
            values.into_iter().map(|(key, value)| (name(key), value)).collect();
        self.log.append(&Row::Eval(EvalRow { step, epoch, values }))
    }

    /// Appends a step that was left out, with its examples, to `skipped.jsonl`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn log_skipped(&self, step: &SkippedStep) -> Result<()> {
        skipped::append(&self.path, step)
    }

    /// Waits until all rows are on the disk; call it before a checkpoint is made final.
    pub fn sync(&self) -> Result<()> {
        self.log.sync()
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let path = self.path.join(name);
        let mut text = serde_json::to_string_pretty(value).map_err(Error::json(&path, 0))?;
        text.push('\n');
        Ok(write_atomic(&path, text.as_bytes())?)
    }
}

/// What there is in a folder that only a run with a step can have made, and that a new run would write over.
fn result_of_a_run(folder: &Path) -> Result<Option<&'static str>> {
    for file in [METRICS_FILE, skipped::SKIPPED_FILE] {
        if std::fs::metadata(folder.join(file)).is_ok_and(|found| found.len() > 0) {
            return Ok(Some(file));
        }
    }
    let holds = |place: &'static str, ending: &str| -> Result<bool> {
        let place = folder.join(place);
        if !place.is_dir() {
            return Ok(false);
        }
        let mut names = std::fs::read_dir(&place).map_err(Error::io(&place))?.filter_map(|entry| entry.ok());
        Ok(names.any(|entry| entry.file_name().to_string_lossy().ends_with(ending)))
    };
    for (place, ending) in [("checkpoints", ""), ("adapter", ""), ("model", ".safetensors")] {
        if holds(place, ending)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}
