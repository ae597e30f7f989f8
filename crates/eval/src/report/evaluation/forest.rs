//! All differences as one picture: a panel per metric with one scale, a row per task and pair of runs.

use crate::comparison::{Difference, Direction, Metric, Paired, RunsComparison, Verdict};
use crate::report::forest::{capitalized, round_up};
use minijinja::HtmlEscape;
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEAD: f64 = 44.0;
const ROW: f64 = 26.0;
const FOOT: f64 = 40.0;
/// Left and right end of the scale, and the zero line between them.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 640.0;
const ZERO: f64 = (LEFT + RIGHT) / 2.0;
/// Characters of a row's name that fit.
const NAME: usize = 42;

/// The picture as an `svg` element without fixed size; `None` without differences.
pub(super) fn forest(comparison: &RunsComparison) -> Option<String> {
    let panel = |metric: Metric| -> Vec<&Difference> {
        comparison.differences.iter().filter(|difference| difference.paired.metric == metric).collect()
    };
    let panels: Vec<(Metric, Vec<&Difference>)> = Metric::ALL
        .into_iter()
        .map(|metric| (metric, panel(metric)))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    let height: f64 = panels.iter().map(|(_, rows)| HEAD + ROW * rows.len() as f64 + FOOT).sum();
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Differences between runs\">"
    );
    let several = comparison.tasks().len() > 1;
    let one_base = comparison.changes.iter().all(|pair| pair.base == comparison.changes[0].base);
    let mut top = 0.0;
    for (metric, rows) in &panels {
        let name = |difference: &Difference| {
            let run = match one_base {
                true => difference.run.clone(),
                false => format!("{} − {}", difference.run, difference.base),
            };
            if several { format!("{} · {run}", difference.task) } else { run }
        };
        top = draw(&mut svg, top, *metric, rows, &name);
    }
    svg.push_str("</svg>");
    (!panels.is_empty()).then_some(svg)
}

/// One metric; returns where the next one begins.
fn draw(
    svg: &mut String,
    top: f64,
    metric: Metric,
    rows: &[&Difference],
    name: &dyn Fn(&Difference) -> String,
) -> f64 {
    let ends = |paired: &Paired| [paired.low, paired.high].map(|end| end.unwrap_or(paired.difference));
    let reach =
        rows.iter().flat_map(|row| ends(&row.paired)).fold(0.0, |reach: f64, end| reach.max(end.abs()));
    let tick = round_up(reach);
    let direction = if metric.lower_is_better() { -1.0 } else { 1.0 };
    let x = |value: f64| ZERO + direction * value / (tick * 1.12) * (RIGHT - ZERO);
    let better = match metric.direction() {
        Direction::Neither => "higher ▸",
        Direction::Higher | Direction::Lower => "better ▸",
    };
    let axis = top + HEAD + ROW * rows.len() as f64;
    let _ = write!(
        svg,
        "<text x=\"0\" y=\"{y}\" class=\"name\">{}</text><text x=\"{LEFT}\" y=\"{y}\" class=\"hint\">{}</text>\
         <text x=\"{RIGHT}\" y=\"{y}\" class=\"hint end\">{better}</text>\
         <line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{axis}\" y2=\"{axis}\" class=\"axis\"/>\
         <line x1=\"{ZERO}\" x2=\"{ZERO}\" y1=\"{}\" y2=\"{axis}\" class=\"zero\"/>",
        capitalized(metric.name()),
        metric.unit(),
        top + HEAD - 12.0,
        y = top + HEAD - 20.0,
    );
    for value in [-tick, 0.0, tick] {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" class=\"tick\">{}</text>",
            x(value),
            axis + 16.0,
            metric.format_bare_difference(value)
        );
    }
    for (index, row) in rows.iter().enumerate() {
        let y = top + HEAD + ROW * (index as f64 + 0.5);
        let [low, high] = ends(&row.paired).map(x);
        let class = match row.paired.verdict {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Higher | Verdict::Lower | Verdict::NotDistinguishable => "open",
        };
        let _ = write!(
            svg,
            "<text x=\"0\" y=\"{text}\" class=\"row\">{}</text><g class=\"{class}\">\
             <line x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{y}\" y2=\"{y}\" class=\"whisker\"/>\
             <circle cx=\"{:.1}\" cy=\"{y}\" r=\"5\" class=\"dot\"/></g>\
             <text x=\"660\" y=\"{text}\" class=\"number\">{}</text>",
            HtmlEscape(&shortened(&name(row))),
            x(row.paired.difference),
            row.paired.change(),
            text = y + 4.5,
        );
    }
    axis + FOOT
}

/// A name that fits, its middle left out where it is too long.
fn shortened(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= NAME {
        return name.to_string();
    }
    let half = NAME / 2 - 1;
    let ends = [&letters[..half], &['…'], &letters[letters.len() - half..]];
    ends.concat().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_ends() {
        let name = format!("a{}z", "x".repeat(90));
        let short = shortened(&name);
        assert!(short.starts_with('a') && short.ends_with('z') && short.chars().count() <= NAME);
        assert_eq!(shortened("medqa · tuned"), "medqa · tuned");
    }
}
