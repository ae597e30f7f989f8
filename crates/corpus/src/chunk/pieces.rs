//! A block cut into pieces that fit.

use crate::{Block, Kind};

/// A block or a part of one.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) block: Block,
    /// The block that it is of; nothing for a heading that is repeated.
    pub(super) index: Option<usize>,
    pub(super) tokens: usize,
}

impl Piece {
    /// A heading inside of a chunk.
    pub(super) fn title(text: &str, count: &dyn Fn(&str) -> usize) -> Self {
        let block = Block { kind: Kind::Heading { level: 2 }, text: text.to_owned(), places: Vec::new() };
        Piece { tokens: count(text) + 1, block, index: None }
    }
}

/// Where a text may be cut.
type Cut = fn(&str) -> Vec<&str>;

/// The pieces of a block, in order, each of at most `max` tokens where a single character has no more.
pub(super) fn pieces(block: &Block, index: usize, max: usize, count: &dyn Fn(&str) -> usize) -> Vec<Piece> {
    let piece = |text: String| {
        let tokens = count(&text);
        Piece { block: Block { text, places: Vec::new(), ..block.clone() }, index: Some(index), tokens }
    };
    if count(&block.text) <= max {
        return vec![piece(block.text.clone())];
    }
    let parts = match block.kind {
        Kind::Table => table(&block.text, max, count),
        Kind::Code | Kind::Formula => fitting(&block.text, &[lines, words], max, count),
        _ => fitting(&block.text, &[sentences, words], max, count),
    };
    let code = block.kind == Kind::Code;
    parts.into_iter().map(|part| piece(if code { part } else { part.trim().to_owned() })).collect()
}

/// A text in parts that fit: cut at the first of these places where that is enough, where it is not also at the next, and
/// at last between any two characters.
fn fitting(text: &str, cuts: &[Cut], max: usize, count: &dyn Fn(&str) -> usize) -> Vec<String> {
    if count(text) <= max {
        return vec![text.to_owned()];
    }
    let Some((cut, finer)) = cuts.split_first() else {
        let middle = text.floor_char_boundary(text.len() / 2);
        let (before, after) = match middle {
            0 => return vec![text.to_owned()],
            middle => text.split_at(middle),
        };
        return [fitting(before, &[], max, count), fitting(after, &[], max, count)].concat();
    };
    let parts = filled(cut(text).into_iter(), max, count);
    parts.iter().flat_map(|part| fitting(part, finer, max, count)).collect()
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn words(text: &str) -> Vec<&str> {
    text.split_inclusive(char::is_whitespace).collect()
}

/// Parts put together for as long as they fit.
fn filled<'a>(
    parts: impl Iterator<Item = &'a str>,
    max: usize,
    count: &dyn Fn(&str) -> usize,
) -> Vec<String> {
    let mut filled: Vec<(String, usize)> = Vec::new();
    for part in parts {
        let tokens = count(part);
        match filled.last_mut() {
            Some((text, sum)) if *sum + tokens <= max => {
                text.push_str(part);
                *sum += tokens;
            }
            _ => filled.push((part.to_owned(), tokens)),
        }
    }
    filled.into_iter().map(|(text, _)| text).filter(|text| !text.trim().is_empty()).collect()
}

/// The sentences of a text with the blanks after them: they end at `.`, `!` or `?` before a blank and a capital letter,
/// a digit or a bracket, so that "e.g. this" and "0.5 mg" stay whole.
fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    let mut ended = false;
    while let Some((_, c)) = characters.next() {
        let next = characters.peek().copied();
        match c {
            '.' | '!' | '?' => ended = true,
            '"' | '”' | ')' | '»' | '“' if ended => {}
            _ if c.is_whitespace() && ended => {
                if let Some((at, next)) = next
                    && (next.is_uppercase() || next.is_ascii_digit() || "([„«\"".contains(next))
                {
                    sentences.push(&text[start..at]);
                    start = at;
                }
                ended = next.is_some_and(|(_, next)| next.is_whitespace());
            }
            _ => ended = false,
        }
    }
    sentences.push(&text[start..]);
    sentences
}

/// A pipe table cut between rows; every part begins with the table's head. A row that does not fit beside it becomes lines
/// of `head: cell`.
fn table(text: &str, max: usize, count: &dyn Fn(&str) -> usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |line: &&str| line.contains('-') && line.chars().all(|c| "|-: \t".contains(c));
    let head_end = lines.iter().take(2).position(is_rule).map_or(0, |at| at + 1);
    let (head_lines, rows) = lines.split_at(head_end);
    let head = head_lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
    let room = max.saturating_sub(count(&head));
    let mut parts = Vec::new();
    for rows in rows.chunk_by(|a, b| (count(a) <= room) == (count(b) <= room)) {
        if rows.first().is_some_and(|row| count(row) <= room) {
            let rows: Vec<String> = rows.iter().map(|row| format!("{row}\n")).collect();
            let filled = filled(rows.iter().map(String::as_str), room, count);
            parts.extend(filled.into_iter().map(|part| head.clone() + &part));
        } else {
            let named = rows.iter().map(|row| named_cells(head_lines.first().copied(), row));
            parts.extend(named.flat_map(|row| fitting(&row, &[self::lines, sentences, words], max, count)));
        }
    }
    parts
}

/// The cells of a row, each on a line behind the head of its column.
fn named_cells(head: Option<&str>, row: &str) -> String {
    let heads = head.map(cells).unwrap_or_default();
    let mut lines = String::new();
    for (at, cell) in cells(row).into_iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
        match heads.get(at).filter(|head| !head.is_empty()) {
            Some(head) => lines += &format!("{head}: {cell}\n"),
            None => lines += &format!("{cell}\n"),
        }
    }
    lines
}

/// The cells of a row of a pipe table; `\|` is no border.
fn cells(row: &str) -> Vec<&str> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let mut escaped = false;
    let border = |c: char| {
        let border = c == '|' && !escaped;
        escaped = c == '\\' && !escaped;
        border
    };
    let mut cells: Vec<&str> = row.split(border).map(str::trim).collect();
    if cells.last().is_some_and(|last| last.is_empty()) {
        cells.pop();
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_readers_end_them() {
        let text =
            "Give 0.5 mg, e.g. twice a day. \"Is it enough?\" (Not always.) 20 mg are the limit.\nThen stop!";
        let expected = [
            "Give 0.5 mg, e.g. twice a day. ",
            "\"Is it enough?\" ",
            "(Not always.) ",
            "20 mg are the limit.\n",
            "Then stop!",
        ];
        assert_eq!(sentences(text), expected);
    }

    /// A letter is a token, as in the worst of vocabularies.
    fn letters(text: &str) -> usize {
        text.chars().filter(|c| !c.is_whitespace()).count()
    }

    #[test]
    fn text_without_blanks_is_cut_between_characters() {
        let text = "心電図のＴ波は高カリウム血症で尖る".repeat(5);
        let block = Block { kind: Kind::Paragraph, text: text.clone(), places: Vec::new() };
        let pieces = pieces(&block, 0, 20, &letters);
        assert!(pieces.len() > 4 && pieces.iter().all(|piece| piece.tokens <= 20));
        assert_eq!(pieces.into_iter().map(|piece| piece.block.text).collect::<String>(), text);
    }

    #[test]
    fn a_row_that_does_not_fit_beside_its_head_is_said_cell_by_cell() {
        let long = "Lowers the pressure. Doubles the pulse.";
        let text = format!("| Drug | Effect |\n|---|---|\n| a | b |\n| x \\| y | {long} |\n| c | d |");
        let expected = [
            "| Drug | Effect |\n|---|---|\n| a | b |\n",
            "Drug: x \\| y\n",
            "Effect: Lowers the pressure. ",
            "Doubles the pulse.\n",
            "| Drug | Effect |\n|---|---|\n| c | d |\n",
        ];
        assert_eq!(table(&text, 30, &letters), expected);
    }
}
