//! Headings that the file's own bookmarks name.

use super::{Context, key, split_off};
use crate::pdf::element::{Element, Role};
use crate::pdf::library::Bookmark;

/// Bookmarks that do not name headings (`Figure 2`, `Section_1`) must be in the minority.
const FOUND: f32 = 0.7;
const FEWEST: usize = 3;

/// Whether the outline was good enough; then the headings are marked.
pub(super) fn mark(elements: &mut Vec<Element>, bookmarks: &[Bookmark], context: &Context<'_>) -> bool {
    if bookmarks.len() < FEWEST {
        return false;
    }
    let mut marked = elements.clone();
    let keys: Vec<String> = bookmarks.iter().map(|bookmark| key(&bookmark.title)).collect();
    // The title of the paper at the top of the outline, with everything below it, or no title at all.
    let titled = marked.iter().find_map(|element| match element {
        Element::Text(p, Role::Heading(1)) => Some(key(&p.text(context.vocabulary))),
        _ => None,
    });
    let rooted = titled.as_ref().is_some_and(|title| keys.first() == Some(title));
    let base = if rooted || titled.is_none() { 1 } else { 2 };
    let (mut from, mut found) = (0, 0);
    for (bookmark, key) in bookmarks.iter().zip(&keys) {
        if key.is_empty() {
            continue;
        }
        let level = (base + bookmark.depth).min(6);
        let Some((index, whole)) = search(&marked, from, key, context) else { continue };
        found += 1;
        if whole {
            if let Element::Text(_, role) = &mut marked[index] {
                *role = Role::Heading(level);
            }
        } else if let Element::Text(paragraph, _) = &marked[index]
            && let Some((head, tail)) = split_off(paragraph, key.chars().count())
        {
            marked[index] = Element::Text(head, Role::Heading(level));
            marked.insert(index + 1, Element::Text(tail, Role::Body));
        }
        from = index + 1;
    }
    let good = found as f32 >= FOUND * bookmarks.len() as f32;
    if good {
        like_them(&mut marked, context);
        *elements = marked;
    }
    good
}

/// The next paragraph that is this title as a whole, or begins with it in a style of its own.
fn search(elements: &[Element], from: usize, key: &str, context: &Context<'_>) -> Option<(usize, bool)> {
    let mut opened = None;
    for (index, element) in elements.iter().enumerate().skip(from) {
        let Element::Text(paragraph, Role::Body | Role::Item(_) | Role::Heading(_)) = element else {
            continue;
        };
        let text = super::key(&paragraph.text(context.vocabulary));
        if text == key {
            return match opened {
                // A heading that opens a paragraph comes first, unless it is far.
                Some(first) if first + 1 < index => Some((first, false)),
                _ => Some((index, true)),
            };
        }
        let first = paragraph.lines[0].runs[0].style;
        if opened.is_none()
            && text.starts_with(key)
            && first != context.body
            && split_off(paragraph, key.chars().count()).is_some()
        {
            opened = Some(index);
        }
    }
    opened.map(|index| (index, false))
}

/// Paragraphs set like several headings of one level and like nothing else are headings too.
fn like_them(elements: &mut [Element], context: &Context<'_>) {
    let mut levels: Vec<(crate::pdf::library::Style, u8, usize)> = Vec::new();
    for element in elements.iter() {
        if let Element::Text(paragraph, Role::Heading(level @ 2..)) = element {
            let style = paragraph.style();
            match levels.iter_mut().find(|(s, l, _)| *s == style && l == level) {
                Some((_, _, count)) => *count += 1,
                None => levels.push((style, *level, 1)),
            }
        }
    }
    for element in elements.iter_mut() {
        let Element::Text(paragraph, role @ Role::Body) = element else { continue };
        let style = paragraph.style();
        let of_style: Vec<_> = levels.iter().filter(|(s, _, _)| *s == style).collect();
        if style != context.body
            && of_style.len() == 1
            && of_style[0].2 >= 3
            && super::typography::stands_alone(paragraph, context)
        {
            *role = Role::Heading(of_style[0].1);
        }
    }
}
