//! Rows that are left out, each with its reason.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rows::Origin;

/// Why a row is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A CSV field whose quotes do not fit.
    BrokenQuote,
    /// Another number of fields than the header has.
    ColumnCount,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A NUL character.
    NulByte,
    /// Text that is not JSON, or not an object.
    JsonSyntax,
    /// A record over the limit in bytes.
    TooLong,
    /// A field that is missing or of another type.
    MissingField,
    /// A question without text.
    EmptyQuestion,
    /// An answer without text.
    EmptyAnswer,
    /// Turns that are not questions, each with its answer.
    Conversation,
    /// An answer key that names no option.
    AnswerKey,
    /// A wrong option with the text of the right one.
    DuplicateOptions,
    /// Question and answer of an earlier row.
    ExactDuplicate,
    /// An answer with too many words.
    OverWordLimit,
    /// A topic with too few rows.
    RareTopic,
    /// Question and answer nearly those of an earlier row.
    NearDuplicate,
    /// A text that the PHI gate refused.
    IdentifiesPerson,
    /// It holds an item of a test.
    Contaminated,
    /// A column `split` that names no side.
    UnknownSplit,
    /// The side that it was given has something in common with one that is held out.
    SplitConflict,
}

impl Rule {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::BrokenQuote => "broken_quote",
            Rule::ColumnCount => "column_count",
            Rule::InvalidUtf8 => "invalid_utf8",
            Rule::NulByte => "nul_byte",
            Rule::JsonSyntax => "json_syntax",
            Rule::TooLong => "too_long",
            Rule::MissingField => "missing_field",
            Rule::EmptyQuestion => "empty_question",
            Rule::EmptyAnswer => "empty_answer",
            Rule::Conversation => "conversation",
            Rule::AnswerKey => "answer_key",
            Rule::DuplicateOptions => "duplicate_options",
            Rule::ExactDuplicate => "exact_duplicate",
            Rule::OverWordLimit => "over_word_limit",
            Rule::RareTopic => "rare_topic",
            Rule::NearDuplicate => "near_duplicate",
            Rule::IdentifiesPerson => "identifies_person",
            Rule::Contaminated => "contaminated",
            Rule::UnknownSplit => "unknown_split",
            Rule::SplitConflict => "split_conflict",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with a record, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    rule: Rule,
    detail: String,
}

impl Fault {
    pub(crate) fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Fault { rule, detail: detail.into() }
    }
}

/// A row that is left out. It never holds the row's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Its id, where it could be read.
    pub id: Option<String>,
    /// Where it stands.
    pub origin: Origin,
    /// Why it is left out.
    pub rule: Rule,
    /// What exactly is wrong.
    pub detail: String,
}

impl Dropped {
    pub(crate) fn new(id: Option<String>, origin: Origin, fault: Fault) -> Self {
        Dropped { id, origin, rule: fault.rule, detail: fault.detail }
    }
}

/// How many rows each rule left out.
pub fn count_by_rule(dropped: &[Dropped]) -> BTreeMap<Rule, usize> {
    let mut counts = BTreeMap::new();
    for row in dropped {
        *counts.entry(row.rule).or_default() += 1;
    }
    counts
}
