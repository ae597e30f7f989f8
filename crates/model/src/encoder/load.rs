//! From a folder to an encoder on a device.

use std::path::Path;
use std::sync::Arc;

use compute::{DType, EncoderBackend};
use formats::{Checkpoint, Dtype};

use super::sentence::SentenceConfig;
use super::{Dense, Encoder, EncoderConfig, Layer, Norm};
use crate::{Error, Result, Tokenizer};

/// What a checkpoint writes before the names of an encoder's tensors, depending on the head that it was saved with.
const PREFIXES: [&str; 3] = ["", "bert.", "roberta."];

/// Tokens before and after a text: BERT's, RoBERTa's.
const ENDS: [[&str; 2]; 2] = [["[CLS]", "[SEP]"], ["<s>", "</s>"]];

pub(super) fn from_dir<B: EncoderBackend>(backend: Arc<B>, folder: &Path) -> Result<Encoder<B>> {
    Ok(with_head(backend, folder, |_, _| Ok(()))?.0)
}

/// An encoder and what `head` reads beside it, whose biases lie among the encoder's vectors.
pub(super) fn with_head<B: EncoderBackend, H>(
    backend: Arc<B>,
    folder: &Path,
    head: impl FnOnce(&mut Source<'_, B>, &EncoderConfig) -> Result<H>,
) -> Result<(Encoder<B>, H)> {
    let config = EncoderConfig::from_dir(folder)?;
    let sentence = SentenceConfig::from_dir(folder, config.longest_text())?;
    let tokenizer = Tokenizer::from_dir(folder)?;
    let ends = ENDS.iter().find_map(|names| {
        let [first, last] = names.map(|name| tokenizer.token_to_id(name));
        Some([first?, last?])
    });
    let missing = |reason: String| Error::Tokenizer { path: folder.join("tokenizer.json"), reason };
    let ends = ends.ok_or_else(|| missing("has neither [CLS] and [SEP] nor <s> and </s>".into()))?;
    if tokenizer.vocab_size() > config.vocab_size {
        let (got, expected) = (tokenizer.vocab_size(), config.vocab_size);
        return Err(missing(format!("has {got} tokens, the embedding has rows for {expected}")));
    }
    let checkpoint = Checkpoint::open(folder)?;
    let prefix = PREFIXES
        .into_iter()
        .find(|prefix| checkpoint.contains(&format!("{prefix}embeddings.word_embeddings.weight")))
        .unwrap_or_default();
    let mut source = Source { backend: &*backend, checkpoint, prefix, vectors: Vec::new() };
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let words = source.matrix(&["embeddings.word_embeddings.weight"], [config.vocab_size, width])?;
    let positions = source.positions(&config)?;
    let embedding_norm = source.norm("embeddings.LayerNorm", width)?;
    let mut layers = Vec::with_capacity(config.layers);
    for index in 0..config.layers {
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let heads = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        layers.push(Layer {
            qkv: source.dense(&heads, [width, width])?,
            out: source.dense(&[name("attention.output.dense")], [width, width])?,
            attention_norm: source.norm(&name("attention.output.LayerNorm"), width)?,
            up: source.dense(&[name("intermediate.dense")], [inner, width])?,
            down: source.dense(&[name("output.dense")], [width, inner])?,
            norm: source.norm(&name("output.LayerNorm"), width)?,
        });
    }
    let head = head(&mut source, &config)?;
    let values = source.vectors;
    let mut vectors = backend.zeros("norms and biases of an encoder", values.len())?;
    backend.write(&mut vectors, 0, &values);
    let encoder = Encoder {
        config,
        sentence,
        tokenizer,
        ends,
        words,
        positions,
        vectors,
        embedding_norm,
        layers,
        backend,
    };
    Ok((encoder, head))
}

/// A checkpoint that is read to a device.
pub(super) struct Source<'a, B: EncoderBackend> {
    backend: &'a B,
    pub(super) checkpoint: Checkpoint,
    /// Stands before the names of tensors that are asked for.
    pub(super) prefix: &'static str,
    /// Gains and biases read so far.
    vectors: Vec<f32>,
}

impl<B: EncoderBackend> Source<'_, B> {
    pub(super) fn origin(&self) -> String {
        self.checkpoint.path().display().to_string()
    }

    /// The storage type of a tensor, after its shape has been checked.
    fn check(&self, tensor: &str, expected: &[usize]) -> Result<DType> {
        if !self.checkpoint.contains(tensor) {
            return Err(Error::MissingTensor { origin: self.origin(), tensor: tensor.to_owned() });
        }
        let (dtype, got) = self.checkpoint.info(tensor)?;
        let tensor = || tensor.to_owned();
        if got != expected {
            let (origin, expected, got) = (self.origin(), expected.to_vec(), got.to_vec());
            return Err(Error::TensorShape { origin, tensor: tensor(), expected, got });
        }
        match dtype {
            Dtype::F32 => Ok(DType::F32),
            Dtype::F16 => Ok(DType::F16),
            Dtype::BF16 => Ok(DType::Bf16),
            other => {
                let dtype = format!("{other:?}");
                Err(Error::TensorType { origin: self.origin(), tensor: tensor(), dtype })
            }
        }
    }

    /// Matrices of one shape and storage type, one below the other.
    fn matrix(&self, names: &[&str], [rows, cols]: [usize; 2]) -> Result<B::Weight> {
        let names: Vec<String> = names.iter().map(|name| format!("{}{name}", self.prefix)).collect();
        let dtype = self.check(&names[0], &[rows, cols])?;
        let mut bytes = Vec::new();
        for name in &names {
            if self.check(name, &[rows, cols])? != dtype {
                let dtype = "another type than its neighbours".to_owned();
                return Err(Error::TensorType { origin: self.origin(), tensor: name.clone(), dtype });
            }
            bytes.extend(self.checkpoint.tensor(name)?.bytes);
        }
        Ok(self.backend.weight(dtype, rows * names.len(), cols, &bytes)?)
    }

    /// The table of positions with the first token type added, and behind it with the second where there is one: a
    /// row for every position and type, so that both are looked up at once.
    fn positions(&self, config: &EncoderConfig) -> Result<B::Weight> {
        let (rows, cols) = (config.max_positions, config.hidden_size);
        let [table, types] = ["position_embeddings", "token_type_embeddings"]
            .map(|name| format!("{}embeddings.{name}.weight", self.prefix));
        self.check(&table, &[rows, cols])?;
        self.check(&types, &[config.token_types, cols])?;
        let (table, types) = (self.checkpoint.f32(&table)?, self.checkpoint.f32(&types)?);
        let kinds = config.token_types.min(2);
        let mut bytes = Vec::with_capacity(kinds * table.len() * size_of::<f32>());
        for kind in types.chunks_exact(cols).take(kinds) {
            for row in table.chunks_exact(cols) {
                let sums = row.iter().zip(kind).map(|(value, kind)| value + kind);
                bytes.extend(sums.flat_map(f32::to_le_bytes));
            }
        }
        Ok(self.backend.weight(DType::F32, kinds * rows, cols, &bytes)?)
    }

    /// Layers of one shape, one below the other.
    pub(super) fn dense(&mut self, modules: &[String], shape: [usize; 2]) -> Result<Dense<B>> {
        let weights: Vec<String> = modules.iter().map(|module| format!("{module}.weight")).collect();
        let weight = self.matrix(&weights.iter().map(String::as_str).collect::<Vec<_>>(), shape)?;
        let bias = self.vectors.len();
        for module in modules {
            self.vector(&[&format!("{module}.bias")], shape[0])?;
        }
        Ok(Dense { weight, bias })
    }

    /// Checkpoints that came from TensorFlow call gain and bias of a norm gamma and beta.
    fn norm(&mut self, module: &str, width: usize) -> Result<Norm> {
        let gain = self.vector(&[&format!("{module}.weight"), &format!("{module}.gamma")], width)?;
        let bias = self.vector(&[&format!("{module}.bias"), &format!("{module}.beta")], width)?;
        Ok(Norm { gain, bias })
    }

    /// Reads a vector under the first of its names that there is.
    fn vector(&mut self, names: &[&str], width: usize) -> Result<usize> {
        let names: Vec<String> = names.iter().map(|name| format!("{}{name}", self.prefix)).collect();
        let name = names.iter().find(|name| self.checkpoint.contains(name)).unwrap_or(&names[0]);
        self.check(name, &[width])?;
        let offset = self.vectors.len();
        self.vectors.extend(self.checkpoint.f32(name)?);
        Ok(offset)
    }
}
