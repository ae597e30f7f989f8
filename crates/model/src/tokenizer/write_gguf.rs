//! A vocabulary as the metadata of a GGUF file, so that llama.cpp gives a text the ids that it has here.
//!
//! Source: llama.cpp's `conversion/base.py` (`_set_vocab_gpt2`, `_set_vocab_sentencepiece`) and `src/llama-vocab.cpp`.

use std::collections::HashMap;

use formats::gguf::{Array, Value};
use serde_json::Value as Json;

use super::vocabulary::Kind;
use super::{Tokenizer, words};
use crate::{Error, Result};

/// How llama.cpp is to treat what stands before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// BOS before every text.
    pub(crate) add_bos: bool,
    /// With sentencepiece's rules: a blank before every part between control tokens.
    pub(crate) add_space_prefix: bool,
}

/// The two kinds of vocabulary that both programs read.
enum Rules {
    /// Byte-level BPE, its words cut by the rule of this name.
    ByteLevel(&'static str),
    SentencePiece,
}

impl Tokenizer {
    /// The vocabulary as `tokenizer.ggml.*`, filled up with unused tokens to the `rows` of the embedding.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] when it is of a kind, or cuts words in a way, that llama.cpp has no name for, or has more
    /// tokens than rows.
    pub(crate) fn gguf_metadata(&self, rows: usize, beginning: Beginning) -> Result<Vec<(String, Value)>> {
        let wrong = |reason: String| Error::Tokenizer { path: self.origin.clone(), reason };
        if self.vocab_size > rows {
            let size = self.vocab_size;
            return Err(wrong(format!("{size} tokens, and the embedding has {rows} rows")));
        }
        let json: Json = serde_json::from_str(&self.to_json()?).map_err(|e| wrong(e.to_string()))?;
        let rules = self.rules(&json)?;
        let merges = merges(&json).map_err(wrong)?;
        let unknown = json["model"]["unk_token"].as_str().and_then(|text| self.token_to_id(text));
        let sentencepiece = matches!(rules, Rules::SentencePiece);
        let (tokens, kinds) = self.tokens(rows, unknown.filter(|_| sentencepiece), sentencepiece);
        let mut metadata: Vec<(String, Value)> = Vec::new();
        let mut put = |key: &str, value: Value| metadata.push((format!("tokenizer.ggml.{key}"), value));
        match rules {
            Rules::ByteLevel(words) => {
                put("model", "gpt2".into());
                put("pre", words.into());
                let lines = merges.iter().map(|(left, right)| format!("{left} {right}"));
                put("merges", Value::Array(Array::String(lines.collect())));
            }
            Rules::SentencePiece => {
                put("model", "llama".into());
                put("pre", "default".into());
                put("scores", Value::Array(Array::F32(scores(&tokens, &merges))));
                put("add_space_prefix", beginning.add_space_prefix.into());
            }
        }
        put("tokens", Value::Array(Array::String(tokens)));
        put("token_type", Value::Array(Array::I32(kinds.into_iter().map(Kind::number).collect())));
        let mut ends = self.eos.iter().copied();
        for (role, id) in [
            ("bos", self.bos),
            ("eos", ends.next()),
            ("eot", ends.next()),
            ("eom", ends.next()),
            ("padding", self.pad),
            ("unknown", unknown),
        ] {
            if let Some(id) = id {
                put(&format!("{role}_token_id"), id.into());
            }
        }
        put("add_bos_token", beginning.add_bos.into());
        put("add_eos_token", false.into());
        Ok(metadata)
    }

    /// Whether a blank is put before a text; llama.cpp puts it before every part.
    pub(crate) fn has_space_prefix(&self) -> bool {
        let json = self.to_json().ok().and_then(|json| serde_json::from_str::<Json>(&json).ok());
        let json = json.unwrap_or_default();
        let steps = steps(&json["normalizer"], "normalizers").into_iter();
        let mut steps = steps.chain(steps_of_pre_tokenizer(&json));
        steps.any(|step| match step["type"].as_str() {
            Some("Prepend") => true,
            Some("Metaspace") => step["prepend_scheme"] != "never",
            _ => false,
        })
    }

    fn rules(&self, json: &Json) -> Result<Rules> {
        let wrong = |reason: &str| Error::Tokenizer { path: self.origin.clone(), reason: reason.to_owned() };
        if json["model"]["type"] != "BPE" {
            return Err(wrong("llama.cpp reads a vocabulary of this kind in another way (supported: BPE)"));
        }
        let byte_level = steps_of_pre_tokenizer(json).iter().any(|step| step["type"] == "ByteLevel");
        if !byte_level {
            return match json["model"]["byte_fallback"] == true {
                true => Ok(Rules::SentencePiece),
                false => Err(wrong("neither a byte-level BPE nor one of sentencepiece with all bytes")),
            };
        }
        let whole_words = json["model"]["ignore_merges"] == true;
        words::name_of(&self.inner, whole_words)
            .map(Rules::ByteLevel)
            .ok_or_else(|| wrong("llama.cpp has no name for the way in which text is cut into words"))
    }

    /// Every row's token and what it is for.
    fn tokens(&self, rows: usize, unknown: Option<u32>, bytes: bool) -> (Vec<String>, Vec<Kind>) {
        let mut tokens: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
        let mut kinds = vec![Kind::Unused; rows];
        for (text, id) in self.inner.get_vocab(true) {
            let is_byte = bytes && text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
            kinds[id as usize] = if is_byte { Kind::Byte } else { Kind::Normal };
            tokens[id as usize] = text;
        }
        for (id, token) in self.inner.get_added_vocabulary().get_added_tokens_decoder() {
            kinds[*id as usize] = if token.special { Kind::Control } else { Kind::UserDefined };
        }
        if let Some(unknown) = unknown {
            kinds[unknown as usize] = Kind::Unknown;
        }
        (tokens, kinds)
    }
}

/// The steps of a part of a `tokenizer.json`, sequences taken apart.
fn steps<'a>(part: &'a Json, list: &str) -> Vec<&'a Json> {
    match part[list].as_array() {
        Some(inner) => inner.iter().flat_map(|step| steps(step, list)).collect(),
        None => vec![part],
    }
}

fn steps_of_pre_tokenizer(json: &Json) -> Vec<&Json> {
    steps(&json["pre_tokenizer"], "pretokenizers")
}

fn merges(json: &Json) -> std::result::Result<Vec<(String, String)>, String> {
    let lines = json["model"]["merges"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parse = |line: &Json| {
        let text = |part: &Json| part.as_str().map(str::to_owned);
        let pair = match line {
            Json::String(line) => line.split_once(' ').map(|(left, right)| (left.into(), right.into())),
            Json::Array(parts) => match &parts[..] {
                [left, right] => text(left).zip(text(right)),
                _ => None,
            },
            _ => None,
        };
        let pair = pair.filter(|(left, right)| !left.contains(' ') && !right.contains(' '));
        pair.ok_or_else(|| format!("merge {line} is not of two tokens without a blank"))
    };
    lines.iter().map(parse).collect()
}

/// Scores with which sentencepiece's BPE, which joins the pair of the highest score first, joins in the order of the
/// merges. What no merge makes comes last.
fn scores(tokens: &[String], merges: &[(String, String)]) -> Vec<f32> {
    let mut ranks: HashMap<String, usize> = HashMap::with_capacity(merges.len());
    for (rank, (left, right)) in merges.iter().enumerate() {
        ranks.entry(format!("{left}{right}")).or_insert(rank);
    }
    let rank = |token: &String| ranks.get(token).copied().unwrap_or(merges.len());
    tokens.iter().map(|token| -(rank(token) as f32)).collect()
}
