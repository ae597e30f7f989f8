//! Spans to lines: what stands on one baseline with no more than a word's room between.

use super::library::{Span, Style};
use crate::Area;

/// Wider room than this between two spans parts columns and cells, in ems.
pub(super) const COLUMN_GAP: f32 = 1.0;
/// The same within a table, where cells are put together again by column.
pub(super) const CELL_GAP: f32 = 0.5;
/// The same between two numbers.
const NUMBER_GAP: f32 = 0.55;
/// Narrower room than this is kerning within a word, in ems.
const WORD_GAP: f32 = 0.16;

/// A stretch of text in one style.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) text: String,
    pub(super) style: Style,
}

/// A line of one column, or a line within one cell of a table.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) page: u32,
    pub(super) area: Area,
    pub(super) baseline: f32,
    /// The style of most of its letters.
    pub(super) style: Style,
    pub(super) runs: Vec<Run>,
}

impl Line {
    pub(super) fn text(&self) -> String {
        self.runs.iter().map(|run| run.text.as_str()).collect()
    }

    pub(super) fn size(&self) -> f32 {
        self.style.size()
    }

    /// The share of the letters that are in the line's own face; raised and lowered figures do not count.
    pub(super) fn purity(&self) -> f32 {
        let letters = |run: &Run| run.text.chars().filter(|c| c.is_alphabetic()).count();
        let all: usize = self.runs.iter().map(letters).sum();
        let own: usize = self.runs.iter().filter(|run| run.style == self.style).map(letters).sum();
        if all == 0 { 1.0 } else { own as f32 / all as f32 }
    }

    /// The share of the letters that are about as large as most.
    pub(super) fn evenness(&self) -> f32 {
        let letters = |run: &Run| run.text.chars().filter(|c| c.is_alphabetic()).count();
        let all: usize = self.runs.iter().map(letters).sum();
        let alike = |run: &&Run| (run.style.size() - self.size()).abs() < 0.4;
        let own: usize = self.runs.iter().filter(alike).map(letters).sum();
        if all == 0 { 1.0 } else { own as f32 / all as f32 }
    }

    /// Appends another line of the same baseline, `gap` apart.
    pub(super) fn append(&mut self, right: Line, gap: &str) {
        if let Some(last) = self.runs.last_mut() {
            last.text.push_str(gap);
        }
        self.area = union(self.area, right.area);
        self.runs.extend(right.runs);
        self.style = dominant(&self.runs, self.style);
    }
}

/// The smallest rectangle around both.
pub(super) fn union(a: Area, b: Area) -> Area {
    Area { x0: a.x0.min(b.x0), y0: a.y0.min(b.y0), x1: a.x1.max(b.x1), y1: a.y1.max(b.y1) }
}

/// The share of the lower one's height that both have in common.
pub(super) fn vertical_overlap(a: Area, b: Area) -> f32 {
    let common = a.y1.min(b.y1) - a.y0.max(b.y0);
    let least = (a.y1 - a.y0).min(b.y1 - b.y0).max(0.1);
    (common / least).max(0.0)
}

struct Open {
    spans: Vec<Span>,
    x1: f32,
    /// The tallest span: others are raised or lowered against it.
    main: usize,
}

/// Lines of a page in no particular order, parted where the room is wider than `widest` ems. Turned text makes
/// lines of its own.
pub(super) fn lines(page: u32, spans: &[Span], widest: f32) -> Vec<Line> {
    let upright: Vec<Span> = spans.iter().filter(|span| !span.turned).flat_map(pieces).collect();
    let mut order: Vec<&Span> = upright.iter().collect();
    order.sort_by(|a, b| a.area.x0.total_cmp(&b.area.x0).then(a.baseline.total_cmp(&b.baseline)));
    let mut open: Vec<Open> = Vec::new();
    let mut done: Vec<Open> = Vec::new();
    for span in order {
        // What ended far to the left can grow no more.
        let edge = span.area.x0 - 200.0;
        let (old, live): (Vec<_>, Vec<_>) = open.into_iter().partition(|o| o.x1 < edge);
        done.extend(old);
        open = live;
        let fits = |candidate: &Open| {
            let main = &candidate.spans[candidate.main];
            let (a, b) = (main.style.size(), span.style.size());
            let (least, most) = (a.min(b), a.max(b));
            let rise = (main.baseline - span.baseline).abs();
            let gap = span.area.x0 - candidate.x1;
            let alike = most / least <= 2.0 || rise < 0.1 * least && !initial(span) && !initial(main);
            let level = rise <= 0.12 * most
                || (least < 0.9 * most && vertical_overlap(main.area, span.area) >= 0.5)
                || vertical_overlap(main.area, span.area) >= 0.75;
            let last = &candidate.spans[candidate.spans.len() - 1];
            let numbers = ends_number(&last.text) && begins_number(&span.text);
            let widest = if numbers { widest.min(NUMBER_GAP) } else { widest };
            (alike && level && gap <= widest * least.max(0.8 * most) && gap >= -0.6 * most)
                .then_some(rise + 0.05 * gap.abs())
        };
        let nearest = (0..open.len())
            .filter_map(|index| fits(&open[index]).map(|distance| (index, distance)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        match nearest {
            Some((index, _)) => {
                let line = &mut open[index];
                if span.style.size() > line.spans[line.main].style.size() * 1.05 {
                    line.main = line.spans.len();
                }
                line.x1 = line.x1.max(span.area.x1);
                line.spans.push(span.clone());
            }
            None => open.push(Open { x1: span.area.x1, main: 0, spans: vec![span.clone()] }),
        }
    }
    done.extend(open);
    set_initials(&mut done);
    let mut lines: Vec<Line> = done.into_iter().map(|open| close(page, open)).collect();
    lines.extend(
        spans
            .iter()
            .filter(|span| span.turned)
            .map(|span| close(page, Open { x1: span.area.x1, main: 0, spans: vec![span.clone()] })),
    );
    lines
}

/// A single letter, as a paragraph may begin with one that is several lines tall.
fn initial(span: &Span) -> bool {
    let mut letters = span.text.trim().chars();
    letters.next().is_some_and(char::is_uppercase) && letters.next().is_none()
}

/// Puts tall initials before the first of the lines beside them.
fn set_initials(lines: &mut Vec<Open>) {
    let alone = |line: &Open| line.spans.len() == 1 && initial(&line.spans[0]);
    let mut at = 0;
    while at < lines.len() {
        if !alone(&lines[at]) {
            at += 1;
            continue;
        }
        let letter = lines[at].spans[0].clone();
        let beside = |other: &Open| {
            let first = &other.spans[0];
            let gap = first.area.x0 - letter.area.x1;
            let middle = first.baseline - 0.3 * first.style.size();
            letter.style.size() > 2.0 * first.style.size()
                && (-2.0..first.style.size()).contains(&gap)
                && middle > letter.area.y0 - first.style.size()
                && middle < letter.area.y1
                && first.text.starts_with(char::is_alphabetic)
        };
        let first = (0..lines.len())
            .filter(|&other| other != at && beside(&lines[other]))
            .min_by(|&a, &b| lines[a].spans[0].baseline.total_cmp(&lines[b].spans[0].baseline));
        match first {
            Some(other) => {
                let line = &mut lines[other];
                let (area, style, baseline) =
                    (line.spans[0].area, line.spans[0].style, line.spans[0].baseline);
                let area = Area { x0: area.x0 - 0.1, x1: area.x0, ..area };
                line.spans.insert(0, Span { area, style, baseline, ..letter });
                line.main += 1;
                lines.remove(at);
            }
            None => at += 1,
        }
    }
}

fn ends_number(text: &str) -> bool {
    text.trim_end().ends_with(|c: char| c.is_ascii_digit() || c == '%')
}

fn begins_number(text: &str) -> bool {
    text.trim_start().starts_with(|c: char| c.is_ascii_digit() || "-−–$€£(".contains(c))
}

/// A span without runs of spaces: producers pad the cells of a table with them.
fn pieces(span: &Span) -> Vec<Span> {
    if !span.text.contains("   ") {
        return vec![span.clone()];
    }
    // A space is about half as wide as a figure.
    let width = |text: &str| text.chars().map(|c| if c == ' ' { 1.0 } else { 2.0 }).sum::<f32>();
    let whole = width(span.text.trim_end()).max(1.0);
    let unit = (span.area.x1 - span.area.x0) / whole;
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < span.text.len() {
        let rest = &span.text[at..];
        let skip = rest.len() - rest.trim_start_matches(' ').len();
        let rest = &rest[skip..];
        let length = rest.find("   ").unwrap_or(rest.len());
        if length > 0 {
            let mut piece = span.clone();
            piece.text = rest[..length].to_owned();
            piece.area.x0 = span.area.x0 + unit * width(&span.text[..at + skip]);
            piece.area.x1 = piece.area.x0 + unit * width(&piece.text);
            pieces.push(piece);
        }
        at += skip + length.max(1);
    }
    pieces
}

fn close(page: u32, open: Open) -> Line {
    let (baseline, main) = (open.spans[open.main].baseline, open.spans[open.main].style);
    let mut runs: Vec<Run> = Vec::new();
    let mut area = open.spans[0].area;
    let mut right = f32::NEG_INFINITY;
    for span in open.spans {
        area = union(area, span.area);
        let size = span.style.size().max(0.7 * main.size());
        let apart = span.area.x0 - right > WORD_GAP * size;
        right = right.max(span.area.x1);
        let mut text = span.text.replace(['\n', '\r', '\t', '\u{a0}'], " ");
        if let Some(last) = runs.last_mut() {
            let spaced = last.text.ends_with(' ') || text.starts_with(' ');
            if apart && !spaced {
                last.text.push(' ');
            } else if !spaced
                && last.text.ends_with(|c: char| c.is_ascii_digit())
                && text.starts_with(|c: char| c.is_ascii_digit() || "-−–+".contains(c))
            {
                // 10 to the fifth must not read as 105.
                let rise = baseline - span.baseline;
                if span.style.size() < 0.85 * main.size() && rise.abs() > 0.1 * main.size() {
                    text.insert(0, if rise > 0.0 { '^' } else { '_' });
                }
            }
            if last.style == span.style {
                last.text.push_str(&text);
                continue;
            }
        }
        runs.push(Run { text, style: span.style });
    }
    if let Some(first) = runs.first_mut() {
        first.text = first.text.trim_start().to_owned();
    }
    if let Some(last) = runs.last_mut() {
        last.text = last.text.trim_end().to_owned();
    }
    let style = dominant(&runs, main);
    Line { page, area, baseline, style, runs }
}

/// The style of most letters, or of most characters where there are no letters.
pub(super) fn dominant(runs: &[Run], otherwise: Style) -> Style {
    let mut counts: Vec<(Style, usize)> = Vec::new();
    for run in runs {
        let letters = run.text.chars().filter(|c| c.is_alphabetic()).count() * 16;
        let weight = letters + run.text.chars().filter(|c| !c.is_whitespace()).count();
        match counts.iter_mut().find(|(style, _)| *style == run.style) {
            Some((_, count)) => *count += weight,
            None => counts.push((run.style, weight)),
        }
    }
    let mut best = (otherwise, 0);
    for (style, count) in counts {
        if count > best.1 {
            best = (style, count);
        }
    }
    best.0
}
