//! Questions from documents, written by a model: every row can be traced to the place that it comes from, belongs to its
//! document's side of the split, and has stood the checks.
//!
//! ```text
//! blocks ▸ chunks ▸ sides of the split ▸ requests ▸ replies (kept) ▸ drafts ▸ checks ▸ rows ▸ files of several layouts
//!          Plan::new                     generate                   assemble        write
//! ```

mod assemble;
mod checks;
mod error;
mod generate;
mod output;
mod plan;
mod prompt;
mod report;
mod row;
mod schema;
mod second_look;
mod settings;
mod text;

pub use assemble::{Made, assemble};
pub use chat::Prompt;
pub use error::{Error, Result};
pub use generate::{Generated, Progress, generate};
pub use output::write;
pub use plan::{Estimate, Plan, Task};
pub use prompt::PROMPTS;
pub use report::{Longest, Replies, Report};
pub use row::{Draft, FailedChunk, Obstacle, Provenance, Reason, Rejected, Row};
pub use settings::{Checks, Kind, Questions, Settings};
