//! Lines to paragraphs, over the ends of columns and pages.

use super::library::Style;
use super::line::{Line, Run, union};
use super::list;
use crate::hyphen::{self, Vocabulary};
use crate::{Area, Place};

/// Lines that are read together.
#[derive(Debug, Clone)]
pub(super) struct Paragraph {
    pub(super) lines: Vec<Line>,
    /// Left and right edge of the column in which it began.
    pub(super) column: (f32, f32),
    /// Room above its first line, in multiples of its size; large at the top of a column.
    pub(super) room: f32,
}

impl Paragraph {
    pub(super) fn text(&self, vocabulary: &Vocabulary) -> String {
        let mut text = String::new();
        for line in &self.lines {
            hyphen::append(&mut text, &line.text(), vocabulary);
        }
        hyphen::finish(&mut text);
        collapse(&text)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.lines.iter().flat_map(|line| &line.runs)
    }

    /// The style of most of its letters.
    pub(super) fn style(&self) -> Style {
        let runs: Vec<Run> = self.runs().cloned().collect();
        super::line::dominant(&runs, self.lines[0].style)
    }

    pub(super) fn purity(&self) -> f32 {
        let style = self.style();
        let letters = |run: &Run| run.text.chars().filter(|c| c.is_alphabetic()).count();
        let all: usize = self.runs().map(letters).sum();
        let own: usize = self.runs().filter(|run| run.style == style).map(letters).sum();
        if all == 0 { 1.0 } else { own as f32 / all as f32 }
    }
}

/// One place for each stretch of lines on one page and in one column.
pub(super) fn places(lines: &[Line]) -> Vec<Place> {
    let mut places: Vec<(u32, Area)> = Vec::new();
    for line in lines {
        match places.last_mut() {
            Some((page, area))
                if *page == line.page
                    && line.area.y1 > area.y0
                    && line.area.x0 < area.x1
                    && line.area.x1 > area.x0 =>
            {
                *area = union(*area, line.area);
            }
            _ => places.push((line.page, line.area)),
        }
    }
    places.into_iter().map(|(page, area)| Place { page, area: Some(area) }).collect()
}

pub(super) fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Paragraphs of one column from its lines, top to bottom. `leading` is the usual distance of baselines in ems.
pub(super) fn of_column(lines: Vec<Line>, leading: f32) -> Vec<Paragraph> {
    let left = edge(&lines, |line| line.area.x0, f32::min);
    let right = lines.iter().map(|line| line.area.x1).fold(0.0, f32::max);
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    let mut room = f32::INFINITY;
    for line in lines {
        let begins = match paragraphs.last() {
            None => true,
            Some(last) => {
                let above = &last.lines[last.lines.len() - 1];
                room = (line.baseline - above.baseline) / line.size().max(1.0);
                parts(last, &line, (left, right), leading)
            }
        };
        if begins {
            paragraphs.push(Paragraph { lines: vec![line], column: (left, right), room });
        } else if let Some(last) = paragraphs.last_mut() {
            last.lines.push(line);
        }
    }
    paragraphs
}

/// The most frequent left edge, to the point; ties go to `choose`.
fn edge(lines: &[Line], of: impl Fn(&Line) -> f32, choose: fn(f32, f32) -> f32) -> f32 {
    let mut counts: Vec<(f32, usize)> = Vec::new();
    for line in lines {
        let (x, known) = (of(line), counts.len());
        match counts.iter_mut().find(|(y, _)| (*y - x).abs() < 1.5) {
            Some((_, count)) => *count += 1,
            None if known < 256 => counts.push((x, 1)),
            None => {}
        }
    }
    let most = counts.iter().map(|c| c.1).max().unwrap_or(0);
    counts.iter().filter(|c| c.1 * 2 > most).map(|c| c.0).reduce(choose).unwrap_or(0.0)
}

/// Whether `line` begins a paragraph of its own below `last`.
fn parts(last: &Paragraph, line: &Line, (left, right): (f32, f32), leading: f32) -> bool {
    let above = &last.lines[last.lines.len() - 1];
    let size = above.size().max(1.0);
    let pitch = (line.baseline - above.baseline) / size.max(line.size());
    if pitch > 1.3 * leading.max(1.0) + 0.12 || pitch < -0.5 {
        return true;
    }
    let text = line.text();
    let ended = fits(above, &text, right) || ends_sentence(&above.text());
    if (line.size() - above.size()).abs() > 0.6 && line.evenness() > 0.6 && above.evenness() > 0.6 {
        return true;
    }
    let other_face = line.style != above.style && line.purity() > 0.9 && above.purity() > 0.9;
    if other_face
        && (fits(above, &text, right) || pitch > 1.1 * leading || line.style.bold != above.style.bold)
    {
        return true;
    }
    if ends_sentence(&above.text()) && opens_in_other_face(line, above) {
        return true;
    }
    let em = line.size();
    let indent = line.area.x0 - above.area.x0;
    let first = last.lines.len() == 1;
    if list::marker(&text).is_some() {
        let hanging = list::marker(&last.lines[0].text()).is_some()
            && (line.area.x0 - last.lines[0].area.x0).abs() < 0.6 * em;
        return hanging || ended && (fits(above, &text, right) || indent.abs() > 0.5 * em);
    }
    if list::marker(&last.lines[0].text()).is_some() {
        // Back at the margin, left of the item's text: the list is over.
        return line.area.x0 < last.lines[0].area.x0 - 0.5 * em
            || !first && indent < -0.6 * em && ended
            || first && indent < 0.3 * em && fits(above, &text, right);
    }
    if indent > 0.6 * em && indent < 5.0 * em && (above.area.x0 - left) < 0.5 * em && ended {
        return true;
    }
    if !first && indent < -0.6 * em && last.lines[last.lines.len() - 2].area.x0 > line.area.x0 + 0.6 * em {
        // A block set in from the margin ends.
        return ended;
    }
    ends_sentence(&above.text()) && fits(above, &text, right) && above.area.x1 < right - 1.5 * em
}

/// Whether a line begins with some words in a face that neither its rest nor the line above has: a heading that
/// opens a paragraph.
fn opens_in_other_face(line: &Line, above: &Line) -> bool {
    let [first, .., last] = line.runs.as_slice() else { return false };
    let text = first.text.trim_end();
    first.style != line.style
        && first.style != last.style
        && above.runs.last().is_some_and(|run| run.style.font != first.style.font)
        && text.ends_with(':')
        && text.starts_with(char::is_uppercase)
        && text.chars().count() > 4
}

/// Whether the first word of the next line had room at the end of this one: the break was wanted.
fn fits(above: &Line, next: &str, right: f32) -> bool {
    let word = next.split_whitespace().next().map_or(0, |word| word.chars().count());
    let width = above.area.x1 - above.area.x0;
    let letter = width / above.text().chars().count().max(1) as f32;
    above.area.x1 + (word as f32 + 1.0) * letter + 0.5 * above.size() < right
}

pub(super) fn ends_sentence(text: &str) -> bool {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || "\"”’')]»".contains(c));
    text.ends_with(['.', '!', '?', ':', ';'])
}

/// Whether a paragraph goes on in the next column: it did not end, and what comes does not begin.
pub(super) fn goes_on(open: &Paragraph, next: &Paragraph) -> bool {
    let (last, first) = (open.lines[open.lines.len() - 1].text(), next.lines[0].text());
    let (a, b) = (open.style(), next.style());
    if (a.size() - b.size()).abs() > 0.6 || a.bold != b.bold || list::marker(&first).is_some() {
        return false;
    }
    let lower = first.chars().next().is_some_and(|c| c.is_lowercase() || ")],;".contains(c));
    !ends_sentence(&last) || lower && last.ends_with('.') && next.lines.len() > 1 && abbreviates(&last)
}

fn abbreviates(text: &str) -> bool {
    ["al.", "e.g.", "i.e.", "vs.", "Fig.", "No.", "z. B.", "bzw.", "cf."]
        .iter()
        .any(|end| text.ends_with(end))
}
