//! What the binary carries: the base model and the questions of the quickstart.

use std::io::Read;
use std::path::Path;

use ::chat::Message;
use dataset::Example;
use flate2::read::DeflateDecoder;
use serde::Deserialize;

use crate::failure::{Failure, Outcome, io};

/// The recipe of the quickstart.
pub(crate) const RECIPE: &str = include_str!("../../../recipes/quickstart.yaml");

/// As `build.rs` packs them.
macro_rules! packed {
    ($name:literal) => {
        ($name, include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".packed")))
    };
}

const BASE: [(&str, &[u8]); 4] = [
    packed!("config.json"),
    packed!("model.safetensors"),
    packed!("tokenizer.json"),
    packed!("tokenizer_config.json"),
];

const QUESTIONS: [(&str, &[u8]); 2] = [
    ("questions.jsonl", include_bytes!("../../../data/quickstart/questions.jsonl")),
    ("choices.jsonl", include_bytes!("../../../data/quickstart/choices.jsonl")),
];

/// Writes the base model into `folder`.
pub(crate) fn write_base(folder: &Path) -> Outcome<()> {
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    for (name, packed) in BASE {
        let bytes = unpack(packed).map_err(|error| Failure::unexpected(format!("{name}: {error}")))?;
        formats::atomic::write_atomic(folder.join(name), &bytes)?;
    }
    Ok(())
}

/// The inverse of `pack` in `build.rs`.
fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut planes = Vec::new();
    DeflateDecoder::new(packed).read_to_end(&mut planes)?;
    let (even, odd) = planes.split_at(planes.len().div_ceil(2));
    let mut bytes = vec![0; planes.len()];
    bytes.iter_mut().step_by(2).zip(even).for_each(|(byte, even)| *byte = *even);
    bytes.iter_mut().skip(1).step_by(2).zip(odd).for_each(|(byte, odd)| *byte = *odd);
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_that_is_written_is_the_one_in_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        write_base(folder.path()).unwrap();
        for (name, _) in BASE {
            let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/base");
            let expected = std::fs::read(Path::new(repository).join(name)).unwrap();
            assert!(std::fs::read(folder.path().join(name)).unwrap() == expected, "{name}");
        }
    }
}
