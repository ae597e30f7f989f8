//! A recipe, carried out: data, model, training, and the record of it.

use std::path::Path;

use compute::{Cpu, DType};
use dataset::{ChoiceItem, Prepared};
use eval::Subject;
use model::{Activations, ChatTemplate, Decoder, Tokenizer};
use track::{FileHash, Machine, Manifest, Program, RunFolder, TextHash, failpoint};
use train::{Adapter, Examiner, Identity, Job, Observer, OptimizerKind, Plan, Recipe};

use super::{base::Model, data, quantization};
use crate::failure::{Failure, Outcome, io};
use crate::interrupt::Interrupts;
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

/// Carries out `recipe`. With `resume` an interrupted run goes on, or begins if there is none.
pub(crate) fn train(recipe: &Recipe, resume: bool, observer: &mut dyn Observer) -> Outcome<Trained> {
    let place = Path::new(&recipe.output_dir);
    let resuming = resume && RunFolder::holds_run(place);
    if resume && !resuming {
        observer.note(&format!("{} holds no run to go on with; this one begins", place.display()));
    }
    let mut folder = if resuming { RunFolder::resume(place)? } else { RunFolder::create(place)? };
    let inputs = Inputs::of(recipe)?;
    if resuming {
        // Before anything is written over what the run has.
        train::checkpoint::refuse_other(&folder.checkpoints(), &inputs.identify(Identity::new(recipe)))?;
    }
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
    let manifest = manifest(recipe, &model, &inputs);
    folder.write_manifest(&manifest)?;
    let plan = Plan::new(recipe, &samples.samples);
    observer.note(&memory(recipe, &model, plan.largest_batch));
    let examiner = ChoiceExaminer::new(recipe, (&model.tokenizer, &model.template), &prepared)?;
    let interrupts = Interrupts::watch()?;
    let mut job = Job::new(recipe, &samples.samples, &validation.samples);
    job.identity = inputs.identify(job.identity);
    job.resume = resuming;
    job.stop = Some(interrupts.flag());
    job.examiner = examiner.as_ref().map(|examiner| examiner as &dyn Examiner<Cpu>);
    let outcome =
        train::run(&mut model.decoder, &job, &mut folder, observer).map_err(|error| match error {
            train::Error::Interrupted { .. } => Failure::interrupted(interrupts.status(), error.to_string()),
            error => error.into(),
        })?;
    // From here on a signal ends the program at once: the state is on the disk.
    drop(interrupts);
    failpoint::hit("adapter.begin");
    save(recipe, &model, &folder)?;
    failpoint::hit("adapter.end");
    Ok(Trained { model, prepared, outcome, folder, manifest })
}

/// The files that a run reads, with their hashes.
#[derive(Debug)]
struct Inputs {
    base: Vec<FileHash>,
    data: Vec<FileHash>,
}

impl Inputs {
    fn of(recipe: &Recipe) -> Outcome<Self> {
        let base = match &recipe.base_model {
            Some(name) => base_files(&formats::hub::resolve(name)?)?,
            None => Vec::new(),
        };
        let data: track::Result<_> = recipe.datasets.iter().map(|d| FileHash::of(&d.path)).collect();
        Ok(Inputs { base, data: data? })
    }

    /// Adds the files to what decides the run: the base's by name, the data by their place in the recipe, so that a
    /// folder may move.
    fn identify(&self, mut identity: Identity) -> Identity {
        for file in &self.base {
            let name = Path::new(&file.path).file_name().unwrap_or_default().to_string_lossy();
            identity = identity.with_input(format!("base model {name}"), &file.blake3);
        }
        for (i, file) in self.data.iter().enumerate() {
            identity = identity.with_input(format!("data file {}", i + 1), &file.blake3);
        }
        identity
    }
}

/// The files that make a model, in the order of their names.
fn base_files(folder: &Path) -> Outcome<Vec<FileHash>> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .map_err(io(folder))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "safetensors" || e == "json" || e == "jinja"))
        .collect();
    files.sort();
    Ok(files.iter().map(FileHash::of).collect::<track::Result<_>>()?)
}

/// Asks multiple-choice items during training.
#[derive(Debug)]
struct ChoiceExaminer<'a> {
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
    items: Vec<ChoiceItem>,
}

impl<'a> ChoiceExaminer<'a> {
    /// A seeded sample of the prepared items, if the recipe wants such examinations.
    fn new(
        recipe: &Recipe,
        (tokenizer, template): (&'a Tokenizer, &'a ChatTemplate),
        prepared: &Prepared,
    ) -> Outcome<Option<Self>> {
        if recipe.bench_steps == 0 {
            return Ok(None);
        }
        if prepared.choices.is_empty() {
            return Err(Failure::input("recipe: bench_steps: the data sets hold no multiple-choice items")
                .hint("add a file of items to `datasets`, or leave bench_steps out"));
        }
        let most = if recipe.max_bench_samples == 0 { usize::MAX } else { recipe.max_bench_samples };
        let drawn = dataset::shuffled(prepared.choices.len(), recipe.split.seed, 0);
        let items = drawn.into_iter().take(most).map(|i| prepared.choices[i].clone()).collect();
        Ok(Some(ChoiceExaminer { tokenizer, template, items }))
    }
}

impl Examiner<Cpu> for ChoiceExaminer<'_> {
    fn examine(
        &self,
        decoder: &Decoder<Cpu>,
    ) -> Result<Vec<(&'static str, f64)>, Box<dyn std::error::Error + Send + Sync>> {
        let subject = Subject { decoder, tokenizer: self.tokenizer, template: self.template, adapter: true };
        let outcomes = subject.choices(&self.items, &mut |_, _, _| {})?;
        let right = |outcome: &&eval::comparison::Outcome| {
            outcome.choice.as_ref().is_some_and(|c| c.picked.as_ref() == Some(&c.gold))
        };
        let correct = outcomes.iter().filter(right).count();
        Ok(vec![("choice_accuracy", correct as f64 / outcomes.len().max(1) as f64)])
    }
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
fn memory(recipe: &Recipe, model: &Model, tokens: usize) -> String {
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let moments = match recipe.optimizer {
        OptimizerKind::AdamwTorch => 8,
        OptimizerKind::Adamw8bit => 2,
    };
    let trained = model.decoder.parameters.len() * (8 + moments);
    let activations = Activations::plan_training(&model.decoder, tokens).total();
    format!(
        "memory for batches of {tokens} tokens: trainable values with gradients and moments {:.0} MiB, activations \
         {:.0} MiB",
        mib(trained),
        mib(activations)
    )
}

fn manifest(recipe: &Recipe, model: &Model, inputs: &Inputs) -> Manifest {
    Manifest {
        program: Program {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            git: None,
        },
        created: track::utc_timestamp(),
        seed: recipe.seed,
        base_model: recipe.base_model.clone().unwrap_or_else(|| "random start".into()),
        base_files: inputs.base.clone(),
        data_files: inputs.data.clone(),
        template: Some(TextHash::of("chat_template.jinja", model.template.source())),
        machine: Machine::detect(),
    }
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
    for name in [
        "tokenizer.json",
        "tokenizer.model",
        "qwen.tiktoken",
        "tokenizer.tiktoken",
        "added_tokens.json",
        "tokenizer_config.json",
        "generation_config.json",
        "special_tokens_map.json",
    ] {
        let source = from.join(name);
        if source.is_file() {
            std::fs::copy(&source, to.join(name)).map_err(io(&source))?;
        }
    }
    Ok(())
}
