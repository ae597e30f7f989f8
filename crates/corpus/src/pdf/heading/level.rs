//! Levels of headings: from their numbers, otherwise from the order of their styles.

use super::typography::{Found, number};
use super::{is_top, split_off};
use crate::pdf::element::{Element, Role};

/// How a heading is set, as far as its rank goes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Look {
    size: f32,
    bold: bool,
    italic: bool,
    capitals: bool,
    opens: bool,
    font: u16,
}

impl Look {
    fn of(found: &Found) -> Self {
        Self {
            size: found.style.size(),
            bold: found.style.bold,
            italic: found.style.italic,
            capitals: !found.text.chars().any(char::is_lowercase),
            opens: found.opens.is_some(),
            font: found.style.font,
        }
    }
}

/// Marks what was found as headings with levels, and splits off those that open a paragraph.
pub(super) fn assign(elements: &mut Vec<Element>, found: Vec<Found>, titled: bool) {
    let base = if titled { 2 } else { 1 };
    let levels = levels(&found, base);
    for (found, level) in found.iter().zip(levels).rev() {
        let Element::Text(paragraph, role) = &mut elements[found.index] else { continue };
        match found.opens {
            None => *role = Role::Heading(level),
            Some(letters) => {
                if let Some((head, tail)) = split_off(paragraph, letters) {
                    elements[found.index] = Element::Text(head, Role::Heading(level));
                    elements.insert(found.index + 1, Element::Text(tail, Role::Body));
                }
            }
        }
    }
}

fn levels(found: &[Found], base: u8) -> Vec<u8> {
    let numbered = found.iter().filter(|f| number(&f.text).is_some()).count();
    let mut looks: Vec<(Look, bool)> = Vec::new();
    for heading in found {
        let look = Look::of(heading);
        let top = is_top(&heading.text) && !look.opens;
        match looks.iter_mut().find(|(l, _)| *l == look) {
            Some((_, known)) => *known |= top,
            None => looks.push((look, top)),
        }
    }
    let mut ranked: Vec<(Look, bool)> = looks.clone();
    let first = |look: &Look| looks.iter().position(|(l, _)| l == look).unwrap_or(0);
    ranked.sort_by(|(a, x), (b, y)| {
        let size =
            if (a.size - b.size).abs() < 0.4 { std::cmp::Ordering::Equal } else { b.size.total_cmp(&a.size) };
        y.cmp(x)
            .then(a.opens.cmp(&b.opens))
            .then(size)
            .then(b.capitals.cmp(&a.capitals))
            .then(b.bold.cmp(&a.bold))
            .then(a.italic.cmp(&b.italic))
            .then(first(a).cmp(&first(b)))
    });
    let mut rank = 0;
    let mut ranks: Vec<(Look, u8)> = Vec::new();
    for (at, (look, top)) in ranked.iter().enumerate() {
        if at > 0 && !(*top && ranked[at - 1].1) {
            rank += 1;
        }
        ranks.push((*look, rank));
    }
    let rank = |found: &Found| {
        let look = Look::of(found);
        ranks.iter().find(|(l, _)| *l == look).map_or(0, |(_, rank)| *rank)
    };
    let by_number = numbered * 2 >= found.len() && numbered >= 2;
    found
        .iter()
        .map(|heading| match number(&heading.text) {
            Some(depth) if by_number => (base as usize + depth - 1).min(6) as u8,
            _ if by_number => {
                let look = Look::of(heading);
                found
                    .iter()
                    .find(|other| Look::of(other) == look && number(&other.text).is_some())
                    .and_then(|other| number(&other.text))
                    .map_or(base, |depth| (base as usize + depth - 1).min(6) as u8)
            }
            _ => (base + rank(heading)).min(6),
        })
        .collect()
}
