//! The trainable values of a model, one after another in one buffer, so that a step of the optimizer, the norm of the
//! gradient and an exchange between machines are one operation each.

use compute::{Backend, DeviceBuffer};

/// Where a trainable matrix lies in the flat buffer, and what it is called on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name in the file that it is saved to.
    pub name: String,
    /// First element.
    pub offset: usize,
    /// Rows; 1 for a vector.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// A vector, `[cols]` on disk.
    pub vector: bool,
}

impl Parameter {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// True for a parameter without values, which none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape on disk.
    pub fn shape(&self) -> Vec<usize> {
        if self.vector { vec![self.cols] } else { vec![self.rows, self.cols] }
    }
}

/// The trainable values. Empty for a model that only answers.
#[derive(Debug)]
pub struct Parameters<B: Backend> {
    /// What lies where, in ascending order without gaps.
    pub list: Vec<Parameter>,
    /// The values.
    pub values: B::Buffer,
}

impl<B: Backend> Parameters<B> {
    /// Number of trainable values.
    pub fn len(&self) -> usize {
        self.list.last().map_or(0, |p| p.offset + p.len())
    }

    /// True for a model without trainable values.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The values of one parameter, read from the device.
    pub fn read(&self, backend: &B, parameter: &Parameter) -> Vec<f32> {
        read_range(backend, &self.values, parameter)
    }
}

/// Reads the part of a flat buffer (values, gradients, moments) that belongs to `parameter`.
pub fn read_range<B: Backend>(backend: &B, buffer: &B::Buffer, parameter: &Parameter) -> Vec<f32> {
    let mut out = vec![0.0; parameter.len()];
    backend.read(buffer, parameter.offset, &mut out);
    out
}

/// Lays parameters one after another while a model is built.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub(crate) list: Vec<Parameter>,
    pub(crate) values: Vec<f32>,
}

impl Layout {
    /// Appends a matrix and says where it begins.
    pub(crate) fn push(&mut self, name: String, rows: usize, cols: usize, values: Vec<f32>) -> usize {
        assert_eq!(values.len(), rows * cols, "{name}");
        let offset = self.values.len();
        self.list.push(Parameter { name, offset, rows, cols, vector: false });
        self.values.extend(values);
        offset
    }

    /// Appends a vector and says where it begins.
    pub(crate) fn push_vector(&mut self, name: String, values: Vec<f32>) -> usize {
        let offset = self.push(name, 1, values.len(), values);
        if let Some(last) = self.list.last_mut() {
            last.vector = true;
        }
        offset
    }

    pub(crate) fn upload<B: Backend>(self, backend: &B) -> compute::Result<Parameters<B>> {
        let mut values = backend.zeros("trainable parameters", self.values.len())?;
        debug_assert_eq!(values.len(), self.values.len());
        backend.write(&mut values, 0, &self.values);
        Ok(Parameters { list: self.list, values })
    }
}
