//! Headings told from how they are set: face, weight, size, room, number, what follows.

use std::collections::HashMap;

use super::run_in::run_in;
use super::{Context, is_top};
use crate::pdf::element::{Element, Role};
use crate::pdf::library::Style;
use crate::pdf::paragraph::Paragraph;

/// Longest heading in characters and lines.
const LONGEST: usize = 180;
const MOST_LINES: usize = 4;

/// A heading found, by the index of its element.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) index: usize,
    /// Number of letters and digits, where it only opens its paragraph.
    pub(super) opens: Option<usize>,
    pub(super) style: Style,
    pub(super) text: String,
}

/// Headings below the title. `elements` is not changed.
pub(super) fn find(elements: &[Element], title: Option<usize>, context: &Context<'_>) -> Vec<Found> {
    let front = front_matter(elements, title, context);
    let mut counts: HashMap<Style, (usize, usize)> = HashMap::new();
    let mut candidates = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        let Some(paragraph) = element.body() else { continue };
        let style = paragraph.style();
        let text = paragraph.text(context.vocabulary);
        let known = is_top(&text);
        let fits = stands_alone(paragraph, context)
            && (index >= front || known)
            && (known || followed_by_text(elements, index, context));
        let count = counts.entry(style).or_default();
        if fits {
            count.0 += 1;
            candidates.push(Found { index, opens: None, style, text });
        } else if index >= front {
            count.1 += 1;
        }
    }
    candidates.retain(|found| {
        let (good, bad) = counts[&found.style];
        let strong = found.style.size() >= context.body.size() + 0.8
            || found.style.bold && !context.body.bold
            || number(&found.text).is_some()
            || is_top(&found.text);
        if strong { good * 2 > bad } else { good >= 2 && good > bad }
    });
    let faces: Vec<u16> = candidates.iter().map(|found| found.style.font).collect();
    let standing: Vec<usize> = candidates.iter().map(|found| found.index).collect();
    candidates.extend(
        run_in(elements, front, &faces, context).into_iter().filter(|found| !standing.contains(&found.index)),
    );
    candidates.sort_by_key(|found| found.index);
    candidates
}

/// Where authors and addresses end: at the first heading that papers have, if it comes soon after the title.
fn front_matter(elements: &[Element], title: Option<usize>, context: &Context<'_>) -> usize {
    let Some(title) = title else { return 0 };
    let first = elements[title].page();
    elements
        .iter()
        .enumerate()
        .skip(title + 1)
        .take_while(|(_, element)| element.page() <= first + 1)
        .find(|(_, element)| {
            element.body().is_some_and(|paragraph| {
                let opening = &paragraph.lines[0].runs[0];
                is_top(&paragraph.text(context.vocabulary)) && paragraph.lines.len() == 1
                    || opening.style != context.body && is_top(&opening.text)
                    || number(&paragraph.text(context.vocabulary)) == Some(1)
                        && stands_alone(paragraph, context)
            })
        })
        .map_or(title + 1, |(index, _)| index)
}

/// Whether a paragraph is short, begins like a title and is set unlike running text.
pub(super) fn stands_alone(paragraph: &Paragraph, context: &Context<'_>) -> bool {
    let text = paragraph.text(context.vocabulary);
    let length = text.chars().count();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    if length > LONGEST || paragraph.lines.len() > MOST_LINES || letters < 3 || letters * 2 < length {
        return false;
    }
    let (style, body) = (paragraph.style(), context.body);
    let begins = text.chars().find(|c| c.is_alphanumeric()).is_some_and(|c| !c.is_lowercase());
    let ends = !text.ends_with([',', ';', '-']);
    let numbered = number(&text).is_some();
    let larger = style.size() >= body.size() + 0.8;
    let bolder = style.bold && !body.bold;
    let sentence = text.ends_with('.') && !numbered && !(larger || bolder);
    let capitals = letters >= 4 && !text.chars().any(char::is_lowercase);
    let sloped = style.italic && !body.italic;
    let other = style.font != body.font;
    let small = style.size() < body.size() - 1.1;
    if !begins || !ends || sentence || small || paragraph.purity() < 0.55 {
        return false;
    }
    let apart = paragraph.room > 1.15 * context.leading;
    let aligned = {
        let line = paragraph.lines[0].area;
        let (left, right) = paragraph.column;
        let centred = ((line.x0 + line.x1) / 2.0 - (left + right) / 2.0).abs() < 0.05 * (right - left);
        (line.x0 - left).abs() < 2.5 * style.size() || centred
    };
    aligned && (larger || bolder || ((sloped || other || capitals) && apart))
}

/// Whether running text comes after this and other headings.
fn followed_by_text(elements: &[Element], index: usize, context: &Context<'_>) -> bool {
    for element in &elements[index + 1..] {
        match element {
            Element::Text(_, Role::Furniture | Role::Footnote) => {}
            Element::Text(_, Role::Item(_) | Role::Caption) | Element::Table(_) => return true,
            Element::Text(paragraph, _) if stands_alone(paragraph, context) => {}
            Element::Text(paragraph, _) => {
                let near = (paragraph.style().size() - context.body.size()).abs() < 1.1;
                return near || paragraph.lines.len() >= 3;
            }
        }
    }
    false
}

/// Depth of the number with which a heading begins: 1 for `2.` or `2 Methods`, 2 for `2.1`.
pub(super) fn number(text: &str) -> Option<usize> {
    let (first, rest) = text.split_once(' ')?;
    if !rest.chars().find(|c| c.is_alphabetic()).is_some_and(char::is_uppercase) {
        return None;
    }
    let parts: Vec<&str> = first.trim_end_matches('.').split('.').collect();
    let numbers =
        parts.iter().all(|p| !p.is_empty() && p.len() <= 2 && p.bytes().all(|b| b.is_ascii_digit()));
    (numbers && parts.len() <= 5).then_some(parts.len())
}
