//! The loss curve: every step, a smoothed line, and the evaluations during training.

use super::line_chart::{Line, LineChart};

/// More points than this cannot be told apart at this width.
const MOST_POINTS: usize = 900;

/// The picture as an `svg` element without fixed size, coloured by the page's CSS variables; `None` without finite losses.
pub(super) fn loss_curve(train: &[(u64, f64)], eval: &[(u64, f64)]) -> Option<String> {
    if train.is_empty() {
        return None;
    }
    let raw = points(train, train.iter().map(|(_, loss)| *loss));
    let smooth = points(train, smoothed(train).into_iter());
    let eval: Vec<(f64, f64)> = eval.iter().map(|(step, loss)| (*step as f64, *loss)).collect();
    let line = |points, colour, width, dots| Line { points, colour, width, dots };
    let chart =
        LineChart { title: "Loss by optimizer step", x: "optimizer step", y: "loss (nats per token)" };
    chart.draw(vec![
        line(raw, "var(--faint)", 1.0, false),
        line(smooth, "var(--base)", 2.2, false),
        line(eval, "var(--tuned)", 1.2, true),
    ])
}

/// Exponential moving average over about a twentieth of the run, free of the pull towards its start
/// (`m_t / (1 - β^t)`, as in Adam, Kingma & Ba 2015, §3).
fn smoothed(train: &[(u64, f64)]) -> Vec<f64> {
    let window = (train.len() as f64 / 20.0).max(3.0);
    let keep = 1.0 - 2.0 / (window + 1.0);
    let (mut mean, mut weight) = (0.0, 0.0);
    let mut smoothed = Vec::with_capacity(train.len());
    for (_, loss) in train {
        mean = keep * mean + (1.0 - keep) * loss;
        weight = keep * weight + (1.0 - keep);
        smoothed.push(mean / weight);
    }
    smoothed
}

/// Points to draw: means of neighbours where there are too many.
fn points(train: &[(u64, f64)], losses: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    let all: Vec<(f64, f64)> = train.iter().map(|(step, _)| *step as f64).zip(losses).collect();
    let mean = |chunk: &[(f64, f64)]| {
        let n = chunk.len() as f64;
        let sum = chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / n, sum.1 / n)
    };
    all.chunks(all.len().div_ceil(MOST_POINTS)).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_a_constant_and_starts_at_the_first_value() {
        let constant: Vec<(u64, f64)> = (1..=50).map(|step| (step, 2.5)).collect();
        assert!(smoothed(&constant).iter().all(|value| (value - 2.5).abs() < 1e-12));
        assert!((smoothed(&[(1, 4.0), (2, 1.0)])[0] - 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_long_run_is_drawn_with_few_points_over_its_whole_length() {
        let long: Vec<(u64, f64)> = (1..=100_000).map(|step| (step, 1.0)).collect();
        let points = points(&long, long.iter().map(|(_, loss)| *loss));
        assert!(points.len() <= MOST_POINTS);
        assert!(points[0].0 < 200.0 && points[points.len() - 1].0 > 99_800.0);
    }

    #[test]
    fn without_steps_there_is_no_picture() {
        assert_eq!(loss_curve(&[], &[]), None);
        assert!(loss_curve(&[(1, 2.0)], &[]).unwrap().starts_with("<svg viewBox"));
    }
}
