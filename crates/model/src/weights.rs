//! Where the tensors of a model come from: files, or a random start.

use compute::DType;
use formats::quant::{Bnb4Matrix, Bnb4Options, Int8Matrix, QuantizedMatrix};

use crate::{Config, Error, Result};

/// A tensor as it is stored.
#[derive(Debug, Clone)]
pub struct StoredTensor {
    /// Storage type.
    pub dtype: DType,
    /// Shape.
    pub shape: Vec<usize>,
    /// Little-endian values.
    pub bytes: Vec<u8>,
}

impl StoredTensor {
    /// f32 values as a stored tensor.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> Self {
        StoredTensor {
            dtype: DType::F32,
            shape,
            bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// The values, decoded.
    pub fn to_f32(&self) -> Vec<f32> {
        match self.dtype {
            DType::F32 => {
                self.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            DType::F16 => {
                self.bytes.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
            }
            DType::Bf16 => {
                self.bytes.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
            }
        }
    }
}

/// A place that tensors can be taken from by their Hugging Face names.
pub trait TensorSource {
    /// The tensor called `name`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn tensor(&self, name: &str) -> Result<StoredTensor>;

    /// The matrix called `name`, if it is stored in the bits of a quantization. A frozen matrix stays in them.
    ///
    /// # Errors
    /// When it cannot be read.
    fn quantized(&self, _name: &str) -> Result<Option<QuantizedMatrix>> {
        Ok(None)
    }

    /// Where the tensors come from, for messages.
    fn origin(&self) -> String;
}

/// The tensor `name`, refused unless it has the shape that the config implies.
pub(crate) fn expect(source: &dyn TensorSource, name: &str, shape: &[usize]) -> Result<StoredTensor> {
    let tensor = source.tensor(name)?;
    if tensor.shape != shape {
        return Err(Error::TensorShape {
            origin: source.origin(),
            tensor: name.to_owned(),
            expected: shape.to_vec(),
            got: tensor.shape,
        });
    }
    Ok(tensor)
}

/// The bits that projections are brought into as they are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantize {
    /// bitsandbytes' four bits in blocks, the frozen side of QLoRA (Dettmers et al. 2023).
    FourBit(Bnb4Options),
    /// Signed bytes with one scale a row, the weights of LLM.int8 (Dettmers et al. 2022); activations stay floats.
    EightBit,
}

impl From<Bnb4Options> for Quantize {
    fn from(options: Bnb4Options) -> Self {
        Quantize::FourBit(options)
    }
}

/// A base whose projections are quantized as they are loaded; those that are quantized already stay in their own bits,
/// and embedding, head and norms stay as they are, both as in transformers.
pub struct QuantizeOnLoad<'a> {
    /// Where the tensors come from.
    pub source: &'a dyn TensorSource,
    /// The bits.
    pub bits: Quantize,
}

impl TensorSource for QuantizeOnLoad<'_> {
    fn tensor(&self, name: &str) -> Result<StoredTensor> {
        self.source.tensor(name)
    }

    fn quantized(&self, name: &str) -> Result<Option<QuantizedMatrix>> {
        let own = self.source.quantized(name)?;
        if own.is_some() || !name.ends_with("_proj.weight") {
            return Ok(own);
        }
        let tensor = self.source.tensor(name)?;
        let Ok(shape) = <[usize; 2]>::try_from(tensor.shape.as_slice()) else { return Ok(None) };
        let values = tensor.to_f32();
        let matrix = match self.bits {
            Quantize::FourBit(options) => {
                Bnb4Matrix::quantize(shape, &values, options).map(QuantizedMatrix::from)
            }
            Quantize::EightBit => Int8Matrix::quantize(shape, &values).map(QuantizedMatrix::from),
        };
        matrix.map(Some).map_err(|mismatch| Error::Quantization {
            origin: self.origin(),
            tensor: name.to_owned(),
            mismatch,
        })
    }

    fn origin(&self) -> String {
        self.source.origin()
    }
}

/// A random start: matrices normal with deviation 0.02, those that write into the residual stream scaled down by
/// `sqrt(2 * layers)` (Radford et al. 2019), norms multiplying by one, biases zero.
#[derive(Debug)]
pub struct RandomStart {
    config: Config,
    seed: u64,
}

impl RandomStart {
    /// A start of `config`'s shape, the same for the same seed.
    pub fn new(config: Config, seed: u64) -> Self {
        RandomStart { config, seed }
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let c = &self.config;
        let (path, kind) = name.rsplit_once('.')?;
        let last = path.rsplit('.').next()?;
        let matrix = self.matrix(last);
        if kind == "bias" {
            return matrix.map(|shape| vec![shape[0]]);
        }
        matrix.or_else(|| {
            Some(match last {
                "q_norm" | "k_norm" => vec![c.head_dim],
                "norm" => vec![c.hidden_size],
                _ if last.ends_with("_layernorm") => vec![c.hidden_size],
                _ => return None,
            })
        })
    }

    /// Shape of the matrix called `last`.
    fn matrix(&self, last: &str) -> Option<Vec<usize>> {
        let c = &self.config;
        let a = c.attention();
        let (h, i) = (c.hidden_size, c.intermediate_size);
        Some(match last {
            "embed_tokens" | "lm_head" => vec![c.vocab_size, h],
            "q_proj" => vec![a.q_width(), h],
            "k_proj" | "v_proj" => vec![a.kv_width(), h],
            "o_proj" => vec![h, a.q_width()],
            "gate_proj" | "up_proj" => vec![i, h],
            "down_proj" => vec![h, i],
            _ => return None,
        })
    }
}

impl TensorSource for RandomStart {
    fn tensor(&self, name: &str) -> Result<StoredTensor> {
        let missing = || Error::MissingTensor { origin: self.origin(), tensor: name.to_owned() };
        let shape = self.shape(name).ok_or_else(missing)?;
        let n = shape.iter().product();
        if shape.len() == 1 {
            let value = if name.ends_with(".bias") { 0.0 } else { self.config.features.neutral_gain() };
            return Ok(StoredTensor::from_f32(shape, &vec![value; n]));
        }
        let residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        let deviation = if residual { 0.02 / (2.0 * self.config.layers as f32).sqrt() } else { 0.02 };
        let values: Vec<f32> = crate::random::normal(self.seed, name, n).map(|z| z * deviation).collect();
        Ok(StoredTensor::from_f32(shape, &values))
    }

    fn origin(&self) -> String {
        format!("random start with seed {}", self.seed)
    }
}
