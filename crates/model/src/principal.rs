//! The principal part of a weight, where PiSSA (Meng et al. 2024) starts an adapter: singular values and vectors by
//! randomised subspace iteration (Halko, Martinsson & Tropp 2011, algorithms 4.4 and 5.1). The products with the weight
//! are the device's, in whatever storage it has; what is small is done on the host in f64.

use compute::{Backend, DeviceBuffer, Linear, LinearGroup, Matrix};

use crate::Result;

/// Vectors beyond the rank that the iteration carries along, at least.
const OVERSAMPLING: usize = 8;
/// Up to this width the whole space is carried along, and one pass is exact.
const WHOLE: usize = 64;
/// Passes after which an iteration ends that has not converged.
const MOST_PASSES: usize = 64;
/// Share of the captured energy that a pass must still win.
const CONVERGED: f64 = 1e-9;

/// `[R, K]` and `[N, R]` with `scale · B A` the best approximation of rank `R` to the weight, both sides with the root
/// of its singular values.
#[derive(Debug)]
pub(crate) struct Principal {
    pub(crate) a: Vec<f32>,
    pub(crate) b: Vec<f32>,
}

/// What is wanted of a weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) rank: usize,
    pub(crate) scale: f32,
    /// Passes; none: until nothing is won.
    pub(crate) passes: Option<usize>,
    /// Names the random start.
    pub(crate) seed: (u64, &'a str),
}

/// Finds the principal part of `weight`. A weight of a rank below the wanted one gets zeros for the rest.
///
/// # Errors
/// When the device has no room.
pub(crate) fn principal<B: Backend>(
    backend: &B,
    weight: &B::Weight,
    wanted: Wanted<'_>,
) -> Result<Principal> {
    let (rows, cols) = backend.weight_shape(weight);
    let least = rows.min(cols);
    let width = if least <= WHOLE { least } else { least.min(wanted.rank + wanted.rank.max(OVERSAMPLING)) };
    let mut right = Block {
        vectors: crate::random::normal(wanted.seed.0, wanted.seed.1, width * cols).map(f64::from).collect(),
        length: cols,
    };
    let mut left;
    let (mut pass, mut energy) = (0, 0.0);
    loop {
        right.orthonormalise();
        left = right.times(backend, weight, rows, false)?;
        left.orthonormalise();
        right = left.times(backend, weight, cols, true)?;
        let captured: f64 = right.vectors.iter().map(|v| v * v).sum();
        let won = captured - energy;
        (pass, energy) = (pass + 1, captured);
        let done = match wanted.passes {
            Some(passes) => pass > passes,
            None => won <= CONVERGED * captured || pass >= MOST_PASSES,
        };
        if done || width == least && pass >= 2 {
            break;
        }
    }
    // The weight is close to `leftᵀ right`: its singular values are those of `right`.
    let (squares, turned) = eigen(right.gram(), width);
    let mut part = Principal { a: vec![0.0; wanted.rank * cols], b: vec![0.0; rows * wanted.rank] };
    for (i, &square) in squares.iter().enumerate().take(wanted.rank) {
        let singular = square.max(0.0).sqrt();
        if singular <= f64::from(f32::EPSILON) * squares[0].max(0.0).sqrt() {
            break;
        }
        let root = (singular / f64::from(wanted.scale)).sqrt();
        let turn = &turned[i * width..(i + 1) * width];
        for (k, a) in part.a[i * cols..(i + 1) * cols].iter_mut().enumerate() {
            *a = (right.combined(turn, k) / singular * root) as f32;
        }
        for n in 0..rows {
            part.b[n * wanted.rank + i] = (left.combined(turn, n) * root) as f32;
        }
    }
    Ok(part)
}

/// Vectors of `length` values, one after another.
struct Block {
    vectors: Vec<f64>,
    length: usize,
}

impl Block {
    fn count(&self) -> usize {
        self.vectors.len() / self.length
    }

    /// Gram and Schmidt, twice for each vector (Giraud et al. 2005); what is left of a dependent vector is zero.
    fn orthonormalise(&mut self) {
        for i in 0..self.count() {
            let (done, rest) = self.vectors.split_at_mut(i * self.length);
            let own = &mut rest[..self.length];
            let before = dot(own, own).sqrt();
            for _ in 0..2 {
                for other in done.chunks_exact(self.length) {
                    let along = dot(own, other);
                    own.iter_mut().zip(other).for_each(|(own, other)| *own -= along * other);
                }
            }
            let norm = dot(own, own).sqrt();
            let factor = if norm > 1e-12 * before { 1.0 / norm } else { 0.0 };
            own.iter_mut().for_each(|v| *v *= factor);
        }
    }

    /// Each vector times the weight, or its transpose.
    fn times<B: Backend>(
        &self,
        backend: &B,
        weight: &B::Weight,
        length: usize,
        along_rows: bool,
    ) -> Result<Block> {
        let count = self.count();
        let mut from = backend.zeros("principal part", count * self.length)?;
        let mut to = backend.zeros("principal part", count * length)?;
        let values: Vec<f32> = self.vectors.iter().map(|&v| v as f32).collect();
        backend.write(&mut from, 0, &values);
        let (x, y) = (from.view(0, count, self.length), to.view_mut(0, count, length));
        match along_rows {
            true => {
                let layers = &[Linear { weight: Matrix::Weight(weight), adapter: None }];
                backend.linear_backward_input(Some(y), None, x, &LinearGroup { layers, rank: 0 });
            }
            false => backend.matmul(y, x, Matrix::Weight(weight)),
        }
        let mut values = vec![0.0; count * length];
        backend.read(&to, 0, &mut values);
        Ok(Block { vectors: values.into_iter().map(f64::from).collect(), length })
    }

    /// Products of all pairs.
    fn gram(&self) -> Vec<f64> {
        let rows = || self.vectors.chunks_exact(self.length);
        rows().flat_map(|a| rows().map(move |b| dot(a, b))).collect()
    }

    /// Element `k` of the combination of the vectors with `weights`.
    fn combined(&self, weights: &[f64], k: usize) -> f64 {
        weights.iter().enumerate().map(|(j, w)| w * self.vectors[j * self.length + k]).sum()
    }
}

/// In lanes, which the compiler vectorises; the order is the same everywhere.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// Eigenvalues of a symmetric matrix `[n, n]`, descending, and its eigenvectors as rows (Jacobi 1846, cyclic).
fn eigen(mut m: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    const SWEEPS: usize = 50;
    let mut vectors: Vec<f64> = (0..n * n).map(|i| f64::from(u8::from(i / n == i % n))).collect();
    let trace: f64 = (0..n).map(|i| m[i * n + i].abs()).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n * n).filter(|i| i / n != i % n).map(|i| m[i] * m[i]).sum();
        if off.sqrt() <= 1e-15 * trace {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                let apq = m[p * n + q];
                if apq.abs() <= f64::MIN_POSITIVE {
                    continue;
                }
                let theta = (m[q * n + q] - m[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (kp, kq) = (m[k * n + p], m[k * n + q]);
                    (m[k * n + p], m[k * n + q]) = (c * kp - s * kq, s * kp + c * kq);
                }
                for matrix in [&mut m, &mut vectors] {
                    for k in 0..n {
                        let (pk, qk) = (matrix[p * n + k], matrix[q * n + k]);
                        (matrix[p * n + k], matrix[q * n + k]) = (c * pk - s * qk, s * pk + c * qk);
                    }
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| m[b * n + b].total_cmp(&m[a * n + a]));
    let values = order.iter().map(|&i| m[i * n + i]).collect();
    (values, order.iter().flat_map(|&i| vectors[i * n..(i + 1) * n].to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use compute::{Cpu, DType};

    /// A weight with singular values `1, falling, falling², …` in random directions.
    fn weight(rows: usize, cols: usize, falling: f64) -> Vec<f32> {
        let block = |name: &str, length: usize| {
            let vectors = crate::random::normal(1, name, 12 * length).map(f64::from).collect();
            let mut block = Block { vectors, length };
            block.orthonormalise();
            block
        };
        let (u, v) = (block("left", rows), block("right", cols));
        let element = |i: usize| -> f64 {
            let (row, col) = (i / cols, i % cols);
            (0..12)
                .map(|k| falling.powi(k as i32) * u.vectors[k * rows + row] * v.vectors[k * cols + col])
                .sum()
        };
        (0..rows * cols).map(|i| element(i) as f32).collect()
    }

    #[test]
    fn the_principal_part_leaves_what_the_other_singular_values_have() {
        let cpu = Cpu::new(2);
        for (rows, cols, passes) in [(40, 30, None), (96, 200, None), (200, 96, Some(4))] {
            let values = weight(rows, cols, 0.7);
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let stored = cpu.weight(DType::F32, rows, cols, &bytes).unwrap();
            let (rank, scale) = (3, 2.0);
            let wanted = Wanted { rank, scale, passes, seed: (7, "test") };
            let part = principal(&cpu, &stored, wanted).unwrap();
            let rest: f64 = values
                .iter()
                .enumerate()
                .map(|(i, w)| {
                    let (row, col) = (i / cols, i % cols);
                    let low: f32 = (0..rank).map(|q| part.b[row * rank + q] * part.a[q * cols + col]).sum();
                    f64::from(w - scale * low).powi(2)
                })
                .sum();
            let best: f64 = (rank..12).map(|k| 0.7f64.powi(2 * k as i32)).sum();
            assert!((rest / best - 1.0).abs() < 1e-4, "{rows} x {cols}: {rest} is left, {best} is the least");
            let length = |part: &[f32]| part.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
            let (a, b) = (length(&part.a), length(&part.b));
            assert!((a / b - 1.0).abs() < 1e-4, "the sides share the singular values: {a} and {b}");
        }
    }
}
