//! Headings that the file's own bookmarks name.

use super::{Context, key, split_off};
use crate::pdf::element::{Element, Role};
use crate::pdf::library::{Bookmark, Style};

/// Bookmarks that do not name headings (`Figure 2`, `Section_1`) must be in the minority.
const FOUND: f32 = 0.7;
const FEWEST: usize = 3;
/// Places at which one bookmark is looked for.
const MOST_PLACES: usize = 32;

/// A paragraph that is a bookmark's title, or begins with it in a style of its own.
#[derive(Debug, Clone, Copy)]
struct Match {
    bookmark: usize,
    element: usize,
    whole: bool,
}

/// Whether the outline was good enough; then the headings are marked.
pub(super) fn mark(elements: &mut Vec<Element>, bookmarks: &[Bookmark], context: &Context<'_>) -> bool {
    if bookmarks.len() < FEWEST {
        return false;
    }
    let keys: Vec<String> = bookmarks.iter().map(|bookmark| key(&bookmark.title)).collect();
    let matches = in_order(candidates(elements, &keys, context));
    if (matches.len() as f32) < FOUND * bookmarks.len() as f32 {
        return false;
    }
    // The title of the paper at the top of the outline, with everything below it, or no title at all.
    let titled = elements.iter().find_map(|element| match element {
        Element::Text(p, Role::Heading(1)) => Some(key(&p.text(context.vocabulary))),
        _ => None,
    });
    let rooted = titled.as_ref().is_some_and(|title| keys.first() == Some(title));
    let base = if rooted || titled.is_none() { 1 } else { 2 };
    for found in matches.iter().rev() {
        let level = (base + bookmarks[found.bookmark].depth).min(6);
        let Element::Text(paragraph, role) = &mut elements[found.element] else { continue };
        if found.whole {
            *role = Role::Heading(level);
        } else if let Some((head, tail)) = split_off(paragraph, keys[found.bookmark].chars().count()) {
            elements[found.element] = Element::Text(head, Role::Heading(level));
            elements.insert(found.element + 1, Element::Text(tail, Role::Body));
        }
    }
    like_them(elements, context);
    true
}

/// All places of all bookmarks, ordered by element and then by bookmark.
fn candidates(elements: &[Element], keys: &[String], context: &Context<'_>) -> Vec<Match> {
    let mut counts = vec![0; keys.len()];
    let mut found = Vec::new();
    for (element, part) in elements.iter().enumerate() {
        let Element::Text(paragraph, Role::Body | Role::Heading(_)) = part else { continue };
        let text = key(&paragraph.text(context.vocabulary));
        let own_face = paragraph.lines[0].runs[0].style != context.body;
        for (bookmark, key) in keys.iter().enumerate() {
            if key.is_empty() || counts[bookmark] >= MOST_PLACES || !text.starts_with(key.as_str()) {
                continue;
            }
            let whole = text.len() == key.len();
            if whole || own_face && split_off(paragraph, key.chars().count()).is_some() {
                counts[bookmark] += 1;
                found.push(Match { bookmark, element, whole });
            }
        }
    }
    found
}

/// The longest chain in which both bookmarks and elements go forward.
fn in_order(candidates: Vec<Match>) -> Vec<Match> {
    let mut length = vec![1_usize; candidates.len()];
    let mut before: Vec<Option<usize>> = vec![None; candidates.len()];
    for at in 0..candidates.len() {
        for earlier in 0..at {
            let forward = candidates[earlier].element < candidates[at].element
                && candidates[earlier].bookmark < candidates[at].bookmark;
            if forward && length[earlier] + 1 > length[at] {
                length[at] = length[earlier] + 1;
                before[at] = Some(earlier);
            }
        }
    }
    let mut at = (0..candidates.len()).max_by_key(|&at| (length[at], std::cmp::Reverse(at)));
    let mut chain = Vec::new();
    while let Some(index) = at {
        chain.push(candidates[index]);
        at = before[index];
    }
    chain.reverse();
    chain
}

/// Paragraphs set like several headings of one level and like nothing else are headings too.
fn like_them(elements: &mut [Element], context: &Context<'_>) {
    let mut levels: Vec<(Style, u8, usize)> = Vec::new();
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
