//! The comparison as a picture: one row per metric, its difference and interval against a zero line.
//!
//! The metrics have different units: each row has a scale of its own, turned so that better is always to the right.

use crate::comparison::{Paired, Verdict};
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const ROW: f64 = 68.0;
const TOP: f64 = 34.0;
/// Left and right end of the scales, and the zero line between them.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 650.0;
const ZERO: f64 = (LEFT + RIGHT) / 2.0;

/// The picture as an `svg` element without fixed size; `None` without metrics.
pub(super) fn forest(paired: &[Paired]) -> Option<String> {
    if paired.is_empty() {
        return None;
    }
    let height = TOP + ROW * paired.len() as f64 + 6.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Difference between tuned and base\">\
         <text x=\"{LEFT}\" y=\"18\" class=\"hint\">◂ base is better</text>\
         <text x=\"{RIGHT}\" y=\"18\" class=\"hint end\">tuned is better ▸</text>"
    );
    for (index, paired) in paired.iter().enumerate() {
        row(&mut svg, TOP + ROW * index as f64, paired);
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// One metric: its name, its scale with three ticks, its interval, its numbers.
fn row(svg: &mut String, top: f64, paired: &Paired) {
    let metric = paired.metric;
    let direction = if metric.lower_is_better() { -1.0 } else { 1.0 };
    let ends = [paired.low, paired.high].map(|end| end.unwrap_or(paired.difference));
    let reach = ends.iter().fold(paired.difference.abs(), |reach, end| reach.max(end.abs()));
    let tick = round_up(reach);
    let x = |value: f64| ZERO + direction * value / (tick * 1.12) * (RIGHT - ZERO);
    let (middle, axis) = (top + 20.0, top + 42.0);
    let class = match paired.verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Higher | Verdict::Lower | Verdict::NotDistinguishable => "open",
    };
    let _ = write!(
        svg,
        "<text x=\"0\" y=\"{middle}\" class=\"name\">{}</text><text x=\"0\" y=\"{}\" class=\"hint\">{}</text>\
         <line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{axis}\" y2=\"{axis}\" class=\"axis\"/>",
        capitalized(metric.name()),
        middle + 17.0,
        metric.unit(),
    );
    let _ = write!(
        svg,
        "<line x1=\"{ZERO}\" x2=\"{ZERO}\" y1=\"{}\" y2=\"{axis}\" class=\"zero\"/>",
        axis - 46.0
    );
    for value in [-tick, 0.0, tick] {
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{axis}\" y2=\"{}\" class=\"axis\"/>\
             <text x=\"{x:.1}\" y=\"{}\" class=\"tick\">{}</text>",
            axis + 4.0,
            axis + 15.0,
            metric.format_bare_difference(value),
            x = x(value),
        );
    }
    let (low, high, at) = (x(ends[0]), x(ends[1]), x(paired.difference));
    let _ = write!(
        svg,
        "<g class=\"{class}\"><line x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{y}\" y2=\"{y}\" class=\"whisker\"/>\
         <line x1=\"{low:.1}\" x2=\"{low:.1}\" y1=\"{}\" y2=\"{}\" class=\"whisker\"/>\
         <line x1=\"{high:.1}\" x2=\"{high:.1}\" y1=\"{}\" y2=\"{}\" class=\"whisker\"/>\
         <circle cx=\"{at:.1}\" cy=\"{y}\" r=\"6.5\" class=\"dot\"/>\
         <text x=\"675\" y=\"{}\" class=\"value\">{}</text><text x=\"675\" y=\"{}\" class=\"result\">{}</text></g>",
        middle - 10.0,
        middle,
        middle - 10.0,
        middle,
        middle,
        paired.change(),
        middle + 18.0,
        paired.verdict.name(),
        y = middle - 5.0,
    );
}

/// The next of 1, 2, 3, 5, 8 × 10ⁿ; 0.01 for nothing at all.
pub(super) fn round_up(reach: f64) -> f64 {
    if reach <= 0.0 || !reach.is_finite() {
        return 0.01;
    }
    let power = 10f64.powf(reach.log10().floor());
    let steps = [1.0, 2.0, 3.0, 5.0, 8.0, 10.0];
    power * steps.into_iter().find(|step| step * power >= reach * 0.999).unwrap_or(10.0)
}

/// The first letter as a capital, unless the name has capitals of its own, as chrF.
pub(super) fn capitalized(name: &str) -> String {
    if name.contains(char::is_uppercase) {
        return name.to_string();
    }
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_on_round_numbers() {
        for (reach, end) in [(0.034, 0.05), (0.51, 0.8), (0.2, 0.2), (9.1, 10.0), (0.0, 0.01)] {
            assert!((round_up(reach) - end).abs() < 1e-12, "{reach}");
        }
    }
}
