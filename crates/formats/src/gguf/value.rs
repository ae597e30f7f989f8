//! The values of a GGUF file's metadata.

/// A value with its type.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array of values of one type. Arrays of arrays are not part of what models hold, and are refused.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Vec<String>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

/// The types by their numbers in the file.
pub(super) mod code {
    pub(crate) const U8: u32 = 0;
    pub(crate) const I8: u32 = 1;
    pub(crate) const U16: u32 = 2;
    pub(crate) const I16: u32 = 3;
    pub(crate) const U32: u32 = 4;
    pub(crate) const I32: u32 = 5;
    pub(crate) const F32: u32 = 6;
    pub(crate) const BOOL: u32 = 7;
    pub(crate) const STRING: u32 = 8;
    pub(crate) const ARRAY: u32 = 9;
    pub(crate) const U64: u32 = 10;
    pub(crate) const I64: u32 = 11;
    pub(crate) const F64: u32 = 12;
}

impl Value {
    /// What the value is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::U8(_) => "a u8",
            Value::I8(_) => "an i8",
            Value::U16(_) => "a u16",
            Value::I16(_) => "an i16",
            Value::U32(_) => "a u32",
            Value::I32(_) => "an i32",
            Value::F32(_) => "an f32",
            Value::Bool(_) => "a bool",
            Value::String(_) => "a string",
            Value::Array(array) => array.kind(),
            Value::U64(_) => "a u64",
            Value::I64(_) => "an i64",
            Value::F64(_) => "an f64",
        }
    }
}

impl Array {
    fn kind(&self) -> &'static str {
        match self {
            Array::U8(_) => "an array of u8",
            Array::I8(_) => "an array of i8",
            Array::U16(_) => "an array of u16",
            Array::I16(_) => "an array of i16",
            Array::U32(_) => "an array of u32",
            Array::I32(_) => "an array of i32",
            Array::F32(_) => "an array of f32",
            Array::Bool(_) => "an array of bools",
            Array::String(_) => "an array of strings",
            Array::U64(_) => "an array of u64",
            Array::I64(_) => "an array of i64",
            Array::F64(_) => "an array of f64",
        }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Array::U8(values) => values.len(),
            Array::I8(values) => values.len(),
            Array::U16(values) => values.len(),
            Array::I16(values) => values.len(),
            Array::U32(values) => values.len(),
            Array::I32(values) => values.len(),
            Array::F32(values) => values.len(),
            Array::Bool(values) => values.len(),
            Array::String(values) => values.len(),
            Array::U64(values) => values.len(),
            Array::I64(values) => values.len(),
            Array::F64(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a metadata value can be read as.
pub trait FromValue<'a>: Sized {
    /// What is asked for, for messages.
    const KIND: &'static str;

    /// The value, if it is of that kind.
    fn from_value(value: &'a Value) -> Option<Self>;
}

/// Any integer that is not negative.
impl FromValue<'_> for u64 {
    const KIND: &'static str = "an integer of 0 or more";

    fn from_value(value: &Value) -> Option<Self> {
        match *value {
            Value::U8(value) => Some(value.into()),
            Value::U16(value) => Some(value.into()),
            Value::U32(value) => Some(value.into()),
            Value::U64(value) => Some(value),
            Value::I8(value) => value.try_into().ok(),
            Value::I16(value) => value.try_into().ok(),
            Value::I32(value) => value.try_into().ok(),
            Value::I64(value) => value.try_into().ok(),
            _ => None,
        }
    }
}

/// Any integer that is not negative and indexes memory.
impl FromValue<'_> for usize {
    const KIND: &'static str = u64::KIND;

    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value)?.try_into().ok()
    }
}

/// Any float.
impl FromValue<'_> for f64 {
    const KIND: &'static str = "a float";

    fn from_value(value: &Value) -> Option<Self> {
        match *value {
            Value::F32(value) => Some(value.into()),
            Value::F64(value) => Some(value),
            _ => None,
        }
    }
}

impl FromValue<'_> for bool {
    const KIND: &'static str = "a bool";

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Bool(value) = *value { Some(value) } else { None }
    }
}

impl<'a> FromValue<'a> for &'a str {
    const KIND: &'static str = "a string";

    fn from_value(value: &'a Value) -> Option<Self> {
        if let Value::String(value) = value { Some(value) } else { None }
    }
}

impl<'a> FromValue<'a> for &'a [String] {
    const KIND: &'static str = "an array of strings";

    fn from_value(value: &'a Value) -> Option<Self> {
        if let Value::Array(Array::String(values)) = value { Some(values) } else { None }
    }
}

impl<'a> FromValue<'a> for &'a [f32] {
    const KIND: &'static str = "an array of f32";

    fn from_value(value: &'a Value) -> Option<Self> {
        if let Value::Array(Array::F32(values)) = value { Some(values) } else { None }
    }
}

impl<'a> FromValue<'a> for &'a [i32] {
    const KIND: &'static str = "an array of i32";

    fn from_value(value: &'a Value) -> Option<Self> {
        if let Value::Array(Array::I32(values)) = value { Some(values) } else { None }
    }
}

/// Any array of integers that are not negative, such as heads per layer.
impl FromValue<'_> for Vec<u64> {
    const KIND: &'static str = "an array of integers of 0 or more";

    fn from_value(value: &Value) -> Option<Self> {
        let Value::Array(array) = value else { return None };
        match array {
            Array::U32(values) => Some(values.iter().map(|value| u64::from(*value)).collect()),
            Array::U64(values) => Some(values.clone()),
            Array::I32(values) => values.iter().map(|value| u64::try_from(*value).ok()).collect(),
            Array::I64(values) => values.iter().map(|value| u64::try_from(*value).ok()).collect(),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::String(value.to_owned())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Value::U32(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Value::F32(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}
