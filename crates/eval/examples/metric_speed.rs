//! Times text metrics and the bootstrap: the work of `tools/bench_text_metrics.py`, on one thread.
//!
//! `cargo run --release -p eval --example metric_speed -- pairs.jsonl [encoder]`, with a `reference` and a `hypothesis`
//! a line. The encoder is a BERT folder for BERTScore of the first 100 pairs, on all threads.

use compute::Cpu;
use eval::statistics::{Resampling, bca_interval, ratio_difference};
use eval::text::agreement::{QuantityAgreement, polarity_conflicts};
use eval::text::{BertScore, Bleu, Chrf, Ter, readability, rouge_all};
use model::Encoder;
use serde_json::Value;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

fn timed(what: &str, work: impl FnOnce() -> f64) {
    let start = Instant::now();
    let result = black_box(work());
    println!("{what:<34} {:>8.3} s   result {result:.6}", start.elapsed().as_secs_f64());
}

fn main() {
    let path = std::env::args().nth(1).expect("the file of pairs");
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let pairs: Vec<(String, String)> = text
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("a line of JSON");
            let get = |key: &str| row[key].as_str().expect("a text").to_string();
            (get("hypothesis"), get("reference"))
        })
        .collect();
    let borrowed = || pairs.iter().map(|(hypothesis, reference)| (hypothesis.as_str(), reference.as_str()));
    println!("{} pairs", pairs.len());
    timed("BLEU, corpus and each sentence", || {
        let sentences: f64 =
            borrowed().map(|(text, to)| Bleu::sentence_level().sentence(text, &[to]).score).sum();
        Bleu::default().corpus(borrowed()).score + sentences / pairs.len() as f64
    });
    timed("ROUGE-1, -2, -L, -Lsum, stemmed", || {
        borrowed().map(|(text, to)| rouge_all(true, to, text).rouge_l.f1).sum::<f64>() / pairs.len() as f64
    });
    timed("chrF", || Chrf::default().corpus(borrowed()));
    timed("TER, the first 500", || Ter::default().corpus(borrowed().take(500)));
    timed("readability", || borrowed().map(|(text, _)| readability(text).flesch_kincaid_grade).sum());
    timed("quantities and polarity", || {
        let findings = |(text, to): (&str, &str)| {
            QuantityAgreement::of(to, text).changed.len() + polarity_conflicts(to, text).len()
        };
        borrowed().map(findings).sum::<usize>() as f64
    });
    let groups: Vec<[f64; 4]> =
        (0..5000).map(|i| [f64::from(i % 3 == 0), 1.0, f64::from(i % 5 < 2), 1.0]).collect();
    let resampling = Resampling { seed: 1, resamples: 10_000 };
    timed("BCa, 10,000 of 5,000 items", || {
        bca_interval(&groups, ratio_difference, &resampling).expect("an interval").low
    });
    if let Some(folder) = std::env::args().nth(2) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let encoder = Encoder::from_dir(Arc::new(Cpu::new(threads)), folder.as_ref()).expect("an encoder");
        let pairs: Vec<(&str, &str)> = borrowed().take(100).collect();
        let score = BertScore { layer: encoder.config().layers, idf: false, baseline: None };
        let tokens = |text| encoder.tokens(text).expect("tokens").ids.len();
        let count: usize = pairs.iter().map(|(text, to)| tokens(text) + tokens(to)).sum();
        timed(&format!("BERTScore, 100 pairs, {count} tokens"), || {
            let items = score.score(&encoder, &pairs).expect("scores");
            items.iter().filter_map(|item| item.score).map(|score| score.f1).sum::<f64>() / items.len() as f64
        });
    }
}
