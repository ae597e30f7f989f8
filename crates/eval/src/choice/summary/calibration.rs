//! Is a model as sure as it is right?

use serde::{Deserialize, Serialize};

use crate::comparison::{Choice, ChoiceResult, Estimate, Outcome, of_sums};
use crate::statistics::{Interval, Resampling, ratio, wilson};

/// Bins of equal width from 0 to 1.
const BINS: usize = 10;

/// How sure a model was, against how often it was right.
///
/// A model's probabilities of the options are the softmax of their log-likelihoods; its confidence is that of the option
/// that it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Questions.
    pub n: usize,
    /// Expected calibration error: the distance of confidence and accuracy, a mean over [`Calibration::bins`] by their
    /// questions (Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3); 0 to 1, 0 is best.
    pub ece: f64,
    /// Brier score: the squared distance of the probabilities from the right answer, summed over the options (Brier
    /// 1950, Mon. Weather Rev. 78:1-3); 0 to 2, 0 is best. Guessing evenly among four gives 0.75.
    pub brier: f64,
    /// Mean confidence.
    pub confidence: f64,
    /// Ten bins of equal width by confidence; a confidence on a border belongs to the bin below it.
    pub bins: Vec<Bin>,
}

/// The questions with a confidence in `(low, high]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Questions.
    pub n: usize,
    /// Their mean confidence; `None` without questions, as the others.
    pub confidence: Option<f64>,
    /// Share of them answered right.
    pub accuracy: Option<f64>,
    /// 95 % interval of `accuracy`.
    pub interval: Option<Interval>,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    n: usize,
    right: u64,
    confidence: f64,
}

impl Calibration {
    /// Of the choices whose options were rated.
    pub(super) fn of(choices: &[&Choice]) -> Option<Self> {
        let mut bins = [Sums::default(); BINS];
        let (mut n, mut brier) = (0, 0.0);
        for choice in choices {
            let Some((probabilities, picked)) = sureness(choice) else { continue };
            let right = |shown: &String| f64::from(u8::from(*shown == choice.gold));
            let distance =
                probabilities.iter().zip(&choice.shown).map(|(p, shown)| (p - right(shown)).powi(2));
            brier += distance.sum::<f64>();
            let confidence = probabilities[picked];
            let bin = &mut bins[((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
            bin.n += 1;
            bin.right += u64::from(choice.result() == ChoiceResult::Right);
            bin.confidence += confidence;
            n += 1;
        }
        if n == 0 {
            return None;
        }
        let gap = |bin: &Sums| (bin.confidence - bin.right as f64).abs();
        Some(Calibration {
            n,
            ece: bins.iter().map(gap).sum::<f64>() / n as f64,
            brier: brier / n as f64,
            confidence: bins.iter().map(|bin| bin.confidence).sum::<f64>() / n as f64,
            bins: bins.iter().enumerate().map(|(at, sums)| sums.bin(at)).collect(),
        })
    }
}

impl Sums {
    fn bin(&self, at: usize) -> Bin {
        let mean = |sum: f64| (self.n > 0).then(|| sum / self.n as f64);
        Bin {
            low: at as f64 / BINS as f64,
            high: (at + 1) as f64 / BINS as f64,
            n: self.n,
            confidence: mean(self.confidence),
            accuracy: mean(self.right as f64),
            interval: (self.n > 0).then(|| wilson(self.right, self.n as u64)),
        }
    }
}

/// How sure a model was beyond how often it was right: mean confidence − accuracy, with its BCa interval over groups; `None`
/// where no options were rated. Unlike [`Calibration::ece`], which only grows by chance, it has an interval that means
/// something.
pub(crate) fn overconfidence(outcomes: &[&Outcome], resampling: &Resampling) -> Option<Estimate> {
    let rows = outcomes.iter().filter_map(|outcome| {
        let choice = outcome.choice.as_ref()?;
        let (probabilities, picked) = sureness(choice)?;
        let right = f64::from(u8::from(choice.result() == ChoiceResult::Right));
        Some((outcome.group_key(), [probabilities[picked] - right, 1.0]))
    });
    of_sums(rows, ratio, resampling)
}

/// The probabilities of the options, and the place of the one that was taken.
fn sureness(choice: &Choice) -> Option<(Vec<f64>, usize)> {
    let picked = choice.shown.iter().position(|shown| Some(shown) == choice.picked.as_ref())?;
    Some((probabilities(choice)?, picked))
}

/// The softmax of the log-likelihoods of `shown`.
fn probabilities(choice: &Choice) -> Option<Vec<f64>> {
    if choice.rated.is_empty() || choice.rated.len() != choice.shown.len() {
        return None;
    }
    let largest = choice.rated.iter().map(|rated| rated.log_likelihood).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = choice.rated.iter().map(|rated| (rated.log_likelihood - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    Some(weights.into_iter().map(|weight| weight / sum).collect())
}
