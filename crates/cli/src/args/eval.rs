//! Arguments of `eval`.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{ModelArgs, SuiteArgs, suite};

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("model", suite::model))]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) suite: SuiteArgs,
    /// Prepared questions (`test.jsonl`) or multiple-choice items (`choices.jsonl`), or a prepared folder.
    #[arg(required_unless_present_any = ["tasks", "suite"])]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) tasks: TaskArgs,
    /// Judge at most so many questions (of each task, its first ones); 0: all.
    #[arg(long, default_value_t = 0)]
    pub(crate) limit: usize,
    /// Questions that are answered in full, for ROUGE-L.
    #[arg(long, default_value_t = 100, conflicts_with = "tasks")]
    pub(crate) answers: usize,
    /// Tokens that an answer may have.
    #[arg(long, default_value_t = 128)]
    pub(crate) max_new_tokens: usize,
    /// Where to write the outcome of every item: a file; with `--tasks` a folder.
    #[arg(long, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which multiple-choice tasks, and how they are asked.
#[derive(Debug, clap::Args)]
pub(crate) struct TaskArgs {
    /// Tasks by their names in lm-evaluation-harness (`medqa_4options`, `medmcqa`, `pubmedqa`, `mmlu_anatomy`, …, or all
    /// six as `mmlu_medical`), or files of multiple-choice rows.
    #[arg(long, value_name = "TASKS", value_delimiter = ',')]
    pub(crate) tasks: Vec<String>,
    /// The folder with the files of the tasks, as the Hugging Face Hub or their authors ship them.
    #[arg(long, value_name = "DIR", requires = "tasks")]
    pub(crate) data: Option<PathBuf>,
    /// How an answer is got.
    #[arg(long, value_name = "MODE", default_value = "loglikelihood", requires = "tasks")]
    pub(crate) mode: ModeArg,
    /// Answered questions before each question, from the few-shot split of the task.
    #[arg(long, value_name = "COUNT", default_value_t = 0, requires = "tasks")]
    pub(crate) num_fewshot: usize,
    /// A file of multiple-choice rows to take them from, for tasks that are files themselves.
    #[arg(long, value_name = "FILE", requires = "num_fewshot")]
    pub(crate) fewshot_file: Option<PathBuf>,
    /// Draw them anew for each question, with this seed [default: the first ones].
    #[arg(long, value_name = "SEED", requires = "tasks")]
    pub(crate) fewshot_seed: Option<u64>,
    /// Ask through the model's chat template.
    #[arg(long, requires = "tasks")]
    pub(crate) apply_chat_template: bool,
    /// Show the options in an order that is drawn for each question, with this seed.
    #[arg(long, value_name = "SEED", requires = "tasks")]
    pub(crate) shuffle_options: Option<u64>,
}

/// How an answer is got.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ModeArg {
    /// The likeliest answer after the task's own prompt, as lm-evaluation-harness asks.
    #[value(name = "loglikelihood")]
    LogLikelihood,
    /// The likeliest letter, with the options listed.
    Letter,
    /// An answer is written, and read by a stated rule.
    Generation,
}
