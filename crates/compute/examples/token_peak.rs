//! Measures what writing spends on its products: a row through all of SmolLM2-135M's, whose weights do not fit into
//! a cache, by the type that they are stored in; beside it the same with one layer thirty times, which waits for no memory.
//!
//! `cargo run --release -p compute --example token_peak [threads [type [rows]]]`, with `MEDTUNE_ISA` to lower the
//! instruction set; more rows are more texts at once.

use std::time::{Duration, Instant};

use compute::{Backend, Cpu, DType, DeviceBuffer, Matrix};
use formats::quant::{BlockMatrix, BlockType};

const DTYPES: [DType; 2] = [DType::F32, DType::Bf16];
const KINDS: [BlockType; 3] = [BlockType::Q8_0, BlockType::Q5_0, BlockType::Q4_0];
/// q|k|v, o, gate|up and down of a layer, `[N, K]`.
const LAYER: [[usize; 2]; 4] = [[960, 576], [576, 576], [3072, 576], [576, 1536]];
const LAYERS: usize = 30;
const HEAD: [usize; 2] = [49152, 576];

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(2);
    let only = std::env::args().nth(2).unwrap_or_default();
    let rows = std::env::args().nth(3).and_then(|rows| rows.parse().ok()).unwrap_or(1);
    let cpu = Cpu::new(count).with_integer_products();
    println!("{:?}, {count} threads", cpu.isa());
    for dtype in DTYPES.into_iter().filter(|dtype| format!("{dtype:?}").contains(&only)) {
        token(&cpu, rows, &format!("{dtype:?}"), |n, k| {
            cpu.weight(dtype, n, k, &vec![0x3c; dtype.bytes(n * k)]).expect("room")
        });
    }
    for kind in KINDS.into_iter().filter(|kind| kind.name().contains(&only)) {
        token(&cpu, rows, kind.name(), |n, k| {
            let bytes = n * kind.row_bytes(k).expect("whole blocks");
            // Any bytes do but for scales, which must be numbers.
            let data = (0..bytes).map(|i| (i % 59) as u8).collect();
            let matrix = BlockMatrix::new(kind, n, k, data).expect("blocks");
            cpu.quantized_weight(matrix.into()).expect("room")
        });
    }
}

fn token(cpu: &Cpu, rows: usize, name: &str, weight: impl Fn(usize, usize) -> <Cpu as Backend>::Weight) {
    let weights = |layers: usize| -> Vec<_> {
        let shapes = (0..layers).flat_map(|_| LAYER).chain([HEAD]);
        shapes.map(|[n, k]| (weight(n, k), n, k)).collect()
    };
    let input = cpu.zeros("input", rows * 1536).expect("room");
    let mut output = cpu.zeros("output", rows * HEAD[0]).expect("room");
    let mut time = |weights: &[(<Cpu as Backend>::Weight, usize, usize)], times: usize| {
        best(|| {
            for (weight, n, k) in (0..times).flat_map(|_| weights) {
                cpu.matmul(output.view_mut(0, rows, *n), input.view(0, rows, *k), Matrix::Weight(weight));
            }
        })
    };
    let all = weights(LAYERS);
    let bytes: usize = all.iter().map(|(weight, ..)| cpu.weight_bytes(weight)).sum();
    let seconds = time(&all, 1).as_secs_f64();
    let resident = time(&weights(1)[..LAYER.len()], LAYERS).as_secs_f64();
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{name:<6} {megabytes:>5.0} MB {:>7.2} ms {:>6.1} GB/s; one layer thirty times {:>7.2} ms",
        seconds * 1e3,
        megabytes / 1e3 / seconds,
        resident * 1e3
    );
}

/// Best time of many runs: the machine is shared.
fn best(mut run: impl FnMut()) -> Duration {
    let began = Instant::now();
    let mut best = Duration::MAX;
    while began.elapsed() < Duration::from_secs(1) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
    }
    best
}
