//! Who writes questions: a local model, or one at an address. Its replies are kept in the folder of the run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::chat::{ChatModel, ChatRequest, Message, Refusal, Reply};
use corpus::phi;
use endpoint::{ApiKey, Budget, Cached, Endpoint, Gate, Prices, RateLimit, ReplyStore};
use model::engine::EngineSettings;
use model::{LocalModel, LocalParts, encode_prompt};

use super::base::{Model, device, folder_of};
use crate::args::{AccessArgs, SpendingArgs};
use crate::failure::{Failure, Outcome, io};

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
        if !(name.starts_with("http://") || name.starts_with("https://")) {
            return Ok(Named::Local(Box::new(Model::load_on(device(), name, args.adapter.as_deref())?)));
        }
        let Some(model) = &args.model_name else {
            return Err(Failure::input(format!("{name}: an address needs the model's name there"))
                .hint("for example --model-name meta-llama/llama-3.3-70b-instruct"));
        };
        let key = match &args.api_key_file {
            Some(path) => Some(ApiKey::from_file(path)?),
            None => ApiKey::from_environment(&args.api_key_env)?,
        };
        let extra = match &args.extra {
            None => serde_json::Map::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| Failure::input(format!("--extra: not a JSON object: {error}")))?,
        };
        let spent = store.map(ReplyStore::spent).transpose()?.unwrap_or_default();
        let settings = endpoint::Settings {
            key,
            extra,
            rate: RateLimit { requests: spending.requests_per_minute, tokens: spending.tokens_per_minute },
            budget: Budget { tokens: spending.budget_tokens, money: spending.budget },
            spent,
            prices: prices(spending.prices.as_deref())?,
            timeout: Duration::from_secs(args.timeout),
            ..endpoint::Settings::new(name, model)
        };
        let endpoint = Endpoint::new(settings)?;
        let kept_here = endpoint.is_remote() && !args.allow_phi;
        Ok(Named::Remote(Box::new(if kept_here {
            endpoint.with_gate(keep_persons_data())
        } else {
            endpoint
        })))
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
                let settings = EngineSettings::new(usize::from(args.at_once), context);
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

/// Lets no request pass in which a person's data is found.
fn keep_persons_data() -> Gate {
    let gate = phi::Gate::new(phi::Mode::Refuse);
    Arc::new(move |request| {
        for message in &request.messages {
            gate.apply(&message.content).map_err(|refused| Refusal { reason: refused.to_string() })?;
        }
        Ok(())
    })
}

/// Prices from a file of LiteLLM's form.
pub(crate) fn prices(path: Option<&Path>) -> Outcome<Prices> {
    let Some(path) = path else { return Ok(Prices::default()) };
    let text = std::fs::read_to_string(path).map_err(io(path))?;
    serde_saphyr::from_str(&text).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_persons_data_is_kept_and_the_reason_does_not_repeat_it() {
        let request = |text: &str| ChatRequest::new(vec![Message::user(text)], 16);
        let gate = keep_persons_data();
        assert!(gate(&request("Pericarditis gives chest pain that is worse when lying.")).is_ok());
        let refusal = gate(&request("Patient: John Miller, MRN 12345678, seen on 03/14/2024.")).unwrap_err();
        assert!(!refusal.reason.contains("Miller") && !refusal.reason.contains("12345678"), "{refusal}");
    }
}
