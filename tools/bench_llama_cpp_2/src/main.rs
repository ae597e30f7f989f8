//! Reading a prompt and writing tokens with llama.cpp through `llama-cpp-2`: the work of `tools/bench_llama_cpp.py`,
//! with no Python beside it.
//!
//!     RUSTFLAGS="-C target-cpu=native" cargo build --release --manifest-path tools/bench_llama_cpp_2/Cargo.toml
//!     bench-llama-cpp-2 FILE.gguf [PROMPT] [TOKENS] [THREADS] [ROUNDS]
//!
//! Random ids are read in one batch, then tokens are written one by one, greedily. The first round does not count.
//! `target-cpu=native` is what turns llama.cpp's own native flags on. Needs cmake, a C++ compiler and libclang.

use std::num::NonZeroU32;
use std::time::Instant;

use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use rand::{RngExt, SeedableRng, rngs::StdRng};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: bench-llama-cpp-2 FILE.gguf [PROMPT] [TOKENS] [THREADS] [ROUNDS]")?;
    let mut number = |otherwise: i32| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (prompt, tokens, threads, rounds) = (number(512)?, number(64)?, number(2)?, number(3)?);

    let clock = Instant::now();
    let mut backend = LlamaBackend::init()?;
    backend.void_logs();
    let model = LlamaModel::load_from_file(&backend, &file, &LlamaModelParams::default())?;
    let parameters = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new((prompt + tokens) as u32))
        .with_n_batch(prompt as u32)
        .with_n_ubatch(prompt as u32)
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let mut context = model.new_context(&backend, parameters)?;
    let load = clock.elapsed().as_secs_f64();

    let (mut reading, mut writing) = (Vec::new(), Vec::new());
    let mut batch = LlamaBatch::new(prompt as usize, 1);
    for round in 0..=rounds {
        let mut ids = StdRng::seed_from_u64(round as u64);
        context.clear_kv_cache();
        batch.clear();
        for position in 0..prompt {
            let id = LlamaToken(ids.random_range(0..model.n_vocab()));
            batch.add(id, position, &[0], position + 1 == prompt)?;
        }
        let clock = Instant::now();
        context.decode(&mut batch)?;
        let mut id = largest(context.get_logits_ith(prompt - 1));
        let read = clock.elapsed().as_secs_f64();
        for written in 0..tokens - 1 {
            batch.clear();
            batch.add(id, prompt + written, &[0], true)?;
            context.decode(&mut batch)?;
            id = largest(context.get_logits_ith(0));
        }
        if round > 0 {
            reading.push(f64::from(prompt) / read);
            writing.push(f64::from(tokens - 1) / (clock.elapsed().as_secs_f64() - read));
        }
    }
    println!(
        "{}",
        serde_json::json!({
            "program": "llama.cpp",
            "version": "llama-cpp-2 0.1.160",
            "load_seconds": load,
            "prefill_tokens_per_second": rates(reading),
            "decode_tokens_per_second": rates(writing),
            "peak_rss_bytes": peak_rss(),
        })
    );
    Ok(())
}

fn largest(logits: &[f32]) -> LlamaToken {
    let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
    LlamaToken(best.map_or(0, |id| id as i32))
}

fn rates(mut rates: Vec<f64>) -> serde_json::Value {
    rates.sort_by(f64::total_cmp);
    serde_json::json!({ "median": rates[rates.len() / 2], "best": rates[rates.len() - 1] })
}

/// Bytes; 0 where the system does not say.
fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
