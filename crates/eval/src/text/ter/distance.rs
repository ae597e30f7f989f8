//! Levenshtein's distance in a band around the diagonal, with the edits that lead to it.

/// Half the width of the band.
const BEAM_WIDTH: usize = 25;
const FAR: u32 = u32::MAX / 2;

/// One edit on the way from the hypothesis to the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    Keep,
    Substitute,
    /// A word of the reference that the hypothesis lacks.
    Insert,
    /// A word of the hypothesis that the reference lacks.
    Delete,
}

/// The distance of hypotheses of one length to a reference.
pub(super) struct EditDistance<'a> {
    reference: &'a [u32],
    /// Words of the hypotheses.
    length: usize,
    beam: usize,
    /// Words of the reference per word of the hypothesis.
    ratio: f64,
}

/// The distances of all prefixes: `[length + 1, reference + 1]`.
pub(super) struct Table {
    width: usize,
    cells: Vec<(u32, Edit)>,
}

impl<'a> EditDistance<'a> {
    pub(super) fn new(reference: &'a [u32], length: usize) -> Self {
        let ratio = if length > 0 { reference.len() as f64 / length as f64 } else { 1.0 };
        let half = ratio / 2.0;
        let beam =
            if (BEAM_WIDTH as f64) < half { (half + BEAM_WIDTH as f64).ceil() as usize } else { BEAM_WIDTH };
        Self { reference, length, beam, ratio }
    }

    pub(super) fn reference(&self) -> &'a [u32] {
        self.reference
    }

    /// The table of a hypothesis.
    pub(super) fn table(&self, words: &[u32]) -> Table {
        let width = self.reference.len() + 1;
        let mut table = Table { width, cells: vec![(FAR, Edit::Keep); (self.length + 1) * width] };
        for (column, cell) in table.cells[..width].iter_mut().enumerate() {
            *cell = (column as u32, Edit::Insert);
        }
        self.fill(&mut table, words, 0);
        table
    }

    /// The distance of `words`, which equal those of `table` before `changed`; `table` becomes theirs.
    pub(super) fn update(&self, table: &mut Table, words: &[u32], changed: usize) -> usize {
        let width = table.width;
        table.cells[(changed + 1) * width..].fill((FAR, Edit::Keep));
        self.fill(table, words, changed);
        table.distance()
    }

    fn fill(&self, table: &mut Table, words: &[u32], from: usize) {
        let width = table.width;
        for row in from + 1..=self.length {
            let diagonal = (row as f64 * self.ratio).floor() as usize;
            let first = diagonal.saturating_sub(self.beam);
            let end = if row == self.length { width } else { width.min(diagonal + self.beam) };
            let (before, current) = table.cells[(row - 1) * width..(row + 1) * width].split_at_mut(width);
            let word = words[row - 1];
            for column in first..end {
                if column == 0 {
                    current[0] = (before[0].0 + 1, Edit::Delete);
                    continue;
                }
                let kept = if word == self.reference[column - 1] {
                    (before[column - 1].0, Edit::Keep)
                } else {
                    (before[column - 1].0 + 1, Edit::Substitute)
                };
                // The order decides between equal distances: the first that is smaller wins.
                let mut cell = (FAR, Edit::Keep);
                let ways =
                    [kept, (before[column].0 + 1, Edit::Delete), (current[column - 1].0 + 1, Edit::Insert)];
                for way in ways {
                    if way.0 < cell.0 {
                        cell = way;
                    }
                }
                current[column] = cell;
            }
        }
    }
}

impl Table {
    pub(super) fn distance(&self) -> usize {
        self.cells.last().map_or(0, |cell| cell.0 as usize)
    }

    /// The edits from the first word to the last.
    pub(super) fn edits(&self) -> Vec<Edit> {
        let mut edits = Vec::new();
        let (mut row, mut column) = (self.cells.len() / self.width - 1, self.width - 1);
        while row > 0 || column > 0 {
            let edit = match self.cells[row * self.width + column].1 {
                _ if row == 0 => Edit::Insert,
                _ if column == 0 => Edit::Delete,
                edit => edit,
            };
            row -= usize::from(edit != Edit::Insert);
            column -= usize::from(edit != Edit::Delete);
            edits.push(edit);
        }
        edits.reverse();
        edits
    }
}
