//! Measures how fast the processor reads memory: the bound of writing, which reads every weight for every token.
//!
//! `cargo run --release -p compute --example memory_peak [megabytes [threads]]`

use std::hint::black_box;
use std::time::{Duration, Instant};

use compute::cpu::Threads;
use compute::{Backend, Cpu};

/// Values that a thread sums side by side, so that it waits for memory and not for its sums.
const LANES: usize = 64;

fn main() {
    let argument =
        |n: usize, default| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (megabytes, threads) = (argument(1, 145), argument(2, 2));
    let cpu = Cpu::new(1);
    let len = megabytes * 1_000_000 / size_of::<f32>();
    let mut buffer = cpu.zeros("memory", len).expect("room");
    cpu.fill(&mut buffer, 0, len, 1.0);
    let parts: Vec<&[f32]> = buffer.chunks(len.div_ceil(threads)).collect();
    let workers = Threads::new(threads);
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_secs(1) {
        let start = Instant::now();
        workers.run(parts.len(), |i| {
            black_box(sum(parts[i]));
        });
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let speed = |seconds: f64| len as f64 * size_of::<f32>() as f64 / 1e9 / seconds;
    let (best, median) = (speed(times[0]), speed(times[times.len() / 2]));
    println!("{threads} threads, {megabytes} MB: best {best:.1} GB/s, median {median:.1} GB/s");
}

fn sum(values: &[f32]) -> u32 {
    let mut sums = [0u32; LANES];
    for values in values.as_chunks::<LANES>().0 {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sum.wrapping_add(value.to_bits());
        }
    }
    sums.into_iter().fold(0, u32::wrapping_add)
}
