//! AdamW (Loshchilov & Hutter 2019) and the norm of the gradients.

use std::sync::Mutex;

use super::buffer::{RowsMut, by_rows};
use super::math::{Arithmetic, Kernel, dispatch};
use super::{Isa, Threads};
use crate::eight_bit::BLOCK;
use crate::{AdamW, EightBitMoments, Factors};

/// Elements of a task.
const TASK: usize = 16 * 1024;

/// Parameters and moments that one step covers.
pub(super) struct State<'a> {
    pub(super) params: &'a mut [f32],
    pub(super) grads: &'a [f32],
    pub(super) m: &'a mut [f32],
    pub(super) v: &'a mut [f32],
}

/// One step, in the order of `torch.optim.AdamW`: decay, moments, update. Nothing is fused, so every instruction set
/// gives the same bits.
pub(super) fn adamw(threads: &Threads, isa: Isa, state: State<'_>, step: &AdamW) {
    let State { params, grads, m, v } = state;
    let factors = step.factors();
    let flat = [RowsMut::flat(params), RowsMut::flat(m), RowsMut::flat(v)];
    by_rows(threads, TASK, flat, |first, [params, m, v]| {
        let grads = &grads[first..first + params.rows];
        let state = State { params: params.data, grads, m: m.data, v: v.data };
        dispatch(isa, Update { state, factors });
    });
}

struct Update<'a> {
    state: State<'a>,
    factors: Factors,
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let State { params, grads, m, v } = self.state;
        let f = self.factors;
        for (((p, &g), m), v) in params.iter_mut().zip(grads).zip(m).zip(v) {
            let g = g * f.grad_scale;
            *m += f.one_minus_beta1 * (g - *m);
            *v = *v * f.beta2 + f.one_minus_beta2 * g * g;
            let denominator = v.sqrt() / f.root_correction + f.eps;
            *p = *p * f.decay - f.step_size * (*m / denominator);
        }
    }
}

/// One step with 8-bit moments; each block is a sum of its own, so threads cannot change the bits.
pub(super) fn adamw_8bit(
    threads: &Threads,
    params: &mut [f32],
    grads: &[f32],
    moments: &mut EightBitMoments,
    step: &AdamW,
) {
    let mut blocks = moments.blocks(step.range.clone(), params, grads);
    let tasks: Vec<_> = blocks.chunks_mut(TASK / BLOCK).map(Mutex::new).collect();
    threads.run(tasks.len(), |task| {
        let mut blocks = tasks[task].lock().expect("a task has its blocks alone");
        blocks.iter_mut().for_each(|block| block.step(step));
    });
}

/// Square root of the sum of squares. Blocks of a fixed size are summed in f64 and their sums added in order.
pub(super) fn norm(threads: &Threads, isa: Isa, values: &[f32]) -> f64 {
    let sums = Mutex::new(vec![0.0; values.len().div_ceil(TASK)]);
    threads.run(values.len().div_ceil(TASK), |task| {
        let block = &values[task * TASK..values.len().min((task + 1) * TASK)];
        let sum = dispatch(isa, SumOfSquares(block));
        sums.lock().expect("no task panics while it holds the sums")[task] = sum;
    });
    let sums = sums.into_inner().expect("no task panics while it holds the sums");
    sums.iter().sum::<f64>().sqrt()
}

struct SumOfSquares<'a>(&'a [f32]);

impl Kernel for SumOfSquares<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> f64 {
        let mut lanes = [0.0f64; 16];
        let (blocks, rest) = self.0.as_chunks::<16>();
        for block in blocks {
            for (lane, &x) in lanes.iter_mut().zip(block) {
                *lane += f64::from(x) * f64::from(x);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(x) * f64::from(x);
        }
        lanes.iter().sum()
    }
}
