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
    /// How it lies in its file.
    pub layout: FileLayout,
}

/// How a parameter lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileLayout {
    /// `[rows, cols]`.
    Matrix,
    /// `[cols]`.
    Vector,
    /// `[cols, rows]`: its rows are looked up here, its columns there.
    Transposed,
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
        match self.layout {
            FileLayout::Matrix => vec![self.rows, self.cols],
            FileLayout::Vector => vec![self.cols],
            FileLayout::Transposed => vec![self.cols, self.rows],
        }
    }

    /// Values, row after row, in the order of the file.
    pub fn on_disk(&self, values: Vec<f32>) -> Vec<f32> {
        match self.layout {
            FileLayout::Transposed => transposed(&values, self.rows, self.cols),
            _ => values,
        }
    }

    /// The way back from [`Parameter::on_disk`].
    pub fn from_disk(&self, values: Vec<f32>) -> Vec<f32> {
        match self.layout {
            FileLayout::Transposed => transposed(&values, self.cols, self.rows),
            _ => values,
        }
    }
}

fn transposed(values: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|j| (0..rows).map(move |i| values[i * cols + j])).collect()
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
        self.list.push(Parameter { name, offset, rows, cols, layout: FileLayout::Matrix });
        self.values.extend(values);
        offset
    }

    /// Appends a vector and says where it begins.
    pub(crate) fn push_vector(&mut self, name: String, values: Vec<f32>) -> usize {
        let offset = self.push(name, 1, values.len(), values);
        self.set_layout(FileLayout::Vector);
        offset
    }

    /// Appends a matrix that is stored transposed and says where it begins.
    pub(crate) fn push_transposed(
        &mut self,
        name: String,
        rows: usize,
        cols: usize,
        values: Vec<f32>,
    ) -> usize {
        let offset = self.push(name, rows, cols, values);
        self.set_layout(FileLayout::Transposed);
        offset
    }

    /// Of the parameter that was appended last.
    fn set_layout(&mut self, layout: FileLayout) {
        if let Some(last) = self.list.last_mut() {
            last.layout = layout;
        }
    }

    pub(crate) fn upload<B: Backend>(self, backend: &B) -> compute::Result<Parameters<B>> {
        let mut values = backend.zeros("trainable parameters", self.values.len())?;
        debug_assert_eq!(values.len(), self.values.len());
        backend.write(&mut values, 0, &self.values);
        Ok(Parameters { list: self.list, values })
    }
}
