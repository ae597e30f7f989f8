//! What a folder of sentence-transformers says about texts: how they are pooled, how much of them is read, and what
//! comes before them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::Pooling;
use crate::tokenizer::{CONFIG_FILE, read_object};
use crate::{Error, Result};

/// The fewest tokens of a text: those that begin and end it, and one of its own.
const SHORTEST: u64 = 3;

/// What a model's authors put before texts of a kind, as in E5's `query: ` and `passage: ` (Wang et al. 2022). They are
/// the caller's to put there: `format!("{}{text}", prompts.query())`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompts {
    texts: BTreeMap<String, String>,
}

impl Prompts {
    /// Before a query; empty where the model needs none.
    pub fn query(&self) -> &str {
        self.first(&["query"])
    }

    /// Before a text that is searched; empty where the model needs none. Models call them document, passage or corpus.
    pub fn document(&self) -> &str {
        self.first(&["document", "passage", "corpus"])
    }

    /// The prompt of a name, where the folder has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    fn first(&self, names: &[&str]) -> &str {
        names.iter().filter_map(|name| self.get(name)).find(|text| !text.is_empty()).unwrap_or_default()
    }

    fn from_json(json: &Value) -> std::result::Result<Self, String> {
        let mut texts = BTreeMap::new();
        match json.get("prompts") {
            None | Some(Value::Null) => {}
            Some(Value::Object(prompts)) => {
                for (name, text) in prompts {
                    let text = match text {
                        Value::String(text) => text.clone(),
                        Value::Null => String::new(),
                        _ => return Err(format!("the prompt {name:?} is {text}, expected a text")),
                    };
                    texts.insert(name.clone(), text);
                }
            }
            Some(other) => return Err(format!("prompts is {other}, expected texts by their names")),
        }
        Ok(Prompts { texts })
    }
}

/// What the files beside `config.json` say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SentenceConfig {
    pub(super) pooling: Pooling,
    pub(super) prompts: Prompts,
    /// The most tokens of a text or pair, with those that begin and end it.
    pub(super) longest: usize,
}

impl SentenceConfig {
    /// Reads them; `longest` is how much the encoder reads.
    pub(super) fn from_dir(folder: &Path, longest: usize) -> Result<Self> {
        let pooling = Pooling::from_dir(folder)?;
        let path = folder.join("config_sentence_transformers.json");
        let prompts = match read_object(&path)? {
            Some(json) => Prompts::from_json(&json).map_err(|reason| Error::Unsupported { path, reason })?,
            None => Prompts::default(),
        };
        let most = most_tokens(folder)?.and_then(|most| usize::try_from(most).ok());
        Ok(SentenceConfig { pooling, prompts, longest: most.map_or(longest, |most| most.min(longest)) })
    }
}

/// The most tokens that the folder's authors read, where they say so: `max_seq_length` of sentence-transformers, else
/// `model_max_length` of the tokenizer, which may be a number that means none.
fn most_tokens(folder: &Path) -> Result<Option<u64>> {
    let path = folder.join("sentence_bert_config.json");
    if let Some(most) = read_object(&path)?.as_ref().and_then(|json| json.get("max_seq_length")) {
        match most.as_u64() {
            Some(SHORTEST..) => return Ok(most.as_u64()),
            None if most.is_null() => {}
            _ => {
                let reason = format!("max_seq_length is {most}, expected at least {SHORTEST} tokens");
                return Err(Error::Unsupported { path, reason });
            }
        }
    }
    let tokenizer = read_object(&folder.join(CONFIG_FILE))?;
    let most = tokenizer.as_ref().and_then(|json| json.get("model_max_length")?.as_u64());
    Ok(most.filter(|most| *most >= SHORTEST))
}
