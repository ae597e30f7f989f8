//! `medtune inspect`: a look inside, one file per thing to look at.

mod logits;
mod model;
mod split;
mod template;
mod tokens;

use std::path::Path;

pub(crate) use model::storage;

use ::model::{ChatTemplate, Tokenizer};
use chat::Message;

use crate::args::{Inspect, ModelArgs};
use crate::failure::{Failure, Outcome};
use crate::pipeline::base;

pub(crate) fn run(what: &Inspect) -> Outcome<()> {
    match what {
        Inspect::Tokens { model, file, index, train_on_inputs, json } => {
            let text = Text::of(model, file.as_deref(), *index)?;
            tokens::run(&text, *train_on_inputs, *json)
        }
        Inspect::Template { model, file, index, json } => {
            template::run(&Text::of(model, file.as_deref(), *index)?, *json)
        }
        Inspect::Split { folder, json } => split::run(folder, *json),
        Inspect::Model { model, json } => model::run(model, *json),
        Inspect::Logits { model, ids, json } => logits::run(model, ids, *json),
    }
}

/// A conversation with what turns it into tokens; the weights are not needed for that.
struct Text {
    /// Id of the conversation, where it comes from a file.
    id: Option<String>,
    messages: Vec<Message>,
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

impl Text {
    fn of(args: &ModelArgs, file: Option<&Path>, index: usize) -> Outcome<Self> {
        let (id, messages) = match file {
            Some(file) => conversation(file, index)?,
            None => (None, small_conversation()),
        };
        let base = formats::hub::resolve(&args.model)?;
        let template = base::template(&base, args.adapter.as_deref())?;
        Ok(Text { id, messages, tokenizer: base::tokenizer(&base)?, template })
    }
}

fn small_conversation() -> Vec<Message> {
    vec![
        Message::user("What is anemia?"),
        Message::assistant("Anemia means that the blood carries too little hemoglobin."),
    ]
}

/// Conversation number `index` of a prepared file.
fn conversation(file: &Path, index: usize) -> Outcome<(Option<String>, Vec<Message>)> {
    if file.is_dir() {
        return Err(Failure::input(format!("{} is a folder", file.display()))
            .hint(format!("name a file in it: {}", file.join("train.jsonl").display())));
    }
    let examples = dataset::load(file)?;
    match examples.get(index) {
        Some(example) => Ok((Some(example.id.clone()), example.messages.clone())),
        None => Err(Failure::input(format!(
            "--index {index}: {} holds {} examples, counted from 0",
            file.display(),
            examples.len()
        ))),
    }
}
