//! Arguments of what is computed from evaluations: `compare` and `rescore`.

use std::path::PathBuf;

use super::{BertScoreArgs, RuleArg, SigningArgs};

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// Evaluation folders, run folders (their tuned models), or files of outcomes. The first is the reference.
    #[arg(required = true, num_args = 2.., value_name = "EVALUATION")]
    pub(crate) evaluations: Vec<PathBuf>,
    /// The reference, by its name.
    #[arg(long, value_name = "NAME")]
    pub(crate) against: Option<String>,
    /// Compare each with each.
    #[arg(long, conflicts_with = "against")]
    pub(crate) each: bool,
    /// Compare on the items that all have; otherwise different items are an error.
    #[arg(long)]
    pub(crate) common: bool,
    /// Only these metrics: `--metric mc_accuracy --metric bleu`. Fewer numbers need less correction.
    #[arg(long = "metric", value_name = "METRIC")]
    pub(crate) metrics: Vec<String>,
    /// Draws behind each interval.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) resamples: usize,
    /// Also write `report.html` and `comparison.json` into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `rescore`.
#[derive(Debug, clap::Args)]
pub(crate) struct RescoreArgs {
    /// An evaluation folder, or a file of outcomes.
    #[arg(value_name = "EVALUATION")]
    pub(crate) evaluation: PathBuf,
    /// Write the evaluation here [default: where it was, for an evaluation folder]. With another rule than that of the
    /// numbers in the folder it has to be named, be it the same folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Read the options out of the answers on file once more, by this rule.
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<RuleArg>,
    #[command(flatten)]
    pub(crate) bertscore: BertScoreArgs,
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}
