//! The vocabulary of a model's folder that has no `tokenizer.json`.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::AddedToken;

use super::roles::{CONFIG_FILE, read_limited, read_object};
use super::sentencepiece::{self, Surroundings};
use super::spm::Prefix;
use super::tiktoken;
use crate::{Error, Result};

/// Files with a vocabulary, the first that is there.
const FILES: [&str; 3] = ["tokenizer.model", "qwen.tiktoken", "tokenizer.tiktoken"];

/// The file of the vocabulary, if there is one.
pub(super) fn vocabulary_file(folder: &Path) -> Option<PathBuf> {
    FILES.iter().map(|file| folder.join(file)).find(|path| path.is_file())
}

/// The tokenizer of such a file and of the tokens that the folder adds to it.
pub(super) fn read(path: &Path, folder: &Path) -> Result<tokenizers::Tokenizer> {
    let wrong = |reason: String| Error::Tokenizer { path: path.to_owned(), reason };
    let bytes = read_limited(path)?;
    let mut tokenizer = if tiktoken::is_one(&bytes) {
        tiktoken::read(&bytes).map_err(wrong)?
    } else {
        let around = surroundings(folder)?;
        sentencepiece::read(&bytes, &around).map_err(|reason| {
            wrong(format!("neither a sentencepiece model ({reason}) nor one of tiktoken"))
        })?
    };
    add_tokens(&mut tokenizer, folder)?;
    Ok(tokenizer)
}

fn surroundings(folder: &Path) -> Result<Surroundings> {
    let mut around = Surroundings::default();
    for file in [CONFIG_FILE, "special_tokens_map.json"] {
        let Some(config) = read_object(&folder.join(file))? else { continue };
        around.special.extend(special_texts(&config));
        if config.get("legacy") == Some(&Value::Bool(false)) {
            around.prefix = Some(Prefix::TextStart);
        }
        if config.get("add_prefix_space") == Some(&Value::Bool(false)) {
            around.prefix = Some(Prefix::Never);
        }
    }
    Ok(around)
}

/// Every token that a config names as special.
fn special_texts(config: &Value) -> HashSet<String> {
    let text = |value: &Value| value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned);
    let roles =
        ["bos_token", "eos_token", "pad_token", "unk_token"].into_iter().filter_map(|key| config.get(key));
    let more = config.get("additional_special_tokens").and_then(Value::as_array).into_iter().flatten();
    let added = config.get("added_tokens_decoder").and_then(Value::as_object).into_iter().flatten();
    let added =
        added.map(|(_, token)| token).filter(|token| token.get("special") == Some(&Value::Bool(true)));
    roles.chain(more).chain(added).filter_map(text).collect()
}

/// Adds the tokens of `added_tokens_decoder` in the tokenizer's config, or of `added_tokens.json`, under their ids.
fn add_tokens(tokenizer: &mut tokenizers::Tokenizer, folder: &Path) -> Result<()> {
    let config = read_object(&folder.join(CONFIG_FILE))?.unwrap_or_default();
    let special = special_texts(&config);
    let mut path = folder.join(CONFIG_FILE);
    let mut added: BTreeMap<u64, AddedToken> = BTreeMap::new();
    if let Some(tokens) = config.get("added_tokens_decoder").and_then(Value::as_object) {
        for (id, token) in tokens {
            let wrong = || Error::Tokenizer {
                path: path.clone(),
                reason: format!(
                    "added token {id:?} is {token}, expected an id and an object with its content"
                ),
            };
            let flag = |key: &str| token.get(key) == Some(&Value::Bool(true));
            let content = token.get("content").and_then(Value::as_str).ok_or_else(wrong)?;
            let token = AddedToken::from(content, flag("special"))
                .normalized(flag("normalized"))
                .lstrip(flag("lstrip"))
                .rstrip(flag("rstrip"))
                .single_word(flag("single_word"));
            added.insert(id.parse().map_err(|_| wrong())?, token);
        }
    } else if let Some(Value::Object(tokens)) = read_object(&folder.join("added_tokens.json"))? {
        path = folder.join("added_tokens.json");
        for (text, id) in &tokens {
            let id = id.as_u64().ok_or_else(|| Error::Tokenizer {
                path: path.clone(),
                reason: format!("the id of added token {text:?} is {id}"),
            })?;
            added.insert(id, AddedToken::from(text, special.contains(text)).normalized(false));
        }
    }
    // In one go: the library builds its search for all of them each time.
    let tokens: Vec<AddedToken> = added.values().cloned().collect();
    tokenizer
        .add_tokens(tokens)
        .map_err(|reason| Error::Tokenizer { path: path.clone(), reason: reason.to_string() })?;
    for (id, token) in added {
        let got = tokenizer.token_to_id(&token.content);
        if got.map(u64::from) != Some(id) {
            let content = token.content;
            let reason = format!("added token {content:?} should have the id {id}, it gets {got:?}");
            return Err(Error::Tokenizer { path, reason });
        }
    }
    Ok(())
}
