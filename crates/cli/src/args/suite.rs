//! Arguments of `eval --suite`.

use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap::{Arg, ValueEnum};

/// Questions that the binary carries.
#[derive(Debug, clap::Args)]
pub(crate) struct SuiteArgs {
    /// A set of questions that comes with medtune; `--out` is a folder then.
    #[arg(long, value_name = "NAME", conflicts_with = "files")]
    pub(crate) suite: Option<SuiteName>,
    /// Score answers that were made elsewhere instead of a model: CSV or JSON lines with `id` and `answer`.
    #[arg(long, value_name = "FILE", requires = "suite")]
    pub(crate) answers_from: Option<PathBuf>,
}

/// The sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuiteName {
    /// 150 red-flag questions, scored offline and without a judge.
    Safety,
}

/// No model is needed where the answers are there already.
pub(super) fn model(model: Arg) -> Arg {
    let answered = "answers_from";
    model
        .required(false)
        .required_unless_present(answered)
        .default_value_if(answered, ArgPredicate::IsPresent, "")
        .hide_default_value(true)
}
