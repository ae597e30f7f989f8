//! The step log: `metrics.jsonl` and, beside it, `loss.csv`.
//!
//! The JSON lines are the record; the CSV is made from them. Each row is one `write` of a whole line. A line
//! that a kill tore is dropped when the log is reopened, and the CSV is written anew from what is left.

use crate::{Error, Result};
use formats::atomic::write_atomic;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Name of the step log in a run folder.
pub(crate) const METRICS_FILE: &str = "metrics.jsonl";
/// Name of the loss table in a run folder.
pub(crate) const LOSS_FILE: &str = "loss.csv";
const LOSS_HEADER: &str = "Step,Loss\n";

/// One optimizer step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// Number of the step, from 1.
    pub step: u64,
    /// Passes over the data so far.
    pub epoch: f64,
    /// Mean loss of the step's labelled tokens, in nats.
    pub loss: f64,
    /// Euclidean norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Tokens seen since the run began, prompt tokens included.
    pub tokens: u64,
    /// Tokens of this step that carry a label: what `loss` is a mean over. 0 in logs from before it was kept.
    #[serde(default)]
    pub learned_tokens: u64,
    /// Tokens per second of this step.
    pub tokens_per_second: f64,
    /// Seconds since the run began, those before a resume included.
    pub elapsed_s: f64,
}

/// An evaluation during training: every other key of the object begins with `eval_`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalRow {
    /// The step after which it was made.
    pub step: u64,
    /// Passes over the data so far.
    pub epoch: f64,
    /// The values by name, e.g. `eval_loss`.
    #[serde(flatten)]
    pub values: BTreeMap<String, f64>,
}

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Row {
    /// An optimizer step.
    Step(StepRow),
    /// An evaluation.
    Eval(EvalRow),
}

impl Row {
    /// The step that the row belongs to.
    pub fn step(&self) -> u64 {
        match self {
            Self::Step(row) => row.step,
            Self::Eval(row) => row.step,
        }
    }

    /// Reads one line. A step has a `loss`; an evaluation does not.
    fn parse(line: &str) -> serde_json::Result<Self> {
        let object: Map<String, Value> = serde_json::from_str(line)?;
        if object.contains_key("loss") {
            serde_json::from_value(Value::Object(object)).map(Self::Step)
        } else {
            serde_json::from_value(Value::Object(object)).map(Self::Eval)
        }
    }

    /// A null in the file would not read back as a number.
    fn check_finite(&self) -> Result<()> {
        let values: Vec<(&str, f64)> = match self {
            Self::Step(row) => vec![
                ("epoch", row.epoch),
                ("loss", row.loss),
                ("grad_norm", row.grad_norm),
                ("learning_rate", row.learning_rate),
                ("tokens_per_second", row.tokens_per_second),
                ("elapsed_s", row.elapsed_s),
            ],
            Self::Eval(row) => {
                let values = row.values.iter().map(|(name, value)| (name.as_str(), *value));
                std::iter::once(("epoch", row.epoch)).chain(values).collect()
            }
        };
        match values.into_iter().find(|(_, value)| !value.is_finite()) {
            Some((what, _)) => Err(Error::NotFinite { step: self.step(), what: what.to_string() }),
            None => Ok(()),
        }
    }
}

/// Reads all whole rows of a step log; a torn last line is left out.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Io { path: path.to_path_buf(), source }),
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut rows = Vec::new();
    let mut lines = text.split_inclusive('\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let last = lines.peek().is_none();
        if last && !line.ends_with('\n') {
            break;
        }
        match Row::parse(line) {
            Ok(row) => rows.push(row),
            // Power loss can leave a last line of the right length without its content.
            Err(_) if last => break,
            Err(error) => return Err(Error::json(path, index + 1)(error)),
        }
    }
    Ok(rows)
}

/// The open step log of a run that is being written.
#[derive(Debug)]
pub(crate) struct MetricsLog {
    metrics: File,
    metrics_path: PathBuf,
    loss: File,
    loss_path: PathBuf,
    last_step: Option<u64>,
    last_eval: Option<u64>,
}

impl MetricsLog {
    /// Opens the log in `folder` with the rows up to and including step `keep`; drops the others and any torn
    /// line, so that no step can stand there twice.
    pub(crate) fn open(folder: &Path, keep: u64) -> Result<Self> {
        let (metrics_path, loss_path) = (folder.join(METRICS_FILE), folder.join(LOSS_FILE));
        let mut rows = read(&metrics_path)?;
        rows.retain(|row| row.step() <= keep);
        let (mut lines, mut csv) = (String::new(), LOSS_HEADER.to_string());
        let (mut last_step, mut last_eval) = (None, None);
        for row in &rows {
            lines.push_str(&line(row, &metrics_path)?);
            match row {
                Row::Step(row) => {
                    csv.push_str(&csv_line(row));
                    last_step = Some(row.step);
                }
                Row::Eval(row) => last_eval = Some(row.step),
            }
        }
        write_atomic(&metrics_path, lines.as_bytes())?;
        write_atomic(&loss_path, csv.as_bytes())?;
        let append = |path: &Path| OpenOptions::new().append(true).open(path).map_err(Error::io(path));
        let (metrics, loss) = (append(&metrics_path)?, append(&loss_path)?);
        Ok(Self { metrics, metrics_path, loss, loss_path, last_step, last_eval })
    }

    /// Appends a row.
    pub(crate) fn append(&mut self, row: &Row) -> Result<()> {
        row.check_finite()?;
        let (step, last) = match row {
            Row::Step(row) => (row.step, self.last_step),
            Row::Eval(row) => (row.step, self.last_eval),
        };
        if let Some(last) = last.filter(|last| step <= *last) {
            return Err(Error::StepOrder { step, last });
        }
        let line = line(row, &self.metrics_path)?;
        if crate::failpoint::is_next("metrics.torn_row") {
            let _ = self.metrics.write_all(&line.as_bytes()[..line.len() / 2]);
        }
        crate::failpoint::hit("metrics.torn_row");
        self.metrics.write_all(line.as_bytes()).map_err(Error::io(&self.metrics_path))?;
        match row {
            Row::Step(row) => {
                self.loss.write_all(csv_line(row).as_bytes()).map_err(Error::io(&self.loss_path))?;
                self.last_step = Some(step);
            }
            Row::Eval(_) => self.last_eval = Some(step),
        }
        Ok(())
    }

    /// Waits until the rows are on the disk: what a checkpoint calls, so that it never outlives its own log.
    pub(crate) fn sync(&self) -> Result<()> {
        self.metrics.sync_data().map_err(Error::io(&self.metrics_path))?;
        self.loss.sync_data().map_err(Error::io(&self.loss_path))
    }
}

fn line(row: &Row, path: &Path) -> Result<String> {
    let mut line = serde_json::to_string(row).map_err(Error::json(path, 0))?;
    line.push('\n');
    Ok(line)
}

fn csv_line(row: &StepRow) -> String {
    let mut line = String::new();
    let _ = writeln!(line, "{},{:.6}", row.step, row.loss);
    line
}
