//! Steps that never reached the weights: `skipped.jsonl` says why, and which examples were in them.

use crate::{Error, Result};
use formats::atomic::write_atomic;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// Name of the file in a run folder.
pub(crate) const SKIPPED_FILE: &str = "skipped.jsonl";

/// A step that was skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedStep {
    /// Number of the step, from 1.
    pub step: u64,
    /// Mean loss of its labelled tokens, as text: JSON has no NaN.
    pub loss: String,
    /// Norm of its gradient, as text.
    pub grad_norm: String,
    /// Ids of its examples, batch by batch.
    pub examples: Vec<Vec<String>>,
}

/// Appends a line and waits until it is on the disk; such steps are rare.
pub(crate) fn append(folder: &Path, step: &SkippedStep) -> Result<()> {
    let path = folder.join(SKIPPED_FILE);
    let mut line = serde_json::to_string(step).map_err(Error::json(&path, 0))?;
    line.push('\n');
    let open = OpenOptions::new().append(true).create(true).open(&path);
    let mut file = open.map_err(Error::io(&path))?;
    file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).map_err(Error::io(&path))
}

/// Drops the steps after `keep`, which a resumed run will meet again, and a line that a kill tore.
pub(crate) fn rewind(folder: &Path, keep: u64) -> Result<()> {
    let path = folder.join(SKIPPED_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::Io { path, source }),
    };
    let stays = |line: &&str| serde_json::from_str::<SkippedStep>(line).is_ok_and(|s| s.step <= keep);
    let kept: String = text.split_inclusive('\n').filter(stays).collect();
    Ok(write_atomic(&path, kept.as_bytes())?)
}
