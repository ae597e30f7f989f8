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

/// The pieces of a block, in order, each of at most `max` tokens where a cut can make it so.
pub(super) fn pieces(block: &Block, index: usize, max: usize, count: &dyn Fn(&str) -> usize) -> Vec<Piece> {
    let piece = |text: String| {
        let tokens = count(&text);
        Piece { block: Block { text, places: Vec::new(), ..block.clone() }, index: Some(index), tokens }
    };
    let whole = count(&block.text);
    if whole <= max {
        return vec![piece(block.text.clone())];
    }
    match block.kind {
        Kind::Table => table(&block.text, max, count).into_iter().map(piece).collect(),
        Kind::Code | Kind::Formula => {
            filled(block.text.split_inclusive('\n'), max, count).into_iter().map(piece).collect()
        }
        _ => {
            let mut parts = Vec::new();
            for part in filled(sentences(&block.text).into_iter(), max, count) {
                match count(&part) <= max {
                    true => parts.push(part),
                    false => parts.extend(filled(part.split_inclusive(char::is_whitespace), max, count)),
                }
            }
            parts.into_iter().map(|part| piece(part.trim().to_owned())).collect()
        }
    }
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

/// A pipe table cut between rows; every part begins with the table's head.
fn table(text: &str, max: usize, count: &dyn Fn(&str) -> usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |line: &&str| line.contains('-') && line.chars().all(|c| "|-: \t".contains(c));
    let head_end = lines.iter().take(2).position(is_rule).map_or(0, |at| at + 1);
    let (head, rows) = lines.split_at(head_end);
    let head = head.iter().flat_map(|line| [line, "\n"]).collect::<String>();
    let room = max.saturating_sub(count(&head)).max(1);
    let rows: Vec<String> = rows.iter().map(|row| format!("{row}\n")).collect();
    let parts = filled(rows.iter().map(String::as_str), room, count);
    parts.into_iter().map(|part| (head.clone() + &part).trim_end().to_owned()).collect()
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
}
