//! The embedding table.

use half::slice::HalfFloatSliceExt;

use super::Threads;
use super::buffer::{Rows, RowsMut, Shared, Weights, by_rows, task_rows};
use super::gemm::Elements;

/// Columns of the table's gradient that a task adds to.
const TASK_COLS: usize = 64;

/// `x[i] = scale · table[ids[i]]`.
pub(super) fn forward(threads: &Threads, x: RowsMut<'_>, ids: &[u32], table: Weights<'_>, scale: f32) {
    by_rows(threads, task_rows(x.cols), [x], |first, [mut x]| {
        for i in 0..x.rows {
            let id = ids[first + i] as usize;
            assert!(id < table.rows, "token {id} of {}", table.rows);
            decode(table.elements, id * table.stride, x.row(i));
            if scale != 1.0 {
                x.row(i).iter_mut().for_each(|x| *x *= scale);
            }
        }
    });
}

/// `d_table[ids[i]] += scale · dx[i]`. A task has columns of its own and goes through the tokens in order.
pub(super) fn backward(threads: &Threads, d_table: RowsMut<'_>, ids: &[u32], dx: Rows<'_>, scale: f32) {
    let RowsMut { data, rows, cols, stride } = d_table;
    let shared = Shared::new(data);
    threads.run(cols.div_ceil(TASK_COLS), |task| {
        let first = task * TASK_COLS;
        let width = TASK_COLS.min(cols - first);
        for (i, &id) in ids.iter().enumerate() {
            assert!((id as usize) < rows, "token {id} of {rows}");
            // SAFETY: tasks have columns of their own, and this one holds one row at a time.
            #[allow(unsafe_code)]
            let sums = unsafe { shared.range(id as usize * stride + first, width) };
            for (sum, &value) in sums.iter_mut().zip(&dx.row(i)[first..]) {
                *sum += scale * value;
            }
        }
    });
}

/// Elements from `start` on as f32; of a quantized matrix, inside one row.
pub(super) fn decode(elements: Elements<'_>, start: usize, out: &mut [f32]) {
    let range = start..start + out.len();
    match elements {
        Elements::F32(values) => out.copy_from_slice(&values[range]),
        Elements::F16(values) => values[range].convert_to_f32_slice(out),
        Elements::Bf16(values) => values[range].convert_to_f32_slice(out),
        Elements::Quantized(matrix) => {
            let (row, column) = (start / matrix.cols(), start % matrix.cols());
            matrix.decode(row, column..column + out.len(), out);
        }
    }
}
