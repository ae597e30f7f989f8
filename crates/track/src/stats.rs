//! The totals of a run.

use serde::{Deserialize, Serialize};

/// `stats.json`: the keys that Hugging Face's trainer reports, so that scripts which read those read these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Validation loss after the last step, where there are validation data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_loss: Option<f64>,
    /// The step whose weights were kept, where the best were and not the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_step: Option<u64>,
    /// The validation loss of those weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_eval_loss: Option<f64>,
    /// The run ended before its plan because the validation loss no longer fell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped_early: bool,
    /// Steps that were skipped because loss or gradient was not finite; `skipped.jsonl` names their examples.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped_steps: u64,
    /// Memory that was planned before the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_memory_bytes: Option<u64>,
    /// The most memory that the process had until the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
