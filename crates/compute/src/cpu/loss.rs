//! Cross-entropy of labelled tokens, a chunk of rows at a time.

use super::buffer::{CpuBuffer, Rows, RowsMut, Weights, by_rows, task_rows};
use super::gemm::{Elements, Gemm, Init, Low, Method, Operand, Part, Tail, gemm};
use super::math::{Arithmetic, Kernel, LANES, dispatch, exp, largest, sum_lanes};
use super::softcap::{cap_all, slope};
use super::{Cpu, Threads};
use crate::{Adapter, TokenLossOutput};

/// Values that are summed in f32 before the sum goes on in f64: a vocabulary is too long for f32 alone.
const SUM_BLOCK: usize = 1024;

/// Working memory of a chunk, kept from call to call.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    hidden: CpuBuffer,
    logits: CpuBuffer,
    d_hidden: CpuBuffer,
    stats: CpuBuffer,
    t: CpuBuffer,
    dt: CpuBuffer,
}

/// Arguments of [`token_loss`]; see [`crate::TokenLoss`].
pub(super) struct Loss<'a> {
    pub(super) hidden: Rows<'a>,
    pub(super) head: Weights<'a>,
    pub(super) adapter: Option<Adapter<'a, Cpu>>,
    pub(super) rows: &'a [u32],
    pub(super) labels: &'a [u32],
    pub(super) weights: &'a [f32],
    pub(super) chunk: usize,
    pub(super) softcap: Option<f32>,
    pub(super) d_hidden: Option<RowsMut<'a>>,
    pub(super) d_head: Option<RowsMut<'a>>,
    /// Of `A`, then of `B`.
    pub(super) d_adapter: Option<&'a mut [f32]>,
}

/// Values in a row of [`Scratch::stats`]: log-probability, entropy, 1 where the label wins.
const STATS: usize = 3;

/// Loss, entropy and gradients of the labelled rows.
pub(super) fn token_loss(
    threads: &Threads,
    method: Method,
    scratch: &mut Scratch,
    mut loss: Loss<'_>,
) -> TokenLossOutput {
    let (width, vocabulary) = (loss.head.cols, loss.head.rows);
    let chunk = loss.chunk.clamp(1, loss.rows.len().max(1));
    let adapter = loss.adapter.as_ref();
    let rank = adapter.map_or(0, |adapter| Weights::from(adapter.up).cols);
    let down = adapter.map(|adapter| adapter.down_part(width).expect("the head's adapter has its A"));
    let up = adapter.map(|adapter| adapter.up_part(vocabulary));
    let t = scratch.t.at_least(chunk * rank);
    let dt = scratch.dt.at_least(chunk * rank);
    let with_gradient = loss.d_hidden.is_some() || loss.d_head.is_some();
    let hidden = scratch.hidden.at_least(chunk * width);
    let logits = scratch.logits.at_least(chunk * vocabulary);
    let stats = scratch.stats.at_least(chunk * STATS);
    if let Some(d_hidden) = &mut loss.d_hidden {
        for i in 0..d_hidden.rows {
            d_hidden.row(i).fill(0.0);
        }
    }
    let labelled = loss.rows.len();
    let mut output = TokenLossOutput {
        log_probs: Vec::with_capacity(labelled),
        entropies: Vec::with_capacity(labelled),
        correct: Vec::with_capacity(labelled),
    };
    for start in (0..loss.rows.len()).step_by(chunk) {
        let range = start..loss.rows.len().min(start + chunk);
        let rows = &loss.rows[range.clone()];
        let count = rows.len();
        for (to, &row) in hidden.chunks_exact_mut(width).zip(rows) {
            to.copy_from_slice(loss.hidden.row(row as usize));
        }
        let product = Gemm {
            rows: count,
            depth: width,
            left: row_major(hidden, width),
            low: adapter.map(|_| Low { parts: down.as_slice(), c: &mut *t, stride: rank }),
            parts: &[Part {
                tail: adapter.map(|adapter| Tail {
                    column: 0,
                    depth: rank,
                    right: Weights::from(adapter.up).along_cols(),
                }),
                ..Part::whole(vocabulary, loss.head.along_cols(), Init::Zero)
            }],
            c: &mut *logits,
            stride: vocabulary,
        };
        gemm(threads, method, product);

        let labels = &loss.labels[range.clone()];
        let weights = with_gradient.then(|| &loss.weights[range.clone()]);
        let outputs = [dense(logits, count, vocabulary), dense(stats, count, STATS)];
        by_rows(threads, task_rows(vocabulary), outputs, |first, [mut logits, mut stats]| {
            for i in 0..logits.rows {
                let row = LossRow {
                    logits: logits.row(i),
                    label: labels[first + i] as usize,
                    weight: weights.map(|w| w[first + i]),
                    softcap: loss.softcap,
                };
                let RowStats { log_prob, entropy, correct } = dispatch(method.isa, row);
                stats.row(i).copy_from_slice(&[log_prob, entropy, f32::from(u8::from(correct))]);
            }
        });
        for row in stats[..count * STATS].chunks_exact(STATS) {
            output.log_probs.push(row[0]);
            output.entropies.push(row[1]);
            output.correct.push(row[2] == 1.0);
        }

        if let Some(to) = &mut loss.d_hidden {
            let d_hidden = scratch.d_hidden.at_least(chunk * width);
            let product = Gemm {
                rows: count,
                depth: vocabulary,
                left: row_major(logits, vocabulary),
                low: adapter.map(|_| Low { parts: up.as_slice(), c: &mut *dt, stride: rank }),
                parts: &[Part {
                    tail: adapter.and_then(|adapter| adapter.down).map(|down| Tail {
                        column: 0,
                        depth: rank,
                        right: Weights::from(down).along_rows(),
                    }),
                    ..Part::whole(width, loss.head.along_rows(), Init::Zero)
                }],
                c: &mut *d_hidden,
                stride: width,
            };
            gemm(threads, method, product);
            for (from, &row) in d_hidden.chunks_exact(width).zip(rows) {
                to.row(row as usize).copy_from_slice(from);
            }
        }
        if let Some(to) = &mut loss.d_head {
            let product = Gemm {
                rows: vocabulary,
                depth: count,
                left: column_major(logits, vocabulary),
                low: None,
                parts: &[Part::whole(width, column_major(hidden, width), Init::Output)],
                c: &mut *to.data,
                stride: to.stride,
            };
            gemm(threads, method, product);
        }
        if let Some(to) = &mut loss.d_adapter {
            assert!(loss.d_hidden.is_some(), "the adapter's gradient comes with that of its input");
            let (d_down, d_up) = to.split_at_mut(rank * width);
            for (left, rows, right, cols, c) in
                [(&*dt, rank, &*hidden, width, d_down), (&*logits, vocabulary, &*t, rank, d_up)]
            {
                let product = Gemm {
                    rows,
                    depth: count,
                    left: column_major(left, rows),
                    low: None,
                    parts: &[Part::whole(cols, column_major(right, cols), Init::Output)],
                    c,
                    stride: cols,
                };
                gemm(threads, method, product);
            }
        }
    }
    output
}

fn dense(data: &mut [f32], rows: usize, cols: usize) -> RowsMut<'_> {
    RowsMut { data: &mut data[..rows * cols], rows, cols, stride: cols }
}

fn row_major(data: &[f32], cols: usize) -> Operand<'_> {
    Operand { elements: Elements::F32(data), row_stride: cols, depth_stride: 1 }
}

/// The transpose of a dense matrix.
fn column_major(data: &[f32], cols: usize) -> Operand<'_> {
    Operand { elements: Elements::F32(data), row_stride: 1, depth_stride: cols }
}

/// One row of logits, before they are capped. With a weight it becomes the gradient, `(softmax − onehot) · weight`,
/// times the cap's slope.
struct LossRow<'a> {
    logits: &'a mut [f32],
    label: usize,
    weight: Option<f32>,
    softcap: Option<f32>,
}

struct RowStats {
    log_prob: f32,
    entropy: f32,
    correct: bool,
}

impl Kernel for LossRow<'_> {
    type Output = RowStats;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> RowStats {
        let LossRow { logits, label, weight, softcap } = self;
        if let Some(cap) = softcap {
            cap_all::<A>(logits, cap);
        }
        let max = largest(logits);
        let shifted = logits[label] - max;
        // A smaller id with the same logit would be chosen.
        let correct = logits[label] == max && !logits[..label].contains(&max);
        let (sum, weighted) = match weight {
            Some(_) if softcap.is_none() => exponentials::<A, true>(logits, max),
            // The slope of the cap is taken from the logits, so they stay.
            _ => exponentials::<A, false>(logits, max),
        };
        let log_sum = sum.ln();
        if let Some(weight) = weight {
            let scale = (f64::from(weight) / sum) as f32;
            match softcap {
                None => {
                    logits.iter_mut().for_each(|x| *x *= scale);
                    logits[label] -= weight;
                }
                Some(cap) => {
                    let of_label = slope::<A>(logits[label], cap);
                    for x in logits.iter_mut() {
                        *x = exp::<A>(*x - max) * scale * slope::<A>(*x, cap);
                    }
                    logits[label] = A::mul_add(-weight, of_label, logits[label]);
                }
            }
        }
        RowStats {
            log_prob: (f64::from(shifted) - log_sum) as f32,
            // −Σ p ln p = ln Σ e^l − Σ p l, with logits l counted from their maximum
            entropy: (log_sum - weighted / sum) as f32,
            correct,
        }
    }
}

/// Sums of `exp(l)` and `exp(l) · l`, with `l` the logit less `max`; leaves `exp(l)` in its place if `KEEP`.
#[inline(always)]
fn exponentials<A: Arithmetic, const KEEP: bool>(logits: &mut [f32], max: f32) -> (f64, f64) {
    let (mut sum, mut weighted) = (0.0, 0.0);
    for block in logits.chunks_mut(SUM_BLOCK) {
        let (mut sums, mut weighteds) = ([0.0; LANES], [0.0; LANES]);
        let (blocks, rest) = block.as_chunks_mut::<LANES>();
        for block in blocks {
            for l in 0..LANES {
                let shifted = block[l] - max;
                let e = exp::<A>(shifted);
                sums[l] += e;
                weighteds[l] = A::mul_add(e, shifted, weighteds[l]);
                if KEEP {
                    block[l] = e;
                }
            }
        }
        for (l, x) in rest.iter_mut().enumerate() {
            let shifted = *x - max;
            let e = exp::<A>(shifted);
            sums[l] += e;
            weighteds[l] = A::mul_add(e, shifted, weighteds[l]);
            if KEEP {
                *x = e;
            }
        }
        sum += f64::from(sum_lanes(sums));
        weighted += f64::from(sum_lanes(weighteds));
    }
    (sum, weighted)
}
