//! What is asked: multiple-choice tasks under the names and with the prompts of lm-evaluation-harness, read from files
//! that are there. Nothing is downloaded.

mod known;
mod prompt;
mod source;

pub(crate) use known::words;
pub use known::{MMLU_SUBJECTS, expand, names};
pub use prompt::{Answers, Prompt};
pub(crate) use prompt::{letter, options_shown};

use dataset::{AnswerOption, Input, Item, Layout, ReadOptions, Row};
use rag::Passage;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::Path;

use crate::wording::counted;
use crate::{Error, Result};

/// A multiple-choice question.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Its name among all tasks: the task's, a slash, and that of its row.
    pub id: String,
    /// The document that it is from.
    pub group: Option<String>,
    /// What is to be read before it.
    pub context: Option<String>,
    /// The question itself.
    pub question: String,
    /// The options with their labels, in the order of the file. A label is what stands in outcomes.
    pub options: Vec<AnswerOption>,
    /// Index of the right one.
    pub answer: usize,
    /// What a search found for it, best first; `None` where nothing was searched. As many as the model has room for stand
    /// before it.
    pub passages: Option<Vec<Passage>>,
}

/// An item that is not asked, and why. It is counted and named, and part of no number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The task.
    pub task: String,
    /// The item: its id, or the row of its file.
    pub item: String,
    /// Why.
    pub reason: String,
}

/// Questions that are asked in one way.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its name, as in lm-evaluation-harness for those that are known there.
    pub name: String,
    /// How a question is written.
    pub prompt: Prompt,
    /// The questions, in the order of their file.
    pub questions: Vec<Question>,
    /// Answered questions that may stand before one that is asked.
    pub examples: Vec<Question>,
    /// What the files hold and cannot be asked.
    pub left_out: Vec<LeftOut>,
}

/// Why a row that is learned is no question of a task.
const CONVERSATION: &str = "no options: the row is a conversation";

impl Task {
    /// The task `name`: one of [`names`] with its files under `data`, or a file of multiple-choice rows. With
    /// `examples` its few-shot split is read too.
    ///
    /// # Errors
    /// [`Error::Task`] for a name that is neither, or a known task whose files are not there (the places that were
    /// looked at are named); those of `dataset` for a file that cannot be read at all.
    pub fn open(name: &str, data: Option<&Path>, examples: bool) -> Result<Self> {
        if let Some(known) = known::Known::named(name) {
            return known.open(data, examples);
        }
        let path = Path::new(name);
        if !path.is_file() {
            let reason = format!("no such task, and no such file; the tasks are {}", names().join(", "));
            return Err(Error::Task { name: name.into(), reason });
        }
        let stem = path.file_name().map_or(name.into(), |file| file.to_string_lossy().into_owned());
        let stem = stem.split('.').next().unwrap_or_default().to_owned();
        let mut task = Self::empty(stem, Prompt::Plain);
        task.questions = task.read_own(path)?;
        match task.questions.is_empty() {
            true => Err(Error::Task { name: name.into(), reason: task.without_questions() }),
            false => Ok(task),
        }
    }

    /// Takes the few-shot examples from a file of multiple-choice rows: for a task of the user's own.
    ///
    /// # Errors
    /// [`Error::Task`] where a question of the task is one of them; those of `dataset` for a file that cannot be read.
    pub fn examples_from(&mut self, path: &Path) -> Result<()> {
        let mut examples = Self::empty(self.name.clone(), self.prompt);
        self.examples = examples.read_own(path)?;
        let asked: HashSet<&str> = self.questions.iter().map(|question| question.question.as_str()).collect();
        match self.examples.iter().find(|example| asked.contains(example.question.as_str())) {
            Some(both) => {
                let reason = format!("its question `{}` is among the few-shot examples", both.id);
                Err(Error::Task { name: self.name.clone(), reason })
            }
            None => Ok(()),
        }
    }

    fn empty(name: String, prompt: Prompt) -> Self {
        Task { name, prompt, questions: Vec::new(), examples: Vec::new(), left_out: Vec::new() }
    }

    /// Why a task has nothing to ask.
    fn without_questions(&self) -> String {
        match self.left_out.first() {
            Some(first) => format!(
                "no question can be asked; {} left out, the first ({}): {}",
                counted(self.left_out.len(), "row"),
                first.item,
                first.reason
            ),
            None => "no question can be asked: the file has no rows".to_owned(),
        }
    }

    /// The questions of a file of the user's own. Rows of question and answer are taken for multiple choice here, with
    /// their options beside them.
    fn read_own(&mut self, path: &Path) -> Result<Vec<Question>> {
        let before = self.left_out.len();
        let questions = self.read(&Input::new(path))?;
        let own = &self.left_out[before..];
        let conversations = own.iter().any(|left_out| left_out.reason == CONVERSATION);
        if !questions.is_empty() || !conversations {
            return Ok(questions);
        }
        self.left_out.truncate(before);
        let options = ReadOptions { layout: Some(Layout::Options), ..ReadOptions::default() };
        match self.read(&Input { path: path.to_owned(), options }) {
            Err(Error::Data(dataset::Error::MissingColumn { columns, .. })) => {
                let reason = format!(
                    "its rows have no options: expected `question`, `answer` and a list or map `options`, or columns `A`, `B`, \
                     …; the file has {}",
                    columns.join(", ")
                );
                Err(Error::Task { name: self.name.clone(), reason })
            }
            read => read,
        }
    }

    /// The questions of a file; rows that cannot be asked are left out by name.
    fn read(&mut self, input: &Input) -> Result<Vec<Question>> {
        let (mut questions, mut seen) = (Vec::new(), HashSet::new());
        for row in dataset::read(input)? {
            let read = match row? {
                Ok(row) => question(&self.name, row),
                Err(dropped) => {
                    let item = dropped.id.unwrap_or_else(|| place(&dropped.origin));
                    Err((item, format!("{}: {}", dropped.rule, dropped.detail)))
                }
            };
            match read {
                Ok(question) if !seen.insert(question.id.clone()) => {
                    self.leave_out(question.id, "its id occurs twice; the first one is asked");
                }
                Ok(question) => questions.push(question),
                Err((item, reason)) => self.leave_out(item, reason),
            }
        }
        Ok(questions)
    }

    fn leave_out(&mut self, item: String, reason: impl Into<String>) {
        self.left_out.push(LeftOut { task: self.name.clone(), item, reason: reason.into() });
    }

    /// Keeps the first `count` questions; 0 keeps all.
    pub fn limit(&mut self, count: usize) {
        if count > 0 {
            self.questions.truncate(count);
        }
    }
}

/// The question of a row, or the item with the reason why there is none.
fn question(task: &str, row: Row) -> std::result::Result<Question, (String, String)> {
    let id = format!("{task}/{}", row.id);
    let Item::Choice(choice) = row.item else {
        return Err((id, CONVERSATION.to_owned()));
    };
    if let Some(blank) = choice.options.iter().find(|option| option.text.trim().is_empty()) {
        return Err((id, format!("option {} has no text", blank.letter)));
    }
    Ok(Question {
        id,
        group: row.document,
        context: choice.context,
        question: choice.question,
        options: choice.options,
        answer: choice.answer,
        passages: None,
    })
}

fn place(origin: &dataset::Origin) -> String {
    format!("{}, row {}", origin.file, origin.row)
}
