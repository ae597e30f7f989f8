//! Arguments of what is computed from evaluations: answers made elsewhere, `compare`, `rescore`.

use std::path::PathBuf;

/// Answers that were made elsewhere.
#[derive(Debug, clap::Args)]
pub(crate) struct ElsewhereArgs {
    /// Score the answers in a file (CSV, JSONL, JSON) instead of asking a model: a question, a reference and an answer a
    /// row.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "files"])]
    pub(crate) answers_file: Option<PathBuf>,
    /// Our name of a column (question, reference, answer, id, group, task) and the file's: `--column reference=Musterantwort`.
    #[arg(long = "column", value_name = "OURS=THEIRS", requires = "answers_file")]
    pub(crate) columns: Vec<String>,
    /// Name of the task that the answers belong to.
    #[arg(long, value_name = "NAME", requires = "answers_file")]
    pub(crate) task: Option<String>,
    /// Also BERTScore, with the encoder (BERT, RoBERTa) in this folder.
    #[arg(long, value_name = "DIR", requires = "answers_file")]
    pub(crate) bertscore: Option<PathBuf>,
    /// Compare the encoder's states after this layer [default: the customary one of the model].
    #[arg(long, value_name = "LAYER", requires = "bertscore")]
    pub(crate) bertscore_layer: Option<usize>,
    /// Tokens that are rare among the references weigh more.
    #[arg(long, requires = "bertscore")]
    pub(crate) bertscore_idf: bool,
}

/// Who signs the card of an evaluation.
#[derive(Debug, clap::Args)]
pub(crate) struct SigningArgs {
    /// Sign the card with this Ed25519 key in PKCS#8: `openssl genpkey -algorithm ed25519 -out key.pem` makes one.
    #[arg(long, value_name = "FILE", env = "MEDTUNE_SIGNING_KEY")]
    pub(crate) signing_key: Option<PathBuf>,
}

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
    /// Write the evaluation here [default: where it was, for an evaluation folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}
