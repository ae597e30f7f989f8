//! Marks of list items.

use super::line::{Line, vertical_overlap};

/// The mark at the beginning of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// A sign that is not text, with its length in bytes and the space after it.
    Bullet(usize),
    /// A number or letter, which stays in the text.
    Number,
}

const BULLETS: [char; 14] =
    ['•', '▪', '■', '●', '○', '◦', '‣', '∙', '·', '\u{f0b7}', '\u{f0a7}', '➢', '►', '*'];

/// The mark with which a line begins, if it is one: `• `, `– `, `1. `, `(a) `, `iv) `.
pub(super) fn marker(text: &str) -> Option<Marker> {
    let (first, rest) = text.split_once(' ')?;
    if rest.trim().is_empty() {
        return None;
    }
    let mut signs = first.chars();
    let sign = signs.next()?;
    if signs.next().is_none() && (BULLETS.contains(&sign) || "-–—".contains(sign)) {
        return Some(Marker::Bullet(first.len() + 1));
    }
    let inner = first.trim_start_matches(['(', '[']);
    let opened = inner.len() < first.len();
    let closed = inner.trim_end_matches(['.', ')', ']', ':']);
    if closed.len() == inner.len() || closed.is_empty() {
        return None;
    }
    let digits = closed.len() <= 3 && closed.bytes().all(|b| b.is_ascii_digit());
    let letter = closed.chars().count() == 1 && closed.chars().all(char::is_alphabetic);
    let roman = closed.len() <= 4 && closed.bytes().all(|b| b"ivx".contains(&b));
    let dotted = inner.ends_with('.') && !opened;
    // `J. Smith` is a name and `A. In 1990` may be one: a capital with a dot is no mark.
    let capital = letter && dotted && closed.chars().all(char::is_uppercase);
    ((digits || letter || roman) && !capital).then_some(Marker::Number)
}

/// Puts marks that stand apart from their text, as items with tabs are set, before it.
pub(super) fn with_their_marks(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by(|a, b| a.baseline.total_cmp(&b.baseline).then(a.area.x0.total_cmp(&b.area.x0)));
    let alone = |line: &Line| {
        let text = line.text();
        let text = text.trim();
        text.chars().count() <= 4 && marker(&format!("{text} x")).is_some()
    };
    let marks: Vec<usize> = (0..lines.len()).filter(|&index| alone(&lines[index])).collect();
    let mut gone = vec![false; lines.len()];
    for index in marks {
        let mark = lines[index].clone();
        let near = index.saturating_sub(12)..(index + 12).min(lines.len());
        let text = near
            .filter(|&other| other != index && !gone[other])
            .filter(|&other| {
                let line = &lines[other];
                let gap = line.area.x0 - mark.area.x1;
                vertical_overlap(line.area, mark.area) > 0.5 && gap > 0.0 && gap < 4.0 * line.size()
            })
            .min_by(|&a, &b| lines[a].area.x0.total_cmp(&lines[b].area.x0));
        if let Some(other) = text {
            let (baseline, style) = (lines[other].baseline, lines[other].style);
            let text = lines[other].clone();
            let mut whole = mark;
            whole.append(text, " ");
            (whole.baseline, whole.style) = (baseline, style);
            lines[other] = whole;
            gone[index] = true;
        }
    }
    let mut keep = gone.iter().map(|gone| !gone);
    lines.retain(|_| keep.next().unwrap_or(true));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_from_names_and_numbers() {
        assert_eq!(marker("• chest pain"), Some(Marker::Bullet(4)));
        assert_eq!(marker("1. first"), Some(Marker::Number));
        assert_eq!(marker("(b) second"), Some(Marker::Number));
        assert_eq!(marker("J. Smith wrote"), None);
        assert_eq!(marker("12.5 mg of"), None);
        assert_eq!(marker("2014 was"), None);
    }
}
