//! Arguments of `eval`.

use std::path::PathBuf;

use clap::ValueEnum;
use eval::choice::extract::Rule;

use super::{ModelArgs, RagArgs, RemoteArgs, SpendingArgs};
use crate::failure::{Failure, Outcome};

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("model", |arg| arg.value_name("DIR|FILE|URL").help(
    "A folder in Hugging Face layout, a GGUF file, a name in the offline hub cache, or the address of a server that speaks OpenAI's protocol"
)))]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) model: Option<ModelArgs>,
    /// Prepared questions (`test.jsonl`) or multiple-choice items (`choices.jsonl`), or a prepared folder.
    #[arg(required_unless_present_any = ["tasks", "suite", "answers_file"])]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) tasks: TaskArgs,
    #[command(flatten, next_help_heading = "Passages before the questions")]
    pub(crate) rag: RagArgs,
    /// A set of questions that comes with medtune.
    #[arg(long, value_name = "NAME", conflicts_with = "files", help_heading = "Options")]
    pub(crate) suite: Option<SuiteName>,
    #[command(flatten)]
    pub(crate) elsewhere: ElsewhereArgs,
    /// How options are read out of answers, with `--labels` and with `--mode generation`: our own rule, or that of a
    /// published evaluation, to count again what it counted [default: medtune].
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<RuleArg>,
    #[command(flatten)]
    pub(crate) bertscore: BertScoreArgs,
    /// Judge at most so many questions (of each task, its first ones); 0: all.
    #[arg(long, default_value_t = 0)]
    pub(crate) limit: usize,
    /// Questions that are answered in full, for ROUGE-L and the other text metrics.
    #[arg(long, default_value_t = 100, conflicts_with = "tasks")]
    pub(crate) answers: usize,
    /// Tokens that an answer may have.
    #[arg(long, default_value_t = 128)]
    pub(crate) max_new_tokens: usize,
    /// The folder to write: outcomes, numbers, report, card. A name that ends with .json or .jsonl is a file
    /// of outcomes.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
    #[command(flatten, next_help_heading = "A model at an address")]
    pub(crate) remote: RemoteArgs,
    #[command(flatten)]
    pub(crate) spending: SpendingArgs,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

impl EvalArgs {
    /// The model to ask.
    pub(crate) fn named_model(&self) -> Outcome<&ModelArgs> {
        self.model.as_ref().ok_or_else(|| Failure::input("no model was named").hint("name one: --model"))
    }

    /// The rule that reads options out of answers; nothing where none is read so, and naming one there is a mistake.
    pub(crate) fn rule(&self) -> Outcome<Option<Rule>> {
        let written = !self.tasks.tasks.is_empty() && matches!(self.tasks.mode, ModeArg::Generation);
        let rule = self.rule.map(Rule::from);
        match written || !self.elsewhere.labels()?.is_empty() {
            true => Ok(Some(rule.unwrap_or_default())),
            false => rule.map_or(Ok(None), |rule| {
                Err(Failure::input(format!("--rule {}: no option is read out of answers here", rule.name()))
                    .hint("add `--labels A,B,C,D` to --answers-file, or `--mode generation` to --tasks"))
            }),
        }
    }
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
    /// What becomes of a question that is longer than the model reads.
    #[arg(long, value_name = "WHAT", default_value = "as-harness", requires = "tasks")]
    pub(crate) too_long: TooLongArg,
}

/// What becomes of a question that is longer than the model reads.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TooLongArg {
    /// Tasks of lm-evaluation-harness are cut, as it cuts them; questions of files are left out.
    AsHarness,
    /// It is asked without its beginning, and counts.
    Cut,
    /// It is named, and in no number.
    LeaveOut,
}

/// Questions that the binary carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuiteName {
    /// 150 red-flag questions, scored offline and without a judge.
    Safety,
}

/// Answers that were made elsewhere.
#[derive(Debug, clap::Args)]
pub(crate) struct ElsewhereArgs {
    /// Score the answers in a file (CSV, JSONL, JSON) instead of asking a model: a question, a reference and an answer a
    /// row; with `--suite` the id of a question and an answer.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "files"])]
    pub(crate) answers_file: Option<PathBuf>,
    /// Our name of a column (question, reference, answer, id, group, task) and the file's: `--column reference=Musterantwort`.
    #[arg(long = "column", value_name = "OURS=THEIRS", requires = "answers_file")]
    pub(crate) columns: Vec<String>,
    /// The answers name one of these options: `--labels A,B,C,D`. They are read out of references and answers by `--rule`,
    /// and counted as right, wrong, abstained or unparsed.
    #[arg(
        long,
        value_name = "LABELS",
        value_delimiter = ',',
        requires = "answers_file",
        conflicts_with = "suite"
    )]
    labels: Vec<String>,
    /// Name of the task that the answers belong to.
    #[arg(long, value_name = "NAME", requires = "answers_file")]
    pub(crate) task: Option<String>,
}

impl ElsewhereArgs {
    /// What the answers name the options, without the blanks around it.
    pub(crate) fn labels(&self) -> Outcome<Vec<String>> {
        let labels: Vec<String> = self.labels.iter().map(|label| label.trim().to_owned()).collect();
        let wrong = |reason: &str| {
            let given = self.labels.join(",");
            Failure::input(format!("--labels {given:?}: {reason}"))
                .hint("name every option once, with commas between: `--labels A,B,C,D`")
        };
        let again = |(at, label): (usize, &String)| labels[..at].contains(label);
        match labels.iter().any(String::is_empty) {
            true => Err(wrong("a label without a text")),
            false if labels.iter().enumerate().any(again) => Err(wrong("a label stands there twice")),
            false => Ok(labels),
        }
    }
}

/// BERTScore of answers.
#[derive(Debug, clap::Args)]
pub(crate) struct BertScoreArgs {
    /// Also BERTScore, with this encoder (BERT, RoBERTa): a folder, or a name in the offline hub cache.
    #[arg(long, value_name = "DIR|NAME")]
    pub(crate) bertscore: Option<String>,
    /// Compare the encoder's states after this layer [default: the customary one of the model].
    #[arg(long, value_name = "LAYER", requires = "bertscore")]
    pub(crate) bertscore_layer: Option<usize>,
    /// Tokens that are rare among the references weigh more.
    #[arg(long, requires = "bertscore")]
    pub(crate) bertscore_idf: bool,
    /// Stretch scores so that unrelated texts score about 0: a file of bert_score's (`LAYER,P,R,F`), or `table` for what is
    /// known of the customary English encoders.
    #[arg(long, value_name = "FILE", requires = "bertscore")]
    pub(crate) bertscore_baseline: Option<PathBuf>,
}

/// Who signs the card of an evaluation.
#[derive(Debug, clap::Args)]
pub(crate) struct SigningArgs {
    /// Sign the card with this Ed25519 key in PKCS#8: `openssl genpkey -algorithm ed25519 -out key.pem` makes one.
    #[arg(long, value_name = "FILE", env = "MEDTUNE_SIGNING_KEY")]
    pub(crate) signing_key: Option<PathBuf>,
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

/// How options are read out of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuleArg {
    /// A statement of the answer, or a label or an option's text at the beginning; a letter is never guessed.
    Medtune,
    /// The letter in `<answer>…</answer>`, as MedGPT's files have it.
    Medgpt,
    /// FlowerTune's medical benchmarks: the first letter, whatever word it begins, or yes, no or maybe alone.
    Flowertune,
    /// MIRAGE: the letter behind the last `"answer_choice"`.
    Mirage,
}

impl From<RuleArg> for Rule {
    fn from(rule: RuleArg) -> Self {
        match rule {
            RuleArg::Medtune => Rule::Medtune,
            RuleArg::Medgpt => Rule::Medgpt,
            RuleArg::Flowertune => Rule::Flowertune,
            RuleArg::Mirage => Rule::Mirage,
        }
    }
}
