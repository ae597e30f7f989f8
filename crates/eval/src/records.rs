//! The rows of a table in CSV, JSONL or a JSON array.

use crate::evaluation::EvaluationError;
use serde_json::{Map, Value};
use std::path::Path;

/// A table: a row that cannot be read keeps its place, with the reason.
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) records: Vec<Result<Record, String>>,
}

/// A row by the names of its columns.
pub(crate) struct Record(pub(crate) Map<String, Value>);

impl Record {
    /// A cell as text; `None` for one that is not there.
    pub(crate) fn text(&self, column: &str) -> Result<Option<String>, String> {
        match self.0.get(column) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(truth)) => Ok(Some(truth.to_string())),
            Some(Value::Array(items)) => match items.as_slice() {
                [Value::String(text)] => Ok(Some(text.clone())),
                _ => Err(format!("is a list of {}: one text is read", items.len())),
            },
            Some(Value::Object(_)) => Err("is an object: one text is read".to_string()),
        }
    }
}

/// Reads a table; what it is follows from its first character, not from its name.
pub(crate) fn read(path: &Path) -> Result<Table, EvaluationError> {
    let bytes = std::fs::read(path).map_err(EvaluationError::io(path))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(EvaluationError::malformed(path, "the file is empty")),
        Some(b'[') => read_array(path, bytes),
        Some(b'{') => Ok(of_records(lines(bytes))),
        Some(_) => read_csv(path, bytes),
    }
}

fn read_array(path: &Path, bytes: &[u8]) -> Result<Table, EvaluationError> {
    let rows: Vec<Value> =
        serde_json::from_slice(bytes).map_err(|error| EvaluationError::malformed(path, error))?;
    Ok(of_records(rows.into_iter().map(object).collect()))
}

fn lines(bytes: &[u8]) -> Vec<Result<Record, String>> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .map(|line| serde_json::from_slice(line).map_err(|error| error.to_string()).and_then(object))
        .collect()
}

fn object(value: Value) -> Result<Record, String> {
    match value {
        Value::Object(object) => Ok(Record(object)),
        _ => Err("expected an object".to_string()),
    }
}

/// The columns are all that occur, in the order in which they do.
fn of_records(records: Vec<Result<Record, String>>) -> Table {
    let mut columns = Map::new();
    for name in records.iter().flatten().flat_map(|record| record.0.keys()) {
        columns.entry(name).or_insert(Value::Null);
    }
    Table { columns: columns.into_iter().map(|(name, _)| name).collect(), records }
}

fn read_csv(path: &Path, bytes: &[u8]) -> Result<Table, EvaluationError> {
    let separator = separator(bytes);
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(bytes);
    let header = reader.headers().map_err(|error| EvaluationError::malformed(path, error))?.clone();
    let columns: Vec<String> = header.iter().map(|name| name.trim().to_string()).collect();
    let records = reader.records().map(|record| {
        let record = record.map_err(|error| error.to_string())?;
        if record.len() != columns.len() {
            return Err(format!("has {} cells, the header {}", record.len(), columns.len()));
        }
        let cells = record.iter().map(|cell| Value::String(cell.to_string()));
        Ok(Record(columns.iter().cloned().zip(cells).collect()))
    });
    Ok(Table { records: records.collect(), columns: columns.clone() })
}

/// The separator that the first line has most of.
fn separator(bytes: &[u8]) -> u8 {
    let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}
