//! The files of OpenAI's tiktoken: a line for each token, its bytes in Base64 and its rank. Llama 3 (`tokenizer.model`
//! of Meta's folders) and Qwen (`qwen.tiktoken`) are known by their lengths: the file names no rules and no special
//! tokens.
//!
//! Source: tiktoken 0.14, `tiktoken/load.py`; llama-models, `models/llama3/tokenizer.py`; Qwen,
//! `tokenization_qwen.py`.

use std::collections::HashMap;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::{AddedToken, Tokenizer};

use super::words::{LIKE_LLAMA3, LIKE_QWEN2, Words};

/// The most work that is done to find the merges: the sum of the squared lengths of the tokens.
const MERGE_WORK: usize = 1 << 30;
/// Special tokens of Llama 3, which has 256 of them: the others are reserved and have a number.
const LLAMA3_SPECIALS: [&str; 11] = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|step_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
];
const QWEN_SPECIALS: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// Whether a file is of tiktoken: its first line is Base64 and a number.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.len() < 200 && parse_line(line).is_ok()
}

/// The tokenizer of a file.
pub(super) fn read(bytes: &[u8]) -> Result<Tokenizer, String> {
    let ranks = parse(bytes)?;
    let (words, specials): (Words, Vec<String>) = match ranks.len() {
        128_000 => {
            let reserved = (2..256 - LLAMA3_SPECIALS.len() + 2)
                .map(|number| format!("<|reserved_special_token_{number}|>"));
            (LIKE_LLAMA3, LLAMA3_SPECIALS.iter().map(ToString::to_string).chain(reserved).collect())
        }
        151_643 => {
            let extra = (0..205).map(|number| format!("<|extra_{number}|>"));
            (LIKE_QWEN2, QWEN_SPECIALS.iter().map(ToString::to_string).chain(extra).collect())
        }
        other => {
            return Err(format!(
                "{other} tokens of tiktoken: neither Llama 3 (128000) nor Qwen (151643), and the file does not say \
                 how text is cut; hint: save the model's fast tokenizer as tokenizer.json"
            ));
        }
    };
    let is_qwen = ranks.len() == 151_643;
    let failed = |reason: tokenizers::Error| reason.to_string();
    let merges = merges(&ranks)?;
    let vocabulary: Vocab = ranks.iter().zip(0..).map(|(token, id)| (printable(token), id)).collect();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .ignore_merges(words.whole_words)
        .build()
        .map_err(failed)?;
    let mut tokenizer = Tokenizer::new(model);
    if is_qwen {
        tokenizer.with_normalizer(Some(NFC)).map_err(failed)?;
    }
    tokenizer.with_pre_tokenizer(Some(words.pre_tokenizer()?));
    tokenizer.with_decoder(Some(tokenizers::decoders::byte_level::ByteLevel::default()));
    let specials = specials.into_iter().map(|text| AddedToken::from(text, true).normalized(false));
    tokenizer.add_special_tokens(specials).map_err(failed)?;
    Ok(tokenizer)
}

/// The tokens in the order of their ranks, which are 0, 1, 2 …
fn parse(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let mut tokens = Vec::new();
    for line in lines {
        let number = tokens.len();
        let (token, rank) = parse_line(line).map_err(|reason| format!("line {}: {reason}", number + 1))?;
        if rank != number || token.is_empty() {
            return Err(format!("line {} has the rank {rank}, expected {number} and a token", number + 1));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn parse_line(line: &[u8]) -> Result<(Vec<u8>, usize), String> {
    let text = std::str::from_utf8(line).map_err(|_| "not text")?;
    let (token, rank) = text.trim_end().split_once(' ').ok_or("expected a token and its rank")?;
    let rank = rank.parse().map_err(|_| format!("{rank:?} is not a rank"))?;
    Ok((decode_base64(token)?, rank))
}

/// For each token the pairs that make it, the lowest rank first (transformers' `TikTokenConverter`).
fn merges(ranks: &[Vec<u8>]) -> Result<Vec<(String, String)>, String> {
    let work =
        ranks.iter().try_fold(0usize, |sum, token| sum.checked_add(token.len().checked_mul(token.len())?));
    if work.is_none_or(|work| work > MERGE_WORK) {
        return Err("tokens too long to find the merges that make them".to_owned());
    }
    let by_token: HashMap<&[u8], usize> =
        ranks.iter().enumerate().map(|(rank, token)| (token.as_slice(), rank)).collect();
    if by_token.len() != ranks.len() {
        return Err("a token comes twice".to_owned());
    }
    let mut merges = Vec::with_capacity(ranks.len());
    for token in ranks {
        let mut splits: Vec<(usize, usize)> = (1..token.len())
            .filter_map(|at| {
                let (left, right) = token.split_at(at);
                Some((*by_token.get(left)?, *by_token.get(right)?))
            })
            .collect();
        splits.sort_unstable();
        let pair = |(left, right): (usize, usize)| (printable(&ranks[left]), printable(&ranks[right]));
        merges.extend(splits.into_iter().map(pair));
    }
    Ok(merges)
}

/// Bytes as the printable characters that stand for them (GPT-2's `bytes_to_unicode`).
fn printable(token: &[u8]) -> String {
    token.iter().map(|byte| printable_byte(*byte)).collect()
}

fn printable_byte(byte: u8) -> char {
    match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        // The 68 others follow each other from U+0100 on.
        0..=b' ' => char::from_u32(0x100 + u32::from(byte)).unwrap_or_default(),
        0x7f..=0xa0 => char::from_u32(0x121 + u32::from(byte - 0x7f)).unwrap_or_default(),
        0xad => '\u{143}',
    }
}

fn decode_base64(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{text:?} is not Base64");
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return Err(wrong());
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return Err(wrong()),
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    Ok(bytes)
}
