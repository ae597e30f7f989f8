//! Reading a run, finished or not, for reports and comparisons.

use crate::folder::{MANIFEST_FILE, RECIPE_FILE, STATS_FILE};
use crate::metrics::{self, METRICS_FILE};
use crate::{Error, EvalRow, Manifest, Result, Row, Stats, StepRow};
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a run folder holds. It can be read while the run goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The folder.
    pub path: PathBuf,
    /// The recipe's text.
    pub recipe: Option<String>,
    /// Where the run came from.
    pub manifest: Option<Manifest>,
    /// The optimizer steps in order.
    pub steps: Vec<StepRow>,
    /// The evaluations during training in order.
    pub evals: Vec<EvalRow>,
    /// The totals, once the run has ended.
    pub stats: Option<Stats>,
}

impl Run {
    /// Reads a run folder. A file that is not there is `None` or empty; a torn last row is left out.
    ///
    /// # Errors
    /// [`Error::NotARun`] if there is neither a step log nor a manifest; damaged files name their line.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !path.join(METRICS_FILE).exists() && !path.join(MANIFEST_FILE).exists() {
            return Err(Error::NotARun { path: path.to_path_buf() });
        }
        let (mut steps, mut evals) = (Vec::new(), Vec::new());
        for row in metrics::read(&path.join(METRICS_FILE))? {
            match row {
                Row::Step(row) => steps.push(row),
                Row::Eval(row) => evals.push(row),
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            recipe: text(&path.join(RECIPE_FILE))?,
            manifest: json(&path.join(MANIFEST_FILE))?,
            steps,
            evals,
            stats: json(&path.join(STATS_FILE))?,
        })
    }

    /// The points of one evaluation value, e.g. `eval_loss`, as (step, value).
    pub fn eval_points(&self, name: &str) -> Vec<(u64, f64)> {
        self.evals.iter().filter_map(|row| row.values.get(name).map(|value| (row.step, *value))).collect()
    }
}

fn text(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path: path.to_path_buf(), source }),
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let parse =
        |text: String| serde_json::from_str(&text).map_err(|error| Error::json(path, error.line())(error));
    text(path)?.map(parse).transpose()
}
