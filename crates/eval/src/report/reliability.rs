//! Confidence against accuracy as a picture: one point per bin with its interval, the diagonal of a model that is as
//! sure as it is right, and below it how many questions lie in each bin.

use crate::choice::summary::{Bin, Calibration};
use std::fmt::Write as _;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 470.0;
/// The square of the points.
const LEFT: f64 = 52.0;
const TOP: f64 = 14.0;
const SIDE: f64 = 340.0;
/// The bars of the counts.
const BARS: f64 = 400.0;
const BAR_HEIGHT: f64 = 36.0;

/// The picture as an `svg` element without fixed size, in the classes of the report's style sheet; `None` without
/// questions.
pub fn reliability_diagram(calibration: &Calibration) -> Option<String> {
    let most = calibration.bins.iter().map(|bin| bin.n).max().filter(|most| *most > 0)?;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Accuracy by confidence\">\
         <line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"zero\"/>",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0),
    );
    axes(&mut svg);
    for bin in &calibration.bins {
        point(&mut svg, bin);
        bar(&mut svg, bin, most);
    }
    let _ = write!(
        svg,
        "<text x=\"{}\" y=\"{}\" class=\"tick\">confidence</text>\
         <text x=\"12\" y=\"{}\" class=\"tick\" transform=\"rotate(-90 12 {})\">share right</text></svg>",
        x(0.5),
        HEIGHT - 6.0,
        y(0.5),
        y(0.5),
    );
    Some(svg)
}

fn x(share: f64) -> f64 {
    LEFT + share * SIDE
}

fn y(share: f64) -> f64 {
    TOP + (1.0 - share) * SIDE
}

fn axes(svg: &mut String) {
    for (x1, y1, x2, y2) in [(0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)] {
        let _ = write!(
            svg,
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"axis\"/>",
            x(x1),
            y(y1),
            x(x2),
            y(y2)
        );
    }
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"tick\">{tick}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" class=\"hint end\">{tick}</text>",
            x(tick),
            y(0.0) + 18.0,
            LEFT - 8.0,
            y(tick) + 4.0,
        );
    }
}

/// The accuracy of a bin over its mean confidence, with the interval; open where the interval holds the confidence.
fn point(svg: &mut String, bin: &Bin) {
    let (Some(confidence), Some(accuracy), Some(interval)) = (bin.confidence, bin.accuracy, bin.interval)
    else {
        return;
    };
    let class = match accuracy < confidence {
        _ if interval.contains(confidence) => "open",
        true => "worse",
        false => "better",
    };
    let at = x(confidence);
    let _ = write!(
        svg,
        "<g class=\"{class}\"><title>{} questions: confidence {confidence:.3}, right {accuracy:.3} [{:.3}, {:.3}]\
         </title><line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" class=\"whisker\"/>\
         <circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"5\" class=\"dot\"/></g>",
        bin.n,
        interval.low,
        interval.high,
        y(interval.low),
        y(interval.high),
        y(accuracy),
    );
}

/// How many questions lie in a bin, and their number.
fn bar(svg: &mut String, bin: &Bin, most: usize) {
    if bin.n == 0 {
        return;
    }
    let height = BAR_HEIGHT * bin.n as f64 / most as f64;
    let (left, width) = (x(bin.low) + 1.0, x(bin.high) - x(bin.low) - 2.0);
    let _ = write!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"abstained\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" class=\"tick\">{}</text>",
        BARS + BAR_HEIGHT - height,
        left + width / 2.0,
        BARS + BAR_HEIGHT - height - 3.0,
        bin.n,
    );
}
