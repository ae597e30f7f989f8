//! Writes GGUF files: whole or not at all.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use super::value::{Array, Value, code};
use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, MAX_DIMENSIONS, VERSION, padded};
use crate::quant::BlockType;
use crate::{Error, Result, atomic};

/// llama.cpp refuses names of this many bytes and more (`GGML_MAX_NAME`).
const NAME_LIMIT: usize = 64;

/// A tensor to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTensor<'a> {
    /// Its name.
    pub name: &'a str,
    /// The block format.
    pub kind: BlockType,
    /// The extent of each dimension, slowest first.
    pub shape: &'a [usize],
}

/// Writes metadata and tensors, in the order given. `bytes` is asked for the bytes of each tensor when its turn comes,
/// so that no more than one needs to be in memory.
///
/// # Errors
///
/// [`Error::Malformed`] when a name comes twice or is too long for llama.cpp, a shape is not made of whole blocks, or
/// the bytes are not as long as the shape says; [`Error::Io`] when the system refuses; the errors of `bytes`. Then
/// nothing is left behind.
pub fn write<'a>(
    path: impl AsRef<Path>,
    metadata: &[(&str, Value)],
    tensors: &[NewTensor<'_>],
    mut bytes: impl FnMut(usize) -> Result<Cow<'a, [u8]>>,
) -> Result<()> {
    let path = path.as_ref();
    let alignment = alignment_of(path, metadata)?;
    let (header, lengths) = header_of(path, alignment, metadata, tensors)?;
    let mut refused = None;
    let written = atomic::write_atomic_with(path, |writer| {
        writer.write_all(&header)?;
        for (number, length) in lengths.iter().enumerate() {
            let tensor =
                bytes(number).and_then(|bytes| expect_length(path, &tensors[number], *length, bytes));
            match tensor {
                Ok(bytes) => write_padded(writer, &bytes, alignment)?,
                Err(error) => {
                    refused = Some(error);
                    return Err(io::ErrorKind::Other.into());
                }
            }
        }
        Ok(())
    });
    refused.map_or(written, Err)
}

fn alignment_of(path: &Path, metadata: &[(&str, Value)]) -> Result<u64> {
    match metadata.iter().find(|(key, _)| *key == ALIGNMENT_KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some((_, Value::U32(alignment))) if alignment.is_power_of_two() => Ok(u64::from(*alignment)),
        Some((_, other)) => Err(Error::malformed(path, format!("`{ALIGNMENT_KEY}` cannot be {other:?}"))),
    }
}

fn expect_length<'a>(
    path: &Path,
    tensor: &NewTensor<'_>,
    length: u64,
    bytes: Cow<'a, [u8]>,
) -> Result<Cow<'a, [u8]>> {
    if bytes.len() as u64 == length {
        return Ok(bytes);
    }
    let NewTensor { name, kind, shape } = tensor;
    let (kind, got) = (kind.name(), bytes.len());
    Err(Error::malformed(
        path,
        format!("tensor {name}: {got} bytes were given for {kind} of shape {shape:?}"),
    ))
}

/// Everything before the data, padded, and the length of each tensor.
fn header_of(
    path: &Path,
    alignment: u64,
    metadata: &[(&str, Value)],
    tensors: &[NewTensor<'_>],
) -> Result<(Vec<u8>, Vec<u64>)> {
    let mut header = Vec::new();
    header.extend(MAGIC);
    header.extend(VERSION.to_le_bytes());
    header.extend((tensors.len() as u64).to_le_bytes());
    header.extend((metadata.len() as u64).to_le_bytes());
    let mut names = BTreeSet::new();
    for (key, value) in metadata {
        if key.is_empty() || !names.insert(*key) {
            return Err(Error::malformed(path, format!("metadata key {key:?} is empty or was given twice")));
        }
        push_string(&mut header, key);
        push_value(&mut header, value);
    }
    names.clear();
    let mut lengths = Vec::with_capacity(tensors.len());
    let mut offset = 0u64;
    for tensor in tensors {
        if !names.insert(tensor.name) {
            return Err(Error::malformed(path, format!("tensor {} was given twice", tensor.name)));
        }
        let length = length_of(path, tensor)?;
        push_string(&mut header, tensor.name);
        header.extend((tensor.shape.len() as u32).to_le_bytes());
        for extent in tensor.shape.iter().rev() {
            header.extend((*extent as u64).to_le_bytes());
        }
        header.extend(tensor.kind.ggml().to_le_bytes());
        header.extend(offset.to_le_bytes());
        lengths.push(length);
        offset =
            padded(length, alignment).and_then(|length| offset.checked_add(length)).ok_or_else(|| {
                Error::malformed(path, format!("tensor {} makes the file too long", tensor.name))
            })?;
    }
    pad(&mut header, alignment);
    Ok((header, lengths))
}

fn length_of(path: &Path, tensor: &NewTensor<'_>) -> Result<u64> {
    let NewTensor { name, kind, shape } = tensor;
    let wrong = |what: String| Error::malformed(path, format!("tensor {name}: {what}"));
    if name.len() >= NAME_LIMIT {
        return Err(wrong(format!("a name of {} bytes, expected fewer than {NAME_LIMIT}", name.len())));
    }
    if shape.len() > MAX_DIMENSIONS {
        return Err(wrong(format!("shape {shape:?}, expected at most {MAX_DIMENSIONS} dimensions")));
    }
    let (cols, rows) = shape.split_last().map_or((1, [].as_slice()), |(cols, rows)| (*cols, rows));
    let rows = rows.iter().try_fold(1usize, |product, extent| product.checked_mul(*extent));
    let bytes = kind.row_bytes(cols).zip(rows).and_then(|(row, rows)| row.checked_mul(rows));
    let bytes =
        bytes.ok_or_else(|| wrong(format!("shape {shape:?} is not made of whole {} blocks", kind.name())))?;
    Ok(bytes as u64)
}

fn write_padded(writer: &mut dyn Write, bytes: &[u8], alignment: u64) -> io::Result<()> {
    writer.write_all(bytes)?;
    let length = bytes.len() as u64;
    let padding = padded(length, alignment).map_or(0, |padded| padded - length);
    io::copy(&mut io::Read::take(io::repeat(0), padding), writer).map(|_| ())
}

fn pad(bytes: &mut Vec<u8>, alignment: u64) {
    let padding = padded(bytes.len() as u64, alignment).map_or(0, |padded| padded - bytes.len() as u64);
    bytes.resize(bytes.len() + padding as usize, 0);
}

fn push_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn push_value(bytes: &mut Vec<u8>, value: &Value) {
    let mut typed = |kind: u32, value: &[u8]| {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(value);
    };
    match value {
        Value::U8(value) => typed(code::U8, &value.to_le_bytes()),
        Value::I8(value) => typed(code::I8, &value.to_le_bytes()),
        Value::U16(value) => typed(code::U16, &value.to_le_bytes()),
        Value::I16(value) => typed(code::I16, &value.to_le_bytes()),
        Value::U32(value) => typed(code::U32, &value.to_le_bytes()),
        Value::I32(value) => typed(code::I32, &value.to_le_bytes()),
        Value::F32(value) => typed(code::F32, &value.to_le_bytes()),
        Value::Bool(value) => typed(code::BOOL, &[u8::from(*value)]),
        Value::U64(value) => typed(code::U64, &value.to_le_bytes()),
        Value::I64(value) => typed(code::I64, &value.to_le_bytes()),
        Value::F64(value) => typed(code::F64, &value.to_le_bytes()),
        Value::String(value) => {
            typed(code::STRING, &[]);
            push_string(bytes, value);
        }
        Value::Array(array) => {
            typed(code::ARRAY, &[]);
            push_array(bytes, array);
        }
    }
}

fn push_array(bytes: &mut Vec<u8>, array: &Array) {
    let kind = match array {
        Array::U8(_) => code::U8,
        Array::I8(_) => code::I8,
        Array::U16(_) => code::U16,
        Array::I16(_) => code::I16,
        Array::U32(_) => code::U32,
        Array::I32(_) => code::I32,
        Array::F32(_) => code::F32,
        Array::Bool(_) => code::BOOL,
        Array::String(_) => code::STRING,
        Array::U64(_) => code::U64,
        Array::I64(_) => code::I64,
        Array::F64(_) => code::F64,
    };
    bytes.extend(kind.to_le_bytes());
    bytes.extend((array.len() as u64).to_le_bytes());
    match array {
        Array::U8(values) => bytes.extend(values),
        Array::I8(values) => bytes.extend(values.iter().map(|value| *value as u8)),
        Array::U16(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Array::I16(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Array::U32(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Array::I32(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Array::F32(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Array::Bool(values) => bytes.extend(values.iter().map(|value| u8::from(*value))),
        Array::String(values) => values.iter().for_each(|value| push_string(bytes, value)),
        Array::U64(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Array::I64(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Array::F64(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
    }
}
