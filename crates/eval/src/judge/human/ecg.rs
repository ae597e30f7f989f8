//! Tables with a column for each grade and a mark in one of them, as of ECG-LLM (Ahrens et al. 2025).

use super::{Grade, Grades, SeveralMarks};
use crate::judge::LeftOut;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Columns that are no grades.
const OTHERS: [&str; 3] = ["question", "answer", "model"];

/// Whether the columns are a question, an answer, a model and two grades or more.
pub(super) fn is_table(columns: &[String]) -> bool {
    let small: Vec<String> = columns.iter().map(|column| column.to_lowercase()).collect();
    small.len() >= OTHERS.len() + 2 && small[..OTHERS.len()] == OTHERS
}

pub(super) fn read(rows: &[Map<String, Value>], columns: &[String], several: SeveralMarks) -> Grades {
    let names = columns[OTHERS.len()..].to_vec();
    let mut grades = Grades { names, rows: rows.len(), ..Grades::default() };
    let mut seen = BTreeSet::new();
    for row in rows {
        let cell = |column: usize| row.get(&columns[column]).and_then(Value::as_str).unwrap_or("").trim();
        if !seen.insert((0..columns.len()).map(|column| cell(column).to_owned()).collect::<Vec<_>>()) {
            grades.duplicates += 1;
            continue;
        }
        let (item, system) = (cell(0), cell(2));
        let marks: Vec<usize> =
            (OTHERS.len()..columns.len()).filter(|column| !cell(*column).is_empty()).collect();
        let left_out = |reason: String| LeftOut { item: format!("{system}: {item}"), reason };
        if marks.len() > 1 {
            let marked: Vec<&str> = marks.iter().map(|column| columns[*column].as_str()).collect();
            grades.conflicts.push(left_out(format!("marked {}", marked.join(" and "))));
        }
        let Some(best) = marks.last() else {
            grades.unmarked.push(left_out("no mark".to_owned()));
            continue;
        };
        if marks.len() == 1 || several == SeveralMarks::Best {
            grades.grades.push(Grade {
                item: item.to_owned(),
                group: item.to_owned(),
                system: system.to_owned(),
                grader: "expert".to_owned(),
                grade: (best - OTHERS.len()) as f64,
            });
        }
    }
    super::tidy::without_contradictions(grades)
}
