//! What a model answers.

use serde::{Deserialize, Serialize};

/// Why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// It has all the tokens that it may have; it may be incomplete.
    Length,
    /// The provider's filter took it away.
    ContentFilter,
    /// Something that only the provider knows, in its own word; empty where it said nothing.
    Other(String),
}

impl Finish {
    /// From the word of the OpenAI protocol.
    pub fn from_word(word: &str) -> Self {
        match word {
            "stop" | "eos" | "end_turn" => Finish::Stop,
            "length" | "max_tokens" => Finish::Length,
            "content_filter" => Finish::ContentFilter,
            other => Finish::Other(other.to_owned()),
        }
    }
}

/// Tokens that a reply took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the reply.
    pub completion_tokens: u64,
    /// The provider did not say; the numbers are an estimate.
    #[serde(default)]
    pub estimated: bool,
}

impl Usage {
    /// Tokens of prompt and reply.
    pub fn total(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// What it says.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// What it took.
    pub usage: Usage,
    /// What it cost, in the provider's currency (US dollars with all that are known); nothing where nobody knows.
    pub cost: Option<f64>,
    /// The model that answered, in the provider's words.
    pub model: String,
    /// It was there already: it took no time and cost nothing.
    #[serde(skip)]
    pub cached: bool,
}
