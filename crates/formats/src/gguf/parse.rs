//! Reads a header, trusting none of its numbers.

use std::io::Read;
use std::path::Path;

use super::value::{Array, Value, code};
use super::{MAX_ARRAY, MAX_DIMENSIONS, MAX_STRING};
use crate::{Error, Result};

/// A tensor as the header describes it: nothing of it is checked against the others or the data.
#[derive(Debug)]
pub(super) struct RawTensor {
    pub(super) name: String,
    /// Fastest first.
    pub(super) dimensions: Vec<u64>,
    pub(super) kind: u32,
    pub(super) offset: u64,
}

/// A place in the header, and how much of the file is left.
pub(super) struct Cursor<'a, R> {
    pub(super) reader: R,
    pub(super) path: &'a Path,
    pub(super) at: u64,
    pub(super) length: u64,
}

impl<R: Read> Cursor<'_, R> {
    pub(super) fn malformed(&self, what: impl Into<String>) -> Error {
        Error::malformed(self.path, what)
    }

    fn left(&self) -> u64 {
        self.length - self.at
    }

    fn fill(&mut self, into: &mut [u8], part: &str) -> Result<()> {
        let wanted = into.len() as u64;
        if wanted > self.left() {
            return Err(Error::Length {
                path: self.path.to_owned(),
                part: part.to_owned(),
                expected: self.at.saturating_add(wanted),
                got: self.length,
            });
        }
        self.reader.read_exact(into).map_err(Error::io(self.path))?;
        self.at += wanted;
        Ok(())
    }

    pub(super) fn bytes<const N: usize>(&mut self, part: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, part)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, part: &str) -> Result<u32> {
        self.bytes(part).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, part: &str) -> Result<u64> {
        self.bytes(part).map(u64::from_le_bytes)
    }

    /// A number of items of at least `smallest` bytes each, which the rest of the file can hold.
    pub(super) fn count(&mut self, part: &str, smallest: u64) -> Result<usize> {
        let count = self.u64(part)?;
        match usize::try_from(count) {
            Ok(fits) if count <= self.left() / smallest => Ok(fits),
            _ => Err(Error::Length {
                path: self.path.to_owned(),
                part: format!("{part} ({count})"),
                expected: self.at.saturating_add(count.saturating_mul(smallest)),
                got: self.length,
            }),
        }
    }

    pub(super) fn string(&mut self, part: &str) -> Result<String> {
        let length = self.count(part, 1)?;
        if length as u64 > MAX_STRING {
            return Err(self.malformed(format!("{part} has {length} bytes, expected at most {MAX_STRING}")));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, part)?;
        String::from_utf8(bytes).map_err(|_| self.malformed(format!("{part} is not UTF-8")))
    }

    /// A key and its value.
    pub(super) fn entry(&mut self) -> Result<(String, Value)> {
        let key = self.string("a metadata key")?;
        if key.is_empty() {
            return Err(self.malformed("a metadata key is empty"));
        }
        let kind = self.u32(&key)?;
        let value = self.value(&key, kind)?;
        Ok((key, value))
    }

    fn value(&mut self, key: &str, kind: u32) -> Result<Value> {
        Ok(match kind {
            code::U8 => Value::U8(u8::from_le_bytes(self.bytes(key)?)),
            code::I8 => Value::I8(i8::from_le_bytes(self.bytes(key)?)),
            code::U16 => Value::U16(u16::from_le_bytes(self.bytes(key)?)),
            code::I16 => Value::I16(i16::from_le_bytes(self.bytes(key)?)),
            code::U32 => Value::U32(self.u32(key)?),
            code::I32 => Value::I32(i32::from_le_bytes(self.bytes(key)?)),
            code::F32 => Value::F32(f32::from_le_bytes(self.bytes(key)?)),
            code::BOOL => Value::Bool(self.bool(key)?),
            code::STRING => Value::String(self.string(key)?),
            code::ARRAY => Value::Array(self.array(key)?),
            code::U64 => Value::U64(self.u64(key)?),
            code::I64 => Value::I64(i64::from_le_bytes(self.bytes(key)?)),
            code::F64 => Value::F64(f64::from_le_bytes(self.bytes(key)?)),
            _ => return Err(self.malformed(format!("{key} is of type {kind}, expected 0 to 12"))),
        })
    }

    fn bool(&mut self, key: &str) -> Result<bool> {
        match self.bytes(key)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(self.malformed(format!("{key} is a bool of {other}, expected 0 or 1"))),
        }
    }

    fn array(&mut self, key: &str) -> Result<Array> {
        let kind = self.u32(key)?;
        let smallest = match kind {
            code::U8 | code::I8 | code::BOOL => 1,
            code::U16 | code::I16 => 2,
            code::U32 | code::I32 | code::F32 => 4,
            // A string is at least its length.
            code::U64 | code::I64 | code::F64 | code::STRING => 8,
            code::ARRAY => {
                return Err(self.malformed(format!("{key} is an array of arrays, which is not read")));
            }
            _ => return Err(self.malformed(format!("{key} is an array of type {kind}, expected 0 to 12"))),
        };
        let count = self.count(key, smallest)?;
        if count as u64 > MAX_ARRAY {
            return Err(self.malformed(format!("{key} has {count} elements, expected at most {MAX_ARRAY}")));
        }
        Ok(match kind {
            code::U8 => Array::U8(self.items(key, count, u8::from_le_bytes)?),
            code::I8 => Array::I8(self.items(key, count, i8::from_le_bytes)?),
            code::U16 => Array::U16(self.items(key, count, u16::from_le_bytes)?),
            code::I16 => Array::I16(self.items(key, count, i16::from_le_bytes)?),
            code::U32 => Array::U32(self.items(key, count, u32::from_le_bytes)?),
            code::I32 => Array::I32(self.items(key, count, i32::from_le_bytes)?),
            code::F32 => Array::F32(self.items(key, count, f32::from_le_bytes)?),
            code::U64 => Array::U64(self.items(key, count, u64::from_le_bytes)?),
            code::I64 => Array::I64(self.items(key, count, i64::from_le_bytes)?),
            code::F64 => Array::F64(self.items(key, count, f64::from_le_bytes)?),
            code::BOOL => Array::Bool(collect(count, || self.bool(key))?),
            _ => Array::String(collect(count, || self.string(key))?),
        })
    }

    fn items<T, const N: usize>(
        &mut self,
        key: &str,
        count: usize,
        read: fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        collect(count, || self.bytes(key).map(read))
    }

    pub(super) fn tensor(&mut self) -> Result<RawTensor> {
        let name = self.string("a tensor's name")?;
        let count = self.u32(&name)?;
        let count =
            usize::try_from(count).ok().filter(|count| *count <= MAX_DIMENSIONS).ok_or_else(|| {
                self.malformed(format!(
                    "tensor {name} has {count} dimensions, expected at most {MAX_DIMENSIONS}"
                ))
            })?;
        let dimensions = collect(count, || self.u64(&name))?;
        let kind = self.u32(&name)?;
        let offset = self.u64(&name)?;
        Ok(RawTensor { name, dimensions, kind, offset })
    }
}

/// `count` items into a vector that is allocated once; the count has been checked against the file.
fn collect<T>(count: usize, mut next: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(next()?);
    }
    Ok(items)
}
