//! How multiple-choice questions are asked, how the answers are read, and what they add up to.
//!
//! ```text
//! Task ─▶ asked (order of the options, examples, template) ─▶ log-likelihood of the answers ─▶ Outcome ─▶ ChoiceReport
//!                                                        └──▶ a written answer ▸ extraction ──┘
//! ```

mod asked;
mod batch;
mod evidence;
mod generation;
mod pair;
mod rating;
mod served;
mod shown;

pub mod extract;
pub mod summary;

pub use served::ask_served;
pub use summary::ChoiceReport;

use compute::Backend;
use serde::{Deserialize, Serialize};

use self::asked::Wording;
use self::extract::Rule;
use crate::comparison::Outcome;
use crate::task::{Answers, LeftOut, Prompt, Task};
use crate::{Progress, Result, Subject};

/// How an answer is got from a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The answer with the highest log-likelihood after the task's own prompt, as lm-evaluation-harness asks
    /// (`output_type: multiple_choice`). For a file of the user's own the answers are the texts of the options.
    #[default]
    LogLikelihood,
    /// The options are listed, and of their letters the likeliest is taken: what a decoder writes that is allowed to
    /// write nothing else.
    Letter,
    /// An answer is written freely, and read by a rule ([`extract`]).
    Generation,
}

impl Mode {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mode::LogLikelihood => "loglikelihood",
            Mode::Letter => "letter",
            Mode::Generation => "generation",
        }
    }

    /// What the answers to a task with this prompt are. Who writes has to see the options, so those of the user's own
    /// files are listed then.
    pub fn answers(self, prompt: Prompt) -> Answers {
        match self {
            Mode::Letter => Answers::Letters,
            Mode::Generation if prompt == Prompt::Plain => Answers::Letters,
            Mode::LogLikelihood | Mode::Generation => Answers::Own,
        }
    }
}

/// How questions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How an answer is got.
    pub mode: Mode,
    /// Answered questions before each question.
    pub few_shot: usize,
    /// Seed of the draw of them, for each question anew; `None`: the first of their split.
    pub few_shot_seed: Option<u64>,
    /// Through the model's chat template (the description is the system turn, the examples are turns), or as bare text.
    pub chat_template: bool,
    /// Seed of the order of the options, for each question its own; `None`: the order of the file. Only where the
    /// prompt lists them.
    pub shuffle: Option<u64>,
    /// Tokens that a written answer may have.
    pub max_new_tokens: usize,
    /// What becomes of a question that is longer than the model reads.
    pub too_long: TooLong,
    /// How an option is read out of an answer that was written.
    pub rule: Rule,
}

/// What becomes of a question that is longer than the model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TooLong {
    /// Tasks of lm-evaluation-harness as it does, so that accuracies are the same: [`TooLong::Cut`]. Files of the user's
    /// own: [`TooLong::LeaveOut`].
    #[default]
    AsHarness,
    /// It loses its beginning, and counts; its outcome says so.
    Cut,
    /// It is left out by name, and in no number.
    LeaveOut,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            mode: Mode::default(),
            few_shot: 0,
            few_shot_seed: None,
            chat_template: false,
            shuffle: None,
            max_new_tokens: 64,
            too_long: TooLong::default(),
            rule: Rule::default(),
        }
    }
}

/// What a model did with a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// One outcome for each question that was asked, in the order of the task.
    pub outcomes: Vec<Outcome>,
    /// What was not asked: what the task had left out already, and what the model cannot read.
    pub left_out: Vec<LeftOut>,
}

/// Asks `subject` the questions of `task`. A question that the model cannot read is left out by name.
///
/// # Errors
/// [`crate::Error::Task`] where fewer few-shot examples are there than are wanted; when the device has no room.
pub fn ask<B: Backend>(
    subject: &Subject<'_, B>,
    task: &Task,
    settings: &Settings,
    progress: Progress<'_>,
) -> Result<Answered> {
    let mut left_out = task.left_out.clone();
    let asked = asked::all(task, settings, Some(&Wording::of(subject, settings)))?;
    let outcomes = match settings.mode {
        Mode::LogLikelihood | Mode::Letter => {
            rating::rate(subject, &asked, settings, &mut left_out, progress)?
        }
        Mode::Generation => generation::write(subject, &asked, settings, &mut left_out, progress)?,
    };
    Ok(Answered { outcomes, left_out })
}
