//! A model at an address under examination.

use std::sync::atomic::Ordering;

use ::chat::{Calls, ChatModel};
use endpoint::{Cached, Endpoint, ReplyStore};
use eval::counted;
use eval::evaluation::Settings;
use eval::served::{Heard, Unanswered};
use serde_json::json;

use super::evaluation_folder::{is_folder, object, program};
use super::question_writer::REPLIES;
use super::remote::{at_address, is_address};
use crate::args::EvalArgs;
use crate::failure::{Failure, Outcome, io};
use crate::interrupt::Interrupts;
use crate::progress::Counted;

/// A model at an address, whose replies are kept in the folder of the evaluation.
pub(crate) struct Served {
    address: String,
    name: String,
    remote: bool,
    model: Box<dyn ChatModel>,
    at_once: usize,
    kept: bool,
    signals: Interrupts,
}

impl Served {
    /// The model that `args` name, if they name an address.
    pub(crate) fn of(args: &EvalArgs) -> Outcome<Option<Self>> {
        let Some(named) = &args.model else { return Ok(None) };
        if !is_address(&named.model) {
            return match &args.remote.model_name {
                Some(name) => {
                    Err(Failure::input(format!("--model-name {name}: {} is no address", named.model))
                        .hint("an address begins with http:// or https://"))
                }
                None => Ok(None),
            };
        }
        if named.adapter.is_some() || named.fast || named.bf16 {
            return Err(Failure::input("--adapter, --fast and --bf16 are for models on this machine")
                .hint("serve the model with its adapter, and name it with --model-name"));
        }
        let folder = args.out.as_deref().filter(|out| is_folder(out));
        let store = match folder {
            None => None,
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(io(folder))?;
                Some(ReplyStore::open(&folder.join(REPLIES))?)
            }
        };
        let endpoint = at_address(&named.model, &args.remote, &args.spending, store.as_ref())?;
        Ok(Some(Served {
            address: named.model.clone(),
            name: endpoint.name().to_owned(),
            remote: endpoint.is_remote(),
            kept: store.is_some(),
            model: with_store(endpoint, store),
            at_once: usize::from(args.remote.at_once),
            signals: Interrupts::watch()?,
        }))
    }

    /// Asks `count` questions by `work`, and shows how far it is. Work that is not whole is a failure.
    pub(crate) fn ask(
        &self,
        (what, count): (&str, usize),
        work: impl FnOnce(Calls<'_>, &mut dyn FnMut(usize)) -> eval::Result<Heard>,
    ) -> Outcome<Heard> {
        if self.remote {
            eprintln!("sending {} to {}", counted(count, "question"), self.address);
        }
        let mut bar = Counted::new(count as u64, what);
        let calls = Calls { model: &*self.model, at_once: self.at_once, stop: self.signals.flag() };
        let heard = work(calls, &mut |done| bar.at(done as u64))?;
        drop(bar);
        self.whole(heard, count)
    }

    fn whole(&self, heard: Heard, count: usize) -> Outcome<Heard> {
        let left = heard.not_asked;
        let go_on = match self.kept {
            true => {
                "the same command goes on where this one ended; replies that are there cost nothing again"
            }
            false => "with `--out DIR` replies are kept, and the same command goes on where it ended",
        };
        if let Some(error) = heard.ended_by {
            let mut failure = Failure::from(error);
            failure.message +=
                &format!("\nnot asked: {left} of {}; nothing is scored", counted(count, "question"));
            failure.hint = Some(failure.hint.map_or(go_on.to_owned(), |hint| format!("{hint}; {go_on}")));
            return Err(failure);
        }
        if self.signals.flag().load(Ordering::Relaxed) {
            let message = format!("interrupted; {left} of {} left", counted(count, "question"));
            return Err(Failure::interrupted(self.signals.status(), message).hint(go_on));
        }
        match heard.unanswered.first() {
            Some(first) if heard.outcomes.is_empty() => Err(Failure::input(format!(
                "{}: no reply to any of {}; the first, {}: {}",
                self.address,
                counted(count, "question"),
                first.item,
                first.reason
            ))
            .hint("look at --model-name, --extra, --max-new-tokens and --allow-phi")),
            _ => Ok(heard),
        }
    }

    /// What made the outcomes, to which tasks and options are added.
    pub(crate) fn settings(&self, heard: &Heard, max_new_tokens: usize) -> Settings {
        Settings {
            model: format!("{} at {}", self.name, self.address),
            program: Some(program()),
            created: track::utc_timestamp(),
            options: object(json!({
                "temperature": 0,
                "max_new_tokens": max_new_tokens,
                "template": "the server's",
                "replies": heard.taken,
                "without_reply": heard.unanswered.len(),
            })),
            left_out: heard.unanswered.iter().map(unanswered).collect(),
            ..Settings::default()
        }
    }
}

fn with_store(endpoint: Endpoint, store: Option<ReplyStore>) -> Box<dyn ChatModel> {
    match store {
        Some(store) => Box::new(Cached::new(endpoint, store)),
        None => Box::new(endpoint),
    }
}

/// A question without a reply, as it is named among what is in no number.
pub(crate) fn unanswered(question: &Unanswered) -> String {
    format!("{}: no reply: {}", question.item, question.reason)
}

/// A line on the questions without a reply.
pub(crate) fn remark(heard: &Heard) -> Option<String> {
    let first = heard.unanswered.first()?;
    let count = counted(heard.unanswered.len(), "question");
    Some(format!("{count} without a reply, in no number; the first: {}", unanswered(first)))
}
