//! `medtune bench train`: forward, backward, clipping and AdamW.

use std::time::Instant;

use compute::Cpu;
use dataset::{Batch, Sample};
use formats::quant::{Bnb4Options, Bnb4Type};
use model::{Activations, Checkpointing, Decoder, LoraConfig, QuantizeOnLoad, Trainable};
use serde_json::{Value, json};
use track::memory;
use train::{Examinations, GradientCheckpointing, Longest, MemoryPlan, Optimizer, Recipe, Settings};

use super::storage::RandomBase;
use super::{SEED, about, milliseconds, rate, shape_name, texts};
use crate::args::{BenchTrain, FourBit, LayerCheckpointing};
use crate::failure::Outcome;
use crate::known_models;
use crate::pipeline::base;

/// Measures training steps on `batch` sequences of `length` tokens, each token but the first a label.
pub(super) fn measure(what: &BenchTrain) -> Outcome<Value> {
    let &BenchTrain { rank, batch, length, steps, warmup, .. } = what;
    let clock = Instant::now();
    let mut decoder = decoder(what)?;
    let load_seconds = clock.elapsed().as_secs_f64();
    let load_peak = memory::peak();
    let (checkpointing, gradient_checkpointing) = match what.gradient_checkpointing {
        LayerCheckpointing::None => (Checkpointing::None, GradientCheckpointing::None),
        LayerCheckpointing::Attention => (Checkpointing::Attention, GradientCheckpointing::Attention),
        LayerCheckpointing::Full => (Checkpointing::Full, GradientCheckpointing::Full),
    };
    let recipe = Recipe { gradient_checkpointing, bench_steps: 0, ..of_arithmetic(what) };
    let case = (
        Longest { tokens: batch * length, labels: batch * length.saturating_sub(1), example: length },
        Examinations::default(),
    );
    let (plan, layers) = MemoryPlan::new(&decoder, &recipe, case);
    plan.check(&decoder, &recipe, case)?;
    let mut optimizer = Optimizer::new(&decoder, Settings::from(&recipe))?;
    let mut activations = Activations::for_checkpointed_training(&decoder, batch * length, &layers)?;
    let (mut seconds, mut loss) = (Vec::with_capacity(steps), 0.0);
    for step in 0..warmup + steps {
        let samples: Vec<Sample> = texts(&decoder, batch, length, step)
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
        if step >= warmup {
            seconds.push(clock.elapsed().as_secs_f64());
        }
        loss = sums.loss / sums.labels as f64;
    }
    let shape = shape_name(what.shape);
    let of = what.model.as_ref().map_or(("shape", shape.as_str()), |model| ("model", model));
    let mut report = about(of, &decoder);
    report["trainable_parameters"] = decoder.parameters.len().into();
    report["products"] = format!("{:?}", decoder.backend().precision()).to_lowercase().into();
    report["activations_8bit"] = what.activations_8bit.into();
    report["rank"] = rank.into();
    report["batch"] = batch.into();
    report["length"] = length.into();
    report["gradient_checkpointing"] = json!(checkpointing);
    report["steps"] = steps.into();
    report["loss"] = loss.into();
    report["load_seconds"] = load_seconds.into();
    report["step_ms"] = milliseconds(&seconds);
    report["tokens_per_second"] = rate(batch * length, &seconds);
    report["load_peak_rss_bytes"] = json!(load_peak);
    report["planned_memory"] = json!(plan);
    report["peak_rss_bytes"] = json!(memory::peak());
    Ok(report)
}

fn of_arithmetic(what: &BenchTrain) -> Recipe {
    Recipe { bf16: what.bf16, activations_8bit: what.activations_8bit, ..Recipe::default() }
}

fn decoder(what: &BenchTrain) -> Outcome<Decoder<Cpu>> {
    let trainable = match what.rank {
        0 => Trainable::Everything,
        rank => Trainable::Lora { config: LoraConfig::all(rank, 2.0 * rank as f32), seed: SEED },
    };
    let device = base::device_with(base::threads(), of_arithmetic(what).waiting())?;
    let quantize = what.quantize.map(options);
    if let Some(name) = &what.model {
        let folder = formats::hub::resolve(name)?;
        return Ok(Decoder::load_as(device, &folder, &trainable, quantize.map(Into::into))?);
    }
    let config = known_models::measured(what.shape, what.length);
    let stored = RandomBase::new(&config, what.base);
    Ok(match quantize {
        Some(options) => {
            let source = QuantizeOnLoad::new(&stored, options.into());
            Decoder::new(device, config, &source, &trainable)?
        }
        None => Decoder::new(device, config, &stored, &trainable)?,
    })
}

/// As a recipe's defaults quantize.
pub(super) fn options(kind: FourBit) -> Bnb4Options {
    let kind = match kind {
        FourBit::Nf4 => Bnb4Type::Nf4,
        FourBit::Fp4 => Bnb4Type::Fp4,
    };
    Bnb4Options { kind, block: 64, double: true }
}
