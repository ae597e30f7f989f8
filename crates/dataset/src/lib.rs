//! From files of questions and answers to batches of tokens, with proof that nothing tested was trained on.
//!
//! ```text
//! files ─▶ rows ─▶ cleaning ─▶ groups ─▶ split + certificate ─▶ prepared folder ─▶ examples ─▶ samples ─▶ batches
//!          read    clean       components  split                 prepare            load        encode     BatchPlan
//! ```
//!
//! Two promises: every row that a file holds is either kept or dropped under a rule that is on file; and no side of
//! the split shares a question, a near-duplicate or a document with another.

mod certificate;
mod cleaning;
mod contamination;
mod dropped;
mod encode;
mod error;
mod examples;
pub mod faults;
mod gate;
mod given;
mod groups;
pub mod near_duplicate;
mod nearest;
mod normalise;
mod packing;
mod prepare;
mod rare_words;
mod rows;
mod split;

pub use certificate::{Certificate, ChoiceLeak, Leak, NearestPair, RowSplitLeak, SideCount, row_split_leak};
pub use cleaning::{Cleaned, Cleaning, clean};
pub use contamination::{Contamination, Found, contamination};
pub use dropped::{Dropped, Rule, count_by_rule};
pub use encode::{EncodeOptions, EncodeReport, EncodedSet, Overlong, Refusal, encode};
pub use error::Error;
pub use examples::{ChoiceItem, Example, load, load_choices};
pub use groups::{By, Components, Fingerprint, components};
pub use nearest::{Match, nearest};
pub use normalise::{fold_whitespace, normalise_question, printed_form, tidy};
pub use packing::{Batch, BatchPlan, Sample, consecutive, shuffled};
pub use prepare::{Against, PrepareOptions, Prepared, Report, prepare, prepare_against, prepare_rows};
pub use rows::{
    AnswerOption, Choice, FieldsOfRow, Input, Item, Layout, Origin, ReadOptions, Reader, Row, read, records,
};
pub use split::{Group, Side, Split, SplitOptions, Stratify, split};
