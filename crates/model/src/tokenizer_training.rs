//! A vocabulary from text, for a model that starts from nothing.

use std::path::Path;

use formats::atomic::write_atomic;
use serde_json::json;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, ProgressFormat,
    TokenizerBuilder,
};

use crate::template::ChatTemplate;
use crate::tokenizer::{CONFIG_FILE, TOKENIZER_FILE};
use crate::{Error, Result};

/// The token that ends a document and fills batches.
pub const END_OF_TEXT: &str = "<|endoftext|>";
/// The token that starts a turn.
pub const TURN_START: &str = "<|im_start|>";
/// The token that ends a turn.
pub const TURN_END: &str = "<|im_end|>";
/// The special tokens of a base of our own; their ids are 0, 1 and 2.
pub const SPECIALS: [&str; 3] = [END_OF_TEXT, TURN_START, TURN_END];

/// Trains a byte-level BPE and returns its `tokenizer.json`.
///
/// Words are cut as GPT-2 cuts them, digits stand alone, and every byte is a token, so there is no unknown text. The
/// special tokens come first, in their order. The same texts give the same bytes.
///
/// # Errors
///
/// [`Error::Tokenizer`] when the vocabulary is smaller than the 256 bytes and the special tokens, or the trainer fails.
pub fn train_bpe<T>(
    texts: impl Iterator<Item = T> + Send,
    vocab_size: usize,
    specials: &[&str],
) -> Result<String>
where
    T: AsRef<str> + Send,
{
    let failed = |reason: String| Error::Tokenizer { path: TOKENIZER_FILE.into(), reason };
    let smallest = 256 + specials.len();
    if vocab_size < smallest {
        return Err(failed(format!(
            "a vocabulary of {vocab_size} was asked for, expected at least {smallest}"
        )));
    }
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(2)
        .show_progress(false)
        .progress_format(ProgressFormat::Silent)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(
            specials.iter().map(|token| AddedToken::from(*token, true).normalized(false)).collect(),
        )
        .build();
    let byte_level = ByteLevel::new(false, true, true);
    let pre_tokenizer = Sequence::new(vec![Digits::new(true).into(), byte_level.into()]);
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >::new()
    .with_model(BPE::default())
    .with_pre_tokenizer(Some(pre_tokenizer.into()))
    .with_decoder(Some(ByteLevelDecoder::new(true, true, true).into()))
    .build()
    .map_err(|reason| failed(reason.to_string()))?;
    tokenizer.train(&mut trainer, texts).map_err(|reason| failed(reason.to_string()))?;
    tokenizer.to_string(true).map_err(|reason| failed(reason.to_string()))
}

/// Writes `tokenizer.json` and a `tokenizer_config.json` with the ChatML template, as Python's transformers load them.
///
/// The roles are those of [`SPECIALS`]: a turn ends with [`TURN_END`], [`END_OF_TEXT`] fills batches, and no token
/// stands before a text.
///
/// # Errors
///
/// [`Error::Format`] when the folder cannot be written.
pub fn write_tokenizer(folder: impl AsRef<Path>, tokenizer_json: &str, context_length: usize) -> Result<()> {
    let folder = folder.as_ref();
    let template = ChatTemplate::builtin("chatml")?;
    let config = json!({
        "add_prefix_space": false,
        "additional_special_tokens": [TURN_START],
        "bos_token": null,
        "chat_template": template.source(),
        "clean_up_tokenization_spaces": false,
        "eos_token": TURN_END,
        "model_max_length": context_length,
        "pad_token": END_OF_TEXT,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": null,
    });
    write_atomic(folder.join(TOKENIZER_FILE), tokenizer_json.as_bytes())?;
    write_atomic(folder.join(CONFIG_FILE), format!("{config:#}\n").as_bytes())?;
    Ok(())
}
