//! Cross-entropy of labelled tokens, a chunk of rows at a time.

use std::sync::OnceLock;

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

impl Loss<'_> {
    /// Rows projected at once.
    fn chunk(&self) -> usize {
        self.chunk.clamp(1, self.rows.len().max(1))
    }

    /// Rank of the head's adapter.
    fn rank(&self) -> usize {
        self.adapter.as_ref().map_or(0, |adapter| Weights::from(adapter.up).cols)
    }

    /// The logits `[R, V]` of `rows`, whose hidden values `[R, H]` and products with the adapter's A `[R, rank]` are
    /// left in `hidden` and `t`.
    fn project(
        &self,
        (threads, method): (&Threads, Method),
        rows: impl ExactSizeIterator<Item = u32>,
        (hidden, t): (&mut [f32], &mut [f32]),
        logits: &mut [f32],
    ) {
        let (width, vocabulary, count) = (self.head.cols, self.head.rows, rows.len());
        for (to, row) in hidden.chunks_exact_mut(width).zip(rows) {
            to.copy_from_slice(self.hidden.row(row as usize));
        }
        let (adapter, stride) = (self.adapter.as_ref(), self.rank());
        let down = adapter.map(|adapter| adapter.down_part(width).expect("the head's adapter has its A"));
        let tail = adapter.map(|adapter| Tail {
            column: 0,
            depth: stride,
            right: Weights::from(adapter.up).along_cols(),
        });
        let product = Gemm {
            rows: count,
            depth: width,
            left: row_major(hidden, width),
            low: adapter.map(|_| Low { parts: down.as_slice(), c: t, stride }),
            parts: &[Part { tail, ..Part::whole(vocabulary, self.head.along_cols(), Init::Zero) }],
            c: logits,
            stride: vocabulary,
        };
        gemm(threads, method, product);
    }
}

/// Loss and entropy of the labelled rows, without a gradient. Labels of one row, as the answers to a question are, share
/// its logits.
pub(super) fn judge(
    threads: &Threads,
    method: Method,
    scratch: &mut Scratch,
    loss: &Loss<'_>,
) -> TokenLossOutput {
    let (width, vocabulary, chunk) = (loss.head.cols, loss.head.rows, loss.chunk());
    let hidden = scratch.hidden.at_least(chunk * width);
    let logits = scratch.logits.at_least(chunk * vocabulary);
    let t = scratch.t.at_least(chunk * loss.rank());
    let mut output = TokenLossOutput::with_capacity(loss.rows.len());
    let mut labels = loss.labels.iter();
    let mut rows = loss.rows.chunk_by(|a, b| a == b).peekable();
    while rows.peek().is_some() {
        let rows: Vec<&[u32]> = rows.by_ref().take(chunk).collect();
        loss.project((threads, method), rows.iter().map(|row| row[0]), (&mut *hidden, &mut *t), logits);
        let judged: Vec<OnceLock<Judged>> = vec![OnceLock::new(); rows.len()];
        by_rows(
            threads,
            task_rows(vocabulary),
            [dense(logits, rows.len(), vocabulary)],
            |first, [mut logits]| {
                for i in 0..logits.rows {
                    let row = JudgeRow { logits: logits.row(i), softcap: loss.softcap };
                    judged[first + i].get_or_init(|| dispatch(method.isa, row));
                }
            },
        );
        for (i, (row, judged)) in rows.iter().zip(&judged).enumerate() {
            let judged = judged.get().expect("every row was judged");
            for label in labels.by_ref().take(row.len()).map(|label| *label as usize) {
                output.push(judged.stats(label, logits[i * vocabulary + label]));
            }
        }
    }
    output
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
    if loss.d_hidden.is_none() && loss.d_head.is_none() {
        return judge(threads, method, scratch, &loss);
    }
    let (width, vocabulary) = (loss.head.cols, loss.head.rows);
    let (chunk, rank) = (loss.chunk(), loss.rank());
    let up = loss.adapter.as_ref().map(|adapter| adapter.up_part(vocabulary));
    let t = scratch.t.at_least(chunk * rank);
    let dt = scratch.dt.at_least(chunk * rank);
    let hidden = scratch.hidden.at_least(chunk * width);
    let logits = scratch.logits.at_least(chunk * vocabulary);
    let stats = scratch.stats.at_least(chunk * STATS);
    if let Some(d_hidden) = &mut loss.d_hidden {
        for i in 0..d_hidden.rows {
            d_hidden.row(i).fill(0.0);
        }
    }
    let mut output = TokenLossOutput::with_capacity(loss.rows.len());
    for start in (0..loss.rows.len()).step_by(chunk) {
        let range = start..loss.rows.len().min(start + chunk);
        let rows = &loss.rows[range.clone()];
        let count = rows.len();
        loss.project((threads, method), rows.iter().copied(), (&mut *hidden, &mut *t), logits);

        let labels = &loss.labels[range.clone()];
        let weights = &loss.weights[range.clone()];
        let outputs = [dense(logits, count, vocabulary), dense(stats, count, STATS)];
        by_rows(threads, task_rows(vocabulary), outputs, |first, [mut logits, mut stats]| {
            for i in 0..logits.rows {
                let row = LossRow {
                    logits: logits.row(i),
                    label: labels[first + i] as usize,
                    weight: weights[first + i],
                    softcap: loss.softcap,
                };
                let LabelStats { log_prob, entropy, correct } = dispatch(method.isa, row);
                stats.row(i).copy_from_slice(&[log_prob, entropy, f32::from(u8::from(correct))]);
            }
        });
        for row in stats[..count * STATS].chunks_exact(STATS) {
            output.push(LabelStats { log_prob: row[0], entropy: row[1], correct: row[2] == 1.0 });
        }

        if let Some(to) = &mut loss.d_hidden {
            let d_hidden = scratch.d_hidden.at_least(chunk * width);
            let product = Gemm {
                rows: count,
                depth: vocabulary,
                left: row_major(logits, vocabulary),
                low: up.as_ref().map(|up| Low { parts: std::slice::from_ref(up), c: &mut *dt, stride: rank }),
                parts: &[Part {
                    tail: loss.adapter.as_ref().and_then(|adapter| adapter.down).map(|down| Tail {
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

/// What is said of a label.
struct LabelStats {
    log_prob: f32,
    entropy: f32,
    correct: bool,
}

impl TokenLossOutput {
    fn with_capacity(labels: usize) -> Self {
        TokenLossOutput {
            log_probs: Vec::with_capacity(labels),
            entropies: Vec::with_capacity(labels),
            correct: Vec::with_capacity(labels),
        }
    }

    fn push(&mut self, label: LabelStats) {
        self.log_probs.push(label.log_prob);
        self.entropies.push(label.entropy);
        self.correct.push(label.correct);
    }
}

/// One row of logits, before they are capped.
struct JudgeRow<'a> {
    logits: &'a mut [f32],
    softcap: Option<f32>,
}

/// What all labels of a row have in common.
#[derive(Debug, Clone, Copy)]
struct Judged {
    max: f32,
    /// The smallest id with the largest logit: it would be chosen.
    first: usize,
    /// ln Σ e^l, with logits l counted from their maximum.
    log_sum: f64,
    entropy: f32,
}

impl Judged {
    /// Of the label `label` with the logit `logit`.
    fn stats(&self, label: usize, logit: f32) -> LabelStats {
        let log_prob = (f64::from(logit - self.max) - self.log_sum) as f32;
        LabelStats { log_prob, entropy: self.entropy, correct: label == self.first }
    }
}

impl Kernel for JudgeRow<'_> {
    type Output = Judged;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> Judged {
        let JudgeRow { logits, softcap } = self;
        if let Some(cap) = softcap {
            cap_all::<A>(logits, cap);
        }
        let max = largest(logits);
        let (sum, weighted) = exponentials::<A, false>(logits, max);
        let log_sum = sum.ln();
        Judged {
            max,
            first: logits.iter().position(|logit| *logit == max).unwrap_or(usize::MAX),
            log_sum,
            // −Σ p ln p = ln Σ e^l − Σ p l
            entropy: (log_sum - weighted / sum) as f32,
        }
    }
}

/// One row of logits, before they are capped. It becomes the gradient, `(softmax − onehot) · weight`, times the cap's
/// slope.
struct LossRow<'a> {
    logits: &'a mut [f32],
    label: usize,
    weight: f32,
    softcap: Option<f32>,
}

impl Kernel for LossRow<'_> {
    type Output = LabelStats;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> LabelStats {
        let LossRow { logits, label, weight, softcap } = self;
        if let Some(cap) = softcap {
            cap_all::<A>(logits, cap);
        }
        let max = largest(logits);
        let shifted = logits[label] - max;
        // A smaller id with the same logit would be chosen.
        let correct = logits[label] == max && !logits[..label].contains(&max);
        let (sum, weighted) = match softcap {
            None => exponentials::<A, true>(logits, max),
            // The slope of the cap is taken from the logits, so they stay.
            Some(_) => exponentials::<A, false>(logits, max),
        };
        let log_sum = sum.ln();
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
        LabelStats {
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
