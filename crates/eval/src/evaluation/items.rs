//! Outcomes on file: one JSON object per line.

use super::EvaluationError;
use crate::comparison::Outcome;
use formats::atomic::write_atomic_with;
use std::io::Error;
use std::path::Path;

/// Writes an outcome per line.
///
/// # Errors
/// [`EvaluationError::Write`] where the system refuses; then the file is as it was.
pub fn write_items(path: &Path, outcomes: &[Outcome]) -> Result<(), EvaluationError> {
    write_atomic_with(path, |file| {
        for outcome in outcomes {
            serde_json::to_writer(&mut *file, outcome).map_err(Error::other)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Reads outcomes: one per line, or the JSON array that a run keeps.
///
/// # Errors
/// [`EvaluationError::Io`]; [`EvaluationError::Line`] with the line that is no outcome.
pub fn read_items(path: &Path) -> Result<Vec<Outcome>, EvaluationError> {
    let bytes = std::fs::read(path).map_err(EvaluationError::io(path))?;
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return serde_json::from_slice(&bytes).map_err(|error| EvaluationError::malformed(path, error));
    }
    let mut outcomes = Vec::new();
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let outcome = serde_json::from_slice(text).map_err(|error| EvaluationError::Line {
            path: path.to_owned(),
            line,
            reason: error.to_string(),
        })?;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}
