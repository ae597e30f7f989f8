//! Measures what writing spends on attention: one token of SmolLM2-135M after so many others, whose keys and values do
//! not fit into a cache.
//!
//! `cargo run --release -p compute --example attention_peak [threads [positions [1: 16 bits]]]`

use std::time::{Duration, Instant};

use compute::{AttentionShape, Backend, BlockTables, CachedAttention, Cpu, KV_BLOCK};

const LAYERS: usize = 30;

fn main() {
    let argument =
        |n: usize, default| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (threads, positions) = (argument(1, 2), argument(2, 576));
    let half = argument(3, 0) == 1;
    let cpu = Cpu::new(threads);
    let cpu = if half { cpu.with_integer_products() } else { cpu };
    let shape = AttentionShape::new(9, 3, 64);
    let width = positions.div_ceil(KV_BLOCK);
    let len = width * cpu.kv_block_len(shape);
    let cache = || (0..LAYERS).map(|_| cpu.zeros("cache", len).expect("room")).collect::<Vec<_>>();
    let (mut keys, mut values) = (cache(), cache());
    let qkv = cpu.zeros("q|k|v", shape.qkv_width()).expect("room");
    let mut out = cpu.zeros("output", shape.q_width()).expect("room");
    let blocks: Vec<u32> = (0..width as u32).collect();
    for (keys, values) in keys.iter_mut().zip(&mut values) {
        cpu.write(keys, 0, &vec![0.5; len]);
        cpu.write(values, 0, &vec![0.5; len]);
    }
    let (began, mut best) = (Instant::now(), Duration::MAX);
    while began.elapsed() < Duration::from_secs(1) {
        let start = Instant::now();
        for (keys, values) in keys.iter_mut().zip(&mut values) {
            cpu.attention_cached(CachedAttention {
                shape,
                sequences: &[0],
                positions: &[positions as u32 - 1],
                tables: BlockTables { blocks: &blocks, width },
                qkv: &qkv,
                keys,
                values,
                out: &mut out,
            });
        }
        best = best.min(start.elapsed());
    }
    let bytes = 2 * LAYERS * positions * shape.kv_width() * if half { 2 } else { 4 };
    let seconds = best.as_secs_f64();
    println!(
        "{threads} threads, {positions} positions: {:.1} MB {:.2} ms {:.1} GB/s",
        bytes as f64 / 1e6,
        seconds * 1e3,
        bytes as f64 / 1e9 / seconds
    );
}
