//! Measures matrix products of SmolLM2-135M against what the multipliers of this machine can do.
//!
//! `cargo run --release -p compute --example gemm_peak [threads [shapes [bf16]]]`, with `MEDTUNE_ISA` to lower the
//! instruction set. Shares of the peak are always of that of f32.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use compute::cpu::measure::{Factor, fma_rounds, fmas_per_round, product};
use compute::cpu::{Isa, Precision, Threads};
use half::bf16;

/// A product: rows, columns, depth, and which sides have contiguous depth.
struct Shape {
    name: &'static str,
    size: [usize; 3],
    contiguous: [bool; 2],
    bf16: bool,
}

/// `x Wᵀ`, `dy W`, `dyᵀ x`.
const NT: [bool; 2] = [true, true];
const NN: [bool; 2] = [true, false];
const TT: [bool; 2] = [false, false];

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(2);
    let (threads, isa) = (Threads::new(count), Isa::detect());
    let alone = peak(&Threads::new(1), isa);
    let together = peak(&threads, isa);
    println!("{isa:?}: peak {alone:.0} GFLOP/s with 1 thread, {together:.0} with {count}");
    println!("a call of two threads: {:.2} µs", latency(&threads));
    println!(
        "{:<22} {:>6} {:>6} {:>6} {:>10} {:>9} {:>6} {:>7}",
        "", "M", "N", "K", "µs", "GFLOP/s", "%", "GB/s"
    );
    let only = std::env::args().nth(2).unwrap_or_default();
    let precision = match std::env::args().nth(3).as_deref() {
        Some("bf16") => Precision::Bf16,
        _ => Precision::F32,
    };
    println!("{precision:?}{}", if precision.available() { "" } else { ", which this machine has not: f32" });
    for shape in shapes().into_iter().filter(|shape| shape.name.contains(&only)) {
        let [m, n, k] = shape.size;
        let best = measure(&threads, (isa, precision), &shape).as_secs_f64();
        let rate = 2.0 * (m * n * k) as f64 / best / 1e9;
        let weight = (n * k * if shape.bf16 { 2 } else { 4 }) as f64 / best / 1e9;
        println!(
            "{:<22} {m:>6} {n:>6} {k:>6} {:>10.1} {rate:>9.1} {:>5.1}% {weight:>7.1}",
            shape.name,
            best * 1e6,
            100.0 * rate / together
        );
    }
}

fn shapes() -> Vec<Shape> {
    let shape = |name, size, contiguous| Shape { name, size, contiguous, bf16: false };
    let mut shapes = vec![
        shape("layer NT", [1024, 576, 576], NT),
        shape("layer NT", [1024, 1536, 576], NT),
        shape("layer NT", [1024, 576, 1536], NT),
        shape("layer NN", [1024, 576, 576], NN),
        shape("layer NN", [1024, 1536, 576], NN),
        shape("layer NN", [1024, 576, 1536], NN),
        shape("weight gradient TT", [1536, 576, 1024], TT),
        shape("head NT", [256, 49152, 576], NT),
        shape("head backward NN", [256, 576, 49152], NN),
        shape("LoRA A", [1024, 16, 576], NT),
        shape("LoRA A", [1024, 16, 1536], NT),
        shape("LoRA B", [1024, 576, 16], NT),
        shape("LoRA dA", [16, 576, 1024], TT),
        shape("LoRA dB", [576, 16, 1024], TT),
    ];
    for m in [1, 4, 8, 16, 28] {
        for bf16 in [false, true] {
            let name = if bf16 { "decode bf16" } else { "decode" };
            shapes.push(Shape { name, size: [m, 576, 576], contiguous: NT, bf16 });
            shapes.push(Shape { name, size: [m, 3072, 576], contiguous: NT, bf16 });
            shapes.push(Shape { name, size: [m, 49152, 576], contiguous: NT, bf16 });
        }
    }
    shapes
}

/// Best time of many runs: the machine is shared.
fn best(mut run: impl FnMut()) -> Duration {
    let began = Instant::now();
    let mut best = Duration::MAX;
    let mut runs = 0;
    while runs < 7 || (began.elapsed() < Duration::from_millis(600) && runs < 2000) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
        runs += 1;
    }
    best
}

fn measure(threads: &Threads, how: (Isa, Precision), shape: &Shape) -> Duration {
    let [m, n, k] = shape.size;
    let fill = |len: usize| (0..len).map(|i| (i % 31) as f32 / 31.0 - 0.5).collect::<Vec<f32>>();
    let (left, right, mut c) = (fill(m * k), fill(n * k), vec![0.0; m * n]);
    let halves: Vec<bf16> =
        if shape.bf16 { right.iter().map(|x| bf16::from_f32(*x)).collect() } else { Vec::new() };
    let left = Factor { f32: &left, bf16: &[], depth_contiguous: shape.contiguous[0] };
    let right = Factor { f32: &right, bf16: &halves, depth_contiguous: shape.contiguous[1] };
    best(|| product(threads, how, shape.size, left, right, black_box(&mut c)))
}

/// GFLOP/s of fused multiply-adds on registers, on all threads at once.
fn peak(threads: &Threads, isa: Isa) -> f64 {
    let rounds = 200_000;
    let time = best(|| {
        threads.run(threads.count(), |_| {
            black_box(fma_rounds(isa, rounds));
        });
    });
    2.0 * (threads.count() * rounds * fmas_per_round(isa)) as f64 / time.as_secs_f64() / 1e9
}

/// What it costs to have two threads meet in a call: each task waits for the other to start.
fn latency(threads: &Threads) -> f64 {
    if threads.count() < 2 {
        return 0.0;
    }
    let time = best(|| {
        for _ in 0..100 {
            let started = AtomicUsize::new(0);
            threads.run(2, |_| {
                started.fetch_add(1, Ordering::Relaxed);
                while started.load(Ordering::Relaxed) < 2 {
                    std::hint::spin_loop();
                }
            });
        }
    });
    time.as_secs_f64() * 1e6 / 100.0
}
