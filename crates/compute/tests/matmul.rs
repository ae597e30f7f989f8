//! Products through the front door: groups and their adapters, starts, strides and storage types.

mod support;

use compute::cpu::Precision;
use compute::{Adapter, Backend, Cpu, DType, DeviceBuffer, Linear, LinearGroup, Matrix, Start};
use formats::quant::{
    BlockMatrix, BlockType, Bnb4Matrix, Bnb4Options, Bnb4Type, Int8Matrix, QuantizedMatrix,
};
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

/// Widths and ranks of three layers; the second has no adapter.
const WIDTHS: [usize; 3] = [N, 5, 16];
const RANKS: [usize; 3] = [R, 0, 3];
const SCALES: [f32; 3] = [0.5, 0.0, 2.0];
const WIDTH: usize = N + 5 + 16;
const RANK: usize = R + 3;

/// The values of a group of three layers.
struct Group {
    weights: [Vec<f32>; 3],
    downs: [Vec<f32>; 3],
    ups: [Vec<f32>; 3],
}

impl Group {
    fn new() -> Self {
        let values = |seed: u64, len: &dyn Fn(usize) -> usize| {
            std::array::from_fn(|i| random(seed + i as u64, len(i)))
        };
        Group {
            weights: values(20, &|i| WIDTHS[i] * K),
            downs: values(30, &|i| RANKS[i] * K),
            ups: values(40, &|i| WIDTHS[i] * RANKS[i]),
        }
    }

    /// Calls `run` with the group on a device.
    fn with<T>(&self, cpu: &Cpu, adapters: bool, run: impl FnOnce(&LinearGroup<'_, Cpu>) -> T) -> T {
        let on = |values: &[Vec<f32>; 3]| values.each_ref().map(|v| buffer(cpu, v));
        let (weights, downs, ups) = (on(&self.weights), on(&self.downs), on(&self.ups));
        let layers: [Linear<'_, Cpu>; 3] = std::array::from_fn(|i| Linear {
            weight: Matrix::View(weights[i].view(0, WIDTHS[i], K)),
            adapter: (adapters && RANKS[i] > 0).then(|| Adapter {
                down: Some(Matrix::View(downs[i].view(0, RANKS[i], K))),
                up: Matrix::View(ups[i].view(0, WIDTHS[i], RANKS[i])),
                column: RANKS[..i].iter().sum(),
                scale: SCALES[i],
            }),
        });
        run(&LinearGroup { layers: &layers, rank: RANK })
    }

    /// `W + scale · B A` of all layers, one after another: `[WIDTH, K]`.
    fn merged(&self) -> Vec<f64> {
        let mut rows = Vec::new();
        for i in 0..3 {
            let (weight, down, up) = (&self.weights[i], &self.downs[i], &self.ups[i]);
            let delta = product(WIDTHS[i], K, RANKS[i], |n, r| up[n * RANKS[i] + r], |r, k| down[r * K + k]);
            rows.extend(weight.iter().zip(delta).map(|(w, d)| f64::from(*w) + f64::from(SCALES[i]) * d));
        }
        rows
    }
}

#[test]
fn a_group_is_the_product_with_its_merged_weights() {
    let (x, start, group) = (random(1, T * K), random(5, T * WIDTH), Group::new());
    let merged = group.merged();
    let expected: Vec<f64> = (0..T * WIDTH)
        .map(|at| {
            let (i, j) = (at / WIDTH, at % WIDTH);
            let sum: f64 = (0..K).map(|p| f64::from(x[i * K + p]) * merged[j * K + p]).sum();
            f64::from(start[at]) + sum
        })
        .collect();
    assert_devices_agree(1e-5, false, |cpu| {
        let (x, start) = (buffer(cpu, &x), buffer(cpu, &start));
        let (mut y, mut t) = (buffer(cpu, &vec![f32::NAN; T * WIDTH]), zeros(cpu, T * RANK));
        group.with(cpu, true, |group| {
            let start = Start::From(start.view(0, T, WIDTH));
            cpu.linear(y.view_mut(0, T, WIDTH), Some(t.view_mut(0, T, RANK)), x.view(0, T, K), group, start);
        });
        assert_close(&y, &expected, 1e-6, "y");
        vec![values(&y), values(&t)]
    });
}

#[test]
fn without_their_memory_adapters_are_left_out() {
    let (x, group) = (random(1, T * K), Group::new());
    for cpu in devices() {
        let x = buffer(&cpu, &x);
        let apply = |adapters: bool| {
            let mut y = zeros(&cpu, T * WIDTH);
            group.with(&cpu, adapters, |group| {
                cpu.linear(y.view_mut(0, T, WIDTH), None, x.view(0, T, K), group, Start::Zero);
            });
            values(&y)
        };
        assert_eq!(bits(&apply(true)), bits(&apply(false)), "{:?}", cpu.isa());
    }
}

#[test]
fn a_bias_is_a_start_whose_rows_are_the_same() {
    let (x, bias, group) = (random(1, T * K), random(6, WIDTH), Group::new());
    for cpu in devices() {
        let (x, bias) = (buffer(&cpu, &x), buffer(&cpu, &bias));
        let apply = |start: Start<'_, compute::cpu::CpuBuffer>| {
            let mut y = zeros(&cpu, T * WIDTH);
            group.with(&cpu, true, |group| {
                cpu.linear(y.view_mut(0, T, WIDTH), None, x.view(0, T, K), group, start);
            });
            values(&y)
        };
        let every_row = buffer(&cpu, &bias.repeat(T));
        let broadcast = apply(Start::From(bias.view(0, 1, WIDTH).repeated(T)));
        assert_eq!(bits(&broadcast), bits(&apply(Start::From(every_row.view(0, T, WIDTH)))));
    }
}

#[test]
fn the_input_gradient_goes_through_the_merged_weights_the_other_way() {
    let (dy, group) = (random(6, T * WIDTH), Group::new());
    let merged = group.merged();
    let expected: Vec<f64> = (0..T * K)
        .map(|at| {
            let (i, j) = (at / K, at % K);
            (0..WIDTH).map(|p| f64::from(dy[i * WIDTH + p]) * merged[p * K + j]).sum()
        })
        .collect();
    let first = product(T, R, N, |i, p| dy[i * WIDTH + p], |p, r| group.ups[0][p * R + r]);
    assert_devices_agree(1e-5, false, |cpu| {
        let dy = buffer(cpu, &dy);
        let (mut dx, mut dt) = (buffer(cpu, &vec![f32::NAN; T * K]), buffer(cpu, &vec![f32::NAN; T * RANK]));
        group.with(cpu, true, |group| {
            let (dx, dt) = (dx.view_mut(0, T, K), dt.view_mut(0, T, RANK));
            cpu.linear_backward_input(Some(dx), Some(dt), dy.view(0, T, WIDTH), group);
        });
        assert_close(&dx, &expected, 1e-6, "dx");
        let dt_first: Vec<f32> = (0..T * R).map(|at| dt[at / R * RANK + at % R] / SCALES[0]).collect();
        assert_close(&dt_first, &first, 1e-6, "dt");
        let mut only_dt = zeros(cpu, T * RANK);
        group.with(cpu, true, |group| {
            let dt = only_dt.view_mut(0, T, RANK);
            cpu.linear_backward_input(None, Some(dt), dy.view(0, T, WIDTH), group);
        });
        assert_eq!(bits(&only_dt), bits(&dt), "dt without dx");
        vec![values(&dx), values(&dt)]
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
            cpu.matmul(y.view_mut(0, T, N), x.view(0, T, K), weight);
            values(&y)
        };
        let stored = apply(&cpu, Matrix::Weight(&weight));
        let viewed = apply(&cpu, Matrix::View(decoded.view(0, N, K)));
        assert_eq!(bits(&stored), bits(&viewed), "{:?}", cpu.isa());
    }
}

#[test]
fn a_quantized_weight_gives_the_product_of_its_values_in_both_directions() {
    let (rows, cols) = (96, 160);
    let stored = random(14, rows * cols);
    let (x, dy) = (random(15, T * cols), random(16, T * rows));
    let nf4 = |double| Bnb4Options { kind: Bnb4Type::Nf4, block: 64, double };
    let quantized = |double| Bnb4Matrix::quantize([rows, cols], &stored, nf4(double)).expect("NF4");
    let bytes = BlockType::Q8_0.encode(&stored).expect("Q8_0");
    let q8 = BlockMatrix::new(BlockType::Q8_0, rows, cols, bytes).expect("Q8_0");
    let int8 = Int8Matrix::quantize([rows, cols], &stored).expect("int8");
    let matrices: [QuantizedMatrix; 4] =
        [quantized(false).into(), quantized(true).into(), q8.into(), int8.into()];
    for cpu in devices() {
        for matrix in &matrices {
            assert_same_products(&cpu, matrix, (&x, &dy), &[1, T]);
        }
    }
}

#[test]
fn four_bit_codes_are_packed_into_the_bits_of_their_values() {
    // Blocks of one vector and of many, rows that end inside a square of codes, depths of several blocks of the product
    // that are cut inside a block of codes, and last a matrix whose blocks cross rows.
    let shapes = [
        (96, 192, 64),
        (33, 128, 16),
        (50, 256, 128),
        (19, 64, 32),
        (1600, 320, 64),
        (40, 1600, 64),
        (70, 96, 64),
    ];
    let pairs = Precision::Bf16.available().then(|| Cpu::new(2).with_precision(Precision::Bf16));
    for (seed, (rows, cols, block)) in (20..).zip(shapes) {
        let stored = random(seed, rows * cols);
        let tokens = [1, 3, 40];
        let (x, dy) = (random(seed + 20, 40 * cols), random(seed + 40, 40 * rows));
        for (kind, double) in [(Bnb4Type::Nf4, true), (Bnb4Type::Fp4, false)] {
            let options = Bnb4Options { kind, block, double };
            let matrix = Bnb4Matrix::quantize([rows, cols], &stored, options).expect("four bits").into();
            for cpu in devices().iter().chain(&pairs) {
                assert_same_products(cpu, &matrix, (&x, &dy), &tokens);
            }
        }
    }
}

/// The products of `matrix` with the first `tokens` rows of `x` and of `dy` have the bits of those of its values.
fn assert_same_products(cpu: &Cpu, matrix: &QuantizedMatrix, (x, dy): (&[f32], &[f32]), tokens: &[usize]) {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let decoded = buffer(cpu, &matrix.to_f32());
    let weight = cpu.quantized_weight(matrix.clone()).expect("memory");
    assert_eq!(cpu.read_weight(&weight), matrix.to_f32());
    let run = |weight: Matrix<'_, Cpu>, tokens: usize| {
        let (x, dy) = (buffer(cpu, x), buffer(cpu, dy));
        let (mut y, mut dx) = (zeros(cpu, tokens * rows), zeros(cpu, tokens * cols));
        let group = LinearGroup { layers: &[Linear { weight, adapter: None }], rank: 0 };
        let (input, gradient) = (x.view(0, tokens, cols), dy.view(0, tokens, rows));
        cpu.linear(y.view_mut(0, tokens, rows), None, input, &group, Start::Zero);
        cpu.linear_backward_input(Some(dx.view_mut(0, tokens, cols)), None, gradient, &group);
        (bits(&values(&y)), bits(&values(&dx)))
    };
    for &tokens in tokens {
        let plain = run(Matrix::View(decoded.view(0, rows, cols)), tokens);
        let how = (cpu.isa(), cpu.precision(), rows, cols);
        assert!(run(Matrix::Weight(&weight), tokens) == plain, "{how:?}, {tokens} tokens");
    }
}
