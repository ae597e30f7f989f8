//! Learning-rate schedules: a linear warm-up, then the named decay to zero, as `transformers` defines them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate goes on after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Half a cosine down to zero.
    Cosine,
    /// A straight line down to zero.
    Linear,
    /// No decay.
    Constant,
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
}

impl Schedule {
    /// The rate of step `step`, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup.max(1) as f64;
        }
        let left = self.total.saturating_sub(self.warmup).max(1) as f64;
        let progress = ((step - self.warmup) as f64 / left).min(1.0);
        match self.decay {
            Decay::Constant => self.peak,
            Decay::Linear => self.peak * (1.0 - progress),
            Decay::Cosine => self.peak * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(decay: Decay, warmup: u64, steps: &[u64]) -> Vec<f64> {
        let schedule = Schedule { peak: 1.0, warmup, total: 10, decay };
        steps.iter().map(|&s| (schedule.rate(s) * 1e6).round() / 1e6).collect()
    }

    // transformers 5.23: get_{linear,cosine,constant}_schedule_with_warmup(optimizer, 2, 10), lr before each step.
    #[test]
    fn rates_equal_those_of_transformers() {
        assert_eq!(rates(Decay::Linear, 2, &[0, 1, 2, 3, 9, 10]), [0.0, 0.5, 1.0, 0.875, 0.125, 0.0]);
        assert_eq!(rates(Decay::Cosine, 2, &[0, 1, 2, 6, 9]), [0.0, 0.5, 1.0, 0.5, 0.03806]);
        assert_eq!(rates(Decay::Constant, 2, &[0, 1, 2, 9]), [0.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn without_warm_up_the_first_step_has_the_full_rate() {
        assert_eq!(rates(Decay::Cosine, 0, &[0]), [1.0]);
    }
}
