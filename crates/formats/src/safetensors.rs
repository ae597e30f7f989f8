//! Safetensors files: a JSON header of names, types, shapes and offsets, then the tensors' bytes.
//!
//! Only the header is kept in memory. Tensors are read when they are asked for (never mapped), so that a file which is
//! truncated while it is open gives an error and not a signal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use half::{bf16, f16};
use safetensors::tensor::{Metadata, TensorInfo};

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
    path: PathBuf,
    file: Mutex<File>,
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
        let path = path.as_ref().to_owned();
        let mut file = File::open(&path).map_err(Error::io(&path))?;
        let about = file.metadata().map_err(Error::io(&path))?;
        if !about.is_file() {
            return Err(Error::malformed(&path, "expected a file, got a folder or a device"));
        }
        let length = about.len();
        let too_short = |part: &str, expected| Error::Length {
            path: path.clone(),
            part: part.to_owned(),
            expected,
            got: length,
        };
        if length < PREFIX {
            return Err(too_short("the length of the header", PREFIX));
        }
        let mut prefix = [0; PREFIX as usize];
        file.read_exact(&mut prefix).map_err(Error::io(&path))?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > HEADER_LIMIT {
            return Err(Error::malformed(
                &path,
                format!("the header claims {header_length} bytes, expected at most {HEADER_LIMIT}"),
            ));
        }
        let data_start = PREFIX + header_length;
        if length < data_start {
            return Err(too_short("the header", data_start));
        }
        let mut header = vec![0; header_length as usize];
        file.read_exact(&mut header).map_err(Error::io(&path))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|reason| {
            Error::malformed(&path, format!("the header is not a safetensors header: {reason}"))
        })?;
        let tensors: BTreeMap<String, TensorInfo> =
            header.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        check_length(&path, &tensors, data_start, length)?;
        let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(SafetensorsFile { path, file: Mutex::new(file), data_start, tensors, metadata })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
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
        let info = self.entry(name)?;
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        self.read_at(info.data_offsets.0, &mut bytes)?;
        Ok(bytes)
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
        let info = self.entry(name)?;
        let decode: fn(&[u8]) -> f32 = match info.dtype {
            Dtype::F32 => |bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            Dtype::F16 => |bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            Dtype::BF16 => |bytes| bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            other => {
                return Err(Error::Dtype {
                    path: self.path.clone(),
                    tensor: name.to_owned(),
                    expected: "F32, F16 or BF16",
                    got: other.to_string(),
                });
            }
        };
        let width = info.dtype.bitsize() / 8;
        let (start, end) = info.data_offsets;
        let mut values = Vec::with_capacity((end - start) / width);
        let mut chunk = vec![0; CHUNK.min(end - start)];
        for at in (start..end).step_by(CHUNK) {
            let part = &mut chunk[..CHUNK.min(end - at)];
            self.read_at(at, part)?;
            values.extend(part.chunks_exact(width).map(decode));
        }
        Ok(values)
    }

    fn entry(&self, name: &str) -> Result<&TensorInfo> {
        self.tensors.get(name).ok_or_else(|| Error::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
            count: self.tensors.len(),
        })
    }

    fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        // A thread that panicked while reading has left nothing but a position, and that is set anew here.
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.data_start + offset as u64))
            .and_then(|_| file.read_exact(into))
            .map_err(Error::io(&self.path))
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
    let mut sorted: Vec<&TensorBytes<'_>> = tensors.iter().collect();
    sorted.sort_by(|a, b| b.dtype.cmp(&a.dtype).then(a.name.cmp(b.name)));
    let header = header_of(path, &sorted, metadata)?;
    atomic::write_atomic_with(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        sorted.iter().try_for_each(|tensor| writer.write_all(tensor.bytes))
    })
}

/// The header of tensors in the order of the file, padded to eight bytes.
fn header_of(
    path: &Path,
    sorted: &[&TensorBytes<'_>],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), serde_json::json!(metadata));
    }
    let mut offset = 0;
    for tensor in sorted {
        let elements = tensor.shape.iter().try_fold(1usize, |product, extent| product.checked_mul(*extent));
        let bits = elements.and_then(|elements| elements.checked_mul(tensor.dtype.bitsize()));
        if bits != tensor.bytes.len().checked_mul(8) {
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
        let info = TensorInfo {
            dtype: tensor.dtype,
            shape: tensor.shape.to_vec(),
            data_offsets: (offset, offset + tensor.bytes.len()),
        };
        offset += tensor.bytes.len();
        let earlier = header.insert(tensor.name.to_owned(), serde_json::json!(info));
        if earlier.is_some() {
            return Err(Error::malformed(path, format!("tensor {} was given twice", tensor.name)));
        }
    }
    let mut bytes = serde_json::Value::Object(header).to_string().into_bytes();
    bytes.resize(bytes.len().next_multiple_of(PREFIX as usize), b' ');
    Ok(bytes)
}
