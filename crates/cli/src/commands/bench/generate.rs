//! `medtune bench generate`: reading prompts and continuing them.

use std::time::Instant;

use compute::Cpu;
use model::engine::{Engine, EngineSettings, Request, Stop};
use model::{Decoder, Trainable};
use serde_json::{Value, json};
use track::memory;

use super::storage::RandomBase;
use super::{about, milliseconds, rate, shape_name, texts};
use crate::args::{BenchGenerate, ModelArgs};
use crate::failure::Outcome;
use crate::known_models;
use crate::pipeline::base;

/// How often writing is measured.
const WRITINGS: usize = 3;

/// Measures reading `batch` prompts and continuing them by `tokens` tokens each.
pub(super) fn measure(what: &BenchGenerate) -> Outcome<Value> {
    let &BenchGenerate { batch, prompt, tokens, lookup, .. } = what;
    let clock = Instant::now();
    let decoder = decoder(what)?;
    let load_seconds = clock.elapsed().as_secs_f64();
    let settings = EngineSettings { lookup, ..EngineSettings::new(batch, prompt + tokens) };
    let mut engine = Engine::new(&decoder, settings)?;
    let (mut reading, mut writing) = (Vec::new(), Vec::new());
    for round in 0..=WRITINGS {
        // Other prompts in every round: those that were read once are found in the cache.
        let prompts = texts(&decoder, batch, prompt, round);
        let requests = |max_tokens: usize| {
            let stop = Stop { max_tokens, ..Stop::default() };
            prompts
                .iter()
                .map(move |prompt| Request::greedy(prompt.clone(), stop.clone()))
                .collect::<Vec<_>>()
        };
        let clock = Instant::now();
        engine.write(requests(1), &mut |_, _| {})?;
        let read = clock.elapsed().as_secs_f64();
        // Now the prompts are there, so all texts begin in the first step, and go on together in the others.
        let (mut heard, mut first) = (0, None);
        engine.write(requests(tokens), &mut |_, _| {
            heard += 1;
            if heard == batch {
                first = Some(Instant::now());
            }
        })?;
        // The first round touches its memory for the first time.
        if round > 0 {
            reading.push(read);
            writing.push(first.map_or(0.0, |first| first.elapsed().as_secs_f64()));
        }
    }
    let shape = shape_name(what.shape);
    let of = what.model.as_ref().map_or(("shape", shape.as_str()), |model| ("model", model));
    let mut report = about(of, &decoder);
    report["load_seconds"] = load_seconds.into();
    report["integer_products"] = what.fast.into();
    report["batch"] = batch.into();
    report["prompt"] = prompt.into();
    report["tokens"] = tokens.into();
    let load = engine.load();
    report["guessed"] = json!({ "tokens": load.guessed_tokens, "right": load.guessed_right });
    report["prefill_ms"] = milliseconds(&reading);
    report["prefill_tokens_per_second"] = rate(batch * prompt, &reading);
    // The first token of each text came with the end of its prompt.
    report["decode_tokens_per_second"] = rate(batch * (tokens - 1), &writing);
    report["peak_rss_bytes"] = json!(memory::peak());
    Ok(report)
}

fn decoder(what: &BenchGenerate) -> Outcome<Decoder<Cpu>> {
    if let Some(name) = &what.model {
        let args = ModelArgs { model: name.clone(), adapter: None, fast: what.fast, bf16: false };
        return base::decoder_of(&args, &formats::hub::resolve(name)?);
    }
    let config = known_models::measured(what.shape, what.prompt + what.tokens);
    let stored = RandomBase::new(&config, what.base);
    let device = base::writing_device(what.fast);
    let decoder = Decoder::new(device, config, &stored, &Trainable::Nothing)?;
    if what.fast {
        base::check_integers(&decoder, "this shape")
            .map_err(|refused| refused.hint("leave --fast out, or add `--base q8_0`"))?;
    }
    Ok(decoder)
}
