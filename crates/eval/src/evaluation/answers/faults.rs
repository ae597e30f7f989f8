//! What is wrong with rows of answers.

use crate::wording::counted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Faults that are shown; all of them are on file.
const SHOWN: usize = 5;

/// A row with something wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerFault {
    /// The file, where rows of several are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Number of the row, from 1; a header is not counted.
    pub row: u64,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong with a row of answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It cannot be read. It is no outcome.
    Unreadable(String),
    /// Its id stands further up. It is no outcome; the first one counts.
    DuplicateId,
    /// There is nothing to compare with. It is an outcome, in no number.
    EmptyReference,
    /// There is no answer. It counts as an empty one.
    NoAnswer,
    /// Its reference names none of the options. It is no outcome.
    NoOption,
}

impl AnswerFault {
    /// A row that cannot be read.
    pub(crate) fn unreadable(row: u64, reason: impl Into<String>) -> Self {
        Self { file: None, row, id: None, kind: FaultKind::Unreadable(reason.into()) }
    }

    /// A row whose id stands further up; without the id where a question stands for it, which no message repeats.
    pub(crate) fn duplicate(row: u64, id: Option<String>) -> Self {
        Self { file: None, row, id, kind: FaultKind::DuplicateId }
    }

    /// The same in a file that is one of several.
    pub(crate) fn of(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    /// Number of rows with each fault.
    pub fn count<'a>(faults: impl IntoIterator<Item = &'a Self>) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for fault in faults {
            *counts.entry(fault.kind.name()).or_insert(0) += 1;
        }
        counts
    }

    /// The number of rows with each fault, and the first ones, a line each; `None` where nothing is wrong.
    pub fn list(faults: &[Self]) -> Option<String> {
        if faults.is_empty() {
            return None;
        }
        let mut kinds: BTreeMap<&str, (usize, &FaultKind)> = BTreeMap::new();
        for fault in faults {
            kinds.entry(fault.kind.name()).or_insert((0, &fault.kind)).0 += 1;
        }
        let counts: Vec<String> = kinds.values().map(|(count, kind)| kind.counted(*count)).collect();
        let first = faults.iter().take(SHOWN).map(|fault| format!("\n  {fault}"));
        Some(format!("rows with something wrong: {}{}", counts.join(", "), first.collect::<String>()))
    }
}

impl fmt::Display for AnswerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}, ", file.display())?;
        }
        let id = self.id.as_ref().map_or_else(String::new, |id| format!(" `{id}`"));
        write!(f, "row {}{id}: {}", self.row, self.kind.describe())
    }
}

impl FaultKind {
    fn name(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::DuplicateId => "duplicate ids",
            Self::EmptyReference => "empty references",
            Self::NoAnswer => "without an answer",
            Self::NoOption => "without an option in the reference",
        }
    }

    fn counted(&self, rows: usize) -> String {
        match self {
            Self::DuplicateId => counted(rows, "duplicate id"),
            Self::EmptyReference => counted(rows, "empty reference"),
            Self::Unreadable(_) | Self::NoAnswer | Self::NoOption => format!("{rows} {}", self.name()),
        }
    }

    /// What is wrong and what follows, for a reader.
    fn describe(&self) -> &str {
        match self {
            Self::Unreadable(reason) => reason,
            Self::DuplicateId => "its id stands further up: left out",
            Self::EmptyReference => "its reference is empty: in no number",
            Self::NoAnswer => "it has no answer: counts as an empty one",
            Self::NoOption => "its reference names none of the options: left out",
        }
    }
}
