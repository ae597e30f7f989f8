//! Tables: lines of text that stand in rows and columns, ruled or only aligned.

mod aligned;
mod grid;
mod ruled;

use super::line::Line;
use crate::Area;

pub(super) use aligned::{Part, split_column};
pub(super) use grid::rows;
pub(super) use ruled::ruled;

/// A table found on a page.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) page: u32,
    pub(super) area: Area,
    /// `[rows][columns]`, all rows of one length; what spans several columns stands in the first of them.
    pub(super) cells: Vec<Vec<String>>,
}

impl Table {
    /// As a Markdown table whose first row is the head.
    pub(super) fn to_pipes(&self) -> String {
        let mut text = String::new();
        for (index, row) in self.cells.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            text.push('|');
            for cell in row {
                text.push(' ');
                text.push_str(&cell.replace('|', "\\|"));
                text.push_str(" |");
            }
            if index == 0 {
                text.push_str("\n|");
                text.push_str(&" --- |".repeat(row.len()));
            }
        }
        text
    }

    /// `lines` in columns parted at `separators` and rows as [`grid::logical_rows`] finds them.
    fn from_rows(rows: Vec<Vec<Line>>, separators: &[f32], bounds: &[f32]) -> Option<Self> {
        let page = rows.first()?.first()?.page;
        let area = rows.iter().flatten().map(|line| line.area).reduce(super::line::union)?;
        let rows = grid::logical_rows(rows, separators, bounds);
        let cells = rows
            .into_iter()
            .map(|row| {
                let mut cells = vec![String::new(); separators.len() + 1];
                for line in row {
                    let cell: &mut String = &mut cells[grid::column(&line, separators)];
                    if !cell.is_empty() {
                        cell.push(' ');
                    }
                    cell.push_str(line.text().trim());
                }
                cells
            })
            .collect();
        Some(Self { page, area, cells })
    }
}
