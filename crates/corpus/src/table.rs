//! Cells with spans to a pipe table.

use crate::tidy::tidy;

/// Cells of one table; spans beyond this are cut, so that a table of two cells cannot fill the memory.
const MOST_CELLS: usize = 1 << 20;
/// The widest span that HTML allows.
const WIDEST_SPAN: usize = 1000;

/// A table while it is being read, row by row. A cell that spans others has its text at its first place only, so that
/// no number stands twice.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    rows: Vec<Vec<String>>,
    /// By column: rows below the current one that a cell above still covers.
    covered: Vec<usize>,
    cells: usize,
}

/// A cell's place and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The column, where the format names it.
    pub(crate) column: Option<usize>,
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Default for Span {
    fn default() -> Self {
        Span { column: None, columns: 1, rows: 1 }
    }
}

/// A row while it is being read.
#[derive(Debug)]
pub(crate) struct RowOfGrid<'a> {
    grid: &'a mut Grid,
    cells: Vec<String>,
    begun: Vec<(usize, usize)>,
}

impl Grid {
    /// The next row.
    pub(crate) fn row(&mut self) -> RowOfGrid<'_> {
        RowOfGrid { grid: self, cells: Vec::new(), begun: Vec::new() }
    }

    /// A pipe table with a cell in every place, its first row as the header; nothing where no cell has text.
    pub(crate) fn to_markdown(&self) -> Option<String> {
        let width = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let used: Vec<bool> = (0..width)
            .map(|column| self.rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty())))
            .collect();
        if !used.contains(&true) {
            return None;
        }
        let line = |row: &[String]| {
            let cell = |column: usize| row.get(column).map_or("", String::as_str);
            let cells: Vec<&str> = (0..width).filter(|c| used[*c]).map(cell).collect();
            format!("| {} |", cells.join(" | "))
        };
        let mut rows = self.rows.iter().filter(|row| row.iter().any(|cell| !cell.is_empty()));
        let columns = used.iter().filter(|used| **used).count();
        let mut lines = vec![line(rows.next()?), format!("|{}", " --- |".repeat(columns))];
        lines.extend(rows.map(|row| line(row)));
        Some(lines.join("\n"))
    }
}

impl RowOfGrid<'_> {
    /// The next cell.
    pub(crate) fn cell(&mut self, text: &str, span: Span) {
        let columns = span.columns.clamp(1, WIDEST_SPAN);
        if let Some(column) = span.column.filter(|column| *column <= WIDEST_SPAN) {
            self.fill_to(column);
        }
        self.skip_covered();
        let at = self.cells.len();
        if self.grid.cells + columns > MOST_CELLS {
            return;
        }
        self.grid.cells += columns;
        self.cells.push(tidy(text).replace('|', "\\|"));
        self.cells.resize(at + columns, String::new());
        if span.rows > 1 {
            self.begun.extend((at..at + columns).map(|column| (column, span.rows - 1)));
        }
    }

    fn fill_to(&mut self, column: usize) {
        if self.cells.len() < column {
            self.grid.cells += column - self.cells.len();
            self.cells.resize(column, String::new());
        }
    }

    fn skip_covered(&mut self) {
        while self.grid.covered.get(self.cells.len()).is_some_and(|rows| *rows > 0) {
            self.cells.push(String::new());
        }
    }

    /// Ends the row.
    pub(crate) fn end(self) {
        let RowOfGrid { grid, cells, begun } = self;
        grid.covered.iter_mut().for_each(|rows| *rows = rows.saturating_sub(1));
        for (column, rows) in begun {
            if grid.covered.len() <= column {
                grid.covered.resize(column + 1, 0);
            }
            grid.covered[column] = rows;
        }
        grid.rows.push(cells);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(grid: &mut Grid, cells: &[(&str, usize, usize)]) {
        let mut row = grid.row();
        for (text, columns, rows) in cells {
            row.cell(text, Span { column: None, columns: *columns, rows: *rows });
        }
        row.end();
    }

    #[test]
    fn spans_keep_every_column_in_its_place() {
        let mut grid = Grid::default();
        row(&mut grid, &[("Drug", 1, 2), ("Dose", 2, 1)]);
        row(&mut grid, &[("mg", 1, 1), ("per day", 1, 1)]);
        row(&mut grid, &[("a|b", 1, 1), ("5", 1, 1), ("2", 1, 1)]);
        let expected = "| Drug | Dose |  |\n| --- | --- | --- |\n|  | mg | per day |\n| a\\|b | 5 | 2 |";
        assert_eq!(grid.to_markdown().unwrap(), expected);
    }

    #[test]
    fn a_table_without_text_is_none_and_a_huge_span_is_cut() {
        let mut grid = Grid::default();
        row(&mut grid, &[("", 9, 9)]);
        assert_eq!(grid.to_markdown(), None);
        row(&mut grid, &[("x", usize::MAX, usize::MAX)]);
        assert!(grid.rows[1].len() <= 9 + WIDEST_SPAN);
    }
}
