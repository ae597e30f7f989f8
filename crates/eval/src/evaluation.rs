//! What an evaluation leaves behind: a folder from which every number can be computed again.
//!
//! ```text
//! eval/
//!   items.jsonl    an outcome per line
//!   settings.json  what made them: model, tasks, versions, seed, hashes, signatures of the metrics
//!   results.json   the numbers in the shape of lm-evaluation-harness, and ours with intervals under `medtune`
//!   results.csv    the numbers as a table
//!   choices.json   of multiple-choice tasks: calibration, confusion, preferred places
//!   report.html    for people
//!   README.md      a model card with Hugging Face's `model-index`
//!   card.json      model, settings, numbers and the hash of items.jsonl; card.json.sig is its Ed25519 signature
//! ```

mod answers;
mod arithmetic;
mod bertscore;
mod card;
mod error;
mod harness;
mod items;
mod model_card;
mod reread;
mod rescore;
mod results;
mod settings;
mod signature;

pub(crate) use answers::Role;
pub use answers::{AnswerFault, Answers, Columns, FaultKind, Reading};
pub use arithmetic::{Arithmetic, different_arithmetic};
pub use bertscore::measure_bertscore;
pub use card::{Card, CardCheck, Signed};
pub use error::EvaluationError;
pub use items::{read_items, write_items};
pub(crate) use model_card::interval;
pub use reread::{LABELS, Reread, reread};
pub use rescore::{Findings, Rescored, rescore};
pub(crate) use results::task_of;
pub use results::{ChoiceNumber, Closeness, MetricResult, Results, TaskResults, UNNAMED_TASK};
pub use settings::{Settings, TaskSettings, different_rules};
pub use signature::{PublicKey, SigningKey};

use crate::Result;
use crate::choice::ChoiceReport;
use crate::comparison::Outcome;
use crate::report::{EvaluationReport, Figure, reliability_diagram};
use dataset::faults;
use formats::atomic::write_atomic;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file of outcomes in a folder.
pub const ITEMS: &str = "items.jsonl";
const SETTINGS: &str = "settings.json";
const RESULTS: &str = "results.json";
const TABLE: &str = "results.csv";
/// Calibration, confusion and preferred places by task.
const CHOICES: &str = "choices.json";
const REPORT: &str = "report.html";
const README: &str = "README.md";
/// The card in a folder.
pub const CARD: &str = "card.json";

/// Outcomes with what made them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// What made them.
    pub settings: Settings,
    /// One per item.
    pub outcomes: Vec<Outcome>,
}

impl Evaluation {
    /// All numbers.
    ///
    /// # Errors
    /// [`crate::Error::NoItems`], [`crate::Error::Twice`], [`crate::Error::NotFinite`].
    pub fn results(&self) -> Result<Results> {
        Results::of(&self.outcomes, &self.settings.resampling)
    }

    /// What the multiple-choice items of each task add up to, by the task's name.
    pub fn choices(&self) -> Vec<ChoiceReport> {
        let mut tasks: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
        for outcome in self.outcomes.iter().filter(|outcome| outcome.choice.is_some()) {
            tasks.entry(task_of(outcome)).or_default().push(outcome);
        }
        tasks.into_values().map(|outcomes| ChoiceReport::of(&outcomes)).collect()
    }

    /// Writes the folder, which is made where it is not there; what it held of an evaluation is replaced. With a key
    /// the card is signed.
    ///
    /// # Errors
    /// As [`results`](Self::results); [`EvaluationError::Occupied`] for a folder of other things;
    /// [`EvaluationError::Write`] where the system refuses.
    pub fn write(&self, folder: &Path, key: Option<&SigningKey>) -> Result<Results> {
        check_free(folder)?;
        let results = self.results()?;
        let settings = self.settings.with_signatures(&results);
        let named = Self { settings: settings.clone(), outcomes: self.outcomes.clone() };
        let choices = self.choices();
        let report = EvaluationReport::of_scored(named, results.clone());
        let report = choices.iter().filter_map(reliability).fold(report, EvaluationReport::with_figure);
        let report = report.to_html()?;
        std::fs::create_dir_all(folder).map_err(EvaluationError::io(folder))?;
        write_items(&folder.join(ITEMS), &self.outcomes)?;
        write_json(&folder.join(SETTINGS), &settings)?;
        write_json(&folder.join(RESULTS), &harness::document(&settings, &results))?;
        write_text(&folder.join(TABLE), &results.to_csv(&settings.name))?;
        if !choices.is_empty() {
            write_json(&folder.join(CHOICES), &choices)?;
        }
        write_text(&folder.join(README), &model_card::readme(&settings, &results))?;
        write_text(&folder.join(REPORT), &report)?;
        Card::of(folder, settings, results.clone())?.write(folder, key)?;
        Ok(results)
    }

    /// Reads an evaluation folder, a run folder (its tuned model), a file of items (`items.jsonl`, or the JSON array that
    /// runs keep), or a `card.json` beside its items.
    ///
    /// Where there are no settings, the name is that of the folder or file.
    ///
    /// # Errors
    /// [`EvaluationError`] with file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let file = items_of(path)?;
        let outcomes = read_items(&file)?;
        let beside = file.with_file_name(SETTINGS);
        let mut settings = match file.file_name().is_some_and(|name| name == ITEMS) && beside.is_file() {
            true => read_json(&beside, "the settings of an evaluation")?,
            false => Settings::default(),
        };
        if settings.name.is_empty() {
            settings.name = name_of(path);
        }
        Ok(Self { settings, outcomes })
    }

    /// The numbers that are on file beside the items of an evaluation folder.
    ///
    /// # Errors
    /// [`EvaluationError`] where there are none, or they cannot be read.
    pub fn results_on_file(path: &Path) -> Result<Option<Results>> {
        let file = items_of(path)?.with_file_name(RESULTS);
        if !file.is_file() {
            return Ok(None);
        }
        let mut document: Map<String, Value> = read_json(&file, "the numbers of an evaluation")?;
        let ours = document.remove(harness::OURS).unwrap_or_default();
        let expected = format!("the numbers of an evaluation under `{}`", harness::OURS);
        let results = faults::object_of(ours, &expected);
        Ok(Some(results.map_err(|reason| EvaluationError::Part { path: file, reason })?))
    }
}

/// The picture of a task whose options were rated.
fn reliability(report: &ChoiceReport) -> Option<Figure> {
    let calibration = report.calibration.as_ref()?;
    Some(Figure {
        heading: format!("{}: as sure as right?", report.task.as_deref().unwrap_or(UNNAMED_TASK)),
        svg: reliability_diagram(calibration)?,
        caption: format!(
            "How often the model was right among questions that it answered with about the same confidence, and how many \
             those were. Expected calibration error {:.3}, Brier score {:.3}.",
            calibration.ece, calibration.brier
        ),
    })
}

/// Refuses a folder, such as a model's, whose own `README.md` would be replaced.
fn check_free(folder: &Path) -> Result<()> {
    let theirs = |name: &str| folder.join(name).exists();
    let ours = theirs(ITEMS);
    match !ours && [README, SETTINGS, RESULTS, REPORT].into_iter().any(theirs) {
        true => Err(EvaluationError::Occupied { path: folder.to_owned() }.into()),
        false => Ok(()),
    }
}

/// The file of items that `path` means.
fn items_of(path: &Path) -> Result<PathBuf> {
    if path.is_dir() {
        let found = [path.join(ITEMS), path.join("eval/items.jsonl"), path.join("eval/tuned.json")];
        return Ok(found
            .into_iter()
            .find(|file| file.is_file())
            .ok_or_else(|| EvaluationError::NoEvaluation { path: path.to_owned() })?);
    }
    match path.file_name().is_some_and(|name| name == CARD) {
        true => Ok(path.with_file_name(ITEMS)),
        false => Ok(path.to_owned()),
    }
}

/// The folder's name, or the file's without its ending; of `eval/items.jsonl` the folder's.
fn name_of(path: &Path) -> String {
    let is_items = path.file_name().is_some_and(|name| name == ITEMS || name == CARD);
    let named = if is_items { path.parent().unwrap_or(path) } else { path };
    let name = if named.is_dir() { named.file_name() } else { named.file_stem() };
    name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|error| EvaluationError::malformed(path, error))?;
    text.push('\n');
    write_text(path, &text)
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    Ok(write_atomic(path, text.as_bytes()).map_err(EvaluationError::from)?)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path, expected: &str) -> Result<T> {
    let bytes = std::fs::read(path).map_err(EvaluationError::io(path))?;
    let read = faults::object(&bytes, expected);
    Ok(read.map_err(|reason| EvaluationError::Part { path: path.to_owned(), reason })?)
}
