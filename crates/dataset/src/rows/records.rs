//! The records of a file as they are: fields by column, whatever they mean.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Origin, Records};
use crate::Error;
use crate::dropped::Dropped;

/// A record with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldsOfRow {
    /// Where it is from.
    pub origin: Origin,
    /// Its fields by column, in their order.
    pub fields: Map<String, Value>,
}

/// The records of a CSV, JSON, JSONL or Parquet file, also gzipped, for who knows the columns; what cannot be read is
/// there as [`Dropped`].
///
/// # Errors
/// The file cannot be opened, is of no known kind, or is not text; an item is an error when reading cannot go on.
pub fn records(
    path: &Path,
    max_record_bytes: usize,
) -> Result<impl Iterator<Item = Result<Result<FieldsOfRow, Dropped>, Error>>, Error> {
    let mut records = Records::open(path, max_record_bytes)?;
    let file = path.display().to_string();
    Ok(std::iter::from_fn(move || {
        let raw = records.next_record().transpose()?;
        Some(raw.map(|raw| {
            let origin = Origin { file: file.clone(), row: raw.row, line: raw.line };
            match raw.content {
                Ok(record) => Ok(FieldsOfRow { origin, fields: record.fields }),
                Err(fault) => Err(Dropped::new(None, origin, fault)),
            }
        }))
    }))
}
