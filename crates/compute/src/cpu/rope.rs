//! Rotary position embedding (Su et al. 2021), in the half-split order of Hugging Face: value `i` of a head turns
//! with value `i + head_dim / 2`.

use super::buffer::{RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, dispatch};
use super::{Isa, Threads};
use crate::AttentionShape;

/// Where and how far the heads turn.
#[derive(Clone, Copy)]
pub(super) struct Rotation<'a> {
    pub(super) positions: &'a [u32],
    /// `[positions, head_dim]`: cosines, then sines.
    pub(super) table: &'a [f32],
    pub(super) shape: AttentionShape,
    pub(super) inverse: bool,
}

/// Turns the query and key heads of every row in place.
pub(super) fn rotate(threads: &Threads, isa: Isa, qkv: RowsMut<'_>, rotation: Rotation<'_>) {
    by_rows(threads, task_rows(qkv.cols), [qkv], |first, [qkv]| {
        dispatch(isa, RotateRows { first, qkv, rotation });
    });
}

struct RotateRows<'a> {
    first: usize,
    qkv: RowsMut<'a>,
    rotation: Rotation<'a>,
}

impl Kernel for RotateRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        let Rotation { positions, table, shape, inverse } = self.rotation;
        let width = shape.head_dim;
        let sign = if inverse { -1.0 } else { 1.0 };
        for i in 0..self.qkv.rows {
            let angles = &table[positions[self.first + i] as usize * width..][..width];
            let (cos, sin) = angles.split_at(width / 2);
            let heads = &mut self.qkv.row(i)[..shape.q_width() + shape.kv_width()];
            for head in heads.chunks_exact_mut(width) {
                let (low, high) = head.split_at_mut(width / 2);
                for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                    let (a, b, sin) = (*low, *high, sin * sign);
                    *low = A::mul_add(a, cos, -(b * sin));
                    *high = A::mul_add(b, cos, a * sin);
                }
            }
        }
    }
}
