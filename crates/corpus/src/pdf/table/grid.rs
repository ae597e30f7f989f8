//! Columns and rows of a table from the places of its lines.

use crate::pdf::line::{Line, vertical_overlap};

/// Narrowest room between two columns, in points.
const NARROWEST: f32 = 2.5;

/// Lines of one height together, from top to bottom, each row from left to right.
pub(in crate::pdf) fn rows(mut lines: Vec<Line>) -> Vec<Vec<Line>> {
    lines.sort_by(|a, b| a.baseline.total_cmp(&b.baseline));
    let mut rows: Vec<Vec<Line>> = Vec::new();
    for line in lines {
        match rows.last_mut() {
            Some(row)
                if row.last().is_some_and(|last| {
                    vertical_overlap(last.area, line.area) > 0.5
                        && line.baseline - row[0].baseline < 0.6 * line.size().max(4.0)
                }) =>
            {
                row.push(line)
            }
            _ => rows.push(vec![line]),
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| a.area.x0.total_cmp(&b.area.x0));
    }
    rows
}

/// Where columns part: strips that (nearly) no line covers and that have text on both sides.
pub(super) fn separators(rows: &[Vec<Line>]) -> Vec<f32> {
    let mut events: Vec<(f32, i32)> = Vec::new();
    for line in rows.iter().flatten() {
        events.push((line.area.x0, 1));
        events.push((line.area.x1.max(line.area.x0 + 0.1), -1));
    }
    events.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    // Heads that span columns may cross a strip, if they are few.
    let tolerated = (rows.len() / 8).min(4) as i32;
    let mut strips = Vec::new();
    let (mut open, mut from, mut seen) = (0, None, false);
    for (x, step) in events {
        open += step;
        if open > tolerated {
            if let Some(from) = from.take()
                && x - from >= NARROWEST
            {
                strips.push((from, x));
            }
            seen = true;
        } else if seen && from.is_none() {
            from = Some(x);
        }
    }
    strips.retain(|&(a, b)| parts_rows(rows, a, b));
    strips.into_iter().map(|(a, b)| (a + b) / 2.0).collect()
}

/// Whether rows do part at a strip: text on both sides of it within one row.
fn parts_rows(rows: &[Vec<Line>], a: f32, b: f32) -> bool {
    let parting = rows.iter().filter(|row| {
        row.iter().any(|line| line.area.x1 <= a + 1.0) && row.iter().any(|line| line.area.x0 >= b - 1.0)
    });
    parting.count() >= 2
}

/// The column of a line: the one of its left edge, or the one that holds most of it.
pub(super) fn column(line: &Line, separators: &[f32]) -> usize {
    let start = separators.iter().filter(|&&x| x < line.area.x0 + 1.0).count();
    let middle = (line.area.x0 + line.area.x1) / 2.0;
    let spans = separators.iter().any(|&x| line.area.x0 + 1.0 < x && x < line.area.x1 - 1.0);
    if spans { start } else { separators.iter().filter(|&&x| x < middle).count() }
}

/// Rows of text to rows of the table. `bounds` are rules between rows: what they enclose is one row, unless several
/// lines of it fill several columns. Without rules a line that leaves cells empty and stands closer than rows do
/// belongs to the row above.
pub(super) fn logical_rows(rows: Vec<Vec<Line>>, separators: &[f32], bounds: &[f32]) -> Vec<Vec<Line>> {
    if bounds.len() < 4 {
        return by_pitch(rows, separators);
    }
    let mut bands: Vec<(usize, Vec<Vec<Line>>)> = Vec::new();
    for row in rows {
        let middle = row[0].baseline - 0.3 * row[0].size();
        let band = bounds.iter().filter(|&&y| y < middle).count();
        match bands.last_mut() {
            Some((last, rows)) if *last == band => rows.push(row),
            _ => bands.push((band, vec![row])),
        }
    }
    let mut merged = Vec::new();
    for (_, band) in bands {
        let most = band.iter().map(|row| filled(row, separators).len()).max().unwrap_or(0);
        let full = band.iter().filter(|row| filled(row, separators).len() * 2 > most).count();
        if most >= 2 && full >= 2 && full * 2 > band.len() {
            merged.extend(by_pitch(band, separators));
        } else {
            merged.push(band.into_iter().flatten().collect());
        }
    }
    merged
}

/// Columns in which a row has text.
fn filled(row: &[Line], separators: &[f32]) -> Vec<usize> {
    let mut columns: Vec<usize> = row.iter().map(|line| column(line, separators)).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn by_pitch(rows: Vec<Vec<Line>>, separators: &[f32]) -> Vec<Vec<Line>> {
    let pitches: Vec<f32> = rows.windows(2).map(|w| w[1][0].baseline - w[0][0].baseline).collect();
    let mut sorted = pitches.clone();
    sorted.sort_by(f32::total_cmp);
    let tight = sorted.get(sorted.len() / 10).copied().unwrap_or(0.0);
    // Two pitches, one within cells and one between rows, or one for all.
    let loose = sorted.iter().filter(|&&pitch| pitch > 1.2 * tight).count();
    let two = loose * 5 >= sorted.len();
    let mut merged: Vec<Vec<Line>> = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let columns = filled(&row, separators);
        let continues = index > 0 && {
            let pitch = pitches[index - 1];
            let above = filled(&merged[merged.len() - 1], separators);
            let inside = columns.iter().all(|c| above.contains(c));
            let near = pitch <= 1.2 * tight && pitch < 1.45 * row[0].size();
            let partial = columns.len() < above.len() || columns == [0];
            let letters = row.iter().any(|line| line.text().chars().any(char::is_alphabetic));
            if two {
                near && inside && (partial || columns.len() <= 2) && letters
            } else {
                near && inside && columns[0] > 0 && columns.len() * 2 <= above.len() && letters
            }
        };
        match merged.last_mut() {
            Some(last) if continues => last.extend(row),
            _ => merged.push(row),
        }
    }
    merged
}
