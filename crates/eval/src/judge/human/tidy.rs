//! Rows of item, system, grader and grade.

use super::{Grade, Grades};
use crate::Result;
use crate::judge::LeftOut;
use crate::judge::read::{text, wrong};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn read(path: &Path, rows: &[Map<String, Value>]) -> Result<Grades> {
    let mut grades = Grades { rows: rows.len(), ..Grades::default() };
    let mut seen = std::collections::BTreeSet::new();
    for (row, number) in rows.iter().zip(1..) {
        let cell = |name: &str| row.get(name).and_then(text).map(|cell| cell.trim().to_owned());
        let named = |name: &str| {
            cell(name)
                .filter(|cell| !cell.is_empty())
                .ok_or_else(|| wrong(path, format!("row {number}: no `{name}`")))
        };
        let (item, system) = (named("item")?, named("system")?);
        let grader = cell("grader").filter(|cell| !cell.is_empty()).unwrap_or_else(|| "expert".to_owned());
        let grade = cell("grade").unwrap_or_default();
        if !seen.insert((item.clone(), system.clone(), grader.clone(), grade.clone())) {
            grades.duplicates += 1;
            continue;
        }
        if grade.is_empty() {
            grades
                .unmarked
                .push(LeftOut { item: format!("{system}: {item}"), reason: "no grade".to_owned() });
            continue;
        }
        let value = grade.parse().ok().filter(|value: &f64| value.is_finite());
        let grade =
            value.ok_or_else(|| wrong(path, format!("row {number}: the grade `{grade}` is no number")))?;
        let group = cell("group").filter(|cell| !cell.is_empty()).unwrap_or_else(|| item.clone());
        grades.grades.push(Grade { item, group, system, grader, grade });
    }
    Ok(without_contradictions(grades))
}

/// Leaves out answers to which one person gave different grades in different rows.
pub(super) fn without_contradictions(mut grades: Grades) -> Grades {
    let mut given: BTreeMap<(&str, &str, &str), Vec<f64>> = BTreeMap::new();
    for grade in &grades.grades {
        given.entry((&grade.item, &grade.system, &grade.grader)).or_default().push(grade.grade);
    }
    let different = |values: &[f64]| values.iter().any(|value| *value != values[0]);
    let contradictions: Vec<LeftOut> = given
        .iter()
        .filter(|(_, values)| different(values))
        .map(|((item, system, grader), values)| LeftOut {
            item: format!("{system}: {item}"),
            reason: format!("{grader} graded it {values:?}"),
        })
        .collect();
    let mut taken = std::collections::BTreeSet::new();
    let keep: Vec<bool> = grades
        .grades
        .iter()
        .map(|grade| {
            let key = (grade.item.as_str(), grade.system.as_str(), grade.grader.as_str());
            !different(&given[&key]) && taken.insert(key)
        })
        .collect();
    let repeated = keep.iter().filter(|keep| !**keep).count()
        - given.values().filter(|values| different(values)).map(Vec::len).sum::<usize>();
    grades.duplicates += repeated;
    let mut keep = keep.into_iter();
    grades.grades.retain(|_| keep.next().unwrap_or(true));
    grades.conflicts.extend(contradictions);
    grades
}
