//! Right and wrong answers of two models to the same questions.

use super::{Interval, Z_95};
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

/// How two models disagree on `n` questions: only the discordant answers say which is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discordant {
    /// Questions that only the base model has right.
    pub only_base: u64,
    /// Questions that only the tuned model has right.
    pub only_tuned: u64,
    /// All questions.
    pub n: u64,
}

impl Discordant {
    /// Accuracy of the tuned model minus that of the base.
    pub fn difference(&self) -> f64 {
        (self.only_tuned as f64 - self.only_base as f64) / self.n as f64
    }

    /// Share of the questions on which the two disagree.
    pub fn rate(&self) -> f64 {
        (self.only_base + self.only_tuned) as f64 / self.n as f64
    }

    /// Standard error of the difference for independent questions, `sqrt(b + c - (b - c)²/n) / n`.
    pub fn standard_error(&self) -> f64 {
        variance(self.only_base as f64, self.only_tuned as f64, self.n as f64).sqrt()
    }

    /// Two-sided p of the exact McNemar test (McNemar 1947, Psychometrika 12:153-157): under no difference the
    /// discordant answers fall either way like a fair coin, `p = min(1, 2 P(X ≤ min(b, c)))`, `X ~ Bin(b + c, ½)`.
    pub fn mcnemar_p(&self) -> f64 {
        let discordant = self.only_base + self.only_tuned;
        match Binomial::new(0.5, discordant) {
            Ok(coin) if discordant > 0 => (2.0 * coin.cdf(self.only_base.min(self.only_tuned))).min(1.0),
            _ => 1.0,
        }
    }

    /// Wald's 95 % interval of the difference, `d ± z sqrt(b + c - (b - c)²/n) / n` (Agresti, "Categorical Data
    /// Analysis", §11.1). It has no width where the models never disagree: prefer
    /// [`adjusted_interval`](Self::adjusted_interval).
    pub fn wald_interval(&self) -> Interval {
        interval(self.only_base as f64, self.only_tuned as f64, self.n as f64, 1.0)
    }

    /// Bonett and Price's 95 % interval of the difference: Wald's after adding one to each discordant count (2012,
    /// J. Educ. Behav. Stat. 37:479-488). It keeps its level in small samples.
    ///
    /// `design_effect` is the variance of the difference in groups over that of independent questions; 1 where
    /// each question is its own group.
    pub fn adjusted_interval(&self, design_effect: f64) -> Interval {
        let (base, tuned) = (self.only_base as f64 + 1.0, self.only_tuned as f64 + 1.0);
        interval(base, tuned, self.n as f64 + 2.0, design_effect)
    }
}

fn interval(base: f64, tuned: f64, n: f64, design_effect: f64) -> Interval {
    let difference = (tuned - base) / n;
    let half = Z_95 * (design_effect * variance(base, tuned, n)).sqrt();
    Interval { low: (difference - half).max(-1.0), high: (difference + half).min(1.0) }
}

fn variance(base: f64, tuned: f64, n: f64) -> f64 {
    (base + tuned - (tuned - base).powi(2) / n).max(0.0) / (n * n)
}
