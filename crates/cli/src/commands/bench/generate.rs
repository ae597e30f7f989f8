//! `medtune bench generate`: reading prompts and continuing them.

use std::time::Instant;

use model::{Decoder, Generator, RandomStart, Sampling, Stop, Trainable};
use serde_json::{Value, json};
use track::memory;

use super::{SEED, about, milliseconds, rate, shape_name, texts};
use crate::args::Shape;
use crate::failure::Outcome;
use crate::known_models;
use crate::pipeline::base;

/// How often writing is measured.
const WRITINGS: usize = 3;

/// Measures reading `batch` prompts and continuing them by `tokens` tokens each.
pub(super) fn measure(shape: Shape, batch: usize, prompt: usize, tokens: usize) -> Outcome<Value> {
    let config = known_models::measured(shape, prompt + tokens);
    let start = RandomStart::new(config.clone(), SEED);
    let decoder = Decoder::new(base::device(), config, &start, &Trainable::Nothing)?;
    let mut generator = Generator::new(&decoder, batch, prompt + tokens)?;
    let prompts = texts(&decoder, batch, prompt, 0);
    let stop = Stop { tokens: Vec::new(), max_tokens: tokens };
    let (mut reading, mut writing) = (Vec::new(), Vec::new());
    for round in 0..=WRITINGS {
        let clock = Instant::now();
        let (mut heard, mut read) = (0, 0.0);
        // Prompts are read one after the other before any is continued; their last first token ends the reading.
        generator.generate(&decoder, &prompts, (&Sampling::default(), &stop), false, &mut |_, _| {
            heard += 1;
            if heard == batch {
                read = clock.elapsed().as_secs_f64();
            }
        });
        // The first round touches its memory for the first time.
        if round > 0 {
            reading.push(read);
            writing.push(clock.elapsed().as_secs_f64() - read);
        }
    }
    let mut report = about(("shape", &shape_name(shape)), &decoder);
    report["batch"] = batch.into();
    report["prompt"] = prompt.into();
    report["tokens"] = tokens.into();
    report["prefill_ms"] = milliseconds(&reading);
    report["prefill_tokens_per_second"] = rate(batch * prompt, &reading);
    // The first token of each text came with its prompt.
    report["decode_tokens_per_second"] = rate(batch * (tokens - 1), &writing);
    report["peak_rss_bytes"] = json!(memory::peak());
    Ok(report)
}
