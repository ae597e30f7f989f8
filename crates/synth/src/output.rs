//! The files of a run, in the layouts that others read.
//!
//! ```text
//! rows.jsonl        every row with all that is known of it; `medtune prepare` reads it
//! rejected.jsonl    every question that was left out, with its reason
//! failed.jsonl      chunks that the model could not do
//! report.json       the numbers
//! alpaca/ sharegpt/ messages/    train.jsonl, val.jsonl, test.jsonl
//! hub/              a data set card and Parquet files, as Hugging Face's `datasets` loads them
//! ```

mod card;
mod columns;
mod layouts;
mod parquet;

use std::fs;
use std::io::Write;
use std::path::Path;

use dataset::Side;
use formats::atomic::write_atomic_with;
use serde::Serialize;

use crate::{Error, Made, Result, Row};

/// The name of a side at Hugging Face.
fn hub_name(side: Side) -> &'static str {
    match side {
        Side::Train => "train",
        Side::Val => "validation",
        Side::Test => "test",
    }
}

/// Writes all files into `folder`; what an earlier run left there is replaced, each file in one step.
///
/// # Errors
/// When the system refuses.
pub fn write(folder: &Path, made: &Made) -> Result<()> {
    write_lines(&folder.join("rows.jsonl"), made.rows.iter())?;
    write_lines(&folder.join("rejected.jsonl"), made.rejected.iter())?;
    write_lines(&folder.join("failed.jsonl"), made.failed.iter())?;
    for (name, layout) in layouts::LAYOUTS {
        for side in Side::ALL {
            let path = folder.join(name).join(format!("{}.jsonl", side.as_str()));
            write_or_remove(&path, &rows_of(made, side), |path, rows| {
                write_lines(path, rows.iter().map(|row| layout(row)))
            })?;
        }
    }
    for side in Side::ALL {
        let name = format!("hub/data/{}-00000-of-00001.parquet", hub_name(side));
        write_or_remove(&folder.join(name), &rows_of(made, side), |path, rows| {
            parquet::write(path, rows, made.report.kind)
        })?;
    }
    let card = card::card(&made.report, &hash(&made.rows)?);
    write_file(&folder.join("hub/README.md"), |writer| writer.write_all(card.as_bytes()))?;
    // The last one: a folder with it has everything that it counts.
    write_file(&folder.join("report.json"), |writer| {
        serde_json::to_writer_pretty(&mut *writer, &made.report)?;
        writer.write_all(b"\n")
    })
}

/// BLAKE3 of the rows as they stand in `rows.jsonl`.
fn hash(rows: &[Row]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        let encoded = serde_json::to_writer(&mut hasher, row);
        encoded.map_err(|error| failed(Path::new("README.md"), error.into()))?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn rows_of(made: &Made, side: Side) -> Vec<&Row> {
    made.rows.iter().filter(|row| row.provenance.split == side).collect()
}

/// A side without rows has no file.
fn write_or_remove(
    path: &Path,
    rows: &[&Row],
    write: impl FnOnce(&Path, &[&Row]) -> Result<()>,
) -> Result<()> {
    if !rows.is_empty() {
        return write(path, rows);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

fn write_lines<T: Serialize>(path: &Path, lines: impl Iterator<Item = T>) -> Result<()> {
    write_file(path, |writer| {
        for line in lines {
            serde_json::to_writer(&mut *writer, &line)?;
            writer.write_all(b"\n")?;
        }
        Ok(())
    })
}

fn write_file(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    }
    Ok(write_atomic_with(path, fill)?)
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::Write(formats::Error::Io { path: path.to_owned(), source })
}
