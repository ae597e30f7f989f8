//! Learning-rate schedules: a linear warm-up, then the named decay to zero, as `transformers` defines them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate goes on after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// A linear warm-up, then half a cosine down to zero, or to `cosine_min_lr_ratio`.
    Cosine,
    /// A linear warm-up, then a straight line down to zero.
    Linear,
    /// The same rate from the first step to the last, without warm-up.
    Constant,
    /// A linear warm-up, then no decay.
    ConstantWithWarmup,
    /// A linear warm-up over `w` steps, then `sqrt(w / step)`; `w` is 10,000 for the decay where nothing warms up.
    InverseSqrt,
}

/// The learning rate of every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Highest rate.
    pub peak: f64,
    /// Steps of the warm-up.
    pub warmup: u64,
    /// Steps in all.
    pub total: u64,
    /// What follows the warm-up.
    pub decay: Decay,
    /// Share of the peak at which a cosine ends.
    pub min_ratio: f64,
}

/// Steps of `transformers`' inverse square root without a warm-up.
const DEFAULT_TIMESCALE: u64 = 10_000;

impl Schedule {
    /// The rate of step `step`, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if self.decay == Decay::Constant {
            return self.peak;
        }
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup.max(1) as f64;
        }
        let left = self.total.saturating_sub(self.warmup).max(1) as f64;
        let progress = ((step - self.warmup) as f64 / left).min(1.0);
        let factor = match self.decay {
            Decay::Constant | Decay::ConstantWithWarmup => 1.0,
            Decay::Linear => 1.0 - progress,
            Decay::Cosine => {
                let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
                cosine * (1.0 - self.min_ratio) + self.min_ratio
            }
            Decay::InverseSqrt => {
                let timescale = if self.warmup == 0 { DEFAULT_TIMESCALE } else { self.warmup };
                (timescale as f64 / (step + timescale - self.warmup) as f64).sqrt()
            }
        };
        self.peak * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(decay: Decay, warmup: u64, min_ratio: f64, steps: &[u64]) -> Vec<f64> {
        let schedule = Schedule { peak: 1.0, warmup, total: 10, decay, min_ratio };
        steps.iter().map(|&s| (schedule.rate(s) * 1e6).round() / 1e6).collect()
    }

    // transformers 5.23: get_{linear,cosine,constant,inverse_sqrt}_schedule_with_warmup(optimizer, 2, 10) and
    // get_cosine_with_min_lr_schedule_with_warmup(optimizer, 2, 10, min_lr_rate=0.1), lr before each step.
    #[test]
    fn rates_equal_those_of_transformers() {
        assert_eq!(rates(Decay::Linear, 2, 0.0, &[0, 1, 2, 3, 9, 10]), [0.0, 0.5, 1.0, 0.875, 0.125, 0.0]);
        assert_eq!(rates(Decay::Cosine, 2, 0.0, &[0, 1, 2, 6, 9]), [0.0, 0.5, 1.0, 0.5, 0.03806]);
        assert_eq!(rates(Decay::Cosine, 2, 0.1, &[1, 2, 3, 7, 10]), [0.5, 1.0, 0.965746, 0.377792, 0.1]);
        assert_eq!(rates(Decay::Constant, 2, 0.0, &[0, 1, 2, 9]), [1.0; 4]);
        assert_eq!(rates(Decay::ConstantWithWarmup, 2, 0.0, &[0, 1, 2, 9]), [0.0, 0.5, 1.0, 1.0]);
        assert_eq!(rates(Decay::InverseSqrt, 2, 0.0, &[0, 2, 3, 8]), [0.0, 1.0, 0.816497, 0.5]);
        assert_eq!(rates(Decay::InverseSqrt, 0, 0.0, &[0, 1, 9]), [1.0, 0.99995, 0.99955]);
    }

    #[test]
    fn without_warm_up_the_first_step_has_the_full_rate() {
        assert_eq!(rates(Decay::Cosine, 0, 0.0, &[0]), [1.0]);
    }
}
