//! Rows as a Parquet file.

use std::path::Path;
use std::sync::Arc;

use corpus::Place;
use formats::atomic::write_atomic_with;
use parquet::basic::Compression;
use parquet::data_type::{ByteArrayType, FloatType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::columns::{Column, Values, listed, listed_optional, optional, required, texts};
use crate::{Error, Kind, Result, Row};

/// What every row has. `messages` is what trainers of conversations read.
const COMMON: &str = "
    required binary id (UTF8);
    required binary question (UTF8);
    required binary answer (UTF8);
    required group messages (LIST) { repeated group list { required group element {
        required binary role (UTF8); required binary content (UTF8); } } }
    required binary document (UTF8);
    required binary chunk (UTF8);
    required group headings (LIST) { repeated group list { required binary element (UTF8); } }
    required group blocks (LIST) { repeated group list { required int32 element; } }
    optional int32 evidence;
    required group pages (LIST) { repeated group list { required int32 element; } }
    required group boxes (LIST) { repeated group list { required group element {
        required int32 page; optional float x0; optional float y0; optional float x1; optional float y1; } } }
    required binary prompt (UTF8);
    required binary model (UTF8);
";
/// What a row with options has besides.
const OPTIONS: &str = "
    required group options (LIST) { repeated group list { required binary element (UTF8); } }
    required binary answer_idx (UTF8);
";
/// Rows that are compressed together.
const GROUP: usize = 10_000;

/// Writes rows of one kind.
pub(super) fn write(path: &Path, rows: &[&Row], kind: Kind) -> Result<()> {
    let failed = |reason: String| Error::Parquet { path: path.to_owned(), reason };
    let bytes = encode(rows, kind).map_err(|error| failed(error.to_string()))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| super::failed(folder, error))?;
    }
    Ok(write_atomic_with(path, |writer| writer.write_all(&bytes))?)
}

fn encode(rows: &[&Row], kind: Kind) -> std::result::Result<Vec<u8>, ParquetError> {
    let options = if kind == Kind::Mc { OPTIONS } else { "" };
    let schema = parse_message_type(&format!("message schema {{ {COMMON} {options} }}"))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    for rows in rows.chunks(GROUP) {
        let mut group = file.next_row_group()?;
        for column in columns(rows, kind) {
            let Some(mut writer) = group.next_column()? else {
                return Err(ParquetError::General("more columns than the schema has".to_owned()));
            };
            let (definition, repetition) = (column.definition.as_deref(), column.repetition.as_deref());
            match &column.values {
                Values::Text(values) => {
                    writer.typed::<ByteArrayType>().write_batch(values, definition, repetition)?
                }
                Values::Int(values) => {
                    writer.typed::<Int32Type>().write_batch(values, definition, repetition)?
                }
                Values::Float(values) => {
                    writer.typed::<FloatType>().write_batch(values, definition, repetition)?
                }
            };
            writer.close()?;
        }
        group.close()?;
    }
    file.into_inner()
}

/// The leaves of the schema, in its order.
fn columns(rows: &[&Row], kind: Kind) -> Vec<Column> {
    let text = |field: fn(&Row) -> String| required(texts(rows.iter().map(|row| field(row)).collect()));
    let lists = |field: fn(&Row) -> Vec<String>| listed(rows.iter().map(|row| field(row)).collect(), texts);
    let numbers =
        |field: fn(&Row) -> Vec<i32>| listed(rows.iter().map(|row| field(row)).collect(), Values::Int);
    let side = |field: fn(&Place) -> Option<f32>| {
        let of_row = |row: &&Row| row.provenance.boxes.iter().map(field).collect();
        listed_optional(rows.iter().map(of_row).collect(), Values::Float)
    };
    let evidence = rows.iter().map(|row| row.provenance.evidence.map(number)).collect();
    let mut columns = vec![
        text(|row| row.id.clone()),
        text(|row| row.question.clone()),
        text(|row| row.answer.clone()),
        lists(|_| vec!["user".to_owned(), "assistant".to_owned()]),
        lists(|row| vec![row.prompt(), row.completion()]),
        text(|row| row.provenance.document.clone()),
        text(|row| row.provenance.chunk.clone()),
        lists(|row| row.provenance.headings.clone()),
        numbers(|row| row.provenance.blocks.iter().copied().map(number).collect()),
        optional(evidence, Values::Int),
        numbers(|row| row.provenance.pages.iter().map(|&page| number(page as usize)).collect()),
        numbers(|row| row.provenance.boxes.iter().map(|place| number(place.page as usize)).collect()),
        side(|place| place.area.map(|area| area.x0)),
        side(|place| place.area.map(|area| area.y0)),
        side(|place| place.area.map(|area| area.x1)),
        side(|place| place.area.map(|area| area.y1)),
        text(|row| row.provenance.prompt.clone()),
        text(|row| row.provenance.model.clone()),
    ];
    if kind == Kind::Mc {
        columns.push(lists(|row| row.options.values().cloned().collect()));
        columns.push(text(|row| row.answer_idx.clone().unwrap_or_default()));
    }
    columns
}

/// No page and no block has a larger number than this can hold.
fn number(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
