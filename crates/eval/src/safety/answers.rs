//! Answers that were made elsewhere.

use super::item::Suite;
use crate::comparison::Outcome;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(default)]
    answer: Option<String>,
}

/// Reads answers from CSV with the columns `id` and `answer`, or JSON lines with these fields; others are passed
/// over. An answer that is empty or `null` counts as given and empty.
///
/// # Errors
/// [`Error::Safety`] naming file and line where it cannot be read; [`Error::Twice`] where an id occurs twice;
/// [`Error::NoItems`] where no id belongs to an item.
pub fn read_answers(path: &Path, suite: &Suite) -> Result<Answers> {
    let bad = |place: String, reason: String| Error::Safety { id: place, reason };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| bad(name.clone(), error.to_string()))?;
    let is_csv = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let rows: Vec<Row> = if is_csv {
        let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let rows = reader.deserialize().collect::<std::result::Result<_, _>>();
        rows.map_err(|error| bad(name.clone(), error.to_string()))?
    } else {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(at, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| bad(format!("{name}:{}", at + 1), error.to_string()))
        };
        lines.map(read).collect::<Result<_>>()?
    };
    let mut answers = Answers::default();
    let mut seen = std::collections::BTreeSet::new();
    for row in rows {
        if !seen.insert(row.id.clone()) {
            return Err(Error::Twice { id: row.id });
        }
        match suite.item(&row.id) {
            Some(_) => {
                answers.by_id.insert(row.id, row.answer.unwrap_or_default());
            }
            None => answers.unknown.push(row.id),
        }
    }
    let ids = suite.items.iter().map(|item| &item.record.id);
    answers.missing = ids.filter(|id| !answers.by_id.contains_key(*id)).cloned().collect();
    if answers.by_id.is_empty() { Err(Error::NoItems) } else { Ok(answers) }
}

impl Suite {
    /// The outcomes of the answers that are there, in the order of the suite. Those that are missing are no outcomes:
    /// [`Answers::missing`] counts them.
    pub fn outcomes(&self, answers: &Answers) -> Vec<Outcome> {
        let answered = self.items.iter().filter_map(|item| Some((item, answers.by_id.get(&item.record.id)?)));
        answered.map(|(item, answer)| self.outcome(item, answer)).collect()
    }
}
