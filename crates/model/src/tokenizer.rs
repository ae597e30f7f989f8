//! Text to token ids and back.
//!
//! There are two ways in. [`Tokenizer::encode_ordinary`] is for text of people and files: a control token written in
//! it stays ordinary text. [`Tokenizer::encode_with_control`] is for text that a chat template wrote. Neither adds a
//! token of its own: whether a conversation starts with a BOS is the template's business.

mod base64;
mod bytes;
mod check;
mod cut;
mod encode;
mod endings;
mod folder;
mod gguf;
mod protobuf;
mod roles;
mod sentencepiece;
mod spm;
mod stream;
mod tiktoken;
mod vocabulary;
mod words;
mod write;
mod write_gguf;

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use tokenizers::AddedVocabulary;

use crate::{Error, Result};
use roles::ids_in;
pub(crate) use roles::{CONFIG_FILE, SpecialTexts, read_limited, read_object};
pub use stream::DecodeStream;
pub(crate) use write_gguf::Beginning;

/// The file of the vocabulary.
pub(crate) const TOKENIZER_FILE: &str = "tokenizer.json";

/// One token and the bytes of the text that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) id: u32,
    pub(crate) bytes: Range<usize>,
}

/// A vocabulary with its rules, and the roles of its special tokens.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    origin: PathBuf,
    inner: tokenizers::Tokenizer,
    /// The added tokens without the special ones, for ordinary text.
    ordinary: AddedVocabulary,
    special: Vec<(String, u32)>,
    vocab_size: usize,
    /// Whether a text can be cut without a trace: not where the rules put a blank before every part.
    cuttable: bool,
    /// Whether tokens up to a blank between letters are the same whatever comes later.
    settles: bool,
    bos: Option<u32>,
    eos: Vec<u32>,
    pad: Option<u32>,
    /// Whether a text begins with BOS, where that is not said by the post-processor of a `tokenizer.json`.
    adds_bos: bool,
}

impl Tokenizer {
    /// Reads the vocabulary of a model's folder: `tokenizer.json`, else `tokenizer.model` (of sentencepiece, or
    /// Llama 3's of tiktoken) or `qwen.tiktoken` with the tokens that the folder adds. The roles of special tokens come
    /// from `tokenizer_config.json`, `special_tokens_map.json`, `generation_config.json` and `config.json`, the first
    /// that says so.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] when there is no vocabulary, or it is not what its name says; [`Error::Io`] and
    /// [`Error::Json`] when one of the other files is there and broken.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let path = folder.join(TOKENIZER_FILE);
        let mut tokenizer = if path.is_file() {
            Self::from_bytes(&path, &read_limited(&path)?)?
        } else {
            let Some(path) = folder::vocabulary_file(folder) else {
                return Err(Error::Tokenizer {
                    path,
                    reason:
                        "not there, and no tokenizer.model either; hint: save the model's tokenizer beside \
                             its weights"
                            .to_owned(),
                });
            };
            let mut tokenizer = Self::from_inner(&path, folder::read(&path, folder)?)?;
            let config = read_object(&folder.join(CONFIG_FILE))?.unwrap_or_default();
            // As the classes of transformers that read these files.
            tokenizer.adds_bos = config.get("add_bos_token").and_then(|adds| adds.as_bool()).unwrap_or(true);
            tokenizer
        };
        tokenizer.assign_roles(folder)?;
        Ok(tokenizer)
    }

    /// Reads the text of a `tokenizer.json`; special tokens have no roles then.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] when it is not a tokenizer.
    pub fn from_json(json: &str) -> Result<Self> {
        Self::from_bytes(Path::new(TOKENIZER_FILE), json.as_bytes())
    }

    /// The vocabulary and its rules as a `tokenizer.json`, wherever they came from; the roles of special tokens are
    /// not part of that file.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] when the library cannot write it.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|reason| self.failed(reason))
    }

    fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let wrong = |reason: String| Error::Tokenizer { path: path.to_owned(), reason };
        check::check(bytes).map_err(wrong)?;
        // The library panics on some files that are JSON and no tokenizer; nothing of ours is touched meanwhile.
        let inner = std::panic::catch_unwind(|| tokenizers::Tokenizer::from_bytes(bytes))
            .map_err(|_| wrong("not a tokenizer (the library gave up on it)".to_owned()))?
            .map_err(|reason| wrong(format!("not a tokenizer: {reason}")))?;
        Self::from_inner(path, inner)
    }

    fn from_inner(path: &Path, inner: tokenizers::Tokenizer) -> Result<Self> {
        let vocabulary = inner.get_vocab(true);
        let Some(largest) = vocabulary.values().max() else {
            let reason = "the vocabulary is empty".to_owned();
            return Err(Error::Tokenizer { path: path.to_owned(), reason });
        };
        if *largest >= check::ID_LIMIT {
            let reason = format!("a token has the id {largest}, expected fewer than {}", check::ID_LIMIT);
            return Err(Error::Tokenizer { path: path.to_owned(), reason });
        }
        let added = inner.get_added_vocabulary();
        let mut ordinary = added.clone();
        ordinary.set_encode_special_tokens(true);
        let mut special: Vec<(String, u32)> = added
            .get_added_tokens_decoder()
            .iter()
            .filter(|(_, token)| token.special && !token.content.is_empty())
            .map(|(id, token)| (token.content.clone(), *id))
            .collect();
        special.sort_by_key(|(_, id)| *id);
        let vocab_size = *largest as usize + 1;
        let mut tokenizer = Tokenizer {
            origin: path.to_owned(),
            inner,
            ordinary,
            special,
            vocab_size,
            cuttable: true,
            settles: false,
            bos: None,
            eos: Vec::new(),
            pad: None,
            adds_bos: false,
        };
        let probe = |cuts: &[usize]| tokenizer.pieces_with_control("x\nx", cuts).ok();
        tokenizer.cuttable = probe(&[2]) == probe(&[]);
        tokenizer.settles = endings::settles(&tokenizer.inner);
        Ok(tokenizer)
    }

    fn assign_roles(&mut self, folder: &Path) -> Result<()> {
        let texts = SpecialTexts::from_dir(folder)?;
        let id = |text: &Option<String>| text.as_deref().and_then(|text| self.token_to_id(text));
        let (mut bos, mut pad) = (id(&texts.bos), id(&texts.pad));
        let mut eos: Vec<u32> = id(&texts.eos).into_iter().collect();
        for file in ["generation_config.json", "config.json"] {
            let Some(config) = read_object(&folder.join(file))? else { continue };
            let ids = |key: &str| ids_in(config.get(key), self.vocab_size);
            bos = bos.or_else(|| ids("bos_token_id").first().copied());
            pad = pad.or_else(|| ids("pad_token_id").first().copied());
            for id in ids("eos_token_id") {
                if !eos.contains(&id) {
                    eos.push(id);
                }
            }
        }
        (self.bos, self.eos, self.pad) = (bos, eos, pad);
        Ok(())
    }

    /// The text of ids; ids that are not in the vocabulary are left out, bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] when the vocabulary's decoder fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        self.guarded(|| self.inner.decode(ids, skip_special))
    }

    /// The id of a token, written as in the vocabulary.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// A token as written in the vocabulary.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// One more than the largest id; a model's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The token before a text, if the model has one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that the vocabulary puts before every text by itself (`tokenizer(text)` of transformers,
    /// `tokenizer.ggml.add_bos_token` of a GGUF file): BOS, or nothing. A bare text that a model is to read as it was
    /// trained to begins with it; what a template writes has its own beginning.
    pub fn text_start(&self) -> Option<u32> {
        let processed = self.guarded(|| self.inner.encode("", true)).ok();
        let first = processed.and_then(|encoding| encoding.get_ids().first().copied());
        self.bos.filter(|bos| self.adds_bos || first == Some(*bos))
    }

    /// The token after a text or turn, if the model has one.
    pub fn eos(&self) -> Option<u32> {
        self.eos.first().copied()
    }

    /// Every token that ends generation.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos
    }

    /// The token that fills a batch, if the model has one.
    pub fn pad(&self) -> Option<u32> {
        self.pad
    }

    /// The special tokens with their ids, by id.
    pub fn special_tokens(&self) -> &[(String, u32)] {
        &self.special
    }

    /// Whether an id is a special token.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.binary_search_by_key(&id, |(_, id)| *id).is_ok()
    }

    /// Runs the library, which panics on some vocabularies that contradict themselves; nothing of ours is touched
    /// meanwhile.
    fn guarded<T>(&self, run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
        std::panic::catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Err("the vocabulary contradicts itself (the library gave up on it)".into()))
            .map_err(|reason| self.failed(reason))
    }

    fn failed(&self, reason: tokenizers::Error) -> Error {
        Error::Tokenizer { path: self.origin.clone(), reason: reason.to_string() }
    }
}
