//! Headings that open a paragraph: `Etymology. The name …`.

use super::typography::Found;
use super::{Context, is_top, key};
use crate::pdf::element::Element;
use crate::pdf::library::Style;
use crate::pdf::paragraph::Paragraph;

const LONGEST: usize = 110;
/// Text that follows, at least, in characters.
const REST: usize = 15;
/// How many paragraphs have to open that way before a slope alone makes a heading.
const PATTERN: usize = 3;

struct Opening {
    index: usize,
    style: Style,
    text: String,
    /// Ends in a colon or full stop.
    closed: bool,
}

/// Openings of paragraphs after the front matter that are headings. `faces` are the fonts of other headings.
pub(super) fn run_in(elements: &[Element], front: usize, faces: &[u16], context: &Context<'_>) -> Vec<Found> {
    let openings: Vec<Opening> = elements
        .iter()
        .enumerate()
        .skip(front)
        .filter_map(|(index, element)| opening(index, element.body()?, context))
        .collect();
    let alike = |style: Style| openings.iter().filter(|o| o.style == style && o.closed).count();
    openings
        .iter()
        .filter(|opening| {
            let bold = opening.style.bold && !context.body.bold;
            let sloped = opening.style.italic && !bold;
            let face = faces.contains(&opening.style.font) && !sloped;
            let known = is_top(&opening.text);
            (bold || face) && (opening.closed || known || alike(opening.style) >= PATTERN)
                || sloped && opening.closed && alike(opening.style) >= PATTERN
                || known && opening.closed
        })
        .map(|opening| Found {
            index: opening.index,
            opens: Some(key(&opening.text).chars().count()),
            style: opening.style,
            text: opening.text.clone(),
        })
        .collect()
}

fn opening(index: usize, paragraph: &Paragraph, context: &Context<'_>) -> Option<Opening> {
    let style = paragraph.lines[0].runs[0].style;
    if style == context.body || style.size() < context.body.size() - 1.1 {
        return None;
    }
    let mut text = String::new();
    let mut rest = 0;
    for run in paragraph.runs() {
        let length = run.text.chars().count();
        if rest == 0 && run.style == style {
            if !text.is_empty() && !text.ends_with(' ') {
                text.push(' ');
            }
            text.push_str(&run.text);
        } else {
            rest += length;
        }
    }
    let trimmed = text.trim();
    let letters = trimmed.chars().filter(|c| c.is_alphabetic()).count();
    let begins = trimmed.chars().next().is_some_and(|c| c.is_uppercase() || c.is_ascii_digit());
    let body = paragraph.style().font == context.body.font || paragraph.style() != style;
    if rest < REST || trimmed.chars().count() > LONGEST || letters < 3 || !begins || !body {
        return None;
    }
    Some(Opening { index, style, closed: trimmed.ends_with([':', '.']), text: trimmed.to_owned() })
}
