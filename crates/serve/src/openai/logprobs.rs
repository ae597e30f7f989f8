//! Log-probabilities in both of OpenAI's layouts.

use model::Tokenizer;
use serde_json::{Map, Value, json};

use crate::texts::Token;

/// Least log-probability that is written: JSON has no infinity.
const LEAST: f32 = -9999.0;

/// The text of one token, and its bytes.
pub(crate) fn text_of(tokenizer: &Tokenizer, id: u32) -> String {
    tokenizer.decode(&[id], false).unwrap_or_default()
}

fn entry(tokenizer: &Tokenizer, id: u32, logprob: f32) -> Map<String, Value> {
    let text = text_of(tokenizer, id);
    // A part of a character has no text of its own.
    let bytes = (!text.contains(char::REPLACEMENT_CHARACTER)).then(|| text.as_bytes().to_vec());
    let mut entry = Map::new();
    entry.insert("token".to_owned(), text.into());
    entry.insert("logprob".to_owned(), logprob.max(LEAST).into());
    entry.insert("bytes".to_owned(), bytes.into());
    entry
}

/// An entry of `choices[].logprobs.content` of a chat completion; Ollama's clients read the same.
pub(crate) fn content(tokenizer: &Tokenizer, token: &Token) -> Value {
    let mut own = entry(tokenizer, token.id, token.logprob.logprob);
    let top = token.logprob.top.iter().map(|(id, logprob)| Value::Object(entry(tokenizer, *id, *logprob)));
    own.insert("top_logprobs".to_owned(), top.collect());
    Value::Object(own)
}

/// `choices[].logprobs` of a completion, for tokens that stand at `offset` and after in the text.
pub(super) fn columns(tokenizer: &Tokenizer, tokens: &[Token]) -> Value {
    let text = |id: u32| text_of(tokenizer, id);
    let top = |token: &Token| -> Value {
        let likeliest = token.logprob.top.iter();
        let entries = likeliest.map(|(id, logprob)| (text(*id), logprob.max(LEAST).into()));
        Value::Object(entries.collect::<Map<String, Value>>())
    };
    json!({
        "tokens": tokens.iter().map(|t| text(t.id)).collect::<Vec<_>>(),
        "token_logprobs": tokens.iter().map(|t| t.logprob.logprob.max(LEAST)).collect::<Vec<_>>(),
        "top_logprobs": tokens.iter().map(top).collect::<Vec<_>>(),
        "text_offset": tokens.iter().map(|t| t.offset).collect::<Vec<_>>(),
    })
}
