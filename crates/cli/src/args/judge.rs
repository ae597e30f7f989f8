//! Judges of answers.

use std::path::PathBuf;

use clap::ValueEnum;
use eval::judge::{Mode, Scale};

use super::{AccessArgs, SpendingArgs};

/// How answers are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JudgeMode {
    /// Each answer by itself, by several criteria.
    Pointwise,
    /// Each answer by itself against the reference, by five described levels.
    Rubric,
    /// Two answers at a time, in both orders.
    Pairwise,
    /// All answers at once, in several orders.
    Listwise,
}

impl From<JudgeMode> for Mode {
    fn from(mode: JudgeMode) -> Self {
        match mode {
            JudgeMode::Pointwise => Mode::Pointwise,
            JudgeMode::Rubric => Mode::Rubric,
            JudgeMode::Pairwise => Mode::Pairwise,
            JudgeMode::Listwise => Mode::Listwise,
        }
    }
}

/// Arguments of `judge`.
#[derive(Debug, clap::Args)]
pub(crate) struct JudgeArgs {
    /// The answers of one system each: `items.jsonl` of an evaluation, or CSV or JSON lines with the columns question,
    /// reference and answer. `NAME=FILE` gives the system a name.
    #[arg(value_name = "[NAME=]FILE", required_unless_present_any = ["human", "import", "print_prompt"])]
    pub(crate) answers: Vec<String>,
    /// The judge: a folder in Hugging Face layout, a GGUF file (`local:` before it may stand), or the address of a server that
    /// speaks OpenAI's protocol.
    #[arg(long, value_name = "DIR|FILE|URL", required_unless_present_any = ["human", "import", "print_prompt"])]
    pub(crate) judge: Option<String>,
    /// How answers are judged.
    #[arg(long, default_value = "pointwise")]
    pub(crate) mode: JudgeMode,
    /// The scale of point-wise scores: 0-1, 0-5 or 1-10.
    #[arg(long, value_name = "LOW-HIGH", default_value = "0-5")]
    pub(crate) scale: Scale,
    /// Other criteria or levels (YAML): `criteria: [{name: …, description: …}]`, `levels: [five texts]`.
    #[arg(long, value_name = "FILE")]
    pub(crate) rubric: Option<PathBuf>,
    /// List-wise: every rotation of the systems instead of one order and its reverse.
    #[arg(long)]
    pub(crate) rotations: bool,
    /// A file with another prompt.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt: Option<String>,
    /// Print a shipped prompt (`pointwise`, `rubric`, `pairwise`, `listwise`), to edit it, and do nothing else.
    #[arg(long, value_name = "NAME")]
    pub(crate) print_prompt: Option<String>,
    /// Tokens that a judgement may have.
    #[arg(long, value_name = "COUNT", default_value_t = 1024)]
    pub(crate) max_tokens: usize,
    /// The folder to write. A run that was ended goes on in it.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["human", "import", "print_prompt", "dry_run"])]
    pub(crate) out: Option<PathBuf>,
    /// Grades of people for some of the answers: the judge ranks the systems only where it agrees with them. CSV or JSON
    /// lines of item, system, grader, grade, or a table with a column for each grade.
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Vec<PathBuf>,
    /// The agreement beyond chance (kappa) that a ranking needs; below 0.4 it counts as poor (Fleiss 1981).
    #[arg(long, value_name = "KAPPA", default_value_t = eval::judge::MIN_AGREEMENT, requires = "calibration")]
    pub(crate) min_agreement: f64,
    /// The `judgements.jsonl` of another judge on the same answers: what this one gives its own family is held against it
    /// where no people graded.
    #[arg(long, value_name = "FILE")]
    pub(crate) other_judge: Vec<PathBuf>,
    /// Tabulate grades of people, and do nothing else.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["judge", "calibration", "answers"])]
    pub(crate) human: Vec<PathBuf>,
    /// Count judgements that other programs made (ECG-LLM, MedGPT, MediLiteQA, MedicalQA with RLAIF), and do nothing else.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["judge", "answers", "human"])]
    pub(crate) import: Vec<PathBuf>,
    /// With `--human`: compare all others with this system only. It has to be chosen before the grades are seen.
    #[arg(long, value_name = "SYSTEM", requires = "human")]
    pub(crate) against: Vec<String>,
    /// A row of grades with several marks counts as the best of them, instead of being left out.
    #[arg(long)]
    pub(crate) best_mark: bool,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) spending: SpendingArgs,
    /// Say how many calls, tokens and what costs it would take, show two prompts, and ask nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}
