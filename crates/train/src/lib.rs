//! Training: one loop, one optimizer, checkpoints that survive a kill.
//!
//! ```text
//! Recipe ─▶ Plan (which examples make which step) ─▶ run: batch ▸ forward ▸ backward ▸ guard ▸ AdamW ▸ record
//! ```

#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod dropout;
mod error;
mod guard;
mod identity;
mod moments;
mod noise;
mod optimizer;
mod plan;
mod recipe;
mod reference;
mod run;
mod schedule;
mod selection;
mod session;

pub use error::Error;
pub use identity::{Identity, MAY_CHANGE};
pub use noise::Noise;
pub use optimizer::{Optimizer, Regularisation, Settings, StepSums};
pub use plan::{Plan, PlannedStep};
pub use recipe::{ALIASES, Adapter, DatasetFile, Evaluation, NewModel, OptimizerKind, Recipe};
pub use reference::recipe_reference;
pub use run::{Examiner, Job, Observer, Outcome, run, validation_loss};
pub use schedule::{Decay, Schedule};
pub use selection::{Best, Selection};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
