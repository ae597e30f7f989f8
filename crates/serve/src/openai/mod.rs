//! The API of OpenAI, as far as its clients use it with one text model.

pub(crate) mod chat;
pub(crate) mod completions;
mod fields;
pub(crate) use fields::{json_constraint, refuse_present, seed};
pub(crate) mod logprobs;
pub(crate) mod models;

use model::engine::Usage;
use rand::RngExt;
use serde::Serialize;
use serde_json::{Value, json};

/// What told the client which program wrote its text.
const FINGERPRINT: &str = concat!("medtune-", env!("CARGO_PKG_VERSION"));

/// What all documents of a response begin with.
#[derive(Debug, Clone)]
struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    /// A new response, whose name begins with `prefix`.
    fn new(prefix: &str, model: String) -> Self {
        let id = format!("{prefix}-{:032x}", rand::rng().random::<u128>());
        let created = std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
        Head { id, created, model }
    }

    fn document<'a, C>(&'a self, object: &'static str, choices: C, usage: Option<Value>) -> Document<'a, C> {
        let Head { id, created, model } = self;
        Document { id, object, created: *created, model, system_fingerprint: FINGERPRINT, choices, usage }
    }
}

/// What is sent. A stream has one for every token, so it borrows what it says.
#[derive(Debug, Serialize)]
struct Document<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'static str,
    choices: C,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
}

/// Tokens of a request with several texts: each prompt counts once.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    prompt: usize,
    cached: usize,
    completion: usize,
}

impl Total {
    /// Adds text number `text_number` of prompts with `choices` texts each.
    fn add(&mut self, text_number: usize, choices: usize, usage: &Usage) {
        if text_number.is_multiple_of(choices) {
            self.prompt += usage.prompt_tokens;
            self.cached += usage.cached_tokens;
        }
        self.completion += usage.completion_tokens;
    }

    fn document(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": { "cached_tokens": self.cached },
        })
    }
}
