//! How byte-level vocabularies cut a text into words before they look at pairs: the names of GGUF's
//! `tokenizer.ggml.pre`.
//!
//! Source: llama.cpp's `src/llama-vocab.cpp`; where its expression stands for one that its own engine cannot run, the
//! one of the model's `tokenizer.json`.

use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

/// How a text is cut: by each expression in turn, what matches and what lies between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    expressions: &'static [&'static str],
    /// Whether a word that is a token stays whole, whatever the merges say.
    pub(super) whole_words: bool,
}

/// The rule of a name of llama.cpp's.
pub(super) fn by_name(name: &str) -> Option<Words> {
    let (expressions, whole_words): (&'static [&'static str], bool) = match name {
        "default" => (&DEFAULT, false),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2"
        | "jina-v5-nano" => (&LLAMA3, true),
        "dbrx" | "smaug-bpe" | "glm4" | "chatglm-bpe" => (&LLAMA3, false),
        "qwen2" | "deepseek-r1-qwen" | "kormo" | "f2llmv2" | "megrez" | "stablelm2" | "hunyuan"
        | "solar-open" | "grok-2" => (&QWEN2, false),
        "qwen35" => (&QWEN35, false),
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" | "trillion" | "granite-docling" | "roberta-bpe"
        | "exaone4" | "gigachat" | "a.x-4.0" | "mellum" | "modern-bert" | "jina-es" | "jina-de"
        | "jina-v1-en" | "jina-v2-es" | "jina-v2-de" | "jina-v2-code" => (&GPT2, false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b"
        | "mellum2" => (&DIGITS_GPT2, false),
        "falcon" => (&FALCON, false),
        "deepseek-coder" => (&DEEPSEEK_CODER, false),
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" | "hy_v4" => (&DEEPSEEK_V3, false),
        "tekken" => (&TEKKEN, true),
        "gpt-4o" | "llama4" | "kanana2" | "talkie" | "minimax-m2" => (&GPT_4O, false),
        "poro-chat" | "bloom" | "gpt3-finnish" => (&BLOOM, false),
        "viking" => (&VIKING, false),
        "seed-coder" => (&SEED_CODER, false),
        "bailingmoe" | "bailingmoe2" | "llada-moe" => (&BAILING, false),
        "minicpm5" => (&MINICPM5, true),
        _ => return None,
    };
    Some(Words { expressions, whole_words })
}

/// Names to try, the most common first: one for each way that [`by_name`] knows.
const WAYS: [&str; 18] = [
    "llama-bpe",
    "qwen2",
    "gpt-2",
    "smollm",
    "tekken",
    "gpt-4o",
    "dbrx",
    "qwen35",
    "default",
    "falcon",
    "deepseek-coder",
    "deepseek-v3",
    "bloom",
    "viking",
    "seed-coder",
    "bailingmoe",
    "minicpm5",
    "command-r",
];

/// Text that the ways cut differently: numbers of every length, contractions in both cases, scripts with and without
/// case, marks, runs of blanks, line ends and signs.
const PROBE: &str = "I'm sure they'll've SAID 'TWAS HE'S, 1 12 123 1234 12345.6 x2y 3rd\t\ttabs  two   three\n\n\nlines \r\n \
    end  \n (don't)!!! ... a.b,c;d:e?f \"q\" <tag/> [x]{y} a_b-c+d=e*f/g\\h $5.00 50% 10mg/dL 37.5°C β-blocker Ünïcödé \
    naïve café e\u{301}te\u{301} ДОМ Дом ǅ ʰ 你好，世界 テスト です 안녕하세요 สวัสดี नमस्ते 🙂👍🏽 ½ Ⅷ ٣٤٥ \u{a0}nbsp\u{2003}em \u{200d}zwj CamelCaseWord \
    ABCdef abcDEF //comment\n#!/bin    ";

/// What llama.cpp calls the way in which a tokenizer cuts text into words; nothing where it has no name for it. A name
/// that keeps whole words or does not, as the tokenizer, is taken before one that only cuts like it: where merges lead to
/// every token, both give the same ids.
pub(super) fn name_of(tokenizer: &tokenizers::Tokenizer, whole_words: bool) -> Option<&'static str> {
    let own = cut(tokenizer.get_pre_tokenizer()?)?;
    let same = |name: &&&str| {
        let words = by_name(name).and_then(|words| words.pre_tokenizer().ok());
        words.and_then(|way| cut(&way)).as_ref() == Some(&own)
    };
    let ways: Vec<&str> = WAYS.iter().filter(same).copied().collect();
    let alike = |name: &&&str| by_name(name).is_some_and(|words| words.whole_words == whole_words);
    ways.iter().find(alike).or(ways.first()).copied()
}

/// The words of [`PROBE`].
fn cut(way: &PreTokenizerWrapper) -> Option<Vec<String>> {
    let mut text = PreTokenizedString::from(PROBE);
    way.pre_tokenize(&mut text).ok()?;
    let words = text.get_splits(OffsetReferential::Original, OffsetType::Byte).into_iter();
    Some(words.map(|(word, _, _)| word.to_owned()).collect())
}

/// The names that [`by_name`] knows first among their like, for messages.
pub(super) const NAMES: &str = "llama-bpe, qwen2, qwen35, gpt-2, smollm, tekken, gpt-4o, falcon, command-r, \
    deepseek-coder, deepseek-v3, bloom and those like them";

pub(super) const LIKE_LLAMA3: Words = Words { expressions: &LLAMA3, whole_words: true };
pub(super) const LIKE_QWEN2: Words = Words { expressions: &QWEN2, whole_words: true };

impl Words {
    /// The library's rule, which also turns bytes into the characters that stand for them.
    pub(super) fn pre_tokenizer(self) -> Result<PreTokenizerWrapper, String> {
        let split = |expression: &&str| {
            let pattern = SplitPattern::Regex((*expression).to_owned());
            Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map(PreTokenizerWrapper::from)
        };
        let mut steps: Vec<PreTokenizerWrapper> = self
            .expressions
            .iter()
            .map(split)
            .collect::<Result<_, _>>()
            .map_err(|reason| reason.to_string())?;
        steps.push(ByteLevel::new(false, true, false).into());
        Ok(Sequence::new(steps).into())
    }
}

/// Expressions that end a word between a letter and a single blank before a letter, whatever comes later: no part of them
/// goes from a letter on to a blank, and what looks ahead looks at one character.
pub(super) const ENDING_AT_BLANKS: [&str; 8] =
    [GPT2_WORDS, LLAMA3[0], QWEN2_WORDS, QWEN35[0], TEKKEN[0], GPT_4O[0], SEED_CODER[0], BAILING[0]];

/// Expressions that find numbers alone.
pub(super) const NUMBERS: [&str; 2] = [r"\p{N}", r"\p{N}{1,3}"];

const GPT2_WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
const GPT2: [&str; 1] = [GPT2_WORDS];
const DIGITS_GPT2: [&str; 2] = [r"\p{N}", GPT2_WORDS];
const DEFAULT: [&str; 4] = [r"[\p{P}\$\+<=>\^~\|]+", GPT2_WORDS, r"\p{N}+", "[0-9][0-9][0-9]"];
const FALCON: [&str; 3] = [r"[\p{P}\$\+<=>\^~\|`]+", GPT2_WORDS, "[0-9][0-9][0-9]"];
const LLAMA3: [&str; 1] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];
const QWEN2_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: [&str; 1] = [QWEN2_WORDS];
const QWEN35: [&str; 1] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];
const TEKKEN: [&str; 1] = [
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];
const GPT_4O: [&str; 1] = [
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];
const DEEPSEEK_CODER: [&str; 5] = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"];
const DEEPSEEK_V3: [&str; 3] = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
];
const BLOOM: [&str; 1] = [r" ?[^(\s|.,!?…。，、।۔،)]+"];
const VIKING: [&str; 2] = [BLOOM[0], r"\p{N}"];
const SEED_CODER: [&str; 1] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
];
const BAILING: [&str; 1] = [
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
];
const MINICPM5: [&str; 2] = [
    r"\p{N}{1,3}",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];
