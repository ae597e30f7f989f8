//! `medtune bench`: speed and memory of training and of writing, on random weights of a given shape.
//!
//! Speed does not depend on what the weights are, so nothing has to be downloaded to measure it.

mod generate;
mod load;
mod random_model;
mod storage;
mod train;

use std::fmt::Write;

use compute::Cpu;
use model::Decoder;
use serde_json::{Value, json};

use crate::args::{Bench, Shape};
use crate::failure::{Failure, Outcome};
use crate::output;

/// Seed of weights and tokens.
const SEED: u64 = 42;

pub(crate) fn run(what: &Bench) -> Outcome<()> {
    match what {
        Bench::Train(what) => {
            check(&[("--batch", what.batch, 1), ("--length", what.length, 2), ("--steps", what.steps, 1)])?;
            show(train::measure(what)?, what.json)
        }
        Bench::Generate(what) => {
            check(&[("--batch", what.batch, 1), ("--prompt", what.prompt, 1), ("--tokens", what.tokens, 2)])?;
            show(generate::measure(what)?, what.json)
        }
        Bench::Load { model, quantize, rounds, json } => {
            check(&[("--rounds", *rounds, 1)])?;
            show(load::measure(model, *quantize, *rounds)?, *json)
        }
        Bench::Model { shape, out } => show(random_model::write(*shape, out)?, false),
    }
}

fn check(options: &[(&str, usize, usize)]) -> Outcome<()> {
    match options.iter().find(|(_, value, least)| value < least) {
        Some((name, value, least)) => {
            Err(Failure::input(format!("{name} {value}: expected at least {least}")))
        }
        None => Ok(()),
    }
}

/// `count` texts of `length` random tokens.
fn texts(decoder: &Decoder<Cpu>, count: usize, length: usize, step: usize) -> Vec<Vec<u32>> {
    let vocabulary = decoder.config().vocab_size;
    let id = |share: f32| ((f64::from(share) + 1.0) / 2.0 * vocabulary as f64) as u32;
    let name = format!("tokens of step {step}");
    let values = model::random::uniform(SEED, &name, 1.0, count * length);
    let ids: Vec<u32> = values.map(|share| id(share).min(vocabulary as u32 - 1)).collect();
    ids.chunks(length).map(<[u32]>::to_vec).collect()
}

fn shape_name(shape: Shape) -> String {
    clap::ValueEnum::to_possible_value(&shape).map_or_else(String::new, |value| value.get_name().to_owned())
}

/// `of` says what is measured: `shape` or `model`, and which.
fn about((of, name): (&str, &str), decoder: &Decoder<Cpu>) -> Value {
    let device = decoder.backend();
    json!({
        of: name,
        "parameters": decoder.config().parameters(),
        "threads": device.threads(),
        "isa": format!("{:?}", device.isa()).to_lowercase(),
    })
}

fn milliseconds(seconds: &[f64]) -> Value {
    let best = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    json!({"median": 1e3 * median(seconds), "best": 1e3 * best})
}

fn rate(count: usize, seconds: &[f64]) -> Value {
    let best = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    json!({"median": count as f64 / median(seconds), "best": count as f64 / best})
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] }
}

fn show(report: Value, json: bool) -> Outcome<()> {
    if json {
        return output::print_json(&report);
    }
    let mut page = String::new();
    for (key, value) in report.as_object().into_iter().flatten() {
        let key_text = key.replace('_', " ");
        let text = match value {
            Value::Object(pair) => {
                let number = |name: &str| pair.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
                format!("{:.1} (best {:.1})", number("median"), number("best"))
            }
            Value::Number(count) if key.ends_with("_bytes") => output::bytes(count.as_u64().unwrap_or(0)),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let _ = writeln!(page, "{key_text:<26} {text}");
    }
    output::print(&page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(rate(10, &[1.0, 2.0, 5.0]), json!({"median": 5.0, "best": 10.0}));
    }
}
