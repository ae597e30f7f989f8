//! The prepared folder on disk.
//!
//! Covers: a kill or a full disk at any moment leaves the old folder or the new one, whole, and at worst a hidden
//! folder beside it. Does not cover: two calls for one folder at a time.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{FileRecord, Prepared};
use crate::Error;

/// The mark in `report.json` by which a folder of ours is known.
pub(super) const WRITTEN_BY: &str = "medtune prepare";

const REPORT: &str = "report.json";
const CONTAMINATION: &str = "contamination.json";
const NAMES: [&str; 9] = [
    "train.jsonl",
    "val.jsonl",
    "test.jsonl",
    "choices.jsonl",
    "phi.jsonl",
    "dropped.jsonl",
    "certificate.json",
    CONTAMINATION,
    REPORT,
];

/// Refuses a place that is taken by something else than an earlier result.
pub(super) fn check_free(out: &Path) -> Result<(), Error> {
    let taken = || Err(Error::OutputExists { path: out.into() });
    if !out.exists() {
        return Ok(());
    }
    if !out.is_dir() {
        return taken();
    }
    let mut empty = true;
    for entry in fs::read_dir(out).map_err(Error::io(out))? {
        let name = entry.map_err(Error::io(out))?.file_name();
        empty = false;
        if !NAMES.iter().any(|known| name == *known) {
            return taken();
        }
    }
    let ours = || {
        let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join(REPORT)).ok()?).ok()?;
        (report.get("written_by")? == WRITTEN_BY).then_some(())
    };
    if empty || ours().is_some() { Ok(()) } else { taken() }
}

/// Writes the folder beside its place and puts it there.
pub(super) fn write(out: &Path, prepared: &mut Prepared) -> Result<(), Error> {
    check_free(out)?;
    let new = beside(out, "new");
    if new.exists() {
        fs::remove_dir_all(&new).map_err(Error::io(&new))?;
    }
    fs::create_dir_all(&new).map_err(Error::io(&new))?;
    let written = write_files(&new, prepared).and_then(|()| put(&new, out));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&new);
    }
    written
}

fn write_files(folder: &Path, prepared: &mut Prepared) -> Result<(), Error> {
    let mut outputs = vec![
        lines(folder, "train.jsonl", &prepared.train)?,
        lines(folder, "val.jsonl", &prepared.val)?,
        lines(folder, "test.jsonl", &prepared.test)?,
    ];
    if !prepared.choices.is_empty() {
        outputs.push(lines(folder, "choices.jsonl", &prepared.choices)?);
    }
    if let Some(found) = &prepared.phi {
        outputs.push(lines(folder, "phi.jsonl", found)?);
    }
    outputs.push(lines(folder, "dropped.jsonl", &prepared.dropped)?);
    document(folder, "certificate.json", &prepared.certificate)?;
    if let Some(contamination) = &prepared.contamination {
        document(folder, CONTAMINATION, contamination)?;
    }
    prepared.report.outputs = outputs;
    document(folder, REPORT, &prepared.report)?;
    sync_folder(folder)
}

fn lines<T: Serialize>(folder: &Path, name: &str, values: &[T]) -> Result<FileRecord, Error> {
    let path = folder.join(name);
    let write = || {
        let mut file = BufWriter::new(File::create(&path)?);
        let mut hasher = blake3::Hasher::new();
        for value in values {
            let mut line = serde_json::to_vec(value)?;
            line.push(b'\n');
            hasher.update(&line);
            file.write_all(&line)?;
        }
        file.into_inner()?.sync_all()?;
        Ok(hasher.finalize().to_hex().to_string())
    };
    let blake3 = write().map_err(Error::io(&path))?;
    Ok(FileRecord { path: name.into(), blake3, rows: values.len(), layout: None })
}

fn document<T: Serialize>(folder: &Path, name: &str, value: &T) -> Result<(), Error> {
    let path = folder.join(name);
    let write = || {
        let mut text = serde_json::to_vec_pretty(value)?;
        text.push(b'\n');
        let mut file = File::create(&path)?;
        file.write_all(&text)?;
        file.sync_all()
    };
    write().map_err(Error::io(&path))
}

/// Renames `new` to `out`; an earlier result there is moved away first and removed last.
fn put(new: &Path, out: &Path) -> Result<(), Error> {
    let old = beside(out, "old");
    if old.exists() {
        fs::remove_dir_all(&old).map_err(Error::io(&old))?;
    }
    let replaces = out.exists();
    if replaces {
        fs::rename(out, &old).map_err(Error::io(out))?;
    }
    if let Err(error) = fs::rename(new, out) {
        if replaces {
            fs::rename(&old, out).map_err(Error::io(out))?;
        }
        return Err(Error::io(out)(error));
    }
    if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        sync_folder(parent)?;
    }
    if replaces {
        fs::remove_dir_all(&old).map_err(Error::io(&old))?;
    }
    Ok(())
}

fn beside(out: &Path, what: &str) -> PathBuf {
    let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    out.with_file_name(format!(".{name}.{what}"))
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(Error::io(folder))
}

/// BLAKE3 of a file.
pub(super) fn hash_file(path: &Path) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).map_err(Error::io(path))?;
    hasher.update_reader(file).map_err(Error::io(path))?;
    Ok(hasher.finalize().to_hex().to_string())
}
