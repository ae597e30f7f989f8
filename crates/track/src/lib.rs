//! What a run was: one folder that holds its recipe, where everything came from, every step, and its totals.
//!
//! ```text
//! runs/<name>/
//!   run.lock        held while a program writes here; names its process and host
//!   recipe.yaml     the recipe as resolved
//!   manifest.json   hashes of data, base and template; program, seed, machine
//!   metrics.jsonl   one object per step, and one per evaluation during training
//!   loss.csv        Step,Loss
//!   skipped.jsonl   steps that were left out because a value was not finite, with their examples
//!   stats.json      runtime, samples/s, tokens/s, FLOPs
//!   checkpoints/  adapter/  eval/  report.html     written by others
//! ```
//!
//! Rows are appended a whole line at a time, so a kill costs at most the line being written; reopening repairs
//! it. Every other file is replaced in one piece. Nothing here uses the network.

#![forbid(unsafe_code)]

mod error;
pub mod failpoint;
mod folder;
mod lock;
mod machine;
mod manifest;
pub mod memory;
mod metrics;
mod run;
mod skipped;
mod stats;

pub use error::{Error, Result};
pub use folder::RunFolder;
pub use machine::Machine;
pub use manifest::{FileHash, Manifest, Program, TextHash, utc_timestamp};
pub use metrics::{EvalRow, Row, StepRow};
pub use run::Run;
pub use skipped::SkippedStep;
pub use stats::Stats;
