//! Outcomes on file: one JSON object per line.

use super::EvaluationError;
use crate::comparison::{Choice, Outcome};
use dataset::faults;
use formats::atomic::write_atomic_with;
use serde_json::Value;
use std::collections::HashMap;
use std::io::Error;
use std::path::Path;

/// What a line of a file of outcomes is, for those who have another one.
const ITEM: &str = "an item, as `medtune eval --out` writes one a line";

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
/// [`EvaluationError::Io`]; [`EvaluationError::Item`] with the line that is no outcome, stands there twice or contradicts
/// itself; [`EvaluationError::Malformed`] for a file without any.
pub fn read_items(path: &Path) -> Result<Vec<Outcome>, EvaluationError> {
    let bytes = std::fs::read(path).map_err(EvaluationError::io(path))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let wrong = |what, at, reason| EvaluationError::Item { path: path.to_owned(), what, at, reason };
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let listed: Vec<Value> = serde_json::from_slice(bytes).map_err(|error| {
            EvaluationError::malformed(path, faults::json(bytes, &error, "a list of items"))
        })?;
        let outcome = |(at, value): (usize, Value)| match faults::object_of(value, ITEM) {
            Ok(outcome) => Ok((at, outcome)),
            Err(reason) => Err(wrong("item", at, reason)),
        };
        return checked(path, "item", (1..).zip(listed).map(outcome).collect::<Result<_, _>>()?);
    }
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let outcome = |(at, line): (usize, &[u8])| match faults::object(line, ITEM) {
        Ok(outcome) => Ok((at, outcome)),
        Err(reason) => Err(wrong("line", at, reason)),
    };
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    checked(path, "line", lines.map(outcome).collect::<Result<_, _>>()?)
}

/// The outcomes at these places, each of which stands there once and does not contradict itself.
fn checked(
    path: &Path,
    what: &'static str,
    outcomes: Vec<(usize, Outcome)>,
) -> Result<Vec<Outcome>, EvaluationError> {
    if outcomes.is_empty() {
        return Err(EvaluationError::malformed(path, "it holds no item"));
    }
    let mut places = HashMap::new();
    for (at, outcome) in &outcomes {
        let twice = places.insert(outcome.id.as_str(), *at);
        let twice = twice.map(|before| format!("item `{}` stands in {what} {before} already", outcome.id));
        let choice = outcome.choice.as_ref().and_then(Choice::contradiction);
        if let Some(reason) = twice.or(choice.map(|reason| format!("item `{}`: {reason}", outcome.id))) {
            return Err(EvaluationError::Item { path: path.to_owned(), what, at: *at, reason });
        }
    }
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}
