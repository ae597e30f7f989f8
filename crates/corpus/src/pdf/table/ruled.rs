//! Tables between ruled lines: a grid, or a stack of horizontal rules of one width.

use super::{Table, grid};
use crate::Area;
use crate::pdf::library::{Page, Ruling, Span};
use crate::pdf::line::{CELL_GAP, Line, lines as assemble};

/// How far apart the ends of rules may lie that belong together, in points.
const NEAR: f32 = 4.0;
/// A grid of more lines than that is a drawing.
const MOST_RULES: usize = 3000;
/// Cells of a table hold fewer characters than lines of text do, on average.
const LONGEST_CELL: usize = 80;

/// Takes the lines of ruled tables out of `lines`.
pub(in crate::pdf) fn ruled(lines: &mut Vec<Line>, page: &Page) -> Vec<Table> {
    if page.rulings.len() > MOST_RULES {
        return Vec::new();
    }
    let (mut horizontal, vertical) = merged(&page.rulings);
    horizontal.sort_by(|a, b| a.y.total_cmp(&b.y));
    let mut tables: Vec<Table> = Vec::new();
    for region in regions(&horizontal, &vertical) {
        if tables.iter().any(|table| overlaps(table.area, region.area)) {
            continue;
        }
        let inside = |area: Area| {
            let (x, y) = ((area.x0 + area.x1) / 2.0, area.y0 + 0.5 * (area.y1 - area.y0));
            x > region.area.x0 - 2.0 && x < region.area.x1 + 2.0 && y > region.area.y0 && y < region.area.y1
        };
        // Cells may stand closer than columns of text do. Only what no head or foot has taken counts.
        let taken = |span: &Span| lines.iter().any(|line| covers(line.area, span.area));
        let spans: Vec<Span> = page
            .spans
            .iter()
            .filter(|span| !span.turned && inside(span.area) && taken(span))
            .cloned()
            .collect();
        let (within, beside): (Vec<Line>, Vec<Line>) =
            std::mem::take(lines).into_iter().partition(|line| inside(line.area));
        *lines = beside;
        let kept: usize = within.iter().flat_map(|line| &line.runs).map(|run| letters(&run.text)).sum();
        let whole = kept == spans.iter().map(|span| letters(&span.text)).sum::<usize>();
        let cells = if whole { assemble(page.number, &spans, CELL_GAP) } else { within.clone() };
        let rows = grid::rows(cells);
        let separators = separators(&rows, &region.columns);
        let table = match tabular(&rows, &separators, &region) {
            true => Table::from_rows(rows, &separators, &region.rows),
            false => None,
        };
        match table {
            Some(table) => tables.push(table),
            None => lines.extend(within),
        }
    }
    tables
}

/// Between which nothing is lost or doubled when lines are put together anew.
fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

fn covers(line: Area, span: Area) -> bool {
    span.x0 >= line.x0 - 0.5
        && span.x1 <= line.x1 + 0.5
        && span.y0 >= line.y0 - 0.5
        && span.y1 <= line.y1 + 0.5
}

/// Upright rules, and strips that no line covers. Of two with no text between them one is enough.
fn separators(rows: &[Vec<Line>], ruled: &[f32]) -> Vec<f32> {
    let mut all: Vec<f32> = grid::separators(rows).into_iter().chain(ruled.iter().copied()).collect();
    all.sort_by(f32::total_cmp);
    let between = |a: f32, b: f32| {
        rows.iter().flatten().any(|line| {
            let middle = (line.area.x0 + line.area.x1) / 2.0;
            a < middle && middle < b
        })
    };
    let mut kept: Vec<f32> = Vec::new();
    for x in all {
        if between(kept.last().copied().unwrap_or(f32::NEG_INFINITY), x) {
            kept.push(x);
        }
    }
    if kept.last().is_some_and(|&last| !between(last, f32::INFINITY)) {
        kept.pop();
    }
    kept
}

#[derive(Debug, Clone, Copy)]
struct Level {
    y: f32,
    x0: f32,
    x1: f32,
}

#[derive(Debug, Clone, Copy)]
struct Upright {
    x: f32,
    y0: f32,
    y1: f32,
}

struct Region {
    area: Area,
    /// Of upright rules within.
    columns: Vec<f32>,
    /// Of rules between rows, only where they part all rows.
    rows: Vec<f32>,
}

/// Pieces of one line put together.
fn merged(rulings: &[Ruling]) -> (Vec<Level>, Vec<Upright>) {
    let (mut levels, mut uprights): (Vec<Level>, Vec<Upright>) = (Vec::new(), Vec::new());
    for ruling in rulings {
        match *ruling {
            Ruling::Horizontal { y, x0, x1 } => levels.push(Level { y, x0, x1 }),
            Ruling::Vertical { x, y0, y1 } => uprights.push(Upright { x, y0, y1 }),
        }
    }
    levels.sort_by(|a, b| ((a.y * 2.0) as i64).cmp(&((b.y * 2.0) as i64)).then(a.x0.total_cmp(&b.x0)));
    uprights.sort_by(|a, b| ((a.x * 2.0) as i64).cmp(&((b.x * 2.0) as i64)).then(a.y0.total_cmp(&b.y0)));
    let mut long: Vec<Level> = Vec::new();
    for level in levels {
        match long.last_mut() {
            Some(last) if (last.y - level.y).abs() < 1.0 && level.x0 <= last.x1 + NEAR => {
                last.x1 = last.x1.max(level.x1);
            }
            _ => long.push(level),
        }
    }
    let mut tall: Vec<Upright> = Vec::new();
    for upright in uprights {
        match tall.last_mut() {
            Some(last) if (last.x - upright.x).abs() < 1.0 && upright.y0 <= last.y1 + NEAR => {
                last.y1 = last.y1.max(upright.y1);
            }
            _ => tall.push(upright),
        }
    }
    (long, tall)
}

fn regions(levels: &[Level], uprights: &[Upright]) -> Vec<Region> {
    let mut used = vec![false; levels.len()];
    let mut found = Vec::new();
    for first in 0..levels.len() {
        if used[first] || levels[first].x1 - levels[first].x0 < 50.0 {
            continue;
        }
        let top = levels[first];
        let mut stack = vec![top];
        for index in first + 1..levels.len() {
            let level = levels[index];
            let same = (level.x0 - top.x0).abs() < NEAR && (level.x1 - top.x1).abs() < NEAR;
            if same && !used[index] {
                used[index] = true;
                stack.push(level);
            }
        }
        let bottom = stack[stack.len() - 1];
        if stack.len() < 2 || bottom.y - top.y < 12.0 {
            continue;
        }
        let area = Area { x0: top.x0, y0: top.y, x1: top.x1, y1: bottom.y };
        let height = bottom.y - top.y;
        let mut columns: Vec<f32> = uprights
            .iter()
            .filter(|u| u.x > area.x0 + NEAR && u.x < area.x1 - NEAR)
            .filter(|u| u.y1.min(area.y1) - u.y0.max(area.y0) > 0.5 * height)
            .map(|u| u.x)
            .collect();
        columns.sort_by(f32::total_cmp);
        columns.dedup_by(|a, b| (*a - *b).abs() < NEAR);
        let mut rows: Vec<f32> = stack.iter().map(|level| level.y).collect();
        rows.dedup_by(|a, b| (*a - *b).abs() < NEAR);
        found.push(Region { area, columns, rows });
    }
    // The smallest first: a frame around a page must not swallow the table within it.
    found.sort_by(|a, b| {
        let size = |r: &Region| (r.area.x1 - r.area.x0) * (r.area.y1 - r.area.y0);
        size(a).total_cmp(&size(b))
    });
    found
}

fn overlaps(a: Area, b: Area) -> bool {
    a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1
}

fn tabular(rows: &[Vec<Line>], separators: &[f32], region: &Region) -> bool {
    let lines = rows.iter().map(Vec::len).sum::<usize>();
    let several = rows.iter().filter(|row| row.len() > 1).count();
    if separators.is_empty() || rows.len() < 2 || several < 2 {
        return false;
    }
    let letters: usize = rows.iter().flatten().map(|line| line.text().chars().count()).sum();
    let mean = letters / lines.max(1);
    // Two columns of text between the rules of a page's head and foot are no table.
    let side = |left: bool| {
        let own = rows.iter().flatten().filter(|line| (grid::column(line, separators) == 0) == left);
        let lengths: Vec<usize> = own.map(|line| line.text().chars().count()).collect();
        lengths.iter().sum::<usize>() / lengths.len().max(1)
    };
    let page = separators.len() == 1 && region.columns.is_empty() && side(true) > 28 && side(false) > 28;
    mean <= LONGEST_CELL && !page && several * 3 >= rows.len()
}
