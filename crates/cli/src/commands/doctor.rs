//! `medtune doctor`: what this machine has, how fast it is, and what that is enough for.

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use compute::cpu::Isa;
use compute::{Backend, Cpu, DeviceBuffer, Matrix};
use model::Config;
use serde::Serialize;
use serde_json::json;
use track::Machine;

use crate::args::DoctorArgs;
use crate::failure::{Failure, Outcome};
use crate::known_models;
use crate::output::{self, Paint, Style};
use crate::pipeline::base;

/// Rows, columns and depth of the product that is measured.
const PRODUCT: usize = 1024;
/// How long it is measured.
const SECONDS: f64 = 1.0;
/// A run with its checkpoints wants this much disk.
const DISK: u64 = 2 << 30;
/// Rank of the adapter and tokens of the batch that a recommendation counts with: a recipe's defaults.
const RANK: usize = 16;
const BATCH_TOKENS: usize = 2048;
/// Share of the free memory that a run may take.
const MEMORY_SHARE: f64 = 0.9;

/// Something that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    text: String,
}

/// What can be trained with weights of one storage type.
#[derive(Debug, Serialize)]
struct Recommendation {
    weights: &'static str,
    /// The largest model; nothing where none fits.
    model: Option<&'static str>,
    /// What it needs.
    bytes: Option<u64>,
}

pub(crate) fn run(args: &DoctorArgs) -> Outcome<()> {
    let (machine, device) = (Machine::detect(), base::device());
    let free = track::memory::available().unwrap_or(machine.memory_bytes);
    let gigaflops = product_speed(&device)?;
    let folder = std::env::current_dir().map_err(|e| Failure::input(format!("the current folder: {e}")))?;
    let checks = [
        processor(&machine, &device),
        instructions(&device),
        memory(&machine, free),
        disk(&folder),
        hub(),
        Check {
            name: "speed",
            ok: true,
            text: format!("{gigaflops:.0} GFLOP/s in f32 products, {} threads", device.threads()),
        },
    ];
    let budget = (free as f64 * MEMORY_SHARE) as u64;
    let recommendations = [("f32", 4), ("bf16", 2)].map(|(name, width)| largest(name, width, budget));
    if args.json {
        return output::print_json(&json!({
            "machine": machine,
            "threads": device.threads(),
            "isa": {"in_use": isa_name(device.isa()), "available": isa_name(Isa::available())},
            "free_memory_bytes": free,
            "gigaflops": gigaflops,
            "checks": checks,
            "lora": recommendations,
        }));
    }
    output::print(&page(&checks, &recommendations, Paint::for_stdout()))
}

fn page(checks: &[Check], recommendations: &[Recommendation], paint: Paint) -> String {
    let mut page = String::new();
    for check in checks {
        let mark =
            if check.ok { paint.text(Style::Green, "ok  ") } else { paint.text(Style::Yellow, "warn") };
        let _ = writeln!(page, "{mark}  {:<12} {}", check.name, check.text);
    }
    page.push('\n');
    for r in recommendations {
        let text = match (r.model, r.bytes) {
            (Some(model), Some(bytes)) => format!("{model}, about {}", output::bytes(bytes)),
            _ => "none of the known models; train a small one (base_model_config)".to_owned(),
        };
        let _ = writeln!(page, "Largest model for LoRA with {} weights: {text}", r.weights);
    }
    let _ = writeln!(page, "(rank {RANK}, batches of {BATCH_TOKENS} tokens)");
    page
}

fn isa_name(isa: Isa) -> String {
    format!("{isa:?}").to_lowercase()
}

fn processor(machine: &Machine, device: &Cpu) -> Check {
    let ok = device.threads() <= machine.cores;
    let advice = if ok { "" } else { "; more threads than cores are slower (MEDTUNE_THREADS)" };
    let text = format!("{}, {} cores, {}{advice}", machine.cpu, machine.cores, machine.os);
    Check { name: "processor", ok, text }
}

fn instructions(device: &Cpu) -> Check {
    let (used, best) = (device.isa(), Isa::available());
    let text = match (used, best) {
        (Isa::Plain, Isa::Plain) => {
            "plain; there are no kernels for this processor's own instructions".to_owned()
        }
        (used, best) if used < best => {
            format!("{}, although there is {} (MEDTUNE_ISA)", isa_name(used), isa_name(best))
        }
        (used, _) => isa_name(used),
    };
    Check { name: "instructions", ok: used == best && best != Isa::Plain, text }
}

fn memory(machine: &Machine, free: u64) -> Check {
    let text = format!("{} of {} free", output::bytes(free), output::bytes(machine.memory_bytes));
    Check { name: "memory", ok: free >= 1 << 30, text }
}

/// A file can be written here, and there is room for a run.
fn disk(folder: &Path) -> Check {
    let probe = folder.join(format!(".medtune-doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"writable?").and_then(|()| std::fs::remove_file(&probe));
    let place = folder.display();
    let (ok, text) = match (written, crate::disk::free(folder)) {
        (Err(error), _) => (false, format!("{place} cannot be written: {error}")),
        (Ok(()), None) => (true, format!("{place} is writable")),
        (Ok(()), Some(free)) if free < DISK => {
            (false, format!("{place} is writable, but only {} are free", output::bytes(free)))
        }
        (Ok(()), Some(free)) => (true, format!("{place} is writable, {} free", output::bytes(free))),
    };
    Check { name: "disk", ok, text }
}

/// The cache of Hugging Face's tools, in which models are found by name.
fn hub() -> Check {
    let Some(cache) = formats::hub::cache() else {
        return Check {
            name: "hub cache",
            ok: false,
            text: "no home folder; name models by folder".to_owned(),
        };
    };
    let entries = std::fs::read_dir(&cache).map(|entries| {
        entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("models--")).count()
    });
    let text = match entries {
        Ok(models) => format!("{}, {models} models", cache.display()),
        Err(_) => format!("{} is not there; models are found by folder only", cache.display()),
    };
    Check { name: "hub cache", ok: cache.is_dir(), text }
}

/// GFLOP/s of a square product, as the decoder asks for it.
fn product_speed(device: &Cpu) -> Outcome<f64> {
    let n = PRODUCT;
    let mut left = device.zeros("product", n * n)?;
    let mut right = device.zeros("product", n * n)?;
    let mut product = device.zeros("product", n * n)?;
    device.fill(&mut left, 0, n * n, 0.5);
    device.fill(&mut right, 0, n * n, 0.25);
    let mut multiply = || {
        let weight = Matrix::View(right.view(0, n, n));
        device.matmul(product.view_mut(0, n, n), left.view(0, n, n), weight);
    };
    multiply();
    let (clock, mut rounds) = (Instant::now(), 0);
    while clock.elapsed().as_secs_f64() < SECONDS {
        multiply();
        rounds += 1;
    }
    let operations = 2.0 * (n as f64).powi(3) * f64::from(rounds);
    Ok(operations / clock.elapsed().as_secs_f64() / 1e9)
}

fn largest(weights: &'static str, width: u64, budget: u64) -> Recommendation {
    let fitting = known_models::all()
        .into_iter()
        .map(|(name, config)| (name, needed(&config, width)))
        .filter(|(_, bytes)| *bytes <= budget)
        .max_by_key(|(_, bytes)| *bytes);
    Recommendation { weights, model: fitting.map(|f| f.0), bytes: fitting.map(|f| f.1) }
}

/// About what LoRA on `config` takes: frozen weights of `width` bytes, the adapter with gradient and two moments,
/// and the activations of a batch.
fn needed(config: &Config, width: u64) -> u64 {
    let (c, a) = (config, config.attention());
    let (h, i) = (c.hidden_size, c.intermediate_size);
    let inputs_and_outputs =
        [(h, a.q_width()), (h, a.kv_width()), (h, a.kv_width()), (a.q_width(), h), (h, i), (h, i), (i, h)];
    let targets = inputs_and_outputs.len();
    let adapter =
        c.layers * RANK * inputs_and_outputs.iter().map(|(input, output)| input + output).sum::<usize>();
    // Kept of each layer: two residual streams, q, k, v, the attention's output, gate and up, the adapter's inner
    // values; and once over, what a backward pass works in.
    let layer = 2 * h + a.qkv_width() + a.q_width() + 2 * i + RANK * targets;
    let activations = BATCH_TOKENS * (c.layers + 2) * layer;
    c.parameters() as u64 * width + 4 * (4 * adapter + activations) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_budget_fits_a_larger_model() {
        let model = |gib: u64, width| largest("f32", width, gib << 30).model;
        assert_eq!(model(0, 4), None);
        assert_eq!(model(3, 4), Some("SmolLM2-135M"));
        assert_eq!(model(100, 2), Some("Llama-3.1-8B"));
        assert!(needed(&known_models::all()[5].1, 2) < needed(&known_models::all()[5].1, 4));
    }

    #[test]
    fn warnings_are_marked() {
        let checks = [
            Check { name: "disk", ok: true, text: "fine".into() },
            Check { name: "memory", ok: false, text: "little".into() },
        ];
        let page = page(&checks, &[largest("f32", 4, 0)], Paint { coloured: false });
        assert!(page.starts_with("ok    disk         fine\nwarn  memory       little\n"), "{page}");
        assert!(page.contains("with f32 weights: none of the known models"), "{page}");
    }
}
