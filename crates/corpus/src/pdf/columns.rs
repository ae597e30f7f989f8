//! Reading order: which lines make a column, and which column is read first.
//!
//! A gutter is an upright strip that no line crosses between lines that face each other. Lines that do cross it
//! (titles, wide tables) part the page into bands; within a band the left side is read before the right one.

use super::line::vertical_overlap;
use crate::Area;

/// Something with a place: a line, or a table as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) area: Area,
    /// Height of its letters.
    pub(super) size: f32,
    /// Number of characters; a table counts as none.
    pub(super) length: usize,
}

/// Narrowest gutter in ems.
const GUTTER: f32 = 0.75;
/// A column of text has at least so many characters to a line; shorter ones are cells and labels.
const TEXT: f32 = 14.0;
const DEEPEST: u8 = 6;

/// Columns in reading order; each holds indices of `pieces` from top to bottom.
pub(super) fn columns(pieces: &[Piece]) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    part(pieces, (0..pieces.len()).collect(), 0, &mut found);
    found
}

fn part(pieces: &[Piece], mut set: Vec<usize>, depth: u8, found: &mut Vec<Vec<usize>>) {
    if set.is_empty() {
        return;
    }
    sort(pieces, &mut set);
    let gutter = if depth < DEEPEST { gutter(pieces, &set) } else { None };
    let Some(gutter) = gutter else {
        found.push(set);
        return;
    };
    let bands = bands(pieces, &set, &gutter);
    if bands.len() == 1 && !bands[0].0 {
        found.push(set);
        return;
    }
    let middle = (gutter.left + gutter.right) / 2.0;
    for (parted, band) in bands {
        if !parted {
            // What crosses this gutter, or has nothing beside it here, may have another one.
            part(pieces, band, depth + 1, found);
            continue;
        }
        let (first, second): (Vec<_>, Vec<_>) = band.into_iter().partition(|&index| {
            let area = pieces[index].area;
            (area.x0 + area.x1) / 2.0 < middle
        });
        part(pieces, first, depth + 1, found);
        part(pieces, second, depth + 1, found);
    }
}

/// From top to bottom, stretches that the gutter parts, and stretches that it does not.
fn bands(pieces: &[Piece], set: &[usize], gutter: &Gutter) -> Vec<(bool, Vec<usize>)> {
    let crosses = |index: usize| pieces[index].area.x0 < gutter.left && pieces[index].area.x1 > gutter.right;
    let mut runs: Vec<(bool, Vec<usize>)> = Vec::new();
    for (at, &index) in set.iter().enumerate() {
        let above = runs.last().filter(|(free, _)| !*free).and_then(|(_, run)| run.last());
        let wide = crosses(index)
            || above.is_some_and(|&above| continues(pieces, above, index) && alone(pieces, set, at));
        match runs.last_mut() {
            Some((free, run)) if *free != wide => run.push(index),
            _ => runs.push((!wide, vec![index])),
        }
    }
    let mut bands: Vec<(bool, Vec<usize>)> = Vec::new();
    for (free, run) in runs {
        // Lines that face each other over the gutter make columns of it.
        let parted = free && gutter.facing.iter().any(|(a, b)| run.contains(a) && run.contains(b));
        match bands.last_mut() {
            Some((false, band)) if !parted => band.extend(run),
            _ => bands.push((parted, run)),
        }
    }
    bands
}

/// The short last line of a paragraph as wide as the page.
fn continues(pieces: &[Piece], above: usize, below: usize) -> bool {
    let (a, b) = (&pieces[above], &pieces[below]);
    let same = (a.size - b.size).abs() < 0.3 && (a.area.x0 - b.area.x0).abs() < 2.0;
    same && b.length > 0 && b.area.y1 - a.area.y1 < 1.45 * a.size.max(b.size)
}

/// Whether nothing stands beside the piece at `at`.
fn alone(pieces: &[Piece], set: &[usize], at: usize) -> bool {
    let own = pieces[set[at]].area;
    let near = at.saturating_sub(12)..(at + 12).min(set.len());
    !set[near].iter().any(|&other| other != set[at] && vertical_overlap(pieces[other].area, own) > 0.3)
}

fn sort(pieces: &[Piece], set: &mut [usize]) {
    set.sort_by(|&a, &b| {
        let (a, b) = (pieces[a].area, pieces[b].area);
        a.y1.total_cmp(&b.y1).then(a.x0.total_cmp(&b.x0))
    });
}

struct Gutter {
    left: f32,
    right: f32,
    /// Lines with nothing but the gutter between them.
    facing: Vec<(usize, usize)>,
}

/// The strip with most facing lines of text.
fn gutter(pieces: &[Piece], set: &[usize]) -> Option<Gutter> {
    let mut facing: Vec<(f32, f32)> = Vec::new();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (at, &a) in set.iter().enumerate() {
        let left = &pieces[a];
        // `set` is sorted by the lower edge: what faces a line stands near it in the order.
        let mut nearest: Option<(f32, usize)> = None;
        for &b in set[..at].iter().rev().take(40).chain(set[at + 1..].iter().take(40)) {
            let right = &pieces[b];
            let beside = right.area.x0 > left.area.x1 && vertical_overlap(left.area, right.area) > 0.3;
            if beside && nearest.is_none_or(|(x, _)| right.area.x0 < x) {
                nearest = Some((right.area.x0, b));
            }
        }
        if let Some((x, b)) = nearest
            && x - left.area.x1 >= GUTTER * left.size.min(14.0)
            && left.length > 0
        {
            facing.push((left.area.x1, x));
            pairs.push((a, b));
        }
    }
    let (x, votes) = most_covered(&facing)?;
    if votes < 2 {
        return None;
    }
    let over = |&(a, b): &(f32, f32)| a < x && x < b;
    let inside: Vec<(f32, f32)> = facing.iter().copied().filter(over).collect();
    let pairs = pairs.into_iter().zip(&facing).filter(|(_, gap)| over(gap)).map(|(pair, _)| pair);
    let mut lefts: Vec<f32> = inside.iter().map(|gap| gap.0).collect();
    let mut rights: Vec<f32> = inside.iter().map(|gap| gap.1).collect();
    lefts.sort_by(f32::total_cmp);
    rights.sort_by(f32::total_cmp);
    // Most lines keep to their side; a few that stick out do not narrow the strip to nothing.
    let (l, r) = (lefts[lefts.len() * 9 / 10], rights[rights.len() / 10]);
    let (left, right) = if l < r { (l.min(x), r.max(x)) } else { (x - 0.5, x + 0.5) };
    let found = Gutter { left, right, facing: pairs.collect() };
    text_on_both_sides(pieces, set, (left, right)).then_some(found)
}

fn text_on_both_sides(pieces: &[Piece], set: &[usize], (l, r): (f32, f32)) -> bool {
    let middle = (l + r) / 2.0;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for &index in set {
        let piece = &pieces[index];
        if piece.area.x0 < l && piece.area.x1 > r || piece.length == 0 {
            continue;
        }
        let side = if (piece.area.x0 + piece.area.x1) / 2.0 < middle { &mut left } else { &mut right };
        side.push(piece);
    }
    let mean = |side: &[&Piece]| {
        side.iter().map(|piece| piece.length as f32).sum::<f32>() / side.len().max(1) as f32
    };
    left.len() >= 2 && right.len() >= 2 && mean(&left) >= TEXT && mean(&right) >= TEXT
}

/// Where most intervals overlap, and how many do.
fn most_covered(intervals: &[(f32, f32)]) -> Option<(f32, usize)> {
    let mut events: Vec<(f32, i32)> = intervals.iter().flat_map(|&(a, b)| [(a, 1), (b, -1)]).collect();
    events.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut open, mut best) = (0, None);
    for (at, &(x, step)) in events.iter().enumerate() {
        open += step;
        if step > 0 && best.is_none_or(|(_, most)| open > most) {
            let next = events.get(at + 1).map_or(x, |event| event.0);
            best = Some(((x + next) / 2.0, open));
        }
    }
    best.map(|(x, votes)| (x, votes as usize))
}
