//! Questions as they are put to a model.

use chat::{Message, Role};
use compute::Backend;
use model::{ChatTemplate, Tokenizer};

use super::{Mode, Settings, TooLong, evidence, shown};
use crate::comparison::{Choice, Evidence, Outcome};
use crate::task::{LeftOut, Prompt, Question, Task, letter};
use crate::{Error, Result, Subject};

/// What stands between a question and its answer in bare text (`target_delimiter`).
const TARGET_DELIMITER: &str = " ";
/// What stands between examples in bare text (`fewshot_delimiter`).
const EXAMPLE_DELIMITER: &str = "\n\n";

/// A question as it is put to a model.
#[derive(Debug, Clone)]
pub(super) struct Asked<'a> {
    pub(super) task: &'a Task,
    pub(super) question: &'a Question,
    /// The options as shown: indices of the question's own.
    pub(super) order: Vec<usize>,
    /// The answers that are read, in the order shown.
    pub(super) answers: Vec<String>,
    /// The description, then examples with their answers, then the question, with what was found for it.
    pub(super) turns: Vec<Message>,
    /// The last turn without what was found.
    pub(super) prompt: String,
    /// What was found and is read.
    pub(super) evidence: Option<Evidence>,
}

/// The side of a model that is text: what questions become tokens with. Threads may share it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wording<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) template: &'a ChatTemplate,
    /// Tokens that the model reads.
    pub(super) positions: usize,
    /// Whether the template is used.
    pub(super) chat: bool,
}

impl<'a> Wording<'a> {
    pub(super) fn of<B: Backend>(subject: &Subject<'a, B>, settings: &Settings) -> Self {
        let Subject { decoder, tokenizer, template, .. } = *subject;
        Wording { tokenizer, template, positions: decoder.positions(), chat: settings.chat_template }
    }
}

/// What the tokens of a prompt are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) text: String,
    /// What stands before an answer.
    pub(super) delimiter: &'static str,
    /// Control tokens count in the text: a template has written it.
    pub(super) control: bool,
}

/// All questions of a task, each with as much of what was found for it as `wording` has room for; without a wording, as
/// nobody knows how much is read, with all of it.
///
/// # Errors
/// [`Error::Task`] where fewer examples are there than are wanted.
pub(super) fn all<'a>(
    task: &'a Task,
    settings: &Settings,
    wording: Option<&Wording<'_>>,
) -> Result<Vec<Asked<'a>>> {
    if settings.few_shot > task.examples.len() {
        let reason =
            format!("{} few-shot examples are there, {} wanted", task.examples.len(), settings.few_shot);
        return Err(Error::Task { name: task.name.clone(), reason });
    }
    let mut all: Vec<_> =
        task.questions.iter().map(|question| Asked::new(task, question, settings)).collect();
    all.iter_mut().for_each(|asked| evidence::put_before(asked, settings, wording));
    Ok(all)
}

impl<'a> Asked<'a> {
    fn new(task: &'a Task, question: &'a Question, settings: &Settings) -> Self {
        let kind = settings.mode.answers(task.prompt);
        // Where the options are not listed their order is nothing that a model could see.
        let shuffle = settings.shuffle.filter(|_| task.prompt.lists_options(kind));
        let order = |question: &Question| shown::order(&question.id, question.options.len(), shuffle);
        let mut turns = Vec::new();
        let description = task.prompt.description();
        if !description.is_empty() {
            turns.push(Message::new(Role::System, description));
        }
        let wanted = (settings.few_shot, task.examples.len());
        for example in shown::examples(&question.id, wanted, settings.few_shot_seed) {
            let example = &task.examples[example];
            let order = order(example);
            let right = order.iter().position(|option| *option == example.answer).unwrap_or_default();
            turns.push(Message::user(task.prompt.text(example, &order, kind)));
            turns.push(Message::assistant(task.prompt.answers(example, &order, kind).swap_remove(right)));
        }
        let order = order(question);
        let prompt = task.prompt.text(question, &order, kind);
        turns.push(Message::user(prompt.as_str()));
        let answers = task.prompt.answers(question, &order, kind);
        Asked { task, question, order, answers, turns, prompt, evidence: None }
    }

    /// The text that an answer is read after.
    ///
    /// # Errors
    /// When the model's template refuses the conversation.
    pub(super) fn context(&self, wording: &Wording<'_>) -> Result<Context> {
        if wording.chat {
            let rendered = wording.template.render(&self.turns, true);
            let text = rendered.map_err(|source| self.failed(source))?;
            return Ok(Context { text, delimiter: "", control: true });
        }
        let mut text = String::new();
        for (at, turn) in self.turns.iter().enumerate() {
            text += &turn.content;
            text += match turn.role {
                Role::Assistant => EXAMPLE_DELIMITER,
                Role::User if at + 1 < self.turns.len() => TARGET_DELIMITER,
                _ => "",
            };
        }
        Ok(Context { text, delimiter: TARGET_DELIMITER, control: false })
    }

    /// Whether a question that is too long is asked without its beginning.
    pub(super) fn may_be_cut(&self, settings: &Settings) -> bool {
        match settings.too_long {
            TooLong::Cut => true,
            TooLong::LeaveOut => false,
            TooLong::AsHarness => self.task.prompt != Prompt::Plain,
        }
    }

    pub(super) fn failed(&self, source: model::Error) -> Error {
        Error::Item { id: self.question.id.clone(), source: Box::new(source) }
    }

    pub(super) fn left_out(&self, error: &Error) -> LeftOut {
        LeftOut { task: self.task.name.clone(), item: self.question.id.clone(), reason: error.to_string() }
    }

    /// The label of the option that is shown at `place`.
    pub(super) fn label(&self, place: usize) -> String {
        self.question.options[self.order[place]].letter.clone()
    }

    /// What a written answer may call the options, in the order shown: by the letters before them, or by their labels.
    pub(super) fn named(&self, mode: Mode) -> Vec<String> {
        match self.task.prompt.lists_options(mode.answers(self.task.prompt)) {
            false => (0..self.order.len()).map(|place| self.label(place)).collect(),
            true => (0..self.order.len()).map(letter).collect(),
        }
    }

    /// The outcome without what the model made of it.
    pub(super) fn outcome(&self, settings: &Settings) -> Outcome {
        let question = self.question;
        let right = &question.options[question.answer];
        let listed = self.task.prompt.lists_options(settings.mode.answers(self.task.prompt));
        let rated = settings.mode != Mode::Generation;
        let shown = (0..self.order.len()).map(|place| self.label(place)).collect();
        Outcome {
            id: question.id.clone(),
            task: Some(self.task.name.clone()),
            group: question.group.clone(),
            question: Some(self.prompt.clone()),
            evidence: self.evidence.clone(),
            reference: Some(right.text.clone()),
            choice: Some(Choice {
                gold: right.letter.clone(),
                // Positions mean something where a model sees them, and ratings have to be told apart.
                shown: if listed || rated { shown } else { Vec::new() },
                ..Choice::default()
            }),
            ..Outcome::default()
        }
    }
}

impl Outcome {
    /// With the tokens that its question lost.
    pub(super) fn with_cut(mut self, tokens: usize) -> Self {
        if let Some(choice) = &mut self.choice {
            choice.cut = u32::try_from(tokens).unwrap_or(u32::MAX);
        }
        self
    }
}
