//! Safetensors files: a JSON header of names, types, shapes and offsets, then the tensors' bytes.
//!
//! Only the header is kept in memory. Tensors are read when they are asked for (never mapped), so that a file which is
//! truncated while it is open gives an error and not a signal.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Metadata, TensorInfo};

use crate::positioned::PositionedFile;
use crate::{Error, Result, atomic};

pub use safetensors::Dtype;

/// The longest header that is read.
const HEADER_LIMIT: u64 = 16 << 20;
/// The header's length stands in front of it in this many bytes.
const PREFIX: u64 = 8;
/// How much is read at a time while decoding; a multiple of every element size.
const CHUNK: usize = 1 << 20;

/// A tensor's bytes with their meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// The type of an element.
    pub dtype: Dtype,
    /// The extent of each dimension, slowest first.
    pub shape: Vec<usize>,
    /// The elements, little-endian, row by row.
    pub bytes: Vec<u8>,
}

/// A tensor to be written.
#[derive(Debug, Clone, Copy)]
pub struct TensorBytes<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type of an element.
    pub dtype: Dtype,
    /// The extent of each dimension, slowest first.
    pub shape: &'a [usize],
    /// The elements, little-endian, row by row.
    pub bytes: &'a [u8],
}

/// An open file: the header in memory, the tensors on disk.
#[derive(Debug)]
pub struct SafetensorsFile {
    file: PositionedFile,
    data_start: u64,
    tensors: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
}

impl SafetensorsFile {
    /// Opens a file and checks its header against its length.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it cannot be read, [`Error::Length`] when it is truncated or has bytes that belong to no
    /// tensor, [`Error::Malformed`] when the header is longer than 16 MiB, is not the JSON it should be, or when
    /// offsets, shapes and types contradict each other.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = PositionedFile::open(path)?;
        let length = file.length();
        let too_short = |part: &str, expected| Error::Length {
            path: path.to_owned(),
            part: part.to_owned(),
            expected,
            got: length,
        };
        if length < PREFIX {
            return Err(too_short("the length of the header", PREFIX));
        }
        let mut prefix = [0; PREFIX as usize];
        file.read_into(0, &mut prefix)?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > HEADER_LIMIT {
            return Err(Error::malformed(
                path,
                format!("the header claims {header_length} bytes, expected at most {HEADER_LIMIT}"),
            ));
        }
        let data_start = PREFIX + header_length;
        if length < data_start {
            return Err(too_short("the header", data_start));
        }
        let header = file.read(PREFIX, header_length as usize)?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|reason| {
            Error::malformed(path, format!("the header is not a safetensors header: {reason}"))
        })?;
        let tensors: BTreeMap<String, TensorInfo> =
            header.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        check_length(path, &tensors, data_start, length)?;
        let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(SafetensorsFile { file, data_start, tensors, metadata })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The free text entries of the header.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The type and shape of a tensor.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`].
    pub fn info(&self, name: &str) -> Result<(Dtype, &[usize])> {
        self.entry(name).map(|info| (info.dtype, info.shape.as_slice()))
    }

    /// The bytes of a tensor as they stand in the file.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`], or [`Error::Io`] when the file can no longer be read.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let (start, length) = self.place(name)?;
        self.file.read(start, length)
    }

    /// How many bytes a tensor has.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`].
    pub fn byte_length(&self, name: &str) -> Result<usize> {
        self.place(name).map(|(_, length)| length)
    }

    /// Reads a tensor's bytes, as they stand in the file, into memory that is already there.
    ///
    /// # Errors
    ///
    /// Those of [`SafetensorsFile::bytes`], and [`Error::Malformed`] when `into` is not as long as the tensor.
    pub fn read_into(&self, name: &str, into: &mut [u8]) -> Result<()> {
        let (start, length) = self.place(name)?;
        if into.len() != length {
            let what = format!("tensor {name} has {length} bytes, room for {} was given", into.len());
            return Err(Error::malformed(self.path(), what));
        }
        self.file.read_into(start, into)
    }

    /// A tensor with its type and shape.
    ///
    /// # Errors
    ///
    /// Those of [`SafetensorsFile::bytes`].
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let info = self.entry(name)?;
        Ok(Tensor { dtype: info.dtype, shape: info.shape.clone(), bytes: self.bytes(name)? })
    }

    /// A tensor's elements as `f32`, decoded from F32, F16 or BF16.
    ///
    /// # Errors
    ///
    /// Those of [`SafetensorsFile::bytes`], and [`Error::Dtype`] for any other type.
    pub fn f32(&self, name: &str) -> Result<Vec<f32>> {
        match self.entry(name)?.dtype {
            Dtype::F32 => self.elements(name, f32::from_le_bytes),
            Dtype::F16 => self.elements(name, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => self.elements(name, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            other => Err(self.wrong_dtype(name, "F32, F16 or BF16", other)),
        }
    }

    /// A tensor's elements as 32-bit integers.
    ///
    /// # Errors
    ///
    /// Those of [`SafetensorsFile::bytes`], and [`Error::Dtype`] unless it is I32.
    pub fn i32(&self, name: &str) -> Result<Vec<i32>> {
        match self.entry(name)?.dtype {
            Dtype::I32 => self.elements(name, i32::from_le_bytes),
            other => Err(self.wrong_dtype(name, "I32", other)),
        }
    }

    /// Hands a tensor's elements as `f32` to `take`, some at a time with the number of the first, so that memory never
    /// holds all of them.
    ///
    /// # Errors
    ///
    /// Those of [`SafetensorsFile::f32`].
    pub fn each_f32(&self, name: &str, take: impl FnMut(usize, &[f32])) -> Result<()> {
        match self.entry(name)?.dtype {
            Dtype::F32 => self.pieces(name, f32::from_le_bytes, take),
            Dtype::F16 => self.pieces(name, |bytes| f16::from_le_bytes(bytes).to_f32(), take),
            Dtype::BF16 => self.pieces(name, |bytes| bf16::from_le_bytes(bytes).to_f32(), take),
            other => Err(self.wrong_dtype(name, "F32, F16 or BF16", other)),
        }
    }

    /// Decodes a tensor whose elements have `N` bytes.
    fn elements<T: Copy, const N: usize>(&self, name: &str, decode: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
        let mut all = Vec::with_capacity(self.place(name)?.1 / N);
        self.pieces(name, decode, |_, values: &[T]| all.extend_from_slice(values))?;
        Ok(all)
    }

    /// Decodes a tensor whose elements have `N` bytes, some at a time.
    fn pieces<T, const N: usize>(
        &self,
        name: &str,
        decode: impl Fn([u8; N]) -> T,
        mut take: impl FnMut(usize, &[T]),
    ) -> Result<()> {
        let (start, length) = self.place(name)?;
        let mut chunk = vec![0; CHUNK.min(length)];
        let mut values = Vec::with_capacity(chunk.len() / N);
        for at in (0..length).step_by(CHUNK) {
            let part = &mut chunk[..CHUNK.min(length - at)];
            self.file.read_into(start + at as u64, part)?;
            values.clear();
            values.extend(part.as_chunks().0.iter().map(|bytes| decode(*bytes)));
            take(at / N, &values);
        }
        Ok(())
    }

    fn wrong_dtype(&self, name: &str, expected: &'static str, got: Dtype) -> Error {
        Error::Dtype { path: self.path().to_owned(), tensor: name.to_owned(), expected, got: got.to_string() }
    }

    /// Where a tensor begins in the file, and how long it is.
    fn place(&self, name: &str) -> Result<(u64, usize)> {
        let (start, end) = self.entry(name)?.data_offsets;
        Ok((self.data_start + start as u64, end - start))
    }

    fn entry(&self, name: &str) -> Result<&TensorInfo> {
        self.tensors.get(name).ok_or_else(|| Error::MissingTensor {
            path: self.path().to_owned(),
            tensor: name.to_owned(),
            count: self.tensors.len(),
        })
    }
}

/// Compares the end of the last tensor with the end of the file.
fn check_length(
    path: &Path,
    tensors: &BTreeMap<String, TensorInfo>,
    data_start: u64,
    length: u64,
) -> Result<()> {
    let end_of = |info: &TensorInfo| data_start.saturating_add(info.data_offsets.1 as u64);
    let expected = tensors.values().map(end_of).max().unwrap_or(data_start);
    if expected == length {
        return Ok(());
    }
    let beyond =
        tensors.iter().filter(|(_, info)| end_of(info) > length).min_by_key(|(_, info)| info.data_offsets);
    let part = match beyond {
        Some((name, _)) => format!("tensor {name}"),
        None => "the list of tensors".to_owned(),
    };
    Err(Error::Length { path: path.to_owned(), part, expected, got: length })
}

/// A tensor whose bytes are still to come.
#[derive(Debug, Clone)]
pub struct TensorShape {
    /// Its name.
    pub name: String,
    /// The type of an element.
    pub dtype: Dtype,
    /// The extent of each dimension, slowest first.
    pub shape: Vec<usize>,
}

/// Writes tensors to a file: whole or not at all, and the same bytes for the same input in whatever order.
///
/// The layout is that of the reference implementation: wider types first, then by name.
///
/// # Errors
///
/// [`Error::Malformed`] when a tensor's bytes do not fit its type and shape or a name comes twice, [`Error::Io`] when
/// the system refuses; then nothing is left behind.
pub fn write(
    path: impl AsRef<Path>,
    tensors: &[TensorBytes<'_>],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let path = path.as_ref();
    for tensor in tensors {
        if byte_length(tensor.dtype, tensor.shape) != Some(tensor.bytes.len()) {
            return Err(Error::malformed(
                path,
                format!(
                    "tensor {}: {} bytes were given for {} of shape {:?}",
                    tensor.name,
                    tensor.bytes.len(),
                    tensor.dtype,
                    tensor.shape
                ),
            ));
        }
    }
    let shape = |t: &TensorBytes<'_>| TensorShape {
        name: t.name.to_owned(),
        dtype: t.dtype,
        shape: t.shape.to_vec(),
    };
    let shapes: Vec<TensorShape> = tensors.iter().map(shape).collect();
    write_with(path, &shapes, metadata, |index, writer| writer.write_all(tensors[index].bytes))
}

/// As [`write`], of tensors whose bytes `fill` writes one after the other, so that they need not be in memory together:
/// `fill(i, writer)` writes those of `tensors[i]`.
///
/// # Errors
///
/// Those of [`write`].
pub fn write_with(
    path: impl AsRef<Path>,
    tensors: &[TensorShape],
    metadata: &BTreeMap<String, String>,
    mut fill: impl FnMut(usize, &mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&tensors[a], &tensors[b]);
        b.dtype.cmp(&a.dtype).then(a.name.cmp(&b.name))
    });
    let (header, lengths) = header_of(path, order.iter().map(|&index| &tensors[index]), metadata)?;
    atomic::write_atomic_with(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for (&index, length) in order.iter().zip(lengths) {
            let mut counted = Counted { writer: &mut *writer, count: 0 };
            fill(index, &mut counted)?;
            if counted.count != length {
                let (name, got) = (&tensors[index].name, counted.count);
                return Err(io::Error::other(format!("tensor {name}: {got} bytes of {length} were written")));
            }
        }
        Ok(())
    })
}

/// Counts what is written through it.
struct Counted<'a> {
    writer: &'a mut dyn Write,
    count: usize,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.count += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Bytes of a tensor; `None` when they are no whole number, or beyond the address space.
fn byte_length(dtype: Dtype, shape: &[usize]) -> Option<usize> {
    let elements = shape.iter().try_fold(1usize, |product, extent| product.checked_mul(*extent))?;
    let bits = elements.checked_mul(dtype.bitsize())?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

/// The header of tensors in the order of the file, padded to eight bytes, and how long each of them is.
fn header_of<'a>(
    path: &Path,
    sorted: impl Iterator<Item = &'a TensorShape>,
    metadata: &BTreeMap<String, String>,
) -> Result<(Vec<u8>, Vec<usize>)> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), serde_json::json!(metadata));
    }
    let (mut offset, mut lengths) = (0usize, Vec::new());
    for tensor in sorted {
        let length = byte_length(tensor.dtype, &tensor.shape);
        let end = length.and_then(|length| offset.checked_add(length));
        let (Some(length), Some(end)) = (length, end) else {
            let what = format!("tensor {}: {} of shape {:?}", tensor.name, tensor.dtype, tensor.shape);
            return Err(Error::malformed(path, what));
        };
        let info =
            TensorInfo { dtype: tensor.dtype, shape: tensor.shape.clone(), data_offsets: (offset, end) };
        offset = end;
        lengths.push(length);
        let earlier = header.insert(tensor.name.clone(), serde_json::json!(info));
        if earlier.is_some() {
            return Err(Error::malformed(path, format!("tensor {} was given twice", tensor.name)));
        }
    }
    let mut bytes = serde_json::Value::Object(header).to_string().into_bytes();
    bytes.resize(bytes.len().next_multiple_of(PREFIX as usize), b' ');
    Ok((bytes, lengths))
}
