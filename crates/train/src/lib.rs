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
mod memory;
mod moments;
mod noise;
mod optimizer;
mod plan;
mod ranks;
mod recipe;
mod record;
mod reference;
mod run;
mod schedule;
mod selection;
mod session;
mod validation;

pub use error::Error;
pub use identity::{Identity, MAY_CHANGE};
pub use memory::{Examinations, GradientCheckpointing, Longest, MemoryPlan};
pub use noise::Noise;
pub use optimizer::{LoraPlus, Optimizer, Regularisation, Settings, StepSums};
pub use plan::{Plan, PlannedStep};
#[cfg(feature = "mpi")]
pub use ranks::Mpi;
pub use ranks::{Alone, Communicator, share, share_samples};
pub use recipe::{ALIASES, Adapter, DatasetFile, Evaluation, NewModel, OptimizerKind, Recipe};
pub use reference::recipe_reference;
pub use run::{Examiner, Job, Observer, Outcome, assist, run};
pub use schedule::{Decay, Schedule};
pub use selection::{Best, Selection};
pub use validation::validation_loss;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
