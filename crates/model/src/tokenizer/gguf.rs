//! The vocabulary inside a GGUF file.
//!
//! Source: llama.cpp's `src/llama-vocab.cpp` (`llama_vocab::impl::load`); the ids are those of llama.cpp.

use std::collections::HashSet;

use formats::{Error as FormatError, GgufFile};
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::BPE;

use super::spm::{self, Algorithm, Prefix, Rules};
use super::vocabulary::{Entry, Kind, Vocabulary};
use super::{Tokenizer, words};
use crate::{Error, Result};

/// Texts of tokens that end generation whatever the file says of them, as llama.cpp has it.
const ENDS: [&str; 11] = [
    "</s>",
    "<eos>",
    "<end_of_turn>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "<｜end▁of▁sentence｜>",
];

impl Tokenizer {
    /// The vocabulary inside a GGUF file: byte-level BPE (`tokenizer.ggml.model` is `gpt2`) or sentencepiece's BPE
    /// (`llama`), with the roles that the file gives its tokens. A text has the ids that llama.cpp gives it.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] when the vocabulary is of another kind, contradicts itself or is cut into words in an
    /// unknown way; [`Error::Format`] when a value is missing or of another type.
    pub fn from_gguf(file: &GgufFile) -> Result<Self> {
        let wrong = |reason: String| Error::Tokenizer { path: file.path().to_owned(), reason };
        let model: &str = file.require("tokenizer.ggml.model")?;
        let inner = match model {
            "gpt2" => byte_level(file)?,
            "llama" => sentencepiece(file)?,
            other => {
                return Err(wrong(format!(
                    "`tokenizer.ggml.model` is {other:?}, which is not supported (supported: gpt2, llama)"
                )));
            }
        };
        let mut tokenizer = Self::from_inner(file.path(), inner)?;
        tokenizer.assign_gguf_roles(file, model == "llama")?;
        Ok(tokenizer)
    }

    fn assign_gguf_roles(&mut self, file: &GgufFile, is_llama: bool) -> Result<()> {
        let id = |role: &str| token_id(file, role, self.vocab_size);
        let default = |id: u32| Some(id).filter(|id| is_llama && (*id as usize) < self.vocab_size);
        let bos = id("bos")?.or(default(1));
        let mut eos: Vec<u32> = id("eos")?.or(default(2)).into_iter().collect();
        let named = ENDS.iter().filter_map(|text| self.token_to_id(text)).filter(|id| self.is_special(*id));
        for end in [id("eot")?, id("eom")?].into_iter().flatten().chain(named) {
            if !eos.contains(&end) {
                eos.push(end);
            }
        }
        let pad = id("padding")?;
        self.adds_bos = file.get("tokenizer.ggml.add_bos_token")?.unwrap_or(is_llama);
        (self.bos, self.eos, self.pad) = (bos, eos, pad);
        Ok(())
    }
}

/// The token of a role, if the file names one.
pub(super) fn token_id(file: &GgufFile, role: &str, vocab_size: usize) -> Result<Option<u32>> {
    let key = format!("tokenizer.ggml.{role}_token_id");
    let Some(id) = file.get::<u64>(&key)? else { return Ok(None) };
    match u32::try_from(id) {
        Ok(small) if (small as usize) < vocab_size => Ok(Some(small)),
        _ => Err(Error::Tokenizer {
            path: file.path().to_owned(),
            reason: format!("`{key}` is {id}, and there are {vocab_size} tokens"),
        }),
    }
}

/// Tokens with their scores and kinds.
fn vocabulary(file: &GgufFile) -> Result<Vocabulary> {
    let wrong = |reason: String| Error::Tokenizer { path: file.path().to_owned(), reason };
    let tokens: &[String] = file.require("tokenizer.ggml.tokens")?;
    let scores: Option<&[f32]> = file.get("tokenizer.ggml.scores")?;
    let kinds: Option<&[i32]> = file.get("tokenizer.ggml.token_type")?;
    for (key, length) in [("scores", scores.map(<[_]>::len)), ("token_type", kinds.map(<[_]>::len))] {
        if let Some(length) = length.filter(|length| *length != tokens.len()) {
            let count = tokens.len();
            return Err(wrong(format!("`tokenizer.ggml.{key}` has {length} values for {count} tokens")));
        }
    }
    let entry = |(id, text): (usize, &String)| {
        let kind = match kinds.map(|kinds| kinds[id]) {
            // Zero is llama.cpp's "undefined".
            None | Some(0) => Kind::Normal,
            Some(number) => u64::try_from(number)
                .ok()
                .and_then(Kind::from_number)
                .ok_or_else(|| wrong(format!("token {id} is of type {number}, expected 0 to 6")))?,
        };
        let kind = if ENDS.contains(&text.as_str()) { Kind::Control } else { kind };
        let text = if text.is_empty() { format!("[EMPTY_{id}]") } else { text.clone() };
        Ok(Entry { text, score: scores.map_or(0.0, |scores| scores[id]), kind })
    };
    let entries: Vec<Entry> = tokens.iter().enumerate().map(entry).collect::<Result<_>>()?;
    Vocabulary::new(entries).map_err(wrong)
}

/// Byte-level BPE with the merges of the file.
fn byte_level(file: &GgufFile) -> Result<tokenizers::Tokenizer> {
    let wrong = |reason: String| Error::Tokenizer { path: file.path().to_owned(), reason };
    let failed = |reason: tokenizers::Error| wrong(reason.to_string());
    let name: &str = file.require("tokenizer.ggml.pre").map_err(|reason| match reason {
        FormatError::Malformed { .. } => wrong(
            "no `tokenizer.ggml.pre`: how the model cuts text into words is not known; hint: convert the model \
             again with a llama.cpp of May 2024 or later"
                .to_owned(),
        ),
        other => other.into(),
    })?;
    let words = words::by_name(name).ok_or_else(|| {
        let known = words::NAMES;
        wrong(format!("`tokenizer.ggml.pre` is {name:?}, which is not supported (supported: {known})"))
    })?;
    let vocabulary = vocabulary(file)?;
    let merges = merges(file, &vocabulary).map_err(wrong)?;
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.ids(), merges)
        .ignore_merges(words.whole_words)
        .build()
        .map_err(failed)?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(words.pre_tokenizer().map_err(wrong)?));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    tokenizer.add_tokens(vocabulary.added_tokens()).map_err(failed)?;
    Ok(tokenizer)
}

/// The merges of the file, each of two tokens that make a third.
fn merges(file: &GgufFile, vocabulary: &Vocabulary) -> std::result::Result<Vec<(String, String)>, String> {
    let lines: &[String] = file.require("tokenizer.ggml.merges").map_err(|reason| reason.to_string())?;
    let tokens: HashSet<&str> = vocabulary.entries().iter().map(|entry| entry.text.as_str()).collect();
    let parse = |(number, line): (usize, &String)| {
        let parts = line.split_once(' ').filter(|(left, right)| {
            [*left, *right, &format!("{left}{right}")].iter().all(|token| tokens.contains(token))
        });
        let (left, right) = parts
            .ok_or_else(|| format!("merge {number} is {line:?}, expected two tokens that make a third"))?;
        Ok((left.to_owned(), right.to_owned()))
    };
    lines.iter().enumerate().map(parse).collect()
}

/// The BPE of sentencepiece, its merges found by the scores.
fn sentencepiece(file: &GgufFile) -> Result<tokenizers::Tokenizer> {
    let wrong = |reason: String| Error::Tokenizer { path: file.path().to_owned(), reason };
    file.require::<&[f32]>("tokenizer.ggml.scores")?;
    let vocabulary = vocabulary(file)?;
    let prefixed: bool = file.get("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let unknown = match token_id(file, "unknown", vocabulary.entries().len())? {
        Some(id) => Some(id),
        None => vocabulary
            .entries()
            .iter()
            .zip(0..)
            .find(|(entry, _)| entry.kind == Kind::Unknown)
            .map(|(_, id)| id),
    };
    let rules = Rules {
        algorithm: Algorithm::Bpe,
        prefix: if prefixed { Prefix::EveryPart } else { Prefix::Never },
        collapse_blanks: false,
        charsmap: Vec::new(),
        byte_fallback: vocabulary.has_bytes(),
        unknown,
    };
    spm::build(&vocabulary, &rules).map_err(wrong)
}
