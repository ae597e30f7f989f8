//! Prepared files, read back.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use chat::Message;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;
use crate::faults;
use crate::rows::{Choice, Item, Row};

/// What a line of a prepared file is, for those who have another one.
const CONVERSATION: &str = "a conversation with `messages`, as `medtune prepare` writes one a line";
const CHOICE: &str = "a multiple-choice item, as `medtune prepare` writes one a line";

/// A conversation to train on or to test with: one line of `train.jsonl`, `val.jsonl` or `test.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The turns, the last one the model's.
    pub messages: Vec<Message>,
    /// Its id.
    #[serde(default)]
    pub id: String,
    /// Its document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Its topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The group of rows that it belongs to.
    #[serde(default)]
    pub group: String,
}

/// A multiple-choice item: one line of `choices.jsonl`, in the layout of MedQA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceItem {
    /// Its id.
    pub id: String,
    /// Its document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Its topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// What is to be read before the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The question.
    pub question: String,
    /// Letter → text, in order.
    pub options: Map<String, Value>,
    /// The letter of the right one.
    pub answer_idx: String,
    /// Why it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
}

impl ChoiceItem {
    /// The item of a row; `None` for a conversation.
    pub fn of(row: &Row) -> Option<Self> {
        let Item::Choice(choice) = &row.item else {
            return None;
        };
        let Choice { question, context, options, answer, explanation } = choice.clone();
        Some(ChoiceItem {
            id: row.id.clone(),
            document: row.document.clone(),
            topic: row.topic.clone(),
            context,
            question,
            answer_idx: options.get(answer)?.letter.clone(),
            options: options.into_iter().map(|option| (option.letter, Value::String(option.text))).collect(),
            explanation,
        })
    }
}

/// Reads a prepared file of conversations.
///
/// # Errors
/// The file cannot be read; a line is not a conversation that ends with the model's turn.
pub fn load(path: &Path) -> Result<Vec<Example>, Error> {
    load_lines(path, CONVERSATION, |example: &Example| match example.messages.last() {
        Some(message) if message.role == chat::Role::Assistant => Ok(()),
        _ => Err("the conversation does not end with the model's turn"),
    })
}

/// Reads a prepared file of multiple-choice items.
///
/// # Errors
/// The file cannot be read; a line is not an item whose answer is one of its options.
pub fn load_choices(path: &Path) -> Result<Vec<ChoiceItem>, Error> {
    load_lines(path, CHOICE, |item: &ChoiceItem| match item.options.contains_key(&item.answer_idx) {
        true if item.options.values().all(Value::is_string) => Ok(()),
        true => Err("an option is not text"),
        false => Err("the answer is none of the options"),
    })
}

fn load_lines<T: DeserializeOwned>(
    path: &Path,
    expected: &str,
    check: impl Fn(&T) -> Result<(), &'static str>,
) -> Result<Vec<T>, Error> {
    let mut values = Vec::new();
    let reader = BufReader::new(File::open(path).map_err(Error::io(path))?);
    for (at, line) in reader.split(b'\n').enumerate() {
        let line = line.map_err(Error::io(path))?;
        let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| at == 0).unwrap_or(&line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let broken = |reason: String| Error::Prepared { path: path.into(), line: at + 1, reason };
        let value = faults::object(line, expected).map_err(broken)?;
        check(&value).map_err(|reason| broken(reason.to_string()))?;
        values.push(value);
    }
    Ok(values)
}
