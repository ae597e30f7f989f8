//! The API of OpenAI, as far as its clients use it with one text model.

pub(crate) mod chat;
pub(crate) mod completions;
mod fields;
pub(crate) use fields::{json_constraint, refuse_present, seed};
pub(crate) mod logprobs;
pub(crate) mod models;

use model::engine::Usage;
use rand::RngExt;
use serde_json::{Value, json};

/// What told the client which program wrote its text.
const FINGERPRINT: &str = concat!("medtune-", env!("CARGO_PKG_VERSION"));

/// A name for a response.
fn response_id(prefix: &str) -> String {
    format!("{prefix}-{:032x}", rand::rng().random::<u128>())
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs())
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
