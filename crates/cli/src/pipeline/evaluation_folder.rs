//! What an evaluation leaves behind: its folder, with what made it.

use std::path::Path;

use eval::comparison::Outcome as Item;
use eval::counted;
use eval::evaluation::{Arithmetic, Evaluation, Results, Settings, SigningKey, write_items};
use serde_json::{Map, Value, json};
use track::{FileHash, Program};

use super::base::Model;
use super::evaluation::{Exam, write_json};
use crate::args::{ModelArgs, SigningArgs};
use crate::failure::Outcome;

/// This program, as evaluations name it.
pub(crate) fn program() -> Program {
    Program { name: "medtune".into(), version: env!("CARGO_PKG_VERSION").into(), git: None }
}

/// An examination with what made it; the folder gives it its name.
pub(crate) fn evaluation(
    (named, model): (&ModelArgs, &Model),
    exam: &Exam,
    outcomes: Vec<Item>,
    seed: u64,
) -> Outcome<Evaluation> {
    let mut settings = Settings { seed, left_out: exam.left_out.clone(), ..of_model(named, model)? };
    settings.options.extend(object(json!({
        "answers": exam.wanted.answers,
        "max_new_tokens": exam.wanted.max_new_tokens,
        "temperature": 0,
    })));
    Ok(Evaluation { settings, outcomes })
}

/// A model with its files and this program, for settings to which the rest is added.
pub(crate) fn of_model(named: &ModelArgs, model: &Model) -> Outcome<Settings> {
    let mut options = Map::new();
    let (taken, all) = model.decoder.integer_projections();
    if named.fast && taken < all {
        options.insert("projections_in_integers".to_owned(), json!(format!("{taken} of {all}")));
    }
    Ok(Settings {
        model: named.model.clone(),
        adapter: named.adapter.as_ref().map(|path| path.display().to_string()),
        arithmetic: Some(arithmetic(named)),
        program: Some(program()),
        created: track::utc_timestamp(),
        options,
        files: model_files(named)?,
        ..Settings::default()
    })
}

/// What a model multiplies in.
fn arithmetic(model: &ModelArgs) -> Arithmetic {
    match (model.fast, model.bf16) {
        (true, _) => Arithmetic::Int8,
        (_, true) => Arithmetic::Bf16,
        _ => Arithmetic::F32,
    }
}

/// Configuration, tokenizer and adapter weights, or the GGUF files: what tells two models of one name apart.
fn model_files(model: &ModelArgs) -> Outcome<Vec<FileHash>> {
    let base = formats::hub::resolve(&model.model)?;
    let in_base = ["config.json", "tokenizer.json"].map(|name| base.join(name));
    let adapter = model.adapter.iter().flat_map(|adapter| {
        let inside = ["adapter_config.json", "adapter_model.safetensors"].map(|name| adapter.join(name));
        [adapter.clone()].into_iter().chain(inside)
    });
    // What is a file itself is GGUF, and all there is of its model.
    let files = [base].into_iter().chain(in_base).chain(adapter).filter(|path| path.is_file());
    files.map(|path| Ok(FileHash::of(path)?)).collect()
}

/// Writes an evaluation folder, or the outcomes alone to a file whose name ends with `.json` or `.jsonl`. The numbers of
/// the folder.
pub(crate) fn keep(
    out: &Path,
    mut evaluation: Evaluation,
    signing: &SigningArgs,
) -> Outcome<Option<Results>> {
    if is_a(out, "json") {
        write_json(out, &evaluation.outcomes)?;
        return Ok(None);
    }
    if is_a(out, "jsonl") {
        write_items(out, &evaluation.outcomes).map_err(eval::Error::from)?;
        return Ok(None);
    }
    if evaluation.settings.name.is_empty() {
        let name = out.file_name().map(|name| name.to_string_lossy().into_owned());
        evaluation.settings.name = name.unwrap_or_else(|| evaluation.settings.model.clone());
    }
    let key = signing_key(signing)?;
    Ok(Some(evaluation.write(out, key.as_ref())?))
}

fn is_a(out: &Path, ending: &str) -> bool {
    out.extension().is_some_and(|extension| extension == ending)
}

/// Whether `keep` makes a folder of `out`, not a file of outcomes.
pub(crate) fn is_folder(out: &Path) -> bool {
    !is_a(out, "json") && !is_a(out, "jsonl")
}

/// The key that signs, if there is one.
pub(crate) fn signing_key(signing: &SigningArgs) -> Outcome<Option<SigningKey>> {
    let key = signing.signing_key.as_ref().map(|path| SigningKey::read(path));
    Ok(key.transpose().map_err(eval::Error::from)?)
}

/// The numbers as a table for people.
pub(crate) fn table(results: &Results) -> String {
    let mut lines = Vec::new();
    for (task, numbers) in &results.tasks {
        lines.push(format!(
            "{task}: {} in {}",
            counted(numbers.items, "item"),
            counted(numbers.groups, "group")
        ));
        for (metric, result) in &numbers.metrics {
            let estimate = &result.estimate;
            let end = |value: Option<f64>| value.map_or("?".into(), |value| metric.format(value));
            lines.push(format!(
                "  {:<26} {:>9} [{}, {}]  n={}",
                metric.name(),
                metric.format(estimate.value),
                end(estimate.low),
                end(estimate.high),
                estimate.n
            ));
        }
        if let Some(counts) = numbers.choices {
            lines.push(format!(
                "  right {}, wrong {}, abstained {}, no option named {}",
                counts.right, counts.wrong, counts.abstained, counts.unparsed
            ));
        }
    }
    lines.join("\n")
}

/// The entries of a JSON object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
