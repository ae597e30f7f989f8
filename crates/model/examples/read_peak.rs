//! Measures reading as an evaluation does it: batches of texts, whose last tokens are judged some batches together.
//!
//! `cargo run --release -p model --example read_peak MODEL [f32|bf16|integers [tokens of a text [rounds [of a batch]]]]`

use std::time::Instant;

use compute::cpu::Precision;
use compute::{Cpu, Segment};
use formats::quant::BlockType;
use model::{Activations, Decoder, Held, Judged, Quantize, Tokens, Trainable};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a model");
    let arithmetic = arguments.next().unwrap_or_else(|| "f32".to_owned());
    let mut number = |or: usize| arguments.next().map_or(or, |n| n.parse().expect("a number"));
    let (len, rounds, batch) = (number(256), number(20), number(2048));
    let (device, blocks) = match arithmetic.as_str() {
        "integers" => (Cpu::new(2).with_integer_products(), Some(Quantize::Blocks(BlockType::Q8_0))),
        "bf16" => (Cpu::new(2).with_precision(Precision::Bf16), None),
        _ => (Cpu::new(2), None),
    };
    let decoder =
        Decoder::load_as(device.into(), folder.as_ref(), &Trainable::Nothing, blocks).expect("a model");
    let texts = (batch / len).max(1);
    let tokens = texts * len;
    let mut activations = Activations::for_inference(&decoder, tokens).expect("room");
    let vocabulary = decoder.config().vocab_size;
    let ids: Vec<u32> = (0..tokens).map(|i| (i * 104_729 % vocabulary) as u32).collect();
    let positions: Vec<u32> = (0..tokens).map(|i| (i % len) as u32).collect();
    let segments: Vec<Segment> = (0..texts).map(|text| Segment::whole(text * len, len)).collect();
    let rows: Vec<u32> = (1..=texts).map(|text| (text * len - 1) as u32).collect();
    let labels = vec![1; texts];
    let mut held = Held::default();
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let clock = Instant::now();
            let tokens = Tokens { ids: &ids, positions: &positions };
            let batch = Judged { tokens, segments: &segments, labels: (&rows, &labels), adapter: true };
            if held.is_enough() || !held.has_room(&rows, &activations) {
                held.judge(&decoder, &mut activations);
            }
            held.read(batch, &decoder, &mut activations);
            clock.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!("best {:.2} ms, median {median:.2} ms, {:.0} tokens/s", times[0], tokens as f64 * 1e3 / median);
}
