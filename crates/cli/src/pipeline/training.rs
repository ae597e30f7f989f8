//! A recipe, carried out: data, model, training, and the record of it.

use std::path::Path;

use compute::DType;
use dataset::Prepared;
use model::Activations;
use track::{FileHash, Machine, Manifest, Program, RunFolder, TextHash};
use train::{Adapter, Job, Observer, Plan, Recipe};

use super::{base::Model, data, quantization};
use crate::failure::{Failure, Outcome, io};
use crate::recipe_file;

/// A recipe that has been carried out.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) model: Model,
    pub(crate) prepared: Prepared,
    pub(crate) outcome: train::Outcome,
    pub(crate) folder: RunFolder,
    pub(crate) manifest: Manifest,
}

/// Carries out `recipe`. With `resume` an interrupted run goes on.
pub(crate) fn train(recipe: &Recipe, resume: bool, observer: &mut dyn Observer) -> Outcome<Trained> {
    let place = Path::new(&recipe.output_dir);
    let mut folder = if resume { RunFolder::resume(place)? } else { RunFolder::create(place)? };
    folder.write_recipe(&recipe_file::to_yaml(recipe)?)?;
    let prepared = data::prepare(recipe, &place.join("data"))?;
    observer.note(&describe(&prepared));
    refuse_leaks(&prepared)?;
    let mut model = match (&recipe.base_model, &recipe.base_model_config) {
        (Some(name), _) => Model::for_training(recipe, name)?,
        (None, Some(shape)) => Model::random(shape, recipe, &prepared.train, &place.join("model"))?,
        (None, None) => return Err(Failure::input("the recipe names no base_model")),
    };
    let positions = model.decoder.positions();
    let encode = |examples| data::encode(recipe, examples, &model.tokenizer, &model.template, positions);
    let (samples, validation) = (encode(&prepared.train)?, encode(&prepared.val)?);
    let r = &samples.report;
    observer.note(&format!(
        "{} samples, {} tokens ({} learned), longest {}; {} too long, {} refused",
        r.samples,
        r.tokens,
        r.learned_tokens,
        r.longest,
        r.overlong.len(),
        r.refused.len()
    ));
    let manifest = manifest(recipe, &model)?;
    folder.write_manifest(&manifest)?;
    let plan = Plan::new(recipe, &samples.samples);
    observer.note(&memory(&model, plan.largest_batch));
    let job = Job {
        recipe,
        samples: &samples.samples,
        validation: &validation.samples,
        run_hash: run_hash(recipe, &manifest),
        resume,
    };
    let outcome = train::run(&mut model.decoder, &job, &mut folder, observer)?;
    save(recipe, &model, &folder)?;
    Ok(Trained { model, prepared, outcome, folder, manifest })
}

fn describe(prepared: &Prepared) -> String {
    let r = &prepared.report;
    format!(
        "{} rows: {} kept, {} dropped; {} groups; train {}, val {}, test {}",
        r.rows,
        r.kept,
        r.rows - r.kept,
        r.groups,
        r.splits.train,
        r.splits.val,
        r.splits.test
    )
}

/// Trains only on what the certificate finds clean.
fn refuse_leaks(prepared: &Prepared) -> Outcome<()> {
    let (leak, choices) = (&prepared.certificate.leak, &prepared.certificate.choices);
    let shared = leak.exact_questions + leak.near_duplicates + leak.shared_documents;
    if shared > 0 {
        return Err(Failure::gate(format!(
            "the split leaks: {} equal questions, {} near-duplicates, {} shared documents between its sides",
            leak.exact_questions, leak.near_duplicates, leak.shared_documents
        ))
        .hint("split by document and question: `split: {by: [document, question]}`"));
    }
    if choices.exact_questions + choices.near_duplicates > 0 {
        return Err(Failure::gate(format!(
            "of {} multiple-choice items, {} stand in the training rows and {} are near-duplicates of some",
            choices.items, choices.exact_questions, choices.near_duplicates
        ))
        .hint("take these rows out of the data sets; certificate.json has the nearest pairs"));
    }
    Ok(())
}

/// What a step will take, before the first one.
fn memory(model: &Model, tokens: usize) -> String {
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let trained = model.decoder.parameters.len() * 4;
    let activations = Activations::plan_training(&model.decoder, tokens).total();
    format!(
        "memory for batches of {tokens} tokens: trainable values with gradients and moments {:.0} MiB, activations \
         {:.0} MiB",
        mib(4 * trained),
        mib(activations)
    )
}

fn manifest(recipe: &Recipe, model: &Model) -> Outcome<Manifest> {
    let hashes = |paths: &[std::path::PathBuf]| -> Outcome<Vec<FileHash>> {
        paths.iter().map(|p| Ok(FileHash::of(p)?)).collect()
    };
    let mut base_files: Vec<_> = std::fs::read_dir(&model.folder)
        .map_err(io(&model.folder))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "safetensors" || e == "json" || e == "jinja"))
        .collect();
    base_files.sort();
    let data_files: Vec<_> = recipe.datasets.iter().map(|d| d.path.clone().into()).collect();
    let base = recipe.base_model.clone().unwrap_or_else(|| "random start".into());
    Ok(Manifest {
        program: Program {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            git: None,
        },
        created: track::utc_timestamp(),
        seed: recipe.seed,
        base_model: base,
        base_files: hashes(&base_files)?,
        data_files: hashes(&data_files)?,
        template: Some(TextHash::of("chat_template.jinja", model.template.source())),
        machine: Machine::detect(),
    })
}

/// All that decides the weights that come out.
fn run_hash(recipe: &Recipe, manifest: &Manifest) -> String {
    let mut text = recipe.hash();
    for file in manifest.base_files.iter().chain(&manifest.data_files) {
        text.push_str(&file.blake3);
    }
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn save(recipe: &Recipe, model: &Model, folder: &RunFolder) -> Outcome<()> {
    let tokens = (model.tokenizer.bos(), model.tokenizer.eos());
    match recipe.adapter {
        Adapter::Lora | Adapter::Qlora => {
            let place = folder.adapter();
            let base = recipe.base_model.as_deref().unwrap_or_default();
            model.decoder.save_adapter(&place, base)?;
            quantization::write(&place, recipe.quantization())?;
            copy_tokenizer(&model.folder, &place)?;
            formats::atomic::write_atomic(
                place.join("chat_template.jinja"),
                model.template.source().as_bytes(),
            )?;
        }
        Adapter::Full => {
            let place = folder.path().join("model");
            model.decoder.save(&place, DType::Bf16, tokens)?;
            if place != model.folder {
                copy_tokenizer(&model.folder, &place)?;
            }
        }
    }
    Ok(())
}

/// The files that make a folder usable by itself.
fn copy_tokenizer(from: &Path, to: &Path) -> Outcome<()> {
    for name in
        ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "special_tokens_map.json"]
    {
        let source = from.join(name);
        if source.is_file() {
            std::fs::copy(&source, to.join(name)).map_err(io(&source))?;
        }
    }
    Ok(())
}
