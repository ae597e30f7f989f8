//! Log-probabilities in both of OpenAI's layouts.

use serde_json::{Map, Value, json};

use crate::catalogue::Catalogue;
use crate::texts::Token;

/// Least log-probability that is written: JSON has no infinity.
const LEAST: f32 = -9999.0;

/// The text of one token; U+FFFD for a part of a character.
fn text_of(catalogue: &Catalogue, id: u32) -> String {
    match catalogue.bytes_of(id) {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => catalogue.tokenizer().id_to_token(id).unwrap_or_default(),
    }
}

fn entry(catalogue: &Catalogue, id: u32, logprob: f32) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("token".to_owned(), text_of(catalogue, id).into());
    entry.insert("logprob".to_owned(), logprob.max(LEAST).into());
    entry.insert("bytes".to_owned(), catalogue.bytes_of(id).into());
    entry
}

/// An entry of `choices[].logprobs.content` of a chat completion; Ollama's clients read the same.
pub(crate) fn content(catalogue: &Catalogue, token: &Token) -> Value {
    let mut own = entry(catalogue, token.id, token.logprob.logprob);
    let top = token.logprob.top.iter().map(|(id, logprob)| Value::Object(entry(catalogue, *id, *logprob)));
    own.insert("top_logprobs".to_owned(), top.collect());
    Value::Object(own)
}

/// `choices[].logprobs` of a completion, for tokens that stand at `offset` and after in the text.
pub(super) fn columns(catalogue: &Catalogue, tokens: &[Token]) -> Value {
    let text = |id: u32| text_of(catalogue, id);
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
