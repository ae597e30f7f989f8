//! Encoders on this machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::EncoderBackend;
use model::{CrossEncoder, Encoder, PairScore};

use super::{Embedder, Reranker, Vector};
use crate::index::EncoderIdentity;
use crate::{Error, Result};

/// A folder of BERT or RoBERTa in the layout of sentence-transformers, with the instructions that it wants before
/// questions and passages.
#[derive(Debug)]
pub struct TextEncoder<B: EncoderBackend> {
    encoder: Encoder<B>,
    identity: EncoderIdentity,
}

impl<B: EncoderBackend> TextEncoder<B> {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a file is missing, broken, or of an encoder that does not run here.
    pub fn from_dir(backend: Arc<B>, folder: &Path) -> Result<Self> {
        let encoder = Encoder::from_dir(backend, folder)?;
        let identity = EncoderIdentity {
            name: name_of(folder),
            place: folder.canonicalize().unwrap_or_else(|_| folder.to_owned()),
            hash: hash(folder).map_err(|(path, error)| Error::Index { path, reason: error.to_string() })?,
            width: encoder.config().hidden_size,
        };
        Ok(TextEncoder { encoder, identity })
    }

    /// Tokens of a text, without those that begin and end it.
    ///
    /// # Errors
    /// When the vocabulary has no tokens for the text.
    pub fn count(&self, text: &str) -> Result<usize> {
        let tokens = self.encoder.tokens(text)?;
        Ok((tokens.ids.len() + tokens.cut).saturating_sub(2))
    }

    fn embed(&self, prompt: &str, texts: &[&str]) -> Result<Vec<Vector>> {
        if prompt.is_empty() {
            let vectors = self.encoder.embed(texts)?.into_iter();
            return Ok(vectors.map(|vector| Vector { values: vector.values, cut: vector.cut }).collect());
        }
        let texts: Vec<String> = texts.iter().map(|text| format!("{prompt}{text}")).collect();
        self.embed("", &texts.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

impl<B: EncoderBackend> Embedder for TextEncoder<B> {
    fn identity(&self) -> &EncoderIdentity {
        &self.identity
    }

    fn passages(&self, texts: &[&str]) -> Result<Vec<Vector>> {
        self.embed(self.encoder.prompts().document(), texts)
    }

    fn query(&self, text: &str) -> Result<Vec<f32>> {
        let prompt = self.encoder.prompts().query();
        Ok(self.embed(prompt, &[text])?.swap_remove(0).values)
    }
}

/// A cross-encoder under a name.
#[derive(Debug)]
pub struct CrossReranker<B: EncoderBackend> {
    name: String,
    encoder: CrossEncoder<B>,
}

impl<B: EncoderBackend> CrossReranker<B> {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a file is missing, broken, or of a model that does not score pairs.
    pub fn from_dir(backend: Arc<B>, folder: &Path) -> Result<Self> {
        Ok(CrossReranker { name: name_of(folder), encoder: CrossEncoder::from_dir(backend, folder)? })
    }
}

impl<B: EncoderBackend> Reranker for CrossReranker<B> {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&self, query: &str, passages: &[&str]) -> Result<Vec<PairScore>> {
        Ok(self.encoder.score(query, passages)?)
    }
}

fn name_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder
        .file_name()
        .map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// BLAKE3 of all that decides about its vectors: the files of the folder by name, one level deep.
fn hash(folder: &Path) -> std::result::Result<String, (PathBuf, std::io::Error)> {
    let mut files = Vec::new();
    for path in [folder.to_owned(), folder.join("1_Pooling")] {
        let Ok(entries) = std::fs::read_dir(&path) else { continue };
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        files.extend(paths.filter(|path| {
            path.is_file()
                && path.extension().is_some_and(|extension| {
                    ["json", "safetensors", "txt"].iter().any(|known| extension == *known)
                })
        }));
    }
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        hasher.update(name.as_bytes());
        let read = File::open(&path).and_then(|file| hasher.update_reader(file).map(drop));
        read.map_err(|error| (path, error))?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}
