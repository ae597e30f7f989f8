//! What a page carries beside its text: running heads and feet, page numbers, notes in the outer margin.

use std::collections::HashMap;

use super::library::Page;
use super::line::{Line, vertical_overlap};

/// Share of the page's height above and below which heads and feet stand.
const MARGIN: f32 = 0.115;
/// Rows of a page's head or foot.
const ROWS: usize = 3;

/// Takes the furniture out of each page's lines. `pages[i]` are the lines of `frames[i]`.
pub(super) fn take(pages: &mut [Vec<Line>], frames: &[Page]) -> Vec<Vec<Line>> {
    let margins: Vec<Vec<usize>> =
        pages.iter().zip(frames).map(|(lines, page)| in_margins(lines, page)).collect();
    let mut seen: HashMap<String, Vec<(usize, f32)>> = HashMap::new();
    for (page, indices) in margins.iter().enumerate() {
        for &index in indices {
            let line = &pages[page][index];
            seen.entry(pattern(&line.text())).or_default().push((page, line.baseline));
        }
    }
    let needed = if frames.len() <= 4 { 2 } else { 3 };
    let repeats = |line: &Line| {
        seen.get(&pattern(&line.text())).is_some_and(|places| {
            let mut near: Vec<usize> = places
                .iter()
                .filter(|(_, y)| (y - line.baseline).abs() < 8.0)
                .map(|&(page, _)| page)
                .collect();
            near.dedup();
            near.len() >= needed
        })
    };
    let mut taken = Vec::new();
    for (page, indices) in margins.iter().enumerate() {
        let lines = &mut pages[page];
        let mut drop = vec![false; lines.len()];
        for &index in indices {
            drop[index] = repeats(&lines[index]) || in_row_with_number(lines, index, &frames[page]);
        }
        let mut kept = Vec::new();
        let mut gone = Vec::new();
        for (index, line) in std::mem::take(lines).into_iter().enumerate() {
            if drop[index] { gone.push(line) } else { kept.push(line) }
        }
        *lines = kept;
        gone.sort_by(|a, b| a.baseline.total_cmp(&b.baseline).then(a.area.x0.total_cmp(&b.area.x0)));
        taken.push(gone);
    }
    taken
}

/// Indices of the first and last rows of a page, as far as they lie in its margins.
fn in_margins(lines: &[Line], page: &Page) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|&a, &b| lines[a].baseline.total_cmp(&lines[b].baseline));
    let rows = |indices: &mut dyn Iterator<Item = usize>, inside: &dyn Fn(&Line) -> bool| {
        let (mut found, mut count, mut last) = (Vec::new(), 0, f32::NEG_INFINITY);
        for index in indices {
            let line = &lines[index];
            if (line.baseline - last).abs() > 3.0 {
                count += 1;
                last = line.baseline;
            }
            if count > ROWS || !inside(line) {
                break;
            }
            found.push(index);
        }
        found
    };
    let mut found = rows(&mut order.iter().copied(), &|line| line.area.y1 < MARGIN * page.height);
    found.extend(rows(&mut order.iter().rev().copied(), &|line| line.area.y0 > (1.0 - MARGIN) * page.height));
    found.sort_unstable();
    found.dedup();
    found
}

/// Text with every number as one sign, so that page 7 and page 12 look alike.
fn pattern(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        if !c.is_ascii_digit() {
            pattern.extend(c.to_lowercase());
        } else if !pattern.ends_with('#') {
            pattern.push('#');
        }
    }
    pattern
}

/// A row of its own at the edge of the page with the page's number at one end, or with where the file is from.
fn in_row_with_number(lines: &[Line], index: usize, page: &Page) -> bool {
    let line = &lines[index];
    let level = |other: &Line| vertical_overlap(other.area, line.area) > 0.5;
    let row: Vec<&Line> = lines.iter().filter(|other| level(other)).collect();
    let number = row.len() <= 3 && row.iter().any(|line| is_page_number(&line.text()));
    if !number && !names_its_source(&line.text()) {
        return false;
    }
    let top = line.baseline < page.height / 2.0;
    let outside = lines.iter().filter(|other| {
        !level(other) && if top { other.baseline < line.baseline } else { other.baseline > line.baseline }
    });
    let room = lines
        .iter()
        .filter(|other| !level(other))
        .map(|other| (other.baseline - line.baseline).abs())
        .fold(f32::INFINITY, f32::min);
    outside.count() <= 1 && room > 1.5 * line.size()
}

fn names_its_source(text: &str) -> bool {
    let text = text.to_lowercase();
    ["downloaded from ", "download date", "http://", "https://", "www."]
        .iter()
        .any(|sign| text.starts_with(sign))
}

fn is_page_number(text: &str) -> bool {
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    let roman = text.len() <= 7 && !text.is_empty() && text.chars().all(|c| "ivxlcIVXLC".contains(c));
    let mut words = text.split_whitespace();
    let page = words.next().is_some_and(|word| ["page", "seite"].contains(&word.to_lowercase().as_str()))
        && words.next().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()));
    digits || roman || page
}
