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

const QUESTIONS: [(&str, &[u8]); 2] = [packed!("questions.jsonl"), packed!("choices.jsonl")];

/// Writes the base model into `folder`.
pub(crate) fn write_base(folder: &Path) -> Outcome<()> {
    write(folder, &BASE)
}

/// Writes the questions into `folder`.
pub(crate) fn write_questions(folder: &Path) -> Outcome<()> {
    write(folder, &QUESTIONS)
}

fn write(folder: &Path, files: &[(&str, &[u8])]) -> Outcome<()> {
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    for (name, packed) in files {
        formats::atomic::write_atomic(folder.join(name), &unpack(name, packed)?)?;
    }
    Ok(())
}

/// The inverse of `pack` in `build.rs`.
fn unpack(name: &str, packed: &[u8]) -> Outcome<Vec<u8>> {
    let mut unpacked = Vec::new();
    DeflateDecoder::new(&packed[1..])
        .read_to_end(&mut unpacked)
        .map_err(|error| Failure::unexpected(format!("{name}: {error}")))?;
    if packed[0] == 0 {
        return Ok(unpacked);
    }
    let (even, odd) = unpacked.split_at(unpacked.len().div_ceil(2));
    let mut bytes = vec![0; unpacked.len()];
    bytes.iter_mut().step_by(2).zip(even).for_each(|(byte, even)| *byte = *even);
    bytes.iter_mut().skip(1).step_by(2).zip(odd).for_each(|(byte, odd)| *byte = *odd);
    Ok(bytes)
}

/// The questions with their answers, without a folder.
pub(crate) fn questions() -> Outcome<Vec<Example>> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        question: String,
        answer: String,
    }
    let (name, packed) = QUESTIONS[0];
    let wrong = |error: serde_json::Error| Failure::unexpected(format!("{name}: {error}"));
    let bytes = unpack(name, packed)?;
    let rows = serde_json::Deserializer::from_slice(&bytes).into_iter::<Row>();
    rows.map(|row| {
        let Row { id, question, answer } = row.map_err(wrong)?;
        let messages = vec![Message::user(question), Message::assistant(answer)];
        Ok(Example { messages, id, document: None, topic: None, source: None, group: String::new() })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_the_repository_holds() {
        let folder = tempfile::tempdir().unwrap();
        write_base(folder.path()).unwrap();
        write_questions(folder.path()).unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (from, files) in [("models/base", &BASE[..]), ("data/quickstart", &QUESTIONS)] {
            for (name, _) in files {
                let expected = std::fs::read(repository.join(from).join(name)).unwrap();
                assert!(std::fs::read(folder.path().join(name)).unwrap() == expected, "{name}");
            }
        }
    }
}
