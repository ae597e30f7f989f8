//! DoRA (Liu et al. 2024): the rows of a weight keep their trained lengths while an adapter turns them.

use super::buffer::{CpuBuffer, Rows, RowsMut, Weights, by_rows, task_rows};
use super::gemm::{Gemm, Init, Method, Part, gemm};
use super::{Cpu, Isa, Precision, Threads};
use crate::{Adapter, Matrix, View};

/// Columns whose gradient a task sums.
const TASK_COLS: usize = 64;

/// Lengths of the rows of `W + s B A`: `|w|² + 2 s b·(A w) + s² b·(A Aᵀ) b`, so that `W` is decoded once, in a product
/// with `R` rows, and no matrix of its size is made.
pub(super) fn norms(
    threads: &Threads,
    isa: Isa,
    (norms, squares): (RowsMut<'_>, Rows<'_>),
    weight: Weights<'_>,
    adapter: &Adapter<'_, Cpu>,
) {
    let down = adapter.down.map(Weights::from).expect("the norm needs A");
    let (up, scale) = (Weights::from(adapter.up), f64::from(adapter.scale));
    let (rank, rows) = (down.rows, weight.rows);
    assert_eq!((up.rows, up.cols, down.cols), (rows, rank, weight.cols), "A [R, K] and B [N, R]");
    assert_eq!((norms.cols, squares.cols), (rows, rows), "norms [1, N]");
    // A length is no product of a pass: it is exact whatever the precision of those.
    let method = Method { isa, precision: Precision::F32 };
    let product = |right: Weights<'_>| {
        let mut c = CpuBuffer::zeros("norms", rank * right.rows).expect("no memory for norms");
        let parts = &[Part::whole(right.rows, right.along_cols(), Init::Zero)];
        let (depth, left, stride) = (down.cols, down.along_cols(), right.rows);
        gemm(threads, method, Gemm { rows: rank, depth, left, low: None, parts, c: &mut c, stride });
        c
    };
    let (turned, gram) = (product(weight), product(down));
    let (up, squares) = (up_rows(adapter.up), squares.row(0));
    by_rows(threads, task_rows(rank * rank), [RowsMut::flat(norms.data)], |first, [norms]| {
        for (offset, norm) in norms.data.iter_mut().enumerate() {
            let i = first + offset;
            let b = up.row(i);
            let mut square = f64::from(squares[i]);
            for (q, &bq) in b.iter().enumerate() {
                let inner: f64 =
                    b.iter().zip(&gram[q * rank..]).map(|(&b, &g)| f64::from(b) * f64::from(g)).sum();
                let cross = 2.0 * f64::from(turned[q * rows + i]) + scale * inner;
                square += scale * f64::from(bq) * cross;
            }
            *norm = square.max(0.0).sqrt() as f32;
        }
    });
}

fn up_rows<'a>(up: Matrix<'a, Cpu>) -> Rows<'a> {
    match up {
        Matrix::View(view) => view.into(),
        Matrix::Weight(_) => unreachable!("an adapter is trained"),
    }
}

/// `y = start + factor ∘ u`, column by column; without factors `y = start + u`.
pub(super) fn forward(
    threads: &Threads,
    y: RowsMut<'_>,
    u: Rows<'_>,
    start: Option<Rows<'_>>,
    factors: Option<&[f32]>,
) {
    by_rows(threads, task_rows(y.cols), [y], |first, [mut y]| {
        for i in 0..y.rows {
            let (y, u) = (y.row(i), u.row(first + i));
            match factors {
                Some(factors) => y.iter_mut().zip(u).zip(factors).for_each(|((y, u), f)| *y = u * f),
                None => y.copy_from_slice(u),
            }
            if let Some(start) = start {
                y.iter_mut().zip(start.row(first + i)).for_each(|(y, start)| *y += start);
            }
        }
    });
}

/// `du = factor ∘ dy`.
pub(super) fn backward_input(threads: &Threads, du: RowsMut<'_>, dy: Rows<'_>, factors: Option<&[f32]>) {
    forward(threads, du, dy, None, factors);
}

/// `d_magnitude += Σ_t dy ∘ u / norm`, in the order of the tokens.
pub(super) fn backward_magnitude(
    threads: &Threads,
    d_magnitude: &mut [f32],
    (dy, u): (Rows<'_>, Rows<'_>),
    norms: &[f32],
) {
    by_rows(threads, TASK_COLS, [RowsMut::flat(d_magnitude)], |first, [d_magnitude]| {
        let range = first..first + d_magnitude.rows;
        let mut sums = [0.0f64; TASK_COLS];
        for t in 0..dy.rows {
            let terms = dy.row(t)[range.clone()].iter().zip(&u.row(t)[range.clone()]);
            for (sum, (&dy, &u)) in sums.iter_mut().zip(terms) {
                *sum += f64::from(dy * u);
            }
        }
        for ((d, sum), &norm) in d_magnitude.data.iter_mut().zip(sums).zip(&norms[range]) {
            *d += (sum / f64::from(norm)) as f32;
        }
    });
}

/// What each column is multiplied with.
pub(super) fn factors(magnitude: View<'_, CpuBuffer>, norm: View<'_, CpuBuffer>) -> Vec<f32> {
    let (magnitude, norm) = (Rows::from(magnitude), Rows::from(norm));
    assert_eq!((magnitude.rows, norm.rows, magnitude.cols), (1, 1, norm.cols), "magnitudes and norms [1, N]");
    magnitude.row(0).iter().zip(norm.row(0)).map(|(&m, &n)| m / n).collect()
}
