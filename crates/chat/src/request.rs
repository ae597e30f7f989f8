//! What a model is asked.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Message;

/// What a reply must look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A JSON document that a schema accepts.
    JsonSchema {
        /// A name for it, of letters, digits, `_` and `-`.
        name: String,
        /// The schema, in the subset that [`crate::schema::check`] knows.
        schema: Value,
    },
    /// One of some texts.
    Choice(Vec<String>),
}

/// A conversation to go on with. It is the key of a reply in a cache, so it holds nothing but what the reply depends
/// on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The conversation; its last turn is the person's.
    pub messages: Vec<Message>,
    /// Tokens that the reply may have.
    pub max_tokens: usize,
    /// 0: the likeliest reply.
    pub temperature: f32,
    /// Of the choice of tokens, where the model takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Strings that end the reply and are not part of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// What the reply must look like; free text without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
}

impl ChatRequest {
    /// A request for the likeliest reply of at most `max_tokens`.
    pub fn new(messages: Vec<Message>, max_tokens: usize) -> Self {
        ChatRequest { messages, max_tokens, temperature: 0.0, seed: None, stop: Vec::new(), form: None }
    }

    /// Bytes of all turns.
    pub fn bytes(&self) -> usize {
        self.messages.iter().map(|message| message.content.len()).sum()
    }
}
