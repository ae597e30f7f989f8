//! How a chance depends on one quantity.

/// Steps of Newton's method; a fit that needs more has none.
const STEPS: usize = 50;
/// A slope beyond which the chance is a step: the outcomes are separated.
const STEEPEST: f64 = 1e3;

/// The most likely `b` of `P(y = 1) = 1 / (1 + exp(-b x))` for pairs `(x, y)`, `y` from 0 to 1: a logistic regression
/// without a constant, as for outcomes of two sides that may be exchanged.
///
/// `None` where there is no finite fit: where the sign of `x` alone tells every outcome, or all `x` are 0.
pub fn logistic_slope(pairs: &[(f64, f64)]) -> Option<f64> {
    let mut slope = 0.0f64;
    for _ in 0..STEPS {
        let (mut gradient, mut curvature) = (0.0, 0.0);
        for (x, y) in pairs {
            let chance = 1.0 / (1.0 + (-slope * x).exp());
            gradient += x * (y - chance);
            curvature += x * x * chance * (1.0 - chance);
        }
        let step = gradient / curvature;
        if !step.is_finite() {
            return None;
        }
        // The likelihood is concave; halves of a long step keep it from leaping over its top.
        slope += step.clamp(-2.0 - slope.abs(), 2.0 + slope.abs());
        if slope.abs() > STEEPEST {
            return None;
        }
        if step.abs() < 1e-10 * (1.0 + slope.abs()) {
            return Some(slope);
        }
    }
    None
}
