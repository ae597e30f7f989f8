//! Products through the front door: which side is transposed, tails, starts, strides and storage types.

mod support;

use compute::{Backend, Cpu, DType, DeviceBuffer, Matrix, Product, Start, Tail};
use support::*;

const T: usize = 9;
const N: usize = 21;
const K: usize = 34;
const R: usize = 4;

/// `Σ_p left(i, p) right(p, j)` for `[rows, cols]`.
fn product(
    rows: usize,
    cols: usize,
    depth: usize,
    left: impl Fn(usize, usize) -> f32,
    right: impl Fn(usize, usize) -> f32,
) -> Vec<f64> {
    (0..rows * cols)
        .map(|at| {
            let (i, j) = (at / cols, at % cols);
            (0..depth).map(|p| f64::from(left(i, p)) * f64::from(right(p, j))).sum()
        })
        .collect()
}

#[test]
fn matmul_adds_start_product_and_tail() {
    let (x, w) = (random(1, T * K), random(2, N * K));
    let (t, b, start) = (random(3, T * R), random(4, N * R), random(5, T * N));
    let base = product(T, N, K, |i, p| x[i * K + p], |p, j| w[j * K + p]);
    let adapter = product(T, N, R, |i, p| t[i * R + p], |p, j| b[j * R + p]);
    let expected: Vec<f64> = (0..T * N).map(|i| f64::from(start[i]) + 0.5 * base[i] + adapter[i]).collect();
    assert_devices_agree(1e-5, false, |cpu| {
        let (x, w, t) = (buffer(cpu, &x), buffer(cpu, &w), buffer(cpu, &t));
        let (b, start) = (buffer(cpu, &b), buffer(cpu, &start));
        let mut y = buffer(cpu, &vec![f32::NAN; T * N]);
        let right = Matrix::View(b.view(0, N, R));
        cpu.matmul(
            y.view_mut(0, T, N),
            Product {
                left: x.view(0, T, K),
                weight: Matrix::View(w.view(0, N, K)),
                tail: Some(Tail { left: t.view(0, T, R), right }),
                alpha: 0.5,
                start: Start::From(start.view(0, T, N)),
            },
        );
        assert_close(&y, &expected, 1e-6, "y");
        vec![values(&y)]
    });
}

#[test]
fn the_input_gradient_goes_through_the_weight_the_other_way() {
    let (dy, w) = (random(6, T * N), random(7, N * K));
    let (dt, a) = (random(8, T * R), random(9, R * K));
    let base = product(T, K, N, |i, p| dy[i * N + p], |p, j| w[p * K + j]);
    let adapter = product(T, K, R, |i, p| dt[i * R + p], |p, j| a[p * K + j]);
    let expected: Vec<f64> = (0..T * K).map(|i| 1.0 + base[i] + adapter[i]).collect();
    assert_devices_agree(1e-5, false, |cpu| {
        let (dy, w, dt) = (buffer(cpu, &dy), buffer(cpu, &w), buffer(cpu, &dt));
        let a = buffer(cpu, &a);
        let mut dx = buffer(cpu, &vec![1.0; T * K]);
        let right = Matrix::View(a.view(0, R, K));
        cpu.matmul_backward_input(
            dx.view_mut(0, T, K),
            Product {
                left: dy.view(0, T, N),
                weight: Matrix::View(w.view(0, N, K)),
                tail: Some(Tail { left: dt.view(0, T, R), right }),
                alpha: 1.0,
                start: Start::Output,
            },
        );
        assert_close(&dx, &expected, 1e-6, "dx");
        vec![values(&dx)]
    });
}

#[test]
fn the_weight_gradient_sums_over_tokens_and_is_added() {
    // Columns 3.. of wider rows, to see that strides are kept.
    let wide = 3 + N + 5;
    let (dy, x) = (random(10, T * wide), random(11, T * K));
    let sums = product(N, K, T, |i, p| dy[p * wide + 3 + i], |p, j| x[p * K + j]);
    let expected: Vec<f64> = sums.iter().map(|s| 2.0 + s).collect();
    assert_devices_agree(1e-5, false, |cpu| {
        let (dy, x) = (buffer(cpu, &dy), buffer(cpu, &x));
        let mut dw = buffer(cpu, &vec![2.0; N * K]);
        let columns = dy.view(0, T, wide).columns(3, N);
        cpu.matmul_backward_weight(dw.view_mut(0, N, K), columns, x.view(0, T, K));
        assert_close(&dw, &expected, 1e-6, "dw");
        vec![values(&dw)]
    });
}

#[test]
fn a_stored_weight_gives_the_product_of_its_values() {
    let halves: Vec<half::f16> = random(12, N * K).into_iter().map(half::f16::from_f32).collect();
    let x = random(13, T * K);
    for cpu in devices() {
        let weight = cpu.weight(DType::F16, N, K, bytemuck::cast_slice(&halves)).expect("a weight");
        let decoded = buffer(&cpu, &cpu.read_weight(&weight));
        let apply = |cpu: &Cpu, weight: Matrix<'_, Cpu>| {
            let x = buffer(cpu, &x);
            let mut y = zeros(cpu, T * N);
            let left = x.view(0, T, K);
            let p = Product { left, weight, tail: None, alpha: 1.0, start: Start::Zero };
            cpu.matmul(y.view_mut(0, T, N), p);
            values(&y)
        };
        let stored = apply(&cpu, Matrix::Weight(&weight));
        let viewed = apply(&cpu, Matrix::View(decoded.view(0, N, K)));
        assert_eq!(bits(&stored), bits(&viewed), "{:?}", cpu.isa());
    }
}
