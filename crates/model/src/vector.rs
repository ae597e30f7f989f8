//! Vectors of the model: gains of norms and biases, frozen or trained.

use compute::{Backend, DeviceBuffer, NormGain, View, ViewMut};

use crate::Decoder;

/// Where a vector begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// First element in [`Decoder::vectors`].
    Frozen(usize),
    /// First element among the trainable values.
    Trained(usize),
}

/// Vectors `[rows, cols]` that lie one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vector {
    pub(crate) place: Place,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl Vector {
    /// The first `rows` vectors of `cols` values from the element `from` on.
    pub(crate) fn slice(self, from: usize, rows: usize, cols: usize) -> Self {
        let place = match self.place {
            Place::Frozen(offset) => Place::Frozen(offset + from),
            Place::Trained(offset) => Place::Trained(offset + from),
        };
        Vector { place, rows, cols }
    }

    /// The place of this vector in the gradients, if it is trained.
    pub(crate) fn gradient<Buf: DeviceBuffer>(self, gradients: &mut Buf) -> Option<ViewMut<'_, Buf>> {
        match self.place {
            Place::Frozen(_) => None,
            Place::Trained(offset) => Some(gradients.view_mut(offset, self.rows, self.cols)),
        }
    }
}

impl<B: Backend> Decoder<B> {
    pub(crate) fn vector(&self, v: Vector) -> View<'_, B::Buffer> {
        match v.place {
            Place::Frozen(offset) => self.vectors.view(offset, v.rows, v.cols),
            Place::Trained(offset) => self.parameters.values.view(offset, v.rows, v.cols),
        }
    }

    /// A vector as the gain of a norm.
    pub(crate) fn gain(&self, v: Vector) -> NormGain<'_, B::Buffer> {
        NormGain { values: self.vector(v), offset: self.config.features.gain_offset() }
    }

    pub(crate) fn vector_values(&self, v: Vector) -> Vec<f32> {
        let view = self.vector(v);
        let mut out = vec![0.0; view.rows * view.cols];
        self.backend.read(view.buffer, view.offset, &mut out);
        out
    }
}
