//! Memory of the CPU backend: buffers, frozen weights, and the way tasks share them by rows.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};

use formats::quant::QuantizedMatrix;
use half::{bf16, f16};

use super::Threads;
use super::embed;
use super::gemm::{Elements, Operand};
use super::integer::Panels;
use super::pages;
use super::slabs::{Part, Slabs};
use crate::{DType, DeviceBuffer, Error, Matrix, Result, View, ViewMut};

/// A cache line, and the width of an AVX-512 register.
const ALIGNMENT: usize = 64;

/// f32 values that start on a cache line.
#[derive(Default)]
pub struct CpuBuffer {
    storage: Storage,
    start: usize,
    len: usize,
}

enum Storage {
    Own(Box<[f32]>),
    Part(Part),
}

impl Default for Storage {
    fn default() -> Self {
        Storage::Own(Box::default())
    }
}

impl From<Part> for CpuBuffer {
    fn from(part: Part) -> Self {
        CpuBuffer { start: 0, len: part.len(), storage: Storage::Part(part) }
    }
}

impl CpuBuffer {
    /// `len` zeros. Asking for more than 16-byte alignment would make the allocator write the zeros itself; a few
    /// spare elements in front keep the pages untouched until they are used.
    pub(super) fn zeros(what: &'static str, len: usize) -> Result<Self> {
        let spare = ALIGNMENT / size_of::<f32>() - 1;
        let out_of_memory = || Error::OutOfMemory { what, bytes: len.saturating_mul(size_of::<f32>()) };
        let total = len.checked_add(spare).ok_or_else(out_of_memory)?;
        let mut storage: Box<[f32]> = bytemuck::try_zeroed_slice_box(total).map_err(|()| out_of_memory())?;
        pages::prefer_large(&mut storage);
        let start = storage.as_ptr().align_offset(ALIGNMENT);
        Ok(CpuBuffer { storage: Storage::Own(storage), start, len })
    }

    /// Scratch of at least `len` elements; what they hold is left over from earlier uses.
    ///
    /// # Panics
    /// When there is no memory for it.
    pub(super) fn at_least(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            // What was there goes first: both at once would be the peak.
            *self = CpuBuffer::default();
            *self = CpuBuffer::zeros("scratch", len).expect("no memory for scratch");
        }
        &mut self[..len]
    }
}

impl Deref for CpuBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.storage {
            Storage::Own(storage) => &storage[self.start..self.start + self.len],
            Storage::Part(part) => part,
        }
    }
}

impl DerefMut for CpuBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.storage {
            Storage::Own(storage) => &mut storage[self.start..self.start + self.len],
            Storage::Part(part) => part,
        }
    }
}

impl fmt::Debug for CpuBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuBuffer({})", self.len)
    }
}

impl DeviceBuffer for CpuBuffer {
    fn len(&self) -> usize {
        self.len
    }
}

/// A frozen matrix in its storage type.
#[derive(Debug)]
pub struct CpuWeight {
    rows: usize,
    cols: usize,
    stored: Stored,
}

#[derive(Debug)]
enum Stored {
    /// The elements' bytes.
    Plain(DType, CpuBuffer),
    Quantized(QuantizedMatrix),
    /// Repacked for products of integers.
    Panels(Panels),
}

/// A matrix that is decoded a stretch of a row at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Quantized<'a> {
    Stored(&'a QuantizedMatrix),
    Panels(&'a Panels),
}

impl Quantized<'_> {
    pub(super) fn rows(&self) -> usize {
        match self {
            Quantized::Stored(matrix) => matrix.rows(),
            Quantized::Panels(panels) => panels.rows(),
        }
    }

    pub(super) fn cols(&self) -> usize {
        match self {
            Quantized::Stored(matrix) => matrix.cols(),
            Quantized::Panels(panels) => panels.cols(),
        }
    }

    /// Decodes columns `cols` of row `row` into `out`.
    pub(super) fn decode(&self, row: usize, cols: Range<usize>, out: &mut [f32]) {
        match self {
            Quantized::Stored(matrix) => matrix.decode(row, cols, out),
            Quantized::Panels(panels) => panels.decode(row, cols, out),
        }
    }
}

// The bytes of a checkpoint are little-endian and are taken as they are.
const _: () = assert!(cfg!(target_endian = "little"));

impl CpuWeight {
    pub(super) fn new(slabs: &Slabs, dtype: DType, [rows, cols]: [usize; 2], bytes: &[u8]) -> Result<Self> {
        Self::read(slabs, dtype, [rows, cols], |to| {
            if bytes.len() != to.len() {
                let (expected, got) = (to.len(), bytes.len());
                return Err(Error::WeightSize { rows, cols, dtype, expected, got });
            }
            to.copy_from_slice(bytes);
            Ok(())
        })
    }

    /// A weight whose bytes `read` writes.
    pub(super) fn read<E: From<Error>>(
        slabs: &Slabs,
        dtype: DType,
        [rows, cols]: [usize; 2],
        read: impl FnOnce(&mut [u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<Self, E> {
        let bytes = dtype.bytes(rows * cols);
        let mut words = slabs.zeros("a weight", bytes.div_ceil(size_of::<f32>()))?;
        read(&mut bytemuck::cast_slice_mut::<f32, u8>(&mut words)[..bytes])?;
        Ok(CpuWeight { rows, cols, stored: Stored::Plain(dtype, words) })
    }

    pub(super) fn quantized(matrix: QuantizedMatrix) -> Self {
        CpuWeight { rows: matrix.rows(), cols: matrix.cols(), stored: Stored::Quantized(matrix) }
    }

    pub(super) fn in_panels(panels: Panels) -> Self {
        CpuWeight { rows: panels.rows(), cols: panels.cols(), stored: Stored::Panels(panels) }
    }

    /// The panels of a matrix that is multiplied as integers.
    pub(super) fn panels(&self) -> Option<&Panels> {
        match &self.stored {
            Stored::Panels(panels) => Some(panels),
            _ => None,
        }
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.stored {
            Stored::Plain(dtype, _) => dtype.bytes(self.rows * self.cols),
            Stored::Quantized(matrix) => matrix.bytes(),
            Stored::Panels(panels) => panels.bytes(),
        }
    }

    pub(super) fn to_f32(&self) -> Vec<f32> {
        match &self.stored {
            Stored::Plain(..) => {
                let mut values = vec![0.0; self.rows * self.cols];
                embed::decode(self.elements(), 0, &mut values);
                values
            }
            Stored::Quantized(matrix) => matrix.to_f32(),
            Stored::Panels(panels) => {
                let mut values = vec![0.0; self.rows * self.cols];
                for (row, values) in values.chunks_exact_mut(self.cols).enumerate() {
                    panels.decode(row, 0..self.cols, values);
                }
                values
            }
        }
    }

    pub(super) fn elements(&self) -> Elements<'_> {
        let len = self.rows * self.cols;
        match &self.stored {
            Stored::Plain(DType::F32, words) => Elements::F32(&words[..len]),
            Stored::Plain(DType::F16, words) => {
                Elements::F16(&bytemuck::cast_slice::<f32, f16>(words)[..len])
            }
            Stored::Plain(DType::Bf16, words) => {
                Elements::Bf16(&bytemuck::cast_slice::<f32, bf16>(words)[..len])
            }
            Stored::Quantized(matrix) => Elements::Quantized(Quantized::Stored(matrix)),
            Stored::Panels(panels) => Elements::Quantized(Quantized::Panels(panels)),
        }
    }
}

/// Rows of `cols` values, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) stride: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride..][..self.cols]
    }

    pub(super) fn operand(&self) -> Operand<'a> {
        Operand { elements: Elements::F32(self.data), row_stride: self.stride, depth_stride: 1 }
    }

    pub(super) fn transposed(&self) -> Operand<'a> {
        Operand { elements: Elements::F32(self.data), row_stride: 1, depth_stride: self.stride }
    }
}

impl<'a> From<View<'a, CpuBuffer>> for Rows<'a> {
    fn from(v: View<'a, CpuBuffer>) -> Self {
        // To read, one row may stand for many.
        let stride = if v.stride == 0 { v.cols } else { v.stride };
        let end = if v.stride == 0 { v.offset + v.cols } else { view_end(v.offset, v.rows, v.cols, stride) };
        Rows { data: &v.buffer[v.offset..end], rows: v.rows, cols: v.cols, stride: v.stride }
    }
}

/// Rows of `cols` values, `stride` apart, to write.
pub(super) struct RowsMut<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) stride: usize,
}

impl<'a> RowsMut<'a> {
    /// A flat range, an element a row.
    pub(super) fn flat(data: &'a mut [f32]) -> Self {
        RowsMut { rows: data.len(), data, cols: 1, stride: 1 }
    }

    /// Rows without columns: an output that is not wanted.
    pub(super) fn nothing(rows: usize) -> Self {
        RowsMut { data: &mut [], rows, cols: 0, stride: 0 }
    }

    /// The same rows for a while.
    pub(super) fn reborrow(&mut self) -> RowsMut<'_> {
        RowsMut { data: &mut *self.data, ..*self }
    }

    pub(super) fn row(&mut self, i: usize) -> &mut [f32] {
        &mut self.data[i * self.stride..][..self.cols]
    }

    /// Moves `rows`, which ascend, to the beginning.
    pub(super) fn keep(self, rows: &[u32]) {
        assert!(rows.is_sorted_by(|a, b| a < b), "rows to keep ascend");
        for (to, &from) in rows.iter().enumerate() {
            let from = from as usize;
            assert!(from < self.rows, "row {from} of {}", self.rows);
            let start = from * self.stride;
            self.data.copy_within(start..start + self.cols, to * self.stride);
        }
    }
}

impl<'a> From<ViewMut<'a, CpuBuffer>> for RowsMut<'a> {
    fn from(v: ViewMut<'a, CpuBuffer>) -> Self {
        let end = view_end(v.offset, v.rows, v.cols, v.stride);
        RowsMut { data: &mut v.buffer[v.offset..end], rows: v.rows, cols: v.cols, stride: v.stride }
    }
}

/// A single row as a slice.
pub(super) fn one_row(view: ViewMut<'_, CpuBuffer>) -> &mut [f32] {
    let rows = RowsMut::from(view);
    assert_eq!(rows.rows, 1, "one row");
    rows.data
}

fn view_end(offset: usize, rows: usize, cols: usize, stride: usize) -> usize {
    assert!(cols <= stride || rows <= 1, "rows of {cols} values overlap at a stride of {stride}");
    if rows == 0 { offset } else { offset + (rows - 1) * stride + cols }
}

/// The weight side of a product.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) elements: Elements<'a>,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) stride: usize,
}

impl<'a> Weights<'a> {
    /// As a factor that is summed over its columns.
    pub(super) fn along_cols(&self) -> Operand<'a> {
        Operand { elements: self.elements, row_stride: self.stride, depth_stride: 1 }
    }

    /// As a factor that is summed over its rows.
    pub(super) fn along_rows(&self) -> Operand<'a> {
        Operand { elements: self.elements, row_stride: 1, depth_stride: self.stride }
    }
}

impl<'a> From<Matrix<'a, super::Cpu>> for Weights<'a> {
    fn from(matrix: Matrix<'a, super::Cpu>) -> Self {
        match matrix {
            Matrix::View(view) => {
                let Rows { data, rows, cols, stride } = view.into();
                Weights { elements: Elements::F32(data), rows, cols, stride }
            }
            Matrix::Weight(w) => {
                Weights { elements: w.elements(), rows: w.rows, cols: w.cols, stride: w.cols }
            }
        }
    }
}

/// A slice whose elements several tasks write, no element by two of them.
pub(super) struct Shared<'a, T = f32> {
    pointer: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for a `&mut [T]`, and `T` is `Send`; who uses it keeps the tasks' ranges apart (`range`).
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(super) fn new(data: &'a mut [T]) -> Self {
        Shared { pointer: data.as_mut_ptr(), len: data.len(), owner: PhantomData }
    }

    /// Elements `start..start + len`.
    ///
    /// # Safety
    /// While the result lives, no other range that this returned may overlap it.
    #[allow(unsafe_code)]
    #[inline(always)]
    pub(super) unsafe fn range(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start <= self.len && len <= self.len - start, "{start}+{len} of {}", self.len);
        // SAFETY: inside the slice this was made of, and by contract the only reference to these elements.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(start), len) }
    }
}

/// Elements that a task of an elementwise pass should have: enough to be worth a thread's attention, few enough to
/// stay in its cache.
const TASK_ELEMENTS: usize = 16 * 1024;

/// Rows that a task gets when a row has `cols` values.
pub(super) fn task_rows(cols: usize) -> usize {
    (TASK_ELEMENTS / cols.max(1)).max(1)
}

/// Cuts `outputs`, which have the same number of rows, into blocks of `block` rows and hands each block, with the
/// index of its first row, to `task` on some thread.
pub(super) fn by_rows<const N: usize>(
    threads: &Threads,
    block: usize,
    outputs: [RowsMut<'_>; N],
    task: impl Fn(usize, [RowsMut<'_>; N]) + Sync,
) {
    let rows = outputs[0].rows;
    assert!(outputs.iter().all(|o| o.rows == rows), "outputs differ in rows");
    let outputs = outputs.map(|o| (o.cols, o.stride, Shared::new(o.data)));
    threads.run(rows.div_ceil(block), |index| {
        let first = index * block;
        let rows = block.min(rows - first);
        let blocks = std::array::from_fn(|n| {
            let (cols, stride, shared) = &outputs[n];
            // SAFETY: rows do not overlap (`view_end`), and every task has rows of its own.
            #[allow(unsafe_code)]
            let data = unsafe { shared.range(first * stride, (rows - 1) * stride + cols) };
            RowsMut { data, rows, cols: *cols, stride: *stride }
        });
        task(first, blocks);
    });
}
