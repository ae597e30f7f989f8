//! Answers from files: outcomes of an evaluation, or any CSV or JSON lines with the columns.

use super::Judgement;
use crate::comparison::Outcome;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// What columns are called, ours first.
const COLUMNS: [(&str, &[&str]); 5] = [
    ("id", &["id", "item", "item_id", "question_id"]),
    ("group", &["group", "document", "document_id"]),
    ("question", &["question", "prompt", "input"]),
    ("reference", &["reference", "gold", "ground_truth", "correct_answer", "expected", "output"]),
    ("answer", &["answer", "response", "generated_answer", "prediction", "model_response"]),
];

/// The rows of a CSV file (by its header), of a JSON list, or of JSON lines, each with its fields by name. Names lose the blanks
/// around them.
///
/// # Errors
/// [`Error::File`] where the file cannot be read or a row is none.
pub fn read_records(path: &Path) -> Result<Vec<Map<String, Value>>> {
    let text = std::fs::read_to_string(path).map_err(|error| wrong(path, error.to_string()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let object = |value: Value, row: usize| match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(wrong(path, format!("row {row}: expected an object"))),
    };
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv")) {
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| wrong(path, error.to_string()))?.clone();
        let names: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        let row = |record: csv::StringRecord| {
            names.iter().cloned().zip(record.iter().map(|cell| Value::String(cell.to_owned()))).collect()
        };
        let rows =
            reader.records().map(|record| record.map(row).map_err(|error| wrong(path, error.to_string())));
        return rows.collect();
    }
    if text.trim_start().starts_with('[') {
        let rows: Vec<Value> = serde_json::from_str(text).map_err(|error| wrong(path, error.to_string()))?;
        return rows.into_iter().zip(1..).map(|(row, number)| object(row, number)).collect();
    }
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| {
            let value =
                serde_json::from_str(line).map_err(|error| wrong(path, format!("line {number}: {error}")))?;
            object(value, number)
        })
        .collect()
}

/// The answers of one system. A row without an id has its question for a name.
///
/// # Errors
/// As [`read_records`]; [`Error::File`] where a row has neither id nor question.
pub fn read_answers(path: &Path) -> Result<Vec<Outcome>> {
    let rows = read_records(path)?;
    rows.iter()
        .zip(1..)
        .map(|(row, number)| {
            let cell = |ours: &str| {
                let names =
                    COLUMNS.iter().find(|(name, _)| *name == ours).map_or(&[][..], |(_, names)| names);
                names.iter().find_map(|name| text(row.get(*name)?))
            };
            let question = cell("question");
            let id = cell("id").or_else(|| question.as_ref().map(|question| question.trim().to_owned()));
            let id = id.filter(|id| !id.is_empty());
            Ok(Outcome {
                id: id.ok_or_else(|| wrong(path, format!("row {number}: neither `id` nor `question`")))?,
                group: cell("group").filter(|group| !group.is_empty()),
                question,
                reference: cell("reference"),
                answer: cell("answer"),
                ..Outcome::default()
            })
        })
        .collect()
}

/// The judgements of a run, from its `judgements.jsonl`.
///
/// # Errors
/// As [`read_records`]; [`Error::File`] where a row is no judgement.
pub fn read_judgements(path: &Path) -> Result<Vec<Judgement>> {
    let rows = read_records(path)?.into_iter().zip(1..);
    rows.map(|(row, number)| {
        serde_json::from_value(Value::Object(row))
            .map_err(|error| wrong(path, format!("row {number}: {error}")))
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
