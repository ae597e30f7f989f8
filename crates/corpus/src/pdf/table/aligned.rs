//! Tables without rules: rows of short texts that stand below one another.

use super::{Table, grid};
use crate::pdf::line::Line;

/// A part of a column of the page.
#[derive(Debug)]
pub(in crate::pdf) enum Part {
    Line(Line),
    Table(Table),
}

/// Lines of one column from top to bottom; where they stand in aligned cells, tables.
pub(in crate::pdf) fn split_column(rows: Vec<Vec<Line>>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut pending: Vec<Vec<Line>> = Vec::new();
    for row in rows {
        let breaks = pending.last().is_some_and(|last| {
            let pitch = row[0].baseline - last[0].baseline;
            pitch > 3.2 * row[0].size().max(last[0].size())
        });
        let prose = row.len() == 1 && row[0].text().chars().count() > 60;
        if breaks || prose {
            flush(&mut pending, &mut parts);
        }
        if prose {
            parts.push(Part::Line(joined(row)));
        } else {
            pending.push(row);
        }
    }
    flush(&mut pending, &mut parts);
    parts
}

fn flush(pending: &mut Vec<Vec<Line>>, parts: &mut Vec<Part>) {
    let mut rows = std::mem::take(pending);
    let Some(first) = rows.iter().position(|row| row.len() > 1) else {
        parts.extend(rows.into_iter().map(|row| Part::Line(joined(row))));
        return;
    };
    let last = rows.iter().rposition(|row| row.len() > 1).unwrap_or(first);
    let tail = rows.split_off(last + 1);
    let body = rows.split_off(first);
    parts.extend(rows.into_iter().map(|row| Part::Line(joined(row))));
    let separators = grid::separators(&body);
    match is_table(&body, &separators) {
        true => parts.extend(Table::from_rows(body, &separators, &[]).map(Part::Table)),
        false => parts.extend(body.into_iter().map(|row| Part::Line(joined(row)))),
    }
    parts.extend(tail.into_iter().map(|row| Part::Line(joined(row))));
}

fn is_table(rows: &[Vec<Line>], separators: &[f32]) -> bool {
    if separators.is_empty() {
        return false;
    }
    let several = rows.iter().filter(|row| row.len() > 1).count();
    let lines: Vec<&Line> = rows.iter().flatten().collect();
    let letters: usize = lines.iter().map(|line| line.text().chars().count()).sum();
    let mean = letters / lines.len().max(1);
    let enough = if separators.len() == 1 { 4 } else { 3 };
    several >= enough && several * 2 >= rows.len() && mean <= 30
}

/// One line of what stands on one height.
fn joined(row: Vec<Line>) -> Line {
    let mut lines = row.into_iter();
    let mut whole = lines.next().expect("a row holds a line");
    for line in lines {
        whole.append(line, " ");
    }
    whole
}
