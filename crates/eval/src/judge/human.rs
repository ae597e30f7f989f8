//! Grades that people gave: read from their files with every fault counted, and tabulated with intervals.

mod ecg;
mod table;
mod tidy;

pub use table::{HumanSystem, HumanTable, TopDifference, tabulate};

use super::pairs::{Duel, Duels};
use super::read::{read_records, wrong};
use super::{Answers, LeftOut};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One grade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// The item, by id or by its question.
    pub item: String,
    /// What is resampled together with it.
    pub group: String,
    /// Whose answer it is.
    pub system: String,
    /// Who graded it.
    pub grader: String,
    /// The grade; more is better. Where grades have names, the place of the name from 0.
    pub grade: f64,
}

/// What a row with several marks counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeveralMarks {
    /// Nothing: it contradicts itself.
    #[default]
    Exclude,
    /// The best of them.
    Best,
}

/// Grades of a file or several.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grades {
    /// The names of the grades, the worst first; empty where grades are numbers.
    pub names: Vec<String>,
    /// The grades.
    pub grades: Vec<Grade>,
    /// Rows that were read.
    pub rows: usize,
    /// Rows that say word for word what another one says; they count once.
    pub duplicates: usize,
    /// Answers with several grades by one person. They count only where the best mark was asked for.
    pub conflicts: Vec<LeftOut>,
    /// Rows without a grade.
    pub unmarked: Vec<LeftOut>,
}

/// Reads grades: a table with a column for each grade and a mark in one of them, as of ECG-LLM (Ahrens et al. 2025),
/// or rows of `item, system, grader, grade` as CSV, JSON or JSON lines.
///
/// # Errors
/// [`crate::Error::File`] where a file is neither, or a grade is no number; [`crate::Error::Judge`] where files have
/// different grades.
pub fn read_grades(paths: &[impl AsRef<Path>], several: SeveralMarks) -> Result<Grades> {
    let mut all: Option<Grades> = None;
    for path in paths {
        let path = path.as_ref();
        let rows = read_records(path)?;
        let Some(first) = rows.first() else { return Err(wrong(path, "it has no rows")) };
        let columns: Vec<String> = first.keys().cloned().collect();
        let grades = if ecg::is_table(&columns) {
            ecg::read(&rows, &columns, several)
        } else if ["item", "system", "grade"].iter().all(|name| columns.iter().any(|column| column == name)) {
            tidy::read(path, &rows)?
        } else {
            return Err(wrong(
                path,
                format!(
                    "expected the columns item, system, grader, grade, or Question, Answer, Model and one for each grade; found {}",
                    columns.join(", ")
                ),
            ));
        };
        all = Some(match all {
            None => grades,
            Some(before) => before.and(grades)?,
        });
    }
    all.filter(|grades| !grades.grades.is_empty()).ok_or(crate::Error::NoItems)
}

impl Grades {
    fn and(mut self, other: Grades) -> Result<Self> {
        if self.names.len() != other.names.len() {
            return Err(crate::Error::Judge {
                what: "grades",
                reason: format!("files with different grades: {:?} and {:?}", self.names, other.names),
            });
        }
        self.grades.extend(other.grades);
        self.rows += other.rows;
        self.duplicates += other.duplicates;
        self.conflicts.extend(other.conflicts);
        self.unmarked.extend(other.unmarked);
        Ok(self)
    }

    /// The worst and the best grade that there is: of the names, or of the numbers that were given.
    pub fn ends(&self) -> (f64, f64) {
        if !self.names.is_empty() {
            return (0.0, (self.names.len() - 1) as f64);
        }
        let values = || self.grades.iter().map(|grade| grade.grade);
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    }

    /// A grade as a share of the way from the worst to the best.
    pub(super) fn share(&self, grade: f64) -> f64 {
        let (low, high) = self.ends();
        if high > low { (grade - low) / (high - low) } else { 1.0 }
    }

    /// How many different grades there are; for whole numbers all between the ends.
    pub(super) fn levels(&self) -> usize {
        let (low, high) = self.ends();
        if self.grades.iter().all(|grade| grade.grade.fract() == 0.0) {
            return (high - low) as usize + 1;
        }
        let values: BTreeSet<u64> = self.grades.iter().map(|grade| grade.grade.to_bits()).collect();
        values.len()
    }

    /// The number of answers with a grade.
    pub(super) fn answers(&self) -> usize {
        self.grades.iter().map(|grade| (&grade.item, &grade.system)).collect::<BTreeSet<_>>().len()
    }

    /// The mean grade of each of `answers`, by item and system. Items are found by id or by question.
    pub(super) fn of_answers<'a>(&self, answers: &'a Answers) -> BTreeMap<(&'a str, usize), f64> {
        let mut items: BTreeMap<&str, &'a str> = BTreeMap::new();
        for item in &answers.items {
            items.insert(item.question.trim(), &item.id);
        }
        for item in &answers.items {
            items.insert(item.id.trim(), &item.id);
        }
        let mut sums: BTreeMap<(&str, usize), (f64, f64)> = BTreeMap::new();
        for grade in &self.grades {
            let system = answers.systems.iter().position(|name| name.trim() == grade.system.trim());
            if let (Some(item), Some(system)) = (items.get(grade.item.trim()), system) {
                let (sum, count) = sums.entry((item, system)).or_default();
                *sum += grade.grade;
                *count += 1.0;
            }
        }
        sums.into_iter().map(|(answer, (sum, count))| (answer, sum / count)).collect()
    }

    /// Which of two answers people find better.
    pub(super) fn duels<'a>(&self, answers: &'a Answers) -> Duels<'a> {
        let means = self.of_answers(answers);
        let mut all = Duels::default();
        for item in &answers.items {
            let mut of_item = means.range((item.id.as_str(), 0)..=(item.id.as_str(), usize::MAX));
            while let Some(((_, first), one)) = of_item.next() {
                for ((_, second), other) in of_item.clone() {
                    all.duels.push(Duel {
                        item: &item.id,
                        group: &item.group,
                        first: *first,
                        second: *second,
                        result: 0.5 * (1.0 + f64::from(one.total_cmp(other) as i8)),
                        agreed: None,
                    });
                }
            }
        }
        all
    }
}
