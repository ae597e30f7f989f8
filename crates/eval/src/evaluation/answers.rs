//! Answers that were made elsewhere: a table of questions, references and what some model said.
//!
//! Every row becomes an outcome or a fault that names it. An answer that is not there counts as an empty one: a model
//! that says nothing is not left out of its own average.

mod columns;
mod faults;

pub use columns::Columns;
pub use faults::{AnswerFault, FaultKind};

use super::EvaluationError;
use crate::choice::extract::{Reader, Rule};
use crate::comparison::{Choice, Outcome};
use crate::records::{self, Record};
use crate::text::{TextOutcome, TextPair};
pub(crate) use columns::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a file of answers held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// An outcome per row, in the order of the file.
    pub outcomes: Vec<Outcome>,
    /// Which column was read as what.
    pub columns: Columns,
    /// What is wrong with rows, in the order of the file.
    pub faults: Vec<AnswerFault>,
}

/// How a file of answers is to be read.
#[derive(Clone, Debug, Default)]
pub struct Reading<'a> {
    /// The file's name of a column whose own is not known, e.g. `reference → Musterantwort`.
    pub columns: BTreeMap<String, String>,
    /// The task of rows without one.
    pub task: Option<&'a str>,
    /// References and answers name one of these options; without any they are texts.
    pub options: &'a [String],
    /// How options are read out of answers, and out of references that are no bare label.
    pub rule: Rule,
}

impl Answers {
    /// Reads CSV, JSONL or a JSON array.
    ///
    /// Rows without an id are named by their number, `row-000001`, so two files of the same questions in the same order
    /// can be paired.
    ///
    /// # Errors
    /// [`EvaluationError::Io`]; [`EvaluationError::Malformed`] for a file that is no table at all;
    /// [`EvaluationError::Column`] where a column is missing.
    pub fn read(path: &Path, reading: &Reading<'_>) -> Result<Self, EvaluationError> {
        let table = records::read(path)?;
        let columns =
            Columns::find(path, &table.columns, &reading.columns, &[Role::Reference, Role::Answer])?;
        let mut answers = Self { columns, ..Self::default() };
        let options = Reader::new(reading.rule, reading.options).map(|reader| (reader, reading.options));
        let how = RowReading { task: reading.task, options };
        let mut ids = BTreeSet::new();
        for (row, record) in (1..).zip(table.records) {
            match record {
                Ok(record) => answers.add(row, &record, &how, &mut ids),
                Err(reason) => answers.faults.push(AnswerFault::unreadable(row, reason)),
            }
        }
        Ok(answers)
    }

    fn fault(&mut self, row: u64, id: &str, kind: FaultKind) {
        self.faults.push(AnswerFault { file: None, row, id: Some(id.to_owned()), kind });
    }

    fn add(&mut self, row: u64, record: &Record, how: &RowReading<'_>, ids: &mut BTreeSet<String>) {
        let mut cell = |role: Role| -> Option<String> {
            let name = self.columns.name(role)?;
            match record.text(name) {
                Ok(text) => text,
                Err(reason) => {
                    self.faults.push(AnswerFault::unreadable(row, format!("`{name}` {reason}")));
                    None
                }
            }
        };
        let before = |faults: &[AnswerFault]| faults.last().is_some_and(|fault| fault.row == row);
        let [id, group, own_task, question, reference, answer] =
            [Role::Id, Role::Group, Role::Task, Role::Question, Role::Reference, Role::Answer].map(&mut cell);
        if before(&self.faults) {
            return;
        }
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let id = filled(id).unwrap_or_else(|| format!("row-{row:06}"));
        if !ids.insert(id.clone()) {
            return self.fault(row, &id, FaultKind::DuplicateId);
        }
        if answer.is_none() {
            self.fault(row, &id, FaultKind::NoAnswer);
        }
        let mut outcome = Outcome {
            id,
            task: filled(own_task).or_else(|| how.task.map(str::to_string)),
            group: filled(group),
            question,
            reference: Some(reference.unwrap_or_default()),
            answer: Some(answer.unwrap_or_default()),
            ..Outcome::default()
        };
        if let Some((reader, options)) = &how.options {
            outcome.choice = choice(reader, options, &outcome);
            return match outcome.choice {
                Some(_) => self.outcomes.push(outcome),
                None => self.fault(row, &outcome.id, FaultKind::NoOption),
            };
        }
        outcome.measure_text();
        if outcome.text.as_ref().is_some_and(|text| text.empty_reference) {
            self.fault(row, &outcome.id, FaultKind::EmptyReference);
        }
        self.outcomes.push(outcome);
    }
}

/// [`Reading`], as each row needs it.
struct RowReading<'a> {
    task: Option<&'a str>,
    options: Option<(Reader, &'a [String])>,
}

/// The options that reference and answer name; nothing where the reference names none.
fn choice(reader: &Reader, options: &[String], outcome: &Outcome) -> Option<Choice> {
    fn trimmed(text: &Option<String>) -> &str {
        text.as_deref().unwrap_or_default().trim()
    }
    let gold = reader.read_reference(trimmed(&outcome.reference))?;
    let mut choice = Choice { gold: options[gold].clone(), ..Choice::default() };
    choice.take(reader.read(trimmed(&outcome.answer), &[]), options);
    Some(choice)
}

impl Outcome {
    /// Measures the answer against the reference; does nothing where one of the two is not known.
    pub fn measure_text(&mut self) {
        let (Some(reference), Some(answer)) = (&self.reference, &self.answer) else { return };
        let pair = TextPair { id: &self.id, group: self.group.as_deref(), reference, answer };
        let text = TextOutcome::of(pair);
        self.rouge_l = (!text.empty_reference).then_some(text.rouge.rouge_l.f1);
        self.text = Some(Box::new(text));
    }
}
