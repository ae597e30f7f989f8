//! Measures products of integers on shapes of SmolLM2-135M and TinyLlama: one row as in writing, 512 as in reading.
//!
//! `cargo run --release -p compute --example integer_peak [threads [type]]`, with `MEDTUNE_ISA` to lower the
//! instruction set.

use std::time::{Duration, Instant};

use compute::{Backend, Cpu, DeviceBuffer, Matrix};
use formats::quant::{BlockMatrix, BlockType};

const KINDS: [BlockType; 6] =
    [BlockType::Q8_0, BlockType::Q4_0, BlockType::Q5_0, BlockType::Q4_K, BlockType::Q5_K, BlockType::Q6_K];

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(2);
    let only = std::env::args().nth(2).unwrap_or_default();
    let cpu = Cpu::new(count).with_integer_products();
    println!("{:?}, {count} threads", cpu.isa());
    println!("{:<6} {:>6} {:>6} {:>6} {:>10} {:>8} {:>7}", "", "M", "N", "K", "µs", "GOP/s", "GB/s");
    for kind in KINDS.into_iter().filter(|kind| kind.name().contains(&only)) {
        for [n, k] in [[1536, 768], [2048, 5632], [32768, 2048]] {
            let bytes = kind.row_bytes(k).expect("whole blocks");
            // Any bytes do but for scales, which must be numbers.
            let data = (0..n * bytes).map(|i| (i % 59) as u8).collect();
            let matrix = BlockMatrix::new(kind, n, k, data).expect("blocks");
            let weight = cpu.quantized_weight(matrix.into()).expect("room");
            let size = cpu.weight_bytes(&weight) as f64;
            for m in [1, 8, 512] {
                let x: Vec<f32> = (0..m * k).map(|i| (i % 31) as f32 / 31.0 - 0.5).collect();
                let mut input = cpu.zeros("input", m * k).expect("room");
                let mut output = cpu.zeros("output", m * n).expect("room");
                cpu.write(&mut input, 0, &x);
                let time = best(|| {
                    cpu.matmul(output.view_mut(0, m, n), input.view(0, m, k), Matrix::Weight(&weight));
                });
                let seconds = time.as_secs_f64();
                println!(
                    "{:<6} {m:>6} {n:>6} {k:>6} {:>10.1} {:>8.0} {:>7.1}",
                    kind.name(),
                    seconds * 1e6,
                    2.0 * (m * n * k) as f64 / seconds / 1e9,
                    size / seconds / 1e9
                );
            }
        }
    }
}

/// Best time of many runs: the machine is shared.
fn best(mut run: impl FnMut()) -> Duration {
    let began = Instant::now();
    let (mut best, mut runs) = (Duration::MAX, 0);
    while runs < 5 || (began.elapsed() < Duration::from_millis(300) && runs < 2000) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
        runs += 1;
    }
    best
}
