//! Answers that were made elsewhere.

use super::item::Suite;
use crate::comparison::Outcome;
use crate::records::{self, Record};
use crate::{Error, Result};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Answers by the id of their item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// The answers to items of the suite.
    #[serde(skip)]
    pub by_id: BTreeMap<String, String>,
    /// Ids that no item has.
    pub unknown: Vec<String>,
    /// Ids of items without an answer.
    pub missing: Vec<String>,
}

/// Reads answers from CSV with the columns `id` and `answer`, or JSON with these fields; others are passed over. An answer
/// that is empty or `null` counts as given and empty.
///
/// # Errors
/// [`Error::Evaluation`] where the file is no table; [`Error::File`] for a column that is not there, naming the row that cannot be read, has no id or one
/// that stands further up, and where no id belongs to an item.
pub fn read_answers(path: &Path, suite: &Suite) -> Result<Answers> {
    let wrong = |reason: String| Error::File { path: path.to_owned(), reason };
    let table = records::read(path)?;
    if let Some(column) = ["id", "answer"].into_iter().find(|name| !table.columns.iter().any(|c| c == name)) {
        return Err(wrong(format!("no column `{column}`; the file has {}", table.columns.join(", "))));
    }
    let mut answers = Answers::default();
    let mut seen = BTreeSet::new();
    for (row, record) in (1..).zip(table.records) {
        let cell =
            |record: &Record, name: &str| record.text(name).map_err(|reason| format!("`{name}` {reason}"));
        let read = record.and_then(|record| Ok((cell(&record, "id")?, cell(&record, "answer")?)));
        let (id, answer) = read.map_err(|reason| wrong(format!("row {row}: {reason}")))?;
        let id = id.ok_or_else(|| wrong(format!("row {row}: it has no id")))?;
        if !seen.insert(id.clone()) {
            return Err(wrong(format!("row {row}: its id `{id}` stands further up")));
        }
        match suite.item(&id) {
            Some(_) => {
                answers.by_id.insert(id, answer.unwrap_or_default());
            }
            None => answers.unknown.push(id),
        }
    }
    let ids = suite.items.iter().map(|item| &item.record.id);
    answers.missing = ids.filter(|id| !answers.by_id.contains_key(*id)).cloned().collect();
    match (answers.by_id.is_empty(), answers.unknown.first(), answers.missing.first()) {
        (true, Some(unknown), Some(known)) => Err(wrong(format!(
            "none of its ids is one of the suite: expected such as `{known}`, the first is `{unknown}`"
        ))),
        _ => Ok(answers),
    }
}

impl Suite {
    /// The outcomes of the answers that are there, in the order of the suite. Those that are missing are no outcomes:
    /// [`Answers::missing`] counts them.
    pub fn outcomes(&self, answers: &Answers) -> Vec<Outcome> {
        let answered = self.items.iter().filter_map(|item| Some((item, answers.by_id.get(&item.record.id)?)));
        answered.map(|(item, answer)| self.outcome(item, answer)).collect()
    }
}
