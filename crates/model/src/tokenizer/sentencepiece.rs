//! `tokenizer.model` files of sentencepiece: Llama 2, Mistral, Gemma.
//!
//! Source: sentencepiece's `src/sentencepiece_model.proto`.

use std::collections::HashSet;

use super::protobuf::{Value, fields};
use super::spm::{self, Algorithm, Prefix, Rules};
use super::vocabulary::{Entry, Kind, Vocabulary};

/// What a model's folder says beside the file.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Where a blank goes before a text, if the folder says so.
    pub(super) prefix: Option<Prefix>,
    /// Texts of tokens that are special although the file calls them user-defined, such as Gemma's.
    pub(super) special: HashSet<String>,
}

/// The settings of the messages `TrainerSpec` and `NormalizerSpec`, with the defaults of the format.
#[derive(Debug)]
struct Settings {
    algorithm: u64,
    byte_fallback: bool,
    blank_as_suffix: bool,
    unknown: u32,
    charsmap: Vec<u8>,
    dummy_prefix: bool,
    collapse_blanks: bool,
    escape_blanks: bool,
}

/// The tokenizer of a file.
pub(super) fn read(bytes: &[u8], around: &Surroundings) -> Result<tokenizers::Tokenizer, String> {
    let (entries, settings) = parse(bytes, &around.special)?;
    let algorithm = match settings.algorithm {
        1 => Algorithm::Unigram,
        2 => Algorithm::Bpe,
        other => {
            return Err(format!("the model is of type {other}, expected 1 (unigram) or 2 (BPE)"));
        }
    };
    if settings.blank_as_suffix || !settings.escape_blanks {
        return Err("blanks are kept as they are, or stand behind words, which is not supported".to_owned());
    }
    let vocabulary = Vocabulary::new(entries)?;
    let unknown = settings.unknown;
    match vocabulary.get(unknown.into()) {
        Some(entry) if entry.kind == Kind::Unknown => {}
        _ => return Err(format!("token {unknown} is not the unknown token")),
    }
    let prefix = if settings.dummy_prefix { Prefix::EveryPart } else { Prefix::Never };
    let rules = Rules {
        algorithm,
        prefix: around.prefix.unwrap_or(prefix),
        collapse_blanks: settings.collapse_blanks,
        charsmap: settings.charsmap,
        byte_fallback: settings.byte_fallback,
        unknown: Some(unknown),
    };
    spm::build(&vocabulary, &rules)
}

fn parse(bytes: &[u8], special: &HashSet<String>) -> Result<(Vec<Entry>, Settings), String> {
    let mut settings = Settings {
        algorithm: 1,
        byte_fallback: false,
        blank_as_suffix: false,
        unknown: 0,
        charsmap: Vec::new(),
        dummy_prefix: true,
        collapse_blanks: true,
        escape_blanks: true,
    };
    let mut entries = Vec::new();
    for field in fields(bytes) {
        match field? {
            (1, piece) => {
                let number = entries.len();
                let entry = entry(piece, special).map_err(|reason| format!("token {number}: {reason}"))?;
                entries.push(entry);
            }
            (2, trainer) => settings.read_trainer(trainer)?,
            (3, normalizer) => settings.read_normalizer(normalizer)?,
            _ => {}
        }
    }
    Ok((entries, settings))
}

fn entry(piece: Value<'_>, special: &HashSet<String>) -> Result<Entry, String> {
    let mut entry = Entry { text: String::new(), score: 0.0, kind: Kind::Normal };
    for field in fields(piece.bytes()?) {
        match field? {
            (1, text) => entry.text = text.text()?.to_owned(),
            (2, score) => entry.score = score.float()?,
            (3, kind) => {
                let number = kind.number()?;
                entry.kind = Kind::from_number(number).ok_or_else(|| format!("of type {number}"))?;
            }
            _ => {}
        }
    }
    if entry.kind == Kind::UserDefined && special.contains(&entry.text) {
        entry.kind = Kind::Control;
    }
    Ok(entry)
}

impl Settings {
    fn read_trainer(&mut self, message: Value<'_>) -> Result<(), String> {
        for field in fields(message.bytes()?) {
            match field? {
                (3, value) => self.algorithm = value.number()?,
                (24, value) => self.blank_as_suffix = value.number()? != 0,
                (35, value) => self.byte_fallback = value.number()? != 0,
                (40, value) => {
                    let number = value.number()?;
                    self.unknown = number.try_into().map_err(|_| format!("the unknown token is {number}"))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_normalizer(&mut self, message: Value<'_>) -> Result<(), String> {
        for field in fields(message.bytes()?) {
            match field? {
                (2, value) => self.charsmap = value.bytes()?.to_owned(),
                (3, value) => self.dummy_prefix = value.number()? != 0,
                (4, value) => self.collapse_blanks = value.number()? != 0,
                (5, value) => self.escape_blanks = value.number()? != 0,
                _ => {}
            }
        }
        Ok(())
    }
}
