//! A bias on every row.

use super::Threads;
use super::buffer::{Rows, RowsMut, by_rows, task_rows};

/// Columns of the bias's gradient that a task sums.
const TASK_COLS: usize = 64;

/// Tokens whose share of the gradient is summed before it is added.
const TASK_TOKENS: usize = 64;

/// `y[t] += bias`.
pub(super) fn forward(threads: &Threads, y: RowsMut<'_>, bias: &[f32]) {
    by_rows(threads, task_rows(y.cols), [y], |_, [mut y]| {
        for i in 0..y.rows {
            for (y, &bias) in y.row(i).iter_mut().zip(bias) {
                *y += bias;
            }
        }
    });
}

/// `d_bias += Σ_t dy[t]`.
pub(super) fn backward(threads: &Threads, d_bias: &mut [f32], dy: Rows<'_>) {
    by_rows(threads, TASK_COLS, [RowsMut::flat(d_bias)], |first, [d_bias]| {
        for start in (0..dy.rows).step_by(TASK_TOKENS) {
            let mut sums = [0.0; TASK_COLS];
            for t in start..dy.rows.min(start + TASK_TOKENS) {
                for (sum, &dy) in sums.iter_mut().zip(&dy.row(t)[first..first + d_bias.rows]) {
                    *sum += dy;
                }
            }
            for (d_bias, sum) in d_bias.data.iter_mut().zip(sums) {
                *d_bias += sum;
            }
        }
    });
}
