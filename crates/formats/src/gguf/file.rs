//! An open GGUF file: the header in memory, the tensors on disk.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::parse::{Cursor, RawTensor};
use super::value::{FromValue, Value};
use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, VERSION, padded};
use crate::positioned::PositionedFile;
use crate::quant::{BlockMatrix, BlockType};
use crate::{Error, Result};

/// How much is decoded at a time, in bytes at most.
const CHUNK: usize = 1 << 20;
/// Bytes of the shortest metadata entry: an empty key, a type, one byte.
const SMALLEST_ENTRY: u64 = 13;
/// Bytes of the shortest tensor description: an empty name, no dimension, a type, an offset.
const SMALLEST_TENSOR: u64 = 24;

/// What is known of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The block format.
    pub kind: BlockType,
    /// The extent of each dimension, slowest first (the reverse of ggml's order).
    pub shape: Vec<usize>,
    /// Where it begins in the file.
    pub offset: u64,
    /// How long it is.
    pub bytes: usize,
}

/// An open file. Tensors are read when they are asked for and never mapped, so that a file which is truncated while it
/// is open gives an error and not a signal, and memory is that of the tensor asked for.
#[derive(Debug)]
pub struct GgufFile {
    file: PositionedFile,
    version: u32,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl GgufFile {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it cannot be read; [`Error::Length`] when something ends beyond the end of the file;
    /// [`Error::Malformed`] when it is no GGUF file of version 2 or 3, or its header contradicts itself: an alignment
    /// that is no power of two, a name that comes twice, tensors that overlap, sizes that overflow;
    /// [`Error::Unsupported`] when a tensor is in a block format that is not decoded here.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = PositionedFile::open(path)?;
        let (version, metadata, tensors) =
            file.read_stream(|reader| read_header(path, file.length(), reader))?;
        Ok(GgufFile { file, version, metadata, tensors })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The version of the format.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// All metadata.
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// The metadata value of `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is of another kind than asked for.
    pub fn get<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.metadata.get(key) else { return Ok(None) };
        T::from_value(value).map(Some).ok_or_else(|| {
            Error::malformed(self.path(), format!("`{key}`: expected {}, got {}", T::KIND, value.kind()))
        })
    }

    /// The metadata value of `key`.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when there is none, or it is of another kind than asked for.
    pub fn require<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<T> {
        self.get(key)?.ok_or_else(|| {
            Error::malformed(self.path(), format!("the metadata has no `{key}`: expected {}", T::KIND))
        })
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// What is known of a tensor.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`].
    pub fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.tensors.get(name).ok_or_else(|| Error::MissingTensor {
            path: self.path().to_owned(),
            tensor: name.to_owned(),
            count: self.tensors.len(),
        })
    }

    /// The bytes of a tensor as they stand in the file.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`], or [`Error::Io`] when the file can no longer be read.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let info = self.info(name)?;
        self.file.read(info.offset, info.bytes)
    }

    /// Reads a tensor's bytes, as they stand in the file, into memory that is already there.
    ///
    /// # Errors
    ///
    /// Those of [`GgufFile::bytes`], and [`Error::Malformed`] when `into` is not as long as the tensor.
    pub fn read_into(&self, name: &str, into: &mut [u8]) -> Result<()> {
        let info = self.info(name)?;
        if into.len() != info.bytes {
            let what = format!("tensor {name}: {} bytes, room for {}", info.bytes, into.len());
            return Err(Error::malformed(self.path(), what));
        }
        self.file.read_into(info.offset, into)
    }

    /// Whether two tensors have the same type, shape and bytes.
    ///
    /// # Errors
    ///
    /// Those of [`GgufFile::bytes`].
    pub fn equal(&self, one: &str, other: &str) -> Result<bool> {
        let (a, b) = (self.info(one)?, self.info(other)?);
        if (a.kind, &a.shape) != (b.kind, &b.shape) {
            return Ok(false);
        }
        for start in (0..a.bytes).step_by(CHUNK) {
            let (start, length) = (start as u64, CHUNK.min(a.bytes - start));
            if self.file.read(a.offset + start, length)? != self.file.read(b.offset + start, length)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A tensor's elements, decoded.
    ///
    /// # Errors
    ///
    /// Those of [`GgufFile::bytes`].
    pub fn f32(&self, name: &str) -> Result<Vec<f32>> {
        let info = self.info(name)?;
        let (elements, bytes) = (info.kind.elements(), info.kind.bytes());
        let blocks = info.bytes / bytes;
        let at_once = CHUNK / bytes;
        let mut values = vec![0.0; blocks * elements];
        let mut chunk = vec![0; at_once.min(blocks) * bytes];
        for (number, out) in values.chunks_mut(at_once * elements).enumerate() {
            let chunk = &mut chunk[..out.len() / elements * bytes];
            self.file.read_into(info.offset + (number * at_once * bytes) as u64, chunk)?;
            info.kind.decode(chunk, out);
        }
        Ok(values)
    }

    /// A tensor as a matrix in its own blocks. A vector is one row; of more than two dimensions, all but the last are
    /// rows.
    ///
    /// # Errors
    ///
    /// Those of [`GgufFile::bytes`].
    pub fn matrix(&self, name: &str) -> Result<BlockMatrix> {
        let info = self.info(name)?;
        let cols = info.shape.last().copied().unwrap_or(1);
        let rows = info.shape.iter().rev().skip(1).product();
        BlockMatrix::new(info.kind, rows, cols, self.bytes(name)?)
            .map_err(|reason| Error::malformed(self.path(), format!("tensor {name}: {reason}")))
    }
}

/// All that stands before the data.
type Header = (u32, BTreeMap<String, Value>, BTreeMap<String, TensorInfo>);

fn read_header(path: &Path, length: u64, reader: impl Read) -> Result<Header> {
    let mut cursor = Cursor { reader, path, at: 0, length };
    let version = preamble(&mut cursor)?;
    let tensor_count = cursor.count("the number of tensors", SMALLEST_TENSOR)?;
    let entry_count = cursor.count("the number of metadata entries", SMALLEST_ENTRY)?;
    let mut metadata = BTreeMap::new();
    for _ in 0..entry_count {
        let (key, value) = cursor.entry()?;
        if metadata.contains_key(&key) {
            return Err(cursor.malformed(format!("metadata key {key} comes twice")));
        }
        metadata.insert(key, value);
    }
    let alignment = alignment_of(path, &metadata)?;
    let mut raw = Vec::with_capacity(tensor_count);
    for _ in 0..tensor_count {
        raw.push(cursor.tensor()?);
    }
    let layout = Layout { path, alignment, data_start: padded(cursor.at, alignment), length };
    let tensors = layout.place(raw)?;
    Ok((version, metadata, tensors))
}

/// Reads magic and version.
fn preamble<R: Read>(cursor: &mut Cursor<'_, R>) -> Result<u32> {
    let magic: [u8; 4] = cursor.bytes("the magic number")?;
    if magic != MAGIC {
        return Err(cursor.malformed(format!("begins with {magic:02x?}, expected `GGUF`")));
    }
    match cursor.u32("the version")? {
        version @ 2..=VERSION => Ok(version),
        version if version & 0xffff == 0 && version != 0 => {
            Err(cursor.malformed("is a big-endian GGUF file, which is not read"))
        }
        version => Err(cursor.malformed(format!("is of GGUF version {version}, expected 2 or {VERSION}"))),
    }
}

fn alignment_of(path: &Path, metadata: &BTreeMap<String, Value>) -> Result<u64> {
    match metadata.get(ALIGNMENT_KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::U32(alignment)) if alignment.is_power_of_two() => Ok(u64::from(*alignment)),
        Some(other) => Err(Error::malformed(
            path,
            format!("`{ALIGNMENT_KEY}` is {other:?}, expected a power of two as a u32"),
        )),
    }
}

/// What decides where tensors lie.
struct Layout<'a> {
    path: &'a Path,
    alignment: u64,
    /// `None` when it exceeds what a number can hold.
    data_start: Option<u64>,
    length: u64,
}

impl Layout<'_> {
    /// Checks every tensor by itself, then all of them beside each other.
    fn place(&self, raw: Vec<RawTensor>) -> Result<BTreeMap<String, TensorInfo>> {
        let mut tensors = BTreeMap::new();
        for tensor in raw {
            let info = self.check(&tensor)?;
            if tensors.contains_key(&tensor.name) {
                return Err(Error::malformed(self.path, format!("tensor {} comes twice", tensor.name)));
            }
            tensors.insert(tensor.name, info);
        }
        let mut in_order: Vec<_> = tensors.iter().filter(|(_, info)| info.bytes > 0).collect();
        in_order.sort_by_key(|(_, info)| info.offset);
        for pair in in_order.windows(2) {
            let [(first, one), (second, other)] = pair else { continue };
            // Both ends are at most the file's length, so that the sum is safe.
            if one.offset + one.bytes as u64 > other.offset {
                return Err(Error::malformed(self.path, format!("tensors {first} and {second} overlap")));
            }
        }
        Ok(tensors)
    }

    fn check(&self, tensor: &RawTensor) -> Result<TensorInfo> {
        let RawTensor { name, dimensions, kind, offset } = tensor;
        let wrong = |what: String| Error::malformed(self.path, format!("tensor {name}: {what}"));
        let Some(kind) = BlockType::from_ggml(*kind) else {
            return Err(Error::Unsupported {
                path: self.path.to_owned(),
                setting: format!("the type of tensor {name}"),
                value: format!("ggml's number {kind}"),
                hint: format!("; what is read: {}", BlockType::ALL.map(BlockType::name).join(", ")),
            });
        };
        let columns = dimensions.first().copied().unwrap_or(1);
        if !columns.is_multiple_of(kind.elements() as u64) {
            let block = kind.elements();
            return Err(wrong(format!(
                "rows of {columns}, expected a multiple of {block} for {}",
                kind.name()
            )));
        }
        let too_large = || wrong(format!("dimensions {dimensions:?} are more than memory can hold"));
        let mut shape: Vec<usize> = Vec::with_capacity(dimensions.len());
        for extent in dimensions.iter().rev() {
            shape.push(usize::try_from(*extent).map_err(|_| too_large())?);
        }
        // Without the zeros, so that an overflow cannot hide behind one.
        product(dimensions.iter().copied().filter(|extent| *extent > 0)).ok_or_else(too_large)?;
        let elements = product(dimensions.iter().copied()).ok_or_else(too_large)?;
        let bytes =
            (elements / kind.elements() as u64).checked_mul(kind.bytes() as u64).ok_or_else(too_large)?;
        if !offset.is_multiple_of(self.alignment) {
            return Err(wrong(format!("offset {offset}, expected a multiple of {}", self.alignment)));
        }
        let start = self.data_start.and_then(|data| data.checked_add(*offset));
        let end = start.and_then(|start| start.checked_add(bytes));
        match (start, end, usize::try_from(bytes)) {
            (Some(offset), Some(end), Ok(bytes)) if end <= self.length => {
                Ok(TensorInfo { kind, shape, offset, bytes })
            }
            _ => Err(Error::Length {
                path: self.path.to_owned(),
                part: format!("tensor {name}"),
                expected: end.unwrap_or(u64::MAX),
                got: self.length,
            }),
        }
    }
}

fn product(mut extents: impl Iterator<Item = u64>) -> Option<u64> {
    extents.try_fold(1u64, u64::checked_mul)
}
