//! What the binary carries: the base model and the questions of the quickstart.

use std::path::Path;

use ::chat::Message;
use dataset::Example;
use serde::Deserialize;

use crate::failure::{Failure, Outcome, io};

/// The recipe of the quickstart.
pub(crate) const RECIPE: &str = include_str!("../../../recipes/quickstart.yaml");

const BASE: [(&str, &[u8]); 4] = [
    ("config.json", include_bytes!("../../../models/base/config.json")),
    ("model.safetensors", include_bytes!("../../../models/base/model.safetensors")),
    ("tokenizer.json", include_bytes!("../../../models/base/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../../../models/base/tokenizer_config.json")),
];

const QUESTIONS: [(&str, &[u8]); 2] = [
    ("questions.jsonl", include_bytes!("../../../data/quickstart/questions.jsonl")),
    ("choices.jsonl", include_bytes!("../../../data/quickstart/choices.jsonl")),
];

/// Writes the base model into `folder`.
pub(crate) fn write_base(folder: &Path) -> Outcome<()> {
    write(folder, &BASE)
}

/// Writes the questions into `folder`.
pub(crate) fn write_questions(folder: &Path) -> Outcome<()> {
    write(folder, &QUESTIONS)
}

/// The questions with their answers, without a folder.
pub(crate) fn questions() -> Outcome<Vec<Example>> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        question: String,
        answer: String,
    }
    let (name, bytes) = QUESTIONS[0];
    let wrong = |error: serde_json::Error| Failure::unexpected(format!("{name}: {error}"));
    let rows = serde_json::Deserializer::from_slice(bytes).into_iter::<Row>();
    rows.map(|row| {
        let Row { id, question, answer } = row.map_err(wrong)?;
        let messages = vec![Message::user(question), Message::assistant(answer)];
        Ok(Example { messages, id, document: None, topic: None, source: None, group: String::new() })
    })
    .collect()
}

fn write(folder: &Path, files: &[(&str, &[u8])]) -> Outcome<()> {
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    for (name, bytes) in files {
        formats::atomic::write_atomic(folder.join(name), bytes)?;
    }
    Ok(())
}
