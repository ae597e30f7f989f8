//! The totals of a run.

use serde::{Deserialize, Serialize};

/// `stats.json`: the keys that Hugging Face's trainer reports, so that scripts which read those read these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Seconds spent training.
    pub train_runtime: f64,
    /// Examples per second.
    pub train_samples_per_second: f64,
    /// Optimizer steps per second.
    pub train_steps_per_second: f64,
    /// Tokens per second, prompt tokens included.
    pub train_tokens_per_second: f64,
    /// Floating-point operations, estimated.
    pub total_flos: f64,
    /// Mean of the losses of all steps, in nats per labelled token.
    pub train_loss: f64,
    /// Optimizer steps.
    pub steps: u64,
    /// Passes over the data.
    pub epoch: f64,
}
