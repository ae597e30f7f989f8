//! Captions, footnotes and list items, and paragraphs that go on in the next column.

use super::element::{Element, Role};
use super::heading::Context;
use super::library::Page;
use super::list::{self, Marker};
use super::paragraph::{self, Paragraph};

const LABELS: [&str; 16] = [
    "figure",
    "fig.",
    "fig",
    "table",
    "tab.",
    "tabelle",
    "abbildung",
    "abb.",
    "abb",
    "box",
    "scheme",
    "chart",
    "plate",
    "algorithm",
    "kasten",
    "schema",
];

/// Marks captions and footnotes.
pub(super) fn captions_and_notes(elements: &mut [Element], pages: &[Page], context: &Context<'_>) {
    for index in 0..elements.len() {
        let beside_table = [index.checked_sub(1), Some(index + 1)]
            .into_iter()
            .flatten()
            .any(|other| matches!(elements.get(other), Some(Element::Table(_))));
        let Element::Text(paragraph, role @ Role::Body) = &mut elements[index] else { continue };
        if is_caption(paragraph, beside_table, context) {
            *role = Role::Caption;
        } else if is_note(paragraph, pages, context) {
            *role = Role::Footnote;
        }
    }
}

fn is_caption(paragraph: &Paragraph, beside_table: bool, context: &Context<'_>) -> bool {
    let text = paragraph.text(context.vocabulary);
    let mut words = text.split_whitespace();
    let label = words.next().is_some_and(|word| LABELS.contains(&word.to_lowercase().as_str()));
    let Some(number) = words.next().filter(|_| label) else { return false };
    let bare = number.trim_end_matches(['.', ':', '|', ')']).trim_start_matches(['S', 'A', 'E']);
    let counts = !bare.is_empty()
        && bare.len() <= 6
        && (bare.starts_with(|c: char| c.is_ascii_digit()) || bare.chars().all(|c| "IVX".contains(c)));
    let set_apart = paragraph.lines[0].runs[0].style != context.body;
    counts && (set_apart || number.ends_with(['.', ':', '|']) || beside_table && paragraph.lines.len() <= 4)
}

/// Small text at a page's foot that begins with a raised sign.
fn is_note(paragraph: &Paragraph, pages: &[Page], context: &Context<'_>) -> bool {
    let line = &paragraph.lines[0];
    let low = pages
        .iter()
        .find(|page| page.number == line.page)
        .is_some_and(|page| line.baseline > 0.6 * page.height);
    let small = paragraph.style().size() < context.body.size() - 0.6;
    let raised = line.runs.len() > 1
        && line.runs[0].style.size() < 0.8 * paragraph.style().size()
        && line.runs[0].text.trim().chars().count() <= 3;
    let sign = line.text().starts_with(['*', '†', '‡', '§', '¹', '²', '³']);
    low && small && (raised || sign)
}

/// Puts paragraphs together that a column's or page's end has divided; floats between the parts come after.
pub(super) fn joined(elements: Vec<Element>, context: &Context<'_>) -> Vec<Element> {
    let mut whole: Vec<Element> = Vec::new();
    // The last paragraph of running text, as long as nothing ends it.
    let mut open: Option<usize> = None;
    for element in elements {
        let Element::Text(paragraph, Role::Body) = &element else {
            if matches!(element, Element::Text(_, Role::Heading(_))) {
                open = None;
            }
            whole.push(element);
            continue;
        };
        let running = (paragraph.style().size() - context.body.size()).abs() < 0.6;
        if !running {
            whole.push(element);
            continue;
        }
        let continued = open.is_some_and(|index| match &whole[index] {
            Element::Text(before, _) => {
                let lower = paragraph.lines[0].text().starts_with(char::is_lowercase);
                let float = matches!(
                    whole.last(),
                    Some(Element::Table(_) | Element::Text(_, Role::Caption | Role::Footnote))
                );
                (paragraph.room.is_infinite() || float && lower)
                    && before.lines[before.lines.len() - 1].page + 1 >= paragraph.lines[0].page
                    && paragraph::goes_on(before, paragraph)
            }
            Element::Table(_) => false,
        });
        match (continued, open, element) {
            (true, Some(index), Element::Text(rest, _)) => {
                if let Element::Text(before, _) = &mut whole[index] {
                    before.lines.extend(rest.lines);
                }
            }
            (_, _, element) => {
                open = Some(whole.len());
                whole.push(element);
            }
        }
    }
    whole
}

/// Marks list items. A number makes one only beside another item, so that `1. Introduction` is none.
pub(super) fn list_items(elements: &mut [Element], context: &Context<'_>) {
    let marks: Vec<Option<(Marker, f32)>> = elements
        .iter()
        .map(|element| {
            let paragraph = element.body()?;
            let mark = list::marker(&paragraph.text(context.vocabulary))?;
            Some((mark, paragraph.lines[0].area.x0))
        })
        .collect();
    let mut margin = None;
    for index in 0..elements.len() {
        let Some((mark, x)) = marks[index] else {
            margin = None;
            continue;
        };
        let beside =
            index > 0 && marks[index - 1].is_some() || marks.get(index + 1).is_some_and(Option::is_some);
        if mark == Marker::Number && !beside {
            continue;
        }
        let left = *margin.get_or_insert(x);
        let Element::Text(paragraph, role) = &mut elements[index] else { continue };
        let size = paragraph.lines[0].size().max(1.0);
        // A jump to the left is another column.
        let depth = ((x - left) / (1.2 * size)).floor().clamp(0.0, 4.0);
        if x < left - 0.5 * size {
            margin = Some(x);
        }
        *role = Role::Item(if depth > 3.0 { 0 } else { depth as u8 });
    }
}
