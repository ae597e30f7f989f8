//! Answers from files: outcomes of an evaluation, or any CSV or JSON lines with the columns.

use super::Judgement;
use crate::comparison::Outcome;
use crate::evaluation::{AnswerFault, Answers as FileOfAnswers, Columns, EvaluationError, Role};
use crate::records::{self, Record};
use crate::{Error, Result};
use dataset::faults;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rows of a CSV file (by its header), of a JSON list, or of JSON lines, each with its fields by name. Names lose the blanks
/// around them.
///
/// # Errors
/// [`Error::Evaluation`] where the system refuses the file, [`Error::File`] where it is no table or a row is none.
pub fn read_records(path: &Path) -> Result<Vec<Map<String, Value>>> {
    let Rows { rows, faults, .. } = Rows::read(path)?;
    match faults.first() {
        Some(fault) => Err(wrong(path, fault.to_string())),
        None => Ok(rows.into_iter().map(|(_, record)| record.0).collect()),
    }
}

/// A table: its rows with their numbers, and those that cannot be read.
pub(super) struct Rows {
    columns: Vec<String>,
    pub(super) rows: Vec<(u64, Record)>,
    pub(super) faults: Vec<AnswerFault>,
}

impl Rows {
    /// Reads a table of which a row at least can be read.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let table = records::read(path).map_err(|error| match error {
            EvaluationError::Malformed { reason, .. } => wrong(path, reason),
            other => other.into(),
        })?;
        let mut read = Self { columns: table.columns, rows: Vec::new(), faults: Vec::new() };
        for (number, record) in (1..).zip(table.records) {
            match record {
                Ok(record) => read.rows.push((number, record)),
                Err(reason) => read.faults.push(AnswerFault::unreadable(number, reason)),
            }
        }
        Ok(read)
    }
}

/// The answers of one system, in the columns that `eval --answers-file` reads. A row without an id has its question for a
/// name; a reference is not needed. A row that cannot be read, or that stands there twice, is a fault and no answer.
///
/// # Errors
/// [`Error::File`] where the file is no table, or none of its rows can be read; [`Error::Evaluation`] where the system refuses
/// the file or it has no column of answers.
pub fn read_answers(path: &Path) -> Result<FileOfAnswers> {
    let Rows { columns, rows, faults } = Rows::read(path)?;
    let columns = Columns::find(path, &columns, &BTreeMap::new(), &[Role::Answer])?;
    let mut answers = FileOfAnswers { columns, faults, outcomes: Vec::new() };
    let mut ids = BTreeSet::new();
    for (number, row) in rows {
        match outcome(&row, &answers.columns) {
            Ok(outcome) if ids.insert(outcome.id.clone()) => answers.outcomes.push(outcome),
            Ok(outcome) => {
                let named = answers.columns.name(Role::Id).is_some();
                answers.faults.push(AnswerFault::duplicate(number, named.then_some(outcome.id)));
            }
            Err(reason) => answers.faults.push(AnswerFault::unreadable(number, reason)),
        }
    }
    answers.faults = faults_of(path, answers.faults, answers.outcomes.is_empty())?;
    Ok(answers)
}

/// Faults in the order of the rows of their file, under its name.
///
/// # Errors
/// [`Error::File`] with the first one where they leave no row.
pub(super) fn faults_of(
    path: &Path,
    mut faults: Vec<AnswerFault>,
    none_is_left: bool,
) -> Result<Vec<AnswerFault>> {
    faults.sort_by_key(|fault| fault.row);
    match faults.first() {
        Some(first) if none_is_left => Err(wrong(path, format!("no row can be read; {first}"))),
        _ => Ok(faults.into_iter().map(|fault| fault.of(path)).collect()),
    }
}

/// What a row says, or why it is no answer.
fn outcome(row: &Record, columns: &Columns) -> std::result::Result<Outcome, String> {
    let cell = |role: Role| match columns.name(role) {
        None => Ok(None),
        Some(name) => row.text(name).map_err(|reason| format!("`{name}` {reason}")),
    };
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let question = cell(Role::Question)?;
    let id = filled(cell(Role::Id)?).or_else(|| filled(question.clone()).map(|q| q.trim().to_owned()));
    Ok(Outcome {
        id: id.ok_or("neither `id` nor `question`")?,
        group: filled(cell(Role::Group)?),
        question,
        reference: cell(Role::Reference)?,
        answer: cell(Role::Answer)?,
        ..Outcome::default()
    })
}

/// The judgements of a run, from its `judgements.jsonl`.
///
/// # Errors
/// As [`read_records`]; [`Error::File`] where a row is no judgement.
pub fn read_judgements(path: &Path) -> Result<Vec<Judgement>> {
    let rows = read_records(path)?.into_iter().zip(1..);
    rows.map(|(row, number)| {
        faults::object_of(Value::Object(row), "a judgement, as `medtune judge --out` writes one a line")
            .map_err(|reason| wrong(path, format!("row {number}: {reason}")))
    })
    .collect()
}

/// A text, or a number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

pub(super) fn wrong(path: &Path, reason: impl Into<String>) -> Error {
    Error::File { path: path.to_owned(), reason: reason.into() }
}
