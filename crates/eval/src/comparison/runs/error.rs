//! Why runs cannot be compared.

use crate::wording::counted;

/// Runs that cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunsError {
    /// One run is all there is.
    #[error("{0} run: a comparison needs two")]
    TooFew(usize),
    /// Two runs have one name.
    #[error("two runs are called `{0}`")]
    SameName(String),
    /// A name that no run has.
    #[error("no run is called `{name}`: there are {}", .runs.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are.
        runs: Vec<String>,
    },
    /// Runs over different items.
    #[error(
        "not in every run: {missing} of {}; `{run}` lacks {}{}; {common} in all",
        counted(*.all, "item"),
        .first.join(", "),
        if *.missing > .first.len() { " …" } else { "" }
    )]
    DifferentItems {
        /// The first run that lacks one.
        run: String,
        /// Items that some run lacks.
        missing: usize,
        /// Items that some run has.
        all: usize,
        /// Items that every run has.
        common: usize,
        /// The first items that `run` lacks.
        first: Vec<String>,
    },
    /// An item that stands in a run twice.
    #[error("item `{id}` occurs twice in `{run}`")]
    Twice {
        /// The item.
        id: String,
        /// The run.
        run: String,
    },
    /// An item that is not the same in two runs.
    #[error("item `{id}` is not the same in `{base}` and `{run}`: {reason}")]
    Unlike {
        /// The item.
        id: String,
        /// A run.
        base: String,
        /// Another.
        run: String,
        /// What differs.
        reason: &'static str,
    },
}
