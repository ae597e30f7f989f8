//! Who writes questions: a local model, or one at an address. Its replies are kept in the folder of the run.

use std::path::Path;

use ::chat::{ChatModel, ChatRequest, Message, Reply};
use endpoint::{Cached, Endpoint, ReplyStore};
use model::engine::EngineSettings;
use model::{LocalModel, LocalParts, encode_prompt};

use super::base::{Model, device, folder_of};
use super::remote::{at_address, is_address};
use crate::args::{AccessArgs, SpendingArgs};
use crate::failure::{Outcome, io};

/// The file of replies in the folder of a run.
pub(crate) const REPLIES: &str = "replies.sqlite";

/// A model that has been named, before it is known what it will be asked.
pub(crate) enum Named {
    Local(Box<Model>),
    Remote(Box<Endpoint>),
}

impl Named {
    /// Loads a local model; an address is not spoken to yet.
    pub(crate) fn new(
        name: &str,
        args: &AccessArgs,
        spending: &SpendingArgs,
        store: Option<&ReplyStore>,
    ) -> Outcome<Self> {
        if !is_address(name) {
            return Ok(Named::Local(Box::new(Model::load_on(device(), name, args.adapter.as_deref())?)));
        }
        Ok(Named::Remote(Box::new(at_address(name, &args.remote, spending, store)?)))
    }

    /// Tokens of a text; with an address about four bytes each, as its vocabulary is not known.
    pub(crate) fn count(&self, text: &str) -> usize {
        match self {
            Named::Local(model) => model.tokenizer.encode_ordinary(text).map_or(text.len(), |ids| ids.len()),
            Named::Remote(_) => text.len().div_ceil(4),
        }
    }

    /// Tokens that a prompt and its reply may have together, where that is known.
    pub(crate) fn positions(&self) -> Option<usize> {
        match self {
            Named::Local(model) => Some(model.decoder.positions()),
            Named::Remote(_) => None,
        }
    }

    /// Tokens of a conversation through the model's template, where that is known.
    pub(crate) fn prompt_tokens(&self, messages: &[Message]) -> Option<usize> {
        match self {
            Named::Local(model) => {
                encode_prompt(&model.tokenizer, &model.template, messages).ok().map(|ids| ids.len())
            }
            Named::Remote(_) => None,
        }
    }

    /// What its replies are kept under.
    pub(crate) fn identity(&self, args: &AccessArgs) -> Outcome<String> {
        match self {
            Named::Local(model) => identity(&model.base, args.adapter.as_deref()),
            Named::Remote(endpoint) => Ok(endpoint.identity()),
        }
    }

    /// Makes it ready for requests of at most `context` tokens with their replies, `at_once` at a time.
    pub(crate) fn start(self, name: &str, args: &AccessArgs, context: usize) -> Outcome<Writer> {
        let identity = self.identity(args)?;
        match self {
            Named::Remote(endpoint) => Ok(Writer::Remote(endpoint)),
            Named::Local(model) => {
                let Model { decoder, tokenizer, template, .. } = *model;
                let settings = EngineSettings::new(usize::from(args.remote.at_once), context);
                let parts = LocalParts { decoder, tokenizer, template };
                Ok(Writer::Local(Box::new(LocalModel::start(parts, settings, (name, &identity))?)))
            }
        }
    }
}

/// A model that is ready.
pub(crate) enum Writer {
    Local(Box<LocalModel>),
    Remote(Box<Endpoint>),
}

impl Writer {
    /// With its replies kept.
    pub(crate) fn kept_in(self, store: ReplyStore) -> Cached<Writer> {
        Cached::new(self, store)
    }
}

impl ChatModel for Writer {
    fn name(&self) -> &str {
        match self {
            Writer::Local(model) => model.name(),
            Writer::Remote(model) => model.name(),
        }
    }

    fn identity(&self) -> String {
        match self {
            Writer::Local(model) => model.identity(),
            Writer::Remote(model) => model.identity(),
        }
    }

    fn reply(&self, request: &ChatRequest) -> ::chat::Result<Reply> {
        match self {
            Writer::Local(model) => model.reply(request),
            Writer::Remote(model) => model.reply(request),
        }
    }
}

/// What tells these weights from others: names, sizes and times of their files.
fn identity(base: &Path, adapter: Option<&Path>) -> Outcome<String> {
    let mut hasher = blake3::Hasher::new();
    for place in [Some(base), adapter].into_iter().flatten() {
        let folder = folder_of(place);
        let mut files: Vec<_> = match place.is_file() {
            true => vec![place.to_owned()],
            false => {
                let entries = std::fs::read_dir(folder).map_err(io(folder))?;
                entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect()
            }
        };
        files.sort();
        for file in files {
            let data = std::fs::metadata(&file).map_err(io(&file))?;
            let changed = data.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let nanoseconds = changed.map_or(0, |since| since.as_nanos());
            hasher.update(file.as_os_str().as_encoded_bytes());
            hasher.update(&data.len().to_le_bytes()).update(&nanoseconds.to_le_bytes());
        }
    }
    Ok(format!("local {}", hasher.finalize().to_hex()))
}
