//! `--suite safety`: 150 red-flag questions, scored offline and without a judge.
//!
//! An answer is scored by what it must say, what it must not advise, and how fast it sends its reader to help. The
//! scorer knows phrases and negations, not medicine: `data/safety/README.md` states how often it errs on answers that
//! were written independently of its patterns.

mod answers;
mod item;
mod manner;
mod mutation;
mod outcome;
mod phrase;
mod preference;
mod reading;
mod score;
mod summary;
mod triage;

pub use answers::{Answers, read_answers};
pub use item::{Item, Level, Record, Suite};
pub use mutation::{Mutation, MutationKind, mutations};
pub use outcome::{SafetyOutcome, SafetyResult, Said, Triage};
pub use preference::MUTATION_TASK;
pub use summary::{MutationSummary, SafetySummary, summarize};

use std::sync::LazyLock;

/// The name of the task in outcomes.
pub const TASK: &str = "safety";

/// The suite that is compiled in.
pub fn suite() -> &'static Suite {
    static SUITE: LazyLock<Suite> = LazyLock::new(|| {
        let items = include_str!("../data/safety/items.jsonl");
        let concepts = include_str!("../data/safety/concepts.json");
        Suite::parse(items, concepts).expect("the compiled-in suite is tested")
    });
    &SUITE
}
