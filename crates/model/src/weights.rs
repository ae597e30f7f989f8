//! Where the tensors of a model come from: files, or a random start.

use std::cell::RefCell;

use compute::DType;
use formats::quant::{
    BlockMatrix, BlockType, Bnb4Matrix, Bnb4Options, Int8Matrix, Mismatch, QuantizedMatrix,
};

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

    /// The same values in `dtype`, rounded to the nearest where it is shorter.
    pub fn to(&self, dtype: DType) -> Self {
        StoredTensor { dtype, shape: self.shape.clone(), bytes: encode(&self.to_f32(), dtype) }
    }

    /// The values, decoded.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.shape.iter().product()];
        self.decode(0, &mut values);
        values
    }

    /// The values from element `first` on, decoded into `out`.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn decode(&self, first: usize, out: &mut [f32]) {
        let bytes = &self.bytes[self.dtype.bytes(first)..self.dtype.bytes(first + out.len())];
        match self.dtype {
            DType::F32 => each(bytes, out, f32::from_le_bytes),
            DType::F16 => each(bytes, out, |b| half::f16::from_le_bytes(b).to_f32()),
            DType::Bf16 => each(bytes, out, |b| half::bf16::from_le_bytes(b).to_f32()),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *out = decode(*bytes);
    }
}

/// The bytes of `values` in `dtype`.
pub(crate) fn encode(values: &[f32], dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::F16 => values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect(),
        DType::Bf16 => values.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect(),
    }
}

/// A place that tensors can be taken from by their Hugging Face names.
pub trait TensorSource {
    /// The tensor called `name`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn tensor(&self, name: &str) -> Result<StoredTensor>;

    /// Type and shape of the tensor called `name`, where they are known without reading it: then it can be
    /// [read](TensorSource::read_into) to its place.
    ///
    /// # Errors
    /// When there is none, or its type is not read.
    fn info(&self, _name: &str) -> Result<Option<(DType, Vec<usize>)>> {
        Ok(None)
    }

    /// Reads the little-endian values of the tensor called `name` into memory that is as long as they are.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read_into(&self, name: &str, into: &mut [u8]) -> Result<()> {
        into.copy_from_slice(&self.tensor(name)?.bytes);
        Ok(())
    }

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
    expect_shape(source, name, shape, &tensor.shape)?;
    Ok(tensor)
}

pub(crate) fn expect_shape(
    source: &dyn TensorSource,
    name: &str,
    expected: &[usize],
    got: &[usize],
) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::TensorShape {
        origin: source.origin(),
        tensor: name.to_owned(),
        expected: expected.to_vec(),
        got: got.to_vec(),
    })
}

/// The bits that projections are brought into as they are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantize {
    /// bitsandbytes' four bits in blocks, the frozen side of QLoRA (Dettmers et al. 2023).
    FourBit(Bnb4Options),
    /// Signed bytes with one scale a row, the weights of LLM.int8 (Dettmers et al. 2022); activations stay floats.
    EightBit,
    /// ggml's blocks, as a GGUF file has them: of embedding and head, too.
    Blocks(BlockType),
}

impl From<Bnb4Options> for Quantize {
    fn from(options: Bnb4Options) -> Self {
        Quantize::FourBit(options)
    }
}

/// A base whose projections are quantized as they are loaded; those that are quantized already stay in their own bits.
/// Embedding and head stay as they are, as in transformers, but for ggml's blocks; norms always do.
pub struct QuantizeOnLoad<'a> {
    source: &'a dyn TensorSource,
    bits: Quantize,
    /// Values of the matrix at hand: new memory for each would cost more than reading it.
    bytes: RefCell<Vec<u8>>,
}

impl<'a> QuantizeOnLoad<'a> {
    /// The tensors of `source`, quantized to `bits`.
    pub fn new(source: &'a dyn TensorSource, bits: Quantize) -> Self {
        QuantizeOnLoad { source, bits, bytes: RefCell::default() }
    }

    /// The tensor `name`, in memory that is used again.
    fn stored(&self, name: &str) -> Result<StoredTensor> {
        let Some((dtype, shape)) = self.source.info(name)? else { return self.source.tensor(name) };
        let mut bytes = self.bytes.take();
        // A source that knows the shape has as many values.
        bytes.resize(dtype.bytes(shape.iter().product()), 0);
        self.source.read_into(name, &mut bytes)?;
        Ok(StoredTensor { dtype, shape, bytes })
    }
}

impl TensorSource for QuantizeOnLoad<'_> {
    fn tensor(&self, name: &str) -> Result<StoredTensor> {
        self.source.tensor(name)
    }

    fn info(&self, name: &str) -> Result<Option<(DType, Vec<usize>)>> {
        self.source.info(name)
    }

    fn read_into(&self, name: &str, into: &mut [u8]) -> Result<()> {
        self.source.read_into(name, into)
    }

    fn quantized(&self, name: &str) -> Result<Option<QuantizedMatrix>> {
        let own = self.source.quantized(name)?;
        let taken = name.ends_with("_proj.weight") || matches!(self.bits, Quantize::Blocks(_));
        if own.is_some() || !taken {
            return Ok(own);
        }
        let tensor = self.stored(name)?;
        let Ok(shape) = <[usize; 2]>::try_from(tensor.shape.as_slice()) else { return Ok(None) };
        let matrix = match self.bits {
            Quantize::FourBit(options) => {
                Bnb4Matrix::quantize_with(shape, options, |first, out| tensor.decode(first, out))
                    .map(QuantizedMatrix::from)
            }
            Quantize::EightBit => Int8Matrix::quantize(shape, &tensor.to_f32()).map(QuantizedMatrix::from),
            Quantize::Blocks(kind) => match in_blocks(kind, shape, &tensor) {
                Some(matrix) => matrix.map(QuantizedMatrix::from),
                None => return Ok(None),
            },
        };
        self.bytes.replace(tensor.bytes);
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

/// The values of `tensor` in ggml's blocks; nothing where its rows are no whole blocks or it has values that no block
/// holds: they stay as they are.
fn in_blocks(
    kind: BlockType,
    [rows, cols]: [usize; 2],
    tensor: &StoredTensor,
) -> Option<std::result::Result<BlockMatrix, Mismatch>> {
    kind.row_bytes(cols)?;
    let data = kind.encode(&tensor.to_f32()).ok()?;
    Some(BlockMatrix::new(kind, rows, cols, data))
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

    /// The shape of the tensor called `name` in a model of this shape; nothing where it has none of that name.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<usize>> {
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
