//! The rules of sentencepiece as a tokenizer of the library.
//!
//! Source: sentencepiece 0.2, `src/normalizer.cc`, `src/bpe_model.cc`, `src/unigram_model.cc`.

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::precompiled::Precompiled;
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{Prepend, Sequence as Normalizers};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{DecoderWrapper, ModelWrapper, NormalizerWrapper, Tokenizer};

use super::vocabulary::Vocabulary;

/// What stands for a blank in the vocabulary.
const BLANK: char = '▁';

/// Where a blank is put before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    Never,
    /// Before each part between control tokens, as sentencepiece does with each text it is given, and llama.cpp.
    EveryPart,
    /// Before the text only where it starts with no blank and no control token (transformers with `legacy: false`).
    TextStart,
}

/// How pieces are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Bpe,
    Unigram,
}

#[derive(Debug)]
pub(super) struct Rules {
    pub(super) algorithm: Algorithm,
    pub(super) prefix: Prefix,
    /// Leading, trailing and repeated blanks vanish.
    pub(super) collapse_blanks: bool,
    /// sentencepiece's `precompiled_charsmap`; empty where characters stay as they are.
    pub(super) charsmap: Vec<u8>,
    pub(super) byte_fallback: bool,
    pub(super) unknown: Option<u32>,
}

/// A tokenizer of the vocabulary with these rules.
pub(super) fn build(vocabulary: &Vocabulary, rules: &Rules) -> Result<Tokenizer, String> {
    let failed = |reason: tokenizers::Error| reason.to_string();
    let unknown = rules.unknown.and_then(|id| vocabulary.get(id.into()));
    let model: ModelWrapper = match rules.algorithm {
        Algorithm::Bpe => {
            let mut builder = BPE::builder()
                .vocab_and_merges(vocabulary.ids(), vocabulary.merges()?)
                .fuse_unk(true)
                .byte_fallback(rules.byte_fallback);
            if let Some(unknown) = unknown {
                builder = builder.unk_token(unknown.text.clone());
            }
            builder.build().map_err(failed)?.into()
        }
        Algorithm::Unigram => {
            let unknown = rules.unknown.map(|id| id as usize);
            Unigram::from(vocabulary.unigram_scores(), unknown, rules.byte_fallback).map_err(failed)?.into()
        }
    };
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(normalizer(rules)?)).map_err(failed)?;
    if rules.prefix == Prefix::TextStart {
        tokenizer.with_pre_tokenizer(Some(Metaspace::new(BLANK, PrependScheme::First, false)));
    }
    tokenizer.with_decoder(Some(decoder(rules)?));
    tokenizer.add_tokens(vocabulary.added_tokens()).map_err(failed)?;
    Ok(tokenizer)
}

fn normalizer(rules: &Rules) -> Result<NormalizerWrapper, String> {
    let failed = |reason: tokenizers::Error| reason.to_string();
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if !rules.charsmap.is_empty() {
        check_charsmap(&rules.charsmap)?;
        let map =
            Precompiled::from(&rules.charsmap).map_err(|reason| format!("the normalizer's map: {reason}"))?;
        steps.push(map.into());
    }
    if rules.collapse_blanks {
        let superfluous = ReplacePattern::Regex("^ +| +$| +(?= )".to_owned());
        steps.push(Replace::new(superfluous, "").map_err(failed)?.into());
    }
    if rules.prefix == Prefix::EveryPart {
        steps.push(Prepend::new(BLANK.to_string()).into());
    }
    steps.push(Replace::new(" ", BLANK).map_err(failed)?.into());
    Ok(Normalizers::new(steps).into())
}

fn decoder(rules: &Rules) -> Result<DecoderWrapper, String> {
    let blank = Replace::new(BLANK.to_string(), " ").map_err(|reason| reason.to_string())?;
    let mut steps: Vec<DecoderWrapper> = vec![blank.into(), ByteFallback::new().into(), Fuse::new().into()];
    if rules.prefix != Prefix::Never {
        steps.push(Strip::new(' ', 1, 0).into());
    }
    Ok(Decoders::new(steps).into())
}

/// Refuses a map whose trie would be longer than the map: the library makes room for it before it reads.
pub(super) fn check_charsmap(map: &[u8]) -> Result<(), String> {
    let (length, rest) = map.split_first_chunk().ok_or("the normalizer's map is cut off")?;
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || !length.is_multiple_of(4) || length > rest.len() {
        let rest = rest.len();
        return Err(format!("the normalizer's map has {rest} bytes, its trie says {length}"));
    }
    Ok(())
}
