//! Matrix products, after Goto & van de Geijn 2008 and Van Zee & van de Geijn 2015 (BLIS): strips of both sides are
//! packed into panels, and a micro-kernel keeps one tile of the output in registers.
//!
//! Every output element is one chain of fused multiply-adds per block of depth, in ascending order, and the blocks
//! are added in order. Blocks follow from the depth alone, so an element's bits depend neither on the rows and columns
//! computed with it nor on the threads; AVX2 and AVX-512 agree bit for bit. In [`Precision::Bf16`] a packed lane holds
//! two steps of depth, and one instruction multiplies and adds both.

// Panels and tiles are raw pointers: tasks write disjoint tiles of one output, which slices cannot say.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
mod blocking;
mod four_bit;
mod kernels;
pub mod measure;
mod output;
mod pack;
mod plain;
mod scratch;
mod simd;
mod stretch;
#[cfg(test)]
mod tests;
mod thin;
mod tile;

use half::{bf16, f16};

use self::blocking::{Depth, Grid};
use self::kernels::Kernels;
use self::output::Target;
use self::stretch::{LowSide, Product};
use super::buffer::Quantized;
use super::{Isa, Precision, Threads};

/// Stored elements of an operand, decoded to f32 in the packing step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Elements<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
    /// A whole matrix; strides and offsets are those of its values, row after row.
    Quantized(Quantized<'a>),
}

impl Elements<'_> {
    fn len(&self) -> usize {
        match self {
            Elements::F32(x) => x.len(),
            Elements::F16(x) => x.len(),
            Elements::Bf16(x) => x.len(),
            Elements::Quantized(matrix) => matrix.rows() * matrix.cols(),
        }
    }
}

/// A factor of a product seen as `[rows, depth]`, where depth is the axis that is summed away: element `(i, p)` is at
/// `i * row_stride + p * depth_stride`. One of the strides is 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub elements: Elements<'a>,
    pub row_stride: usize,
    pub depth_stride: usize,
}

impl Operand<'_> {
    fn check(&self, what: &str, rows: usize, depth: usize) {
        if rows > 0 && depth > 0 {
            let needed = (rows - 1) * self.row_stride + (depth - 1) * self.depth_stride + 1;
            assert!(needed <= self.elements.len(), "{what}: {} elements of {needed}", self.elements.len());
        }
    }
}

/// What the output holds before the product is added.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Init<'a> {
    Zero,
    Output,
    /// Values and their row stride, which may be 0: a bias.
    From(&'a [f32], usize),
}

/// Products that share their left side, so that it is packed once: first those of `low`, then the parts, which may go
/// on with what `low` wrote.
#[derive(Debug)]
pub(crate) struct Gemm<'a> {
    pub rows: usize,
    pub depth: usize,
    /// `[rows, depth]`.
    pub left: Operand<'a>,
    pub low: Option<Low<'a>>,
    /// At most [`MAX_PARTS`], with ascending columns.
    pub parts: &'a [Part<'a>],
    /// Output of the parts, `stride` elements from row to row.
    pub c: &'a mut [f32],
    pub stride: usize,
}

/// The low-rank side. Columns that no part of it writes are left as they are, and may be read by tails.
#[derive(Debug)]
pub(crate) struct Low<'a> {
    /// At most [`MAX_PARTS`], with ascending columns, without tails.
    pub parts: &'a [Part<'a>],
    pub c: &'a mut [f32],
    pub stride: usize,
}

/// `c[i, column + j] = init + alpha * Σ_p left[i, p] * right[j, p] + Σ_q low[i, tail.column + q] * tail.right[j, q]`.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// First column in the output.
    pub column: usize,
    pub cols: usize,
    pub right: Operand<'a>,
    pub tail: Option<Tail<'a>>,
    pub alpha: f32,
    /// [`Init::From`] begins with the part's first column.
    pub init: Init<'a>,
}

impl<'a> Part<'a> {
    /// A part without columns.
    pub(crate) const NONE: Part<'static> = Part {
        column: 0,
        cols: 0,
        right: Operand { elements: Elements::F32(&[]), row_stride: 0, depth_stride: 0 },
        tail: None,
        alpha: 1.0,
        init: Init::Zero,
    };

    /// A plain product: the whole output, no tail.
    pub(crate) fn whole(cols: usize, right: Operand<'a>, init: Init<'a>) -> Self {
        Part { column: 0, cols, right, tail: None, alpha: 1.0, init }
    }
}

/// What goes on after a part's depth, unscaled: columns of the low-rank side against `right`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail<'a> {
    pub column: usize,
    pub depth: usize,
    pub right: Operand<'a>,
}

/// q, k and v.
pub(crate) const MAX_PARTS: usize = 3;

impl Gemm<'_> {
    fn check(&self) {
        self.left.check("left", self.rows, self.depth);
        if let Some(low) = &self.low {
            self.check_parts("low-rank side", low.parts, (low.c.len(), low.stride));
            assert!(low.parts.iter().all(|part| part.tail.is_none()), "a tail on the low-rank side");
        }
        self.check_parts("output", self.parts, (self.c.len(), self.stride));
        for part in self.parts {
            let Some(tail) = part.tail else { continue };
            let low = self.low.as_ref().expect("a tail continues the low-rank side");
            let end = (self.rows - 1) * low.stride + tail.column + tail.depth;
            assert!(tail.column + tail.depth <= low.stride && end <= low.c.len(), "columns of a tail");
            tail.right.check("right of a tail", part.cols, tail.depth);
        }
    }

    fn check_parts(&self, what: &str, parts: &[Part<'_>], (len, stride): (usize, usize)) {
        assert!(parts.len() <= MAX_PARTS, "{what}: {} parts", parts.len());
        let mut columns = 0;
        for part in parts.iter().filter(|part| part.cols > 0) {
            assert!(part.column >= columns, "{what}: parts overlap");
            columns = part.column + part.cols;
            part.right.check("right", part.cols, self.depth);
            if let Init::From(values, stride) = part.init {
                let end = (self.rows - 1) * stride + part.cols;
                assert!(end <= values.len(), "start: {} elements of {end}", values.len());
            }
        }
        assert!(columns <= stride || self.rows == 1, "{what}: a stride of {stride} for {columns} columns");
        let end = if columns > 0 { (self.rows - 1) * stride + columns } else { 0 };
        assert!(end <= len, "{what}: {len} elements of {end}");
    }
}

/// How products are computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Method {
    pub isa: Isa,
    pub precision: Precision,
}

/// Computes the products. Each element is reduced in an order that depends on `depth` alone.
pub(crate) fn gemm(threads: &Threads, method: Method, g: Gemm<'_>) {
    if g.rows == 0 {
        return;
    }
    g.check();
    let kernels = kernels_of(method);
    let depth = Depth::new(&kernels, g.depth);
    let height = Grid::max_rows(&depth);
    let low = g.low.map(|low| LowSide {
        parts: low.parts,
        len: low.c.len(),
        target: Target { c: low.c.as_mut_ptr(), stride: low.stride },
    });
    let product = Product {
        kernels,
        depth,
        left: g.left,
        low,
        parts: g.parts,
        target: Target { c: g.c.as_mut_ptr(), stride: g.stride },
    };
    for row in (0..g.rows).step_by(height) {
        product.stretch(threads, row, height.min(g.rows - row));
    }
}

fn kernels_of(method: Method) -> Kernels {
    match method.isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if method.precision == Precision::Bf16 => avx512_bf16::KERNELS,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::KERNELS,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::KERNELS,
        _ => plain::KERNELS,
    }
}
