//! Errors of this crate. A broken row is not one of them: it is counted and kept, see [`crate::Dropped`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::dropped::{Dropped, Rule};

/// What stops the preparation of a data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file whose kind is not known by its name or first bytes.
    #[error(
        "{path}: not a kind of data file that is known (csv, tsv, json, jsonl, parquet; text also as .gz)"
    )]
    UnknownKind {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not UTF-8 text with ordinary line ends, as a whole.
    #[error("{path}: {reason}")]
    NotText {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: &'static str,
    },
    /// A column that the layout needs is not there.
    #[error("{path}: column `{column}` ({layout} layout) is missing; the columns are {}{}", columns.join(", "), hint_text(hint))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The layout that needs it.
        layout: &'static str,
        /// The missing column.
        column: String,
        /// The columns that exist.
        columns: Vec<String>,
        /// The existing column whose name is nearest.
        hint: Option<String>,
    },
    /// A Parquet file that cannot be read.
    #[error("{path}: not a readable Parquet file: {reason}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        reason: String,
    },
    /// Nothing is left to split.
    #[error("no usable row: {read} read{}", reasons(rules, first))]
    NoRows {
        /// Rows read.
        read: usize,
        /// Rows dropped, by rule.
        rules: BTreeMap<Rule, usize>,
        /// The first of them.
        first: Option<Box<Dropped>>,
    },
    /// An option with a value that makes no sense.
    #[error("`{field}`: {reason}")]
    Option {
        /// The option.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A side of the split got no row, because there are too few groups to cut.
    #[error("the {side} side would be empty: groups of rows that belong together: {groups}, sides: {sides}")]
    EmptySide {
        /// The side.
        side: &'static str,
        /// Number of groups.
        groups: usize,
        /// Number of sides that were asked for.
        sides: usize,
    },
    /// The output folder holds something that `prepare` did not write.
    #[error("{path}: exists and was not written by prepare; name another folder or remove it")]
    OutputExists {
        /// The folder.
        path: PathBuf,
    },
    /// A line of a prepared file that cannot be read back.
    #[error("{path}, line {line}: {reason}")]
    Prepared {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// No example is left to train on.
    #[error("none of {examples} examples can be encoded: {reason}")]
    NothingEncoded {
        /// Examples that came in.
        examples: usize,
        /// Why.
        reason: String,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}

fn hint_text(hint: &Option<String>) -> String {
    hint.as_ref().map_or(String::new(), |name| format!("; did you mean `{name}`?"))
}

fn reasons(rules: &BTreeMap<Rule, usize>, first: &Option<Box<Dropped>>) -> String {
    let counts: String = rules.iter().map(|(rule, count)| format!(", {count} dropped as {rule}")).collect();
    let first = first
        .as_ref()
        .map(|row| format!("; the first: {}, row {}: {}", row.origin.file, row.origin.row, row.detail));
    counts + &first.unwrap_or_default()
}
