//! `medtune bench`: speed and memory of training and of writing, on random weights of a given shape.
//!
//! Speed does not depend on what the weights are, so nothing has to be downloaded to measure it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use compute::{Cpu, DType};
use dataset::{Batch, Sample};
use formats::quant::{Bnb4Options, Bnb4Type};
use model::{
    Activations, Config, Decoder, Generator, LoraConfig, QuantizeOnLoad, RandomStart, Sampling, Stop,
    StoredTensor, TensorSource, Trainable,
};
use serde_json::{Value, json};
use train::{Optimizer, Recipe, Settings};

use crate::args::{Bench, Shape, Storage};
use crate::failure::{Failure, Outcome};
use crate::pipeline::base;
use crate::{known_models, output};

/// Seed of weights and tokens.
const SEED: u64 = 42;
/// How often writing is measured.
const WRITINGS: usize = 3;

pub(crate) fn run(what: &Bench) -> Outcome<()> {
    match *what {
        Bench::Train { shape, base, bf16, rank, batch, length, steps, json } => {
            check(&[("--batch", batch, 1), ("--length", length, 2), ("--steps", steps, 1)])?;
            show(training((shape, base, bf16), rank, (batch, length), steps)?, json)
        }
        Bench::Generate { shape, base, batch, prompt, tokens, json } => {
            check(&[("--batch", batch, 1), ("--prompt", prompt, 1), ("--tokens", tokens, 2)])?;
            show(writing((shape, base), batch, prompt, tokens)?, json)
        }
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

/// Measures training steps: forward, backward, clipping and AdamW on `batch` sequences of `length` tokens, each
/// token but the first a label.
fn training(
    (shape, storage, bf16): (Shape, Storage, bool),
    rank: usize,
    (batch, length): (usize, usize),
    steps: usize,
) -> Outcome<Value> {
    let trainable = match rank {
        0 => Trainable::Everything,
        rank => Trainable::Lora { config: LoraConfig::all(rank, 2.0 * rank as f32), seed: SEED },
    };
    let config = known_models::measured(shape, length);
    let device = base::device_with(base::threads(), bf16)?;
    let mut decoder = random_decoder(&device, config, storage, &trainable)?;
    let recipe = Recipe::default();
    let mut optimizer = Optimizer::new(&decoder, Settings::from(&recipe))?;
    let mut activations = Activations::for_training(&decoder, batch * length)?;
    let (mut seconds, mut loss) = (Vec::with_capacity(steps), 0.0);
    for step in 0..=steps {
        let texts = texts(&decoder, batch, length, step);
        let samples: Vec<Sample> = texts
            .into_iter()
            .map(|ids| Sample { id: String::new(), learned: vec![true; ids.len()], ids })
            .collect();
        let tokens = Batch::new(&samples);
        let clock = Instant::now();
        optimizer.clear(&decoder);
        optimizer.accumulate(&decoder, &tokens, &mut activations);
        let sums = optimizer.sums();
        let grad_norm = optimizer.grad_norm(&decoder);
        optimizer.step(&mut decoder, recipe.learning_rate, grad_norm);
        // The first step touches its memory for the first time.
        if step > 0 {
            seconds.push(clock.elapsed().as_secs_f64());
        }
        loss = sums.loss / sums.labels as f64;
    }
    let mut report = about((shape, storage), &device, &decoder);
    report["trainable_parameters"] = decoder.parameters.len().into();
    report["products"] = format!("{:?}", device.precision()).to_lowercase().into();
    report["rank"] = rank.into();
    report["batch"] = batch.into();
    report["length"] = length.into();
    report["steps"] = steps.into();
    report["loss"] = loss.into();
    report["step_ms"] = milliseconds(&seconds);
    report["tokens_per_second"] = rate(batch * length, &seconds);
    report["peak_rss_bytes"] = json!(peak_memory());
    Ok(report)
}

/// Measures reading `batch` prompts and continuing them by `tokens` tokens each.
fn writing((shape, storage): (Shape, Storage), batch: usize, prompt: usize, tokens: usize) -> Outcome<Value> {
    let config = known_models::measured(shape, prompt + tokens);
    let device = base::device();
    let decoder = random_decoder(&device, config, storage, &Trainable::Nothing)?;
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
    let mut report = about((shape, storage), &device, &decoder);
    report["batch"] = batch.into();
    report["prompt"] = prompt.into();
    report["tokens"] = tokens.into();
    report["prefill_ms"] = milliseconds(&reading);
    report["prefill_tokens_per_second"] = rate(batch * prompt, &reading);
    // The first token of each text came with its prompt.
    report["decode_tokens_per_second"] = rate(batch * (tokens - 1), &writing);
    report["peak_rss_bytes"] = json!(peak_memory());
    Ok(report)
}

fn random_decoder(
    device: &Arc<Cpu>,
    config: Config,
    storage: Storage,
    trainable: &Trainable,
) -> Outcome<Decoder<Cpu>> {
    let start = RandomStart::new(config.clone(), SEED);
    Ok(match storage {
        Storage::F32 => Decoder::new(device.clone(), config, &start, trainable)?,
        Storage::F16 => Decoder::new(device.clone(), config, &Rounded(start, DType::F16), trainable)?,
        Storage::Bf16 => Decoder::new(device.clone(), config, &Rounded(start, DType::Bf16), trainable)?,
        Storage::Nf4 | Storage::Nf4Double | Storage::Fp4 => {
            let kind = if storage == Storage::Fp4 { Bnb4Type::Fp4 } else { Bnb4Type::Nf4 };
            let options = Bnb4Options { kind, block: 64, double: storage == Storage::Nf4Double };
            Decoder::new(device.clone(), config, &QuantizeOnLoad { source: &start, options }, trainable)?
        }
    })
}

/// A random start whose matrices are rounded to 16 bits.
struct Rounded(RandomStart, DType);

impl TensorSource for Rounded {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let tensor = self.0.tensor(name)?;
        Ok(if tensor.shape.len() == 2 { tensor.to(self.1) } else { tensor })
    }

    fn origin(&self) -> String {
        self.0.origin()
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

fn about((shape, storage): (Shape, Storage), device: &Cpu, decoder: &Decoder<Cpu>) -> Value {
    json!({
        "shape": name_of(&shape),
        "base": name_of(&storage),
        "parameters": decoder.config().parameters(),
        "threads": device.threads(),
        "isa": format!("{:?}", device.isa()).to_lowercase(),
    })
}

fn name_of(value: &impl clap::ValueEnum) -> Option<String> {
    Some(value.to_possible_value()?.get_name().to_owned())
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

/// The most memory that this process has had, where the system says so.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
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
