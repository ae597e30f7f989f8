//! How good is a model, and is one better than another? Metrics, paired statistics, and the report.
//!
//! The rule of this crate: a number comes with its `n`, its interval and its per-item outcomes; two models are
//! compared item by item; "not distinguishable" is a verdict; an answer that could not be read is an outcome of
//! its own.

#![forbid(unsafe_code)]

pub mod choice;
pub mod comparison;
mod error;
pub mod evaluation;
mod evidence;
pub mod judge;
mod records;
pub mod report;
pub mod safety;
pub mod served;
pub mod statistics;
mod subject;
pub mod task;
pub mod text;
mod wording;

pub use error::{Error, Result};
pub use evidence::EvidenceRead;
pub use subject::{ExaminationMemory, Progress, Stage, Subject, Wanted};
pub use wording::counted;
