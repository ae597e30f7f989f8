//! Lines over two axes with round numbers, drawn as an `svg` element that takes the page's colours.

use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 340.0;
/// The field that the lines are drawn in.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 884.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 284.0;
/// About so many intervals between the ticks of an axis.
const INTERVALS: f64 = 6.0;

/// A chart without its lines.
#[derive(Debug)]
pub(super) struct LineChart<'a> {
    /// What the picture shows, for those who cannot see it.
    pub(super) title: &'a str,
    /// Name and unit of the horizontal axis.
    pub(super) x: &'a str,
    /// Name and unit of the vertical axis.
    pub(super) y: &'a str,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    /// Its points, from left to right; those that are not finite are left out.
    pub(super) points: Vec<(f64, f64)>,
    /// A colour of CSS.
    pub(super) colour: &'static str,
    /// Its width.
    pub(super) width: f64,
    /// Whether each point is marked.
    pub(super) dots: bool,
}

impl LineChart<'_> {
    /// The picture, without fixed size; `None` where no line has a point.
    pub(super) fn draw(&self, mut lines: Vec<Line>) -> Option<String> {
        for line in &mut lines {
            line.points.retain(|(x, y)| x.is_finite() && y.is_finite());
        }
        let values = |of: fn(&(f64, f64)) -> f64| lines.iter().flat_map(|l| &l.points).map(of);
        let (across, up) = (Axis::over(values(|p| p.0))?, Axis::over(values(|p| p.1))?);
        let x = |value: f64| LEFT + across.share(value) * (RIGHT - LEFT);
        let y = |value: f64| BOTTOM - up.share(value) * (BOTTOM - TOP);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\
             <line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{BOTTOM}\" y2=\"{BOTTOM}\" class=\"axis\"/>",
            self.title
        );
        for value in across.ticks() {
            let _ = write!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{BOTTOM}\" y2=\"{}\" class=\"axis\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" class=\"tick\">{}</text>",
                BOTTOM + 4.0,
                BOTTOM + 18.0,
                across.written(value),
                x = x(value),
            );
        }
        for value in up.ticks() {
            let _ = write!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"var(--grid)\"/>\
                 <text x=\"{}\" y=\"{:.1}\" class=\"hint end\">{}</text>",
                LEFT - 8.0,
                y(value) + 4.0,
                up.written(value),
                y = y(value),
            );
        }
        let (middle, centre) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
        let _ = write!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" class=\"tick\">{}</text>\
             <text x=\"16\" y=\"{centre}\" class=\"tick\" transform=\"rotate(-90 16 {centre})\">{}</text>",
            HEIGHT - 12.0,
            self.x,
            self.y
        );
        for line in &lines {
            let path: Vec<String> =
                line.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
            let _ = write!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" \
                 stroke-linejoin=\"round\"/>",
                path.join(" "),
                line.colour,
                line.width
            );
            for point in line.points.iter().filter(|_| line.dots) {
                let (x, y) = (x(point.0), y(point.1));
                let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{}\"/>", line.colour);
            }
        }
        svg.push_str("</svg>");
        Some(svg)
    }
}

/// From `low` to `high` in steps of a round number.
#[derive(Debug)]
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// The axis that shows all `values`; `None` without any.
    fn over(values: impl Iterator<Item = f64>) -> Option<Self> {
        let ends = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        if low > high {
            return None;
        }
        // A single value stands in the middle of something.
        let room = if high > low { 0.0 } else { low.abs().max(1.0) * 0.1 };
        let (low, high) = (low - room, high + room);
        let step = round_step((high - low) / INTERVALS);
        Some(Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step })
    }

    /// How far along the axis `value` lies, 0 to 1.
    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count).map(|i| self.low + self.step * i as f64)
    }

    /// With as many decimals as the step has.
    fn written(&self, value: f64) -> String {
        let decimals = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        let text = format!("{value:.decimals$}");
        if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') { "0".into() } else { text }
    }
}

/// The next of 1, 2, 5 × 10ⁿ.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= least * 0.999);
    power * factor.unwrap_or(10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)]) -> Option<String> {
        let line = Line { points: points.to_vec(), colour: "red", width: 1.0, dots: false };
        LineChart { title: "Loss", x: "step", y: "nats" }.draw(vec![line])
    }

    #[test]
    fn an_axis_ends_on_round_numbers_and_holds_every_value() {
        let axis = Axis::over([1.47, 3.92].into_iter()).unwrap();
        assert_eq!((axis.low, axis.high, axis.step), (1.0, 4.0, 0.5));
        let written: Vec<String> = axis.ticks().map(|t| axis.written(t)).collect();
        assert_eq!(written, ["1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0"]);
        let steps = Axis::over([1.0, 240.0].into_iter()).unwrap();
        assert_eq!((steps.low, steps.high, steps.step), (0.0, 250.0, 50.0));
        assert_eq!(steps.written(0.0), "0");
    }

    #[test]
    fn the_lowest_value_is_drawn_lowest_and_the_last_one_rightmost() {
        let svg = chart(&[(0.0, 4.0), (10.0, 1.0)]).unwrap();
        assert!(svg.contains(&format!("{LEFT:.1},{TOP:.1} {RIGHT:.1},{BOTTOM:.1}")), "{svg}");
    }

    #[test]
    fn one_point_is_a_chart_and_what_is_not_finite_is_left_out() {
        assert!(chart(&[(3.0, 2.0)]).unwrap().contains("<polyline"));
        assert!(!chart(&[(1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0)]).unwrap().contains("NaN"));
        assert_eq!(chart(&[(1.0, f64::INFINITY)]), None);
        assert_eq!(chart(&[]), None);
    }
}
