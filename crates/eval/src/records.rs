//! The rows of a table in CSV, JSONL or a JSON array.

use crate::evaluation::EvaluationError;
use crate::wording::counted;
use dataset::faults;
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};
use std::io::Read;
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

/// How files that gzip has packed begin.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads a table, packed by gzip or not; what it is follows from how it begins, not from its name.
pub(crate) fn read(path: &Path) -> Result<Table, EvaluationError> {
    let bytes = std::fs::read(path).map_err(EvaluationError::io(path))?;
    let bytes = match bytes.starts_with(&GZIP) {
        true => {
            let mut text = Vec::new();
            MultiGzDecoder::new(&*bytes).read_to_end(&mut text).map_err(EvaluationError::io(path))?;
            text
        }
        false => bytes,
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(EvaluationError::malformed(path, "text in UTF-16, and UTF-8 is read"));
    }
    if bytes.contains(&0) {
        return Err(EvaluationError::malformed(path, faults::NOT_TEXT));
    }
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(EvaluationError::malformed(path, "the file is empty")),
        Some(b'[') => read_array(path, bytes),
        Some(b'{') => read_lines(path, bytes),
        Some(_) => read_csv(path, bytes),
    }
}

fn read_array(path: &Path, bytes: &[u8]) -> Result<Table, EvaluationError> {
    let rows: Vec<Value> = serde_json::from_slice(bytes).map_err(|error| {
        EvaluationError::malformed(path, faults::json(bytes, &error, "a list of objects"))
    })?;
    of_records(path, rows.into_iter().map(object).collect())
}

fn read_lines(path: &Path, bytes: &[u8]) -> Result<Table, EvaluationError> {
    let row = |line: &[u8]| {
        serde_json::from_slice(line).map_err(|error| faults::json(line, &error, "an object")).and_then(object)
    };
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let records: Vec<Result<Record, String>> = lines.map(row).collect();
    if records.iter().all(Result::is_err) && serde_json::from_slice::<Value>(bytes).is_ok() {
        return Err(EvaluationError::malformed(
            path,
            "one object: expected a list of objects, or an object a line",
        ));
    }
    of_records(path, records)
}

fn object(value: Value) -> Result<Record, String> {
    match value {
        Value::Object(object) => Ok(Record(object)),
        _ => Err("expected an object".to_string()),
    }
}

/// The columns are all that occur, in the order in which they do.
fn of_records(path: &Path, records: Vec<Result<Record, String>>) -> Result<Table, EvaluationError> {
    if records.iter().all(Result::is_err) {
        let first = records.first().and_then(|record| record.as_ref().err());
        let reason = first.map_or_else(
            || "it has no rows".to_owned(),
            |reason| {
                format!("none of its {} can be read; the first: {reason}", counted(records.len(), "row"))
            },
        );
        return Err(EvaluationError::malformed(path, reason));
    }
    let mut columns = Map::new();
    for name in records.iter().flatten().flat_map(|record| record.0.keys()) {
        columns.entry(name).or_insert(Value::Null);
    }
    Ok(Table { columns: columns.into_iter().map(|(name, _)| name).collect(), records })
}

fn read_csv(path: &Path, bytes: &[u8]) -> Result<Table, EvaluationError> {
    let separator = separator(bytes);
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(bytes);
    let header =
        reader.headers().map_err(|error| EvaluationError::malformed(path, faults::csv(&error)))?.clone();
    let columns: Vec<String> = header.iter().map(|name| name.trim().to_string()).collect();
    let twice =
        columns.iter().enumerate().find(|(at, name)| !name.is_empty() && columns[..*at].contains(name));
    if let Some((_, name)) = twice {
        return Err(EvaluationError::malformed(path, format!("two columns are called `{name}`")));
    }
    let records = reader.records().map(|record| {
        let record = record.map_err(|error| faults::csv(&error))?;
        if record.len() != columns.len() {
            return Err(format!("{}, the header has {}", counted(record.len(), "cell"), columns.len()));
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
