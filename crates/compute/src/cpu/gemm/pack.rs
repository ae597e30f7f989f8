//! Packing: a strip of an operand becomes one contiguous f32 panel that the micro-kernel reads in order.

use super::simd::{Simd, Stored};
use super::{Elements, Operand};

/// Rows `row..row + rows` of an operand over `from..from + depth`, to be laid out as `[packed depth, width]`: a packed
/// lane holds one step of depth, or two.
#[derive(Debug)]
pub(super) struct Pack<'a> {
    pub(super) operand: Operand<'a>,
    pub(super) row: usize,
    pub(super) rows: usize,
    pub(super) from: usize,
    pub(super) depth: usize,
    pub(super) to: *mut f32,
    /// Floats from one packed step of depth to the next: at least `rows`. What lies between them is left undefined.
    pub(super) width: usize,
}

/// Steps of depth between what is copied and what is asked for: the processor does not foresee the next row of a
/// wide matrix, which is often on another page.
const STEPS_AHEAD: usize = 16;

impl Pack<'_> {
    /// Packs the strip, decoding it.
    ///
    /// # Safety
    /// The instruction set must be there. `to` needs room for `packed depth * width + L` floats (whole vectors are written,
    /// the excess of a step is overwritten by the next one), and `width` must be a multiple of `L` where `rows` is
    /// above `L`. The strip must lie inside the operand.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd<L>, const L: usize>(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe {
            match self.operand.elements {
                Elements::F32(x) => self.pack::<S, _, L>(x),
                Elements::F16(x) => self.pack::<S, _, L>(x),
                Elements::Bf16(x) => self.pack::<S, _, L>(x),
                Elements::Quantized(_) => {
                    let matrix = self.four_bit().expect("other formats are decoded before they are packed");
                    self.pack_four_bit::<S, L>(matrix);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn pack<S: Simd<L>, T: Stored, const L: usize>(&self, elements: &[T]) {
        let Operand { row_stride, depth_stride, .. } = self.operand;
        let strip = &elements[self.row * row_stride + self.from * depth_stride..];
        // SAFETY: the caller's promise is the same.
        unsafe {
            if S::STEPS == 1 && self.rows == 1 && self.width == 1 && depth_stride == 1 {
                // One row is in order already.
                for p in (0..self.depth).step_by(L) {
                    S::store(self.to.add(p), load::<S, T, L>(&strip[p..], self.depth - p));
                }
            } else if row_stride == 1 {
                self.copy::<S, T, L>(strip);
            } else {
                assert!(depth_stride == 1, "an operand with two strides");
                self.transpose::<S, T, L>(strip);
            }
        }
    }

    /// The strip has the order of the panel: only decode it.
    #[inline(always)]
    unsafe fn copy<S: Simd<L>, T: Stored, const L: usize>(&self, strip: &[T]) {
        let stride = self.operand.depth_stride;
        for p in (0..self.depth).step_by(S::STEPS) {
            let step = &strip[p * stride..];
            for i in (0..self.rows).step_by(L) {
                S::prefetch(step.as_ptr().wrapping_add(i + STEPS_AHEAD * stride));
                // SAFETY: the elements are inside `step` or replaced; `to` has the room, says the caller.
                unsafe {
                    let mut values = load::<S, T, L>(&step[i..], self.rows - i);
                    if S::STEPS == 2 {
                        S::prefetch(step.as_ptr().wrapping_add(i + (STEPS_AHEAD + 1) * stride));
                        let second = match p + 1 < self.depth {
                            true => load::<S, T, L>(&step[stride + i..], self.rows - i),
                            false => S::splat(0.0),
                        };
                        values = S::join(values, second);
                    }
                    S::store(self.to.add(p / S::STEPS * self.width + i), values);
                }
            }
        }
    }

    /// Depth is contiguous: squares of `L` by `L` are transposed in registers.
    #[inline(always)]
    unsafe fn transpose<S: Simd<L>, T: Stored, const L: usize>(&self, strip: &[T]) {
        let step = L * T::PER_LANE;
        let whole = self.depth / step * step;
        for i in (0..self.rows).step_by(L) {
            let rows = (self.rows - i).min(L);
            let strip = &strip[i * self.operand.row_stride..];
            // SAFETY: the rows and `depth` elements of each are inside the strip; `to` has the room, says the
            // caller.
            unsafe {
                for p in (0..whole).step_by(step) {
                    let square = square::<S, T, L>(strip, self.operand.row_stride, rows, p);
                    for index in 0..step / S::STEPS {
                        let to = self.to.add((p / S::STEPS + index) * self.width + i);
                        S::store(to, T::packed::<S, L>(&square, index));
                    }
                }
                for p in (whole..self.depth).step_by(L) {
                    let steps = (self.depth - p).min(L);
                    let square = edge::<S, T, L>(strip, self.operand.row_stride, rows, p, steps);
                    for k in (0..steps).step_by(S::STEPS) {
                        let mut values = square[k];
                        if S::STEPS == 2 {
                            let second = if k + 1 < steps { square[k + 1] } else { S::splat(0.0) };
                            values = S::join(values, second);
                        }
                        S::store(self.to.add((p + k) / S::STEPS * self.width + i), values);
                    }
                }
            }
        }
    }
}

/// `L` lanes of up to `L` rows from element `p` on, transposed, for [`Stored::decode`]. Rows past the end repeat the
/// last one: what comes of them is never written to an output.
///
/// # Safety
/// The instruction set must be there and the rows reach `p + L * PER_LANE`.
#[inline(always)]
pub(super) unsafe fn square<S: Simd<L>, T: Stored, const L: usize>(
    strip: &[T],
    stride: usize,
    rows: usize,
    p: usize,
) -> [S::Vector; L] {
    // SAFETY: says the caller.
    unsafe {
        let mut square = [S::splat(0.0); L];
        for (k, vector) in square.iter_mut().enumerate() {
            let row = strip.as_ptr().add(k.min(rows - 1) * stride + p);
            *vector = T::load_lanes::<S, L>(row);
        }
        S::transpose(square)
    }
}

/// Decoded elements `p..p + steps` of up to `L` rows, transposed; as [`square`], for rows that may end there.
///
/// # Safety
/// The instruction set must be there.
#[inline(always)]
pub(super) unsafe fn edge<S: Simd<L>, T: Stored, const L: usize>(
    strip: &[T],
    stride: usize,
    rows: usize,
    p: usize,
    steps: usize,
) -> [S::Vector; L] {
    // SAFETY: says the caller.
    unsafe {
        let mut square = [S::splat(0.0); L];
        for (k, vector) in square.iter_mut().enumerate() {
            *vector = load::<S, T, L>(&strip[k.min(rows - 1) * stride + p..], steps);
        }
        S::transpose(square)
    }
}

/// The first `wanted` elements of a slice, and whatever follows them up to a whole vector: what comes next in the
/// slice, or zeros at its end.
#[inline(always)]
unsafe fn load<S: Simd<L>, T: Stored, const L: usize>(from: &[T], wanted: usize) -> S::Vector {
    // SAFETY: `L` elements are there in both cases; the instruction set is the caller's promise.
    unsafe {
        if from.len() >= L {
            T::load::<S, L>(from.as_ptr())
        } else {
            let mut padded = [T::ZERO; L];
            let wanted = wanted.min(L);
            padded[..wanted].copy_from_slice(&from[..wanted]);
            T::load::<S, L>(padded.as_ptr())
        }
    }
}
