//! Answers from files: outcomes of an evaluation, or any CSV or JSON lines with the columns.

use super::Judgement;
use crate::comparison::Outcome;
use crate::evaluation::{Columns, EvaluationError, Role};
use crate::faults;
use crate::records::{self, Record};
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The rows of a CSV file (by its header), of a JSON list, or of JSON lines, each with its fields by name. Names lose the blanks
/// around them.
///
/// # Errors
/// [`Error::File`] where the file cannot be read or a row is none.
pub fn read_records(path: &Path) -> Result<Vec<Map<String, Value>>> {
    Ok(table(path)?.1.into_iter().map(|record| record.0).collect())
}

/// The columns and the rows of a table.
fn table(path: &Path) -> Result<(Vec<String>, Vec<Record>)> {
    let table = records::read(path).map_err(|error| match error {
        EvaluationError::Io { source, .. } => wrong(path, source.to_string()),
        EvaluationError::Malformed { reason, .. } => wrong(path, reason),
        other => other.into(),
    })?;
    let row = |(record, number): (std::result::Result<Record, String>, usize)| {
        record.map_err(|reason| wrong(path, format!("row {number}: {reason}")))
    };
    Ok((table.columns, table.records.into_iter().zip(1..).map(row).collect::<Result<_>>()?))
}

/// The answers of one system, in the columns that `eval --answers-file` reads. A row without an id has its question for a
/// name; a reference is not needed.
///
/// # Errors
/// As [`read_records`]; [`Error::File`] where a row has neither id nor question; [`Error::Evaluation`] without a column of
/// answers.
pub fn read_answers(path: &Path) -> Result<Vec<Outcome>> {
    let (columns, rows) = table(path)?;
    let columns = Columns::find(path, &columns, &BTreeMap::new(), &[Role::Answer])?;
    let outcome = |(row, number): (&Record, usize)| {
        let cell = |role: Role| match columns.name(role) {
            None => Ok(None),
            Some(name) => {
                row.text(name).map_err(|reason| wrong(path, format!("row {number}: `{name}` {reason}")))
            }
        };
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let question = cell(Role::Question)?;
        let id = filled(cell(Role::Id)?).or_else(|| filled(question.clone()).map(|q| q.trim().to_owned()));
        Ok(Outcome {
            id: id.ok_or_else(|| wrong(path, format!("row {number}: neither `id` nor `question`")))?,
            group: filled(cell(Role::Group)?),
            question,
            reference: cell(Role::Reference)?,
            answer: cell(Role::Answer)?,
            ..Outcome::default()
        })
    };
    rows.iter().zip(1..).map(outcome).collect()
}

/// The judgements of a run, from its `judgements.jsonl`.
///
/// # Errors
/// As [`read_records`]; [`Error::File`] where a row is no judgement.
pub fn read_judgements(path: &Path) -> Result<Vec<Judgement>> {
    let rows = read_records(path)?.into_iter().zip(1..);
    rows.map(|(row, number)| {
        serde_json::from_value(Value::Object(row)).map_err(|error| {
            wrong(path, format!("row {number}: {}", faults::json(b"", &error, "a judgement")))
        })
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
