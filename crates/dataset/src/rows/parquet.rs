//! Records of a Parquet file, nested ones too (`messages: list<struct<role, content>>`).

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use serde_json::Value;

use super::{Raw, Record};
use crate::Error;
use crate::dropped::{Fault, Rule};

/// Reads rows. The reader behind it panics on some damaged files; that is caught here and becomes an error.
pub(crate) struct ParquetRecords {
    rows: RowIter<'static>,
    columns: Vec<String>,
    path: PathBuf,
    row: u64,
    limit: usize,
}

impl ParquetRecords {
    /// Opens the file.
    pub(crate) fn open(path: &Path, limit: usize) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io(path))?;
        let (rows, columns) = guarded(path, || {
            let reader = SerializedFileReader::new(file)?;
            let schema = reader.metadata().file_metadata().schema_descr_ptr();
            let columns = schema.root_schema().get_fields().iter().map(|field| field.name().to_string());
            let columns = columns.collect();
            Ok((RowIter::from_file_into(Box::new(reader)), columns))
        })?;
        Ok(ParquetRecords { rows, columns, path: path.into(), row: 0, limit })
    }

    /// The columns of the schema.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next row.
    pub(crate) fn next_record(&mut self) -> Result<Option<Raw>, Error> {
        let rows = &mut self.rows;
        let value =
            guarded(&self.path, || rows.next().transpose().map(|row| row.map(|row| row.to_json_value())))?;
        let Some(value) = value else {
            return Ok(None);
        };
        self.row += 1;
        let content = match value {
            Value::Object(fields) if fields.values().any(|value| longest(value) > self.limit) => {
                Err(Fault::new(Rule::TooLong, format!("a field is longer than {} bytes", self.limit)))
            }
            value @ Value::Object(_) => Record::new(None, value),
            _ => Err(Fault::new(Rule::MissingField, "not a row of named columns")),
        };
        Ok(Some(Raw { row: self.row, line: None, content }))
    }
}

fn guarded<T>(path: &Path, work: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, Error> {
    let failed = |reason: String| Error::Parquet { path: path.into(), reason };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed("the file is damaged".into())),
    }
}

fn longest(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(longest).max().unwrap_or(0),
        Value::Object(map) => map.values().map(longest).max().unwrap_or(0),
        _ => 0,
    }
}
