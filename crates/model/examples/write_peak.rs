//! Measures writing, without the start of a program around it: milliseconds of a step, the best and the median.
//!
//! `cargo run --release -p model --example write_peak FILE.gguf [batch [prompt [tokens [rounds]]]]`

use std::time::Instant;

use compute::Cpu;
use model::engine::{Engine, EngineSettings, Request, Stop};
use model::{Decoder, Trainable};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("a model");
    let mut number = |or: usize| arguments.next().map_or(or, |n| n.parse().expect("a number"));
    let (batch, prompt, tokens, rounds) = (number(1), number(16), number(64), number(5));
    let device = Cpu::new(2).with_integer_products();
    let decoder = Decoder::load_as(device.into(), file.as_ref(), &Trainable::Nothing, None).expect("a model");
    let settings = EngineSettings { lookup: 0, ..EngineSettings::new(batch, prompt + tokens) };
    let mut engine = Engine::new(&decoder, settings).expect("room");
    let vocabulary = decoder.config().vocab_size;
    let mut steps = Vec::new();
    for round in 0..=rounds {
        let text = |i: usize| -> Vec<u32> {
            (0..prompt).map(|j| ((i * 7919 + j * 104_729 + round * 31) % vocabulary) as u32).collect()
        };
        for i in 0..batch {
            let stop = Stop { max_tokens: tokens, ..Stop::default() };
            engine.submit(Request::greedy(text(i), stop)).expect("room");
        }
        let mut events = Vec::new();
        let mut own = Vec::new();
        loop {
            events.clear();
            let clock = Instant::now();
            if !engine.step(&mut events) {
                break;
            }
            if events.len() == batch {
                own.push(clock.elapsed().as_secs_f64() * 1e3);
            }
        }
        if round > 0 {
            steps.extend(own);
        }
    }
    steps.sort_by(f64::total_cmp);
    let median = steps[steps.len() / 2];
    println!("best {:.2} ms, median {median:.2} ms, {:.0} tokens/s", steps[0], batch as f64 * 1e3 / median);
}
