//! Training: one loop, one optimizer, checkpoints that survive a kill.
//!
//! ```text
//! Recipe ─▶ Plan (which examples make which step) ─▶ run: batch ▸ forward ▸ backward ▸ guard ▸ AdamW ▸ record
//! ```

#![forbid(unsafe_code)]

pub mod checkpoint;
mod error;
mod guard;
mod optimizer;
mod plan;
mod recipe;
mod reference;
mod run;
mod schedule;

pub use error::Error;
pub use optimizer::{Optimizer, Settings, StepSums};
pub use plan::{Plan, PlannedStep};
pub use recipe::{Adapter, DatasetFile, Evaluation, NewModel, Recipe};
pub use reference::recipe_reference;
pub use run::{Job, Observer, Outcome, run, validation_loss};
pub use schedule::{Decay, Schedule};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
