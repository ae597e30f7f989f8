//! Products of integers against products of the decoded values.

use formats::quant::BlockType;
use formats::quant::ggml::BlockMatrix;

use super::super::buffer::{Rows, RowsMut};
use super::super::slabs::Slabs;
use super::super::{Isa, Threads};
use super::{Activations, Addend, Factor, Output, Panels, product};

const KINDS: [BlockType; 8] = [
    BlockType::Q8_0,
    BlockType::Q4_0,
    BlockType::Q5_0,
    BlockType::Q4_1,
    BlockType::Q5_1,
    BlockType::Q4_K,
    BlockType::Q5_K,
    BlockType::Q6_K,
];

/// Random numbers on ±1.
fn random(seed: u32) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Random blocks with scales of about a hundredth.
fn blocks(kind: BlockType, rows: usize, cols: usize) -> BlockMatrix {
    let mut random = random(7);
    let mut data: Vec<u8> =
        (0..kind.row_bytes(cols).unwrap() * rows).map(|_| (random() * 128.0) as i32 as u8).collect();
    for block in data.chunks_exact_mut(kind.bytes()) {
        let halves: &[usize] = match kind {
            BlockType::Q6_K => &[208],
            BlockType::Q4_1 | BlockType::Q5_1 | BlockType::Q4_K | BlockType::Q5_K => &[0, 2],
            _ => &[0],
        };
        for &at in halves {
            let scale = half::f16::from_f32(0.01 * (1.0 + random()));
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    BlockMatrix::new(kind, rows, cols, data).unwrap()
}

fn multiply(
    isa: Isa,
    threads: usize,
    x: &[f32],
    rows: usize,
    matrix: &BlockMatrix,
    y: &mut [f32],
    addend: Addend<'_>,
) {
    let threads = Threads::new(threads);
    let panels = Panels::new(&threads, &Slabs::default(), matrix).unwrap();
    let (k, n) = (matrix.cols(), matrix.rows());
    let mut activations = Activations::default();
    activations.quantize(&threads, isa, Rows { data: x, rows, cols: k, stride: k });
    let y = RowsMut { data: y, rows, cols: n, stride: n };
    let factor = Factor { weight: &panels, column: 0 };
    product(&threads, isa, &activations, [factor].into_iter(), Output { y, addend });
}

/// What a row is rounded to.
fn rounded(x: &[f32]) -> Vec<f32> {
    x.chunks(32)
        .flat_map(|block| {
            let scale = block.iter().fold(0.0f32, |a, b| a.max(b.abs())) / 127.0;
            block.iter().map(move |x| (x / scale).round_ties_even() * scale).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn panels_hold_the_values_of_the_blocks() {
    for kind in KINDS {
        let matrix = blocks(kind, 37, 512);
        let panels = Panels::new(&Threads::new(2), &Slabs::default(), &matrix).unwrap();
        let (mut ours, mut theirs) = (vec![0.0; 500], vec![0.0; 500]);
        for row in 0..37 {
            panels.decode(row, 7..507, &mut ours);
            formats::quant::QuantizedMatrix::from(matrix.clone()).decode(row, 7..507, &mut theirs);
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!(
                    (ours - theirs).abs() <= 1e-6 * theirs.abs().max(0.01),
                    "{}: {ours} {theirs}",
                    kind.name()
                );
            }
        }
    }
}

#[test]
fn a_product_is_that_of_the_decoded_weights_with_the_rounded_activations() {
    for kind in KINDS {
        let matrix = blocks(kind, 37, 512);
        let weights = formats::quant::QuantizedMatrix::from(matrix.clone()).to_f32();
        let mut random = random(3);
        let x: Vec<f32> = (0..15 * 512).map(|_| random()).collect();
        let x_rounded: Vec<f32> = x.chunks(512).flat_map(rounded).collect();
        for isa in [Isa::Plain, Isa::Avx2.min(Isa::available()), Isa::available()] {
            let mut y = vec![0.5; 15 * 37];
            multiply(isa, 2, &x, 15, &matrix, &mut y, Addend::Output);
            let mut apart = vec![f32::NAN; 15 * 37];
            let start = Rows { data: &vec![0.5; 15 * 40], rows: 15, cols: 37, stride: 40 };
            multiply(isa, 2, &x, 15, &matrix, &mut apart, Addend::Rows(start));
            assert_eq!(apart, y, "{} {isa:?}: what is added lies elsewhere", kind.name());
            for t in 0..15 {
                for n in 0..37 {
                    let (x, w) = (&x_rounded[t * 512..][..512], &weights[n * 512..][..512]);
                    let products = || x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w));
                    let (want, size) = (0.5 + products().sum::<f64>(), products().map(f64::abs).sum::<f64>());
                    let got = f64::from(y[t * 37 + n]);
                    assert!(
                        (got - want).abs() <= 2e-5 * size,
                        "{} {isa:?} {t},{n}: {got} {want}",
                        kind.name()
                    );
                }
            }
        }
    }
}

#[test]
fn rows_do_not_depend_on_company_or_threads() {
    for kind in KINDS {
        let matrix = blocks(kind, 80, 256);
        let mut random = random(5);
        let x: Vec<f32> = (0..15 * 256).map(|_| random()).collect();
        let mut together = vec![0.0; 15 * 80];
        multiply(Isa::available(), 2, &x, 15, &matrix, &mut together, Addend::Nothing);
        for (x, together) in x.chunks(256).zip(together.chunks(80)) {
            let mut alone = vec![9.0; 80];
            multiply(Isa::available(), 1, x, 1, &matrix, &mut alone, Addend::Nothing);
            assert_eq!(alone, together, "{}", kind.name());
        }
    }
}

#[test]
fn weights_that_share_a_product_give_what_each_gives_alone() {
    let weights = [(BlockType::Q4_K, 96), (BlockType::Q6_K, 37), (BlockType::Q8_0, 16), (BlockType::Q5_0, 5)];
    let weights = weights.map(|(kind, rows)| blocks(kind, rows, 256));
    let cols: usize = weights.iter().map(BlockMatrix::rows).sum();
    let mut random = random(7);
    let x: Vec<f32> = (0..9 * 256).map(|_| random()).collect();
    for (rows, count) in [(1, 1), (1, 2), (1, 7), (9, 2), (9, 50)] {
        let threads = Threads::new(count);
        let panels = weights.each_ref().map(|w| Panels::new(&threads, &Slabs::default(), w).unwrap());
        let mut activations = Activations::default();
        let x = Rows { data: &x, rows, cols: 256, stride: 256 };
        activations.quantize(&threads, Isa::available(), x);
        let mut together = vec![f32::NAN; rows * cols];
        let factors = panels.iter().scan(0, |column, weight| {
            let factor = Factor { weight, column: *column };
            *column += weight.rows();
            Some(factor)
        });
        let y = RowsMut { data: &mut together, rows, cols, stride: cols };
        product(&threads, Isa::available(), &activations, factors, Output { y, addend: Addend::Nothing });
        let mut column = 0;
        for weight in &weights {
            let n = weight.rows();
            let mut alone = vec![0.0; rows * n];
            multiply(Isa::available(), 1, x.data, rows, weight, &mut alone, Addend::Nothing);
            for (together, alone) in together.chunks(cols).zip(alone.chunks(n)) {
                assert_eq!(together[column..column + n], *alone, "{} by {rows}", weight.kind().name());
            }
            column += n;
        }
    }
}
