//! A recipe, carried out: data, model, training, and the record of it.

use std::path::Path;

use compute::{Cpu, DType};
use dataset::{ChoiceItem, Prepared};
use eval::{Subject, Wanted, counted};
use model::{ChatTemplate, Checkpointing, Decoder, Tokenizer};
use track::{FileHash, Machine, Manifest, Program, RunFolder, TextHash, failpoint};
use train::{Adapter, Examinations, Examiner, Identity, Job, Longest, MemoryPlan, Observer, Plan, Recipe};

use super::evaluation::Exam;
use super::ranks::{Brief, Team};
use super::{base::Model, data, quantization};
use crate::failure::{Failure, Outcome, io};
use crate::interrupt::Interrupts;
use crate::recipe_file;

/// A recipe that has been carried out.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) model: Model,
    pub(crate) prepared: Prepared,
    /// What the model and its base are asked afterwards; nothing where there is no base or nothing was held out.
    pub(crate) exam: Option<Exam>,
    pub(crate) outcome: train::Outcome,
    pub(crate) folder: RunFolder,
    pub(crate) manifest: Manifest,
}

/// Carries out `recipe`, together with the other ranks if there are any: what rank 0 does. With `resume` an interrupted
/// run goes on, or begins if there is none.
pub(crate) fn train(
    recipe: &Recipe,
    resume: bool,
    team: &Team<'_>,
    observer: &mut dyn Observer,
) -> Outcome<Trained> {
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
    train::share(team.ranks, Some(Brief { recipe: recipe.clone(), base: inputs.base_hashes() }))?;
    if let Some(text) = team.describe() {
        observer.note(&text);
    }
    folder.write_recipe(&recipe_file::to_yaml(recipe)?)?;
    let prepared = data::prepare(recipe, &place.join("data"))?;
    observer.note(&describe(&prepared));
    refuse_leaks(&prepared)?;
    let mut model = match (&recipe.base_model, &recipe.base_model_config) {
        (Some(name), _) => Model::for_training(recipe, name, team.device(recipe)?)?,
        (None, Some(shape)) => {
            Model::random(shape, recipe, &prepared.train, (&place.join("model"), team.device(recipe)?))?
        }
        (None, None) => return Err(Failure::input("the recipe names no base_model")),
    };
    let positions = model.decoder.positions();
    let encode = |examples| data::encode(recipe, examples, &model.tokenizer, &model.template, positions);
    let (mut samples, mut validation) = (encode(&prepared.train)?, encode(&prepared.val)?);
    train::share(team.ranks, Some(model.decoder.config().vocab_size))?;
    samples.samples = train::share_samples(team.ranks, samples.samples)?;
    validation.samples = train::share_samples(team.ranks, validation.samples)?;
    let r = &samples.report;
    observer.note(&format!(
        "{}, {} ({} learned), longest {}; {} too long, {} refused",
        counted(r.samples, "sample"),
        counted(r.tokens, "token"),
        r.learned_tokens,
        r.longest,
        r.overlong.len(),
        r.refused.len()
    ));
    let examiner = ChoiceExaminer::new(recipe, (&model.tokenizer, &model.template), &prepared)?;
    let exam = Exam::after(recipe, &model, &prepared);
    let examinations = examinations(recipe, &model, (examiner.as_ref(), exam.as_ref()), &inputs)?;
    let longest = Longest::of(&Plan::new(recipe, &samples.samples), &samples.samples, &validation.samples);
    let (memory, checkpointing) = plan_memory(recipe, &model, (longest, examinations), observer)?;
    let manifest = manifest(recipe, &model, &inputs, &memory)?;
    folder.write_manifest(&manifest)?;
    let interrupts = Interrupts::watch()?;
    let mut job = Job::new(recipe, &samples.samples, &validation.samples);
    job.identity = inputs.identify(job.identity);
    (job.resume, job.ranks) = (resuming, team.ranks);
    job.checkpointing = Some(checkpointing);
    job.planned_memory = Some(memory.training);
    job.stop = Some(interrupts.flag());
    job.examiner = examiner.as_ref().map(|examiner| examiner as &dyn Examiner<Cpu>);
    let outcome = train::run(&mut model.decoder, &job, &mut folder, observer)
        .map_err(|error| ended(error, &interrupts))?;
    // From here on a signal ends the program at once: the state is on the disk.
    drop(interrupts);
    failpoint::hit("adapter.begin");
    save(recipe, &model, &folder, observer)?;
    failpoint::hit("adapter.end");
    Ok(Trained { model, prepared, exam, outcome, folder, manifest })
}

/// Why a run ended before its end: by a signal, or by a fault.
pub(super) fn ended(error: train::Error, interrupts: &Interrupts) -> Failure {
    match error {
        train::Error::Interrupted { .. } => Failure::interrupted(interrupts.status(), error.to_string()),
        error => error.into(),
    }
}

/// The files that a run reads, with their hashes.
#[derive(Debug)]
struct Inputs {
    base: Vec<FileHash>,
    data: Vec<FileHash>,
}

impl Inputs {
    fn of(recipe: &Recipe) -> Outcome<Self> {
        let base = base_files(recipe)?;
        let data: track::Result<_> = recipe.datasets.iter().map(|d| FileHash::of(&d.path)).collect();
        Ok(Inputs { base, data: data? })
    }

    /// Name and hash of every file of the base.
    fn base_hashes(&self) -> Vec<(String, String)> {
        let name =
            |path: &str| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.base.iter().map(|file| (name(&file.path), file.blake3.clone())).collect()
    }

    /// Bytes of the files that hold the base's weights.
    fn weight_bytes(&self) -> u64 {
        let weights = |file: &&FileHash| file.path.ends_with(".safetensors") || file.path.ends_with(".gguf");
        let bytes = |file: &FileHash| std::fs::metadata(&file.path).map_or(0, |found| found.len());
        self.base.iter().filter(weights).map(bytes).sum()
    }

    /// Adds the files to what decides the run: the base's by name, the data by their place in the recipe, so that a
    /// folder may move.
    fn identify(&self, mut identity: Identity) -> Identity {
        for (name, blake3) in self.base_hashes() {
            identity = identity.with_input(format!("base model {name}"), blake3);
        }
        for (i, file) in self.data.iter().enumerate() {
            identity = identity.with_input(format!("data file {}", i + 1), &file.blake3);
        }
        identity
    }
}

/// Name and hash of every file of the base of `recipe`, as a rank of its own finds them.
pub(super) fn base_hashes(recipe: &Recipe) -> Outcome<Vec<(String, String)>> {
    Ok(Inputs { base: base_files(recipe)?, data: Vec::new() }.base_hashes())
}

/// The files that make the base of `recipe`, in the order of their names; a GGUF file is all of it.
fn base_files(recipe: &Recipe) -> Outcome<Vec<FileHash>> {
    let Some(name) = &recipe.base_model else { return Ok(Vec::new()) };
    let base = formats::hub::resolve(name)?;
    if base.is_file() {
        return Ok(vec![FileHash::of(&base)?]);
    }
    let mut files: Vec<_> = std::fs::read_dir(&base)
        .map_err(io(&base))?
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
        "{}: {} kept, {} dropped; {}; train {}, val {}, test {}",
        counted(r.rows, "row"),
        r.kept,
        r.rows - r.kept,
        counted(r.groups, "group"),
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
            "the split leaks: {}, {}, {} between its sides",
            counted(leak.exact_questions, "equal question"),
            counted(leak.near_duplicates, "near-duplicate"),
            counted(leak.shared_documents, "shared document")
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

/// What the examinations of the run take, between its steps and after them.
fn examinations(
    recipe: &Recipe,
    model: &Model,
    (examiner, exam): (Option<&ChoiceExaminer<'_>>, Option<&Exam>),
    inputs: &Inputs,
) -> Outcome<Examinations> {
    let subject = model.subject(true);
    let mut result = Examinations::default();
    if let Some(examiner) = examiner {
        result.during =
            subject.memory(&[], &examiner.items, Wanted { answers: 0, max_new_tokens: 0 })?.choices;
    }
    if let Some(exam) = exam {
        let memory = subject.memory(&exam.questions, &exam.choices, exam.wanted)?;
        // Beside a model that was trained as a whole its base is loaded once more.
        let base = match recipe.adapter {
            Adapter::Full => inputs.weight_bytes(),
            Adapter::Lora | Adapter::Qlora => 0,
        };
        result.after = base + memory.losses.max(memory.choices);
        result.answers = if memory.answers > 0 { base + memory.answers } else { 0 };
    }
    Ok(result)
}

/// What the run will take, said before its first step, and refused where the machine has less.
fn plan_memory(
    recipe: &Recipe,
    model: &Model,
    case: (Longest, Examinations),
    observer: &mut dyn Observer,
) -> Outcome<(MemoryPlan, Vec<Checkpointing>)> {
    let (memory, checkpointing) = MemoryPlan::new(&model.decoder, recipe, case);
    memory.describe().iter().for_each(|line| observer.note(line));
    match memory.check(&model.decoder, recipe, case) {
        Err(refusal) if recipe.memory_check => return Err(refusal.into()),
        Err(refusal) => observer.note(&format!("{refusal}; tried because of `memory_check: false`")),
        Ok(()) => {}
    }
    Ok((memory, checkpointing))
}

fn manifest(recipe: &Recipe, model: &Model, inputs: &Inputs, memory: &MemoryPlan) -> Outcome<Manifest> {
    Ok(Manifest {
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
        memory: Some(serde_json::to_value(memory).map_err(|e| Failure::unexpected(e.to_string()))?),
    })
}

fn save(recipe: &Recipe, model: &Model, folder: &RunFolder, observer: &mut dyn Observer) -> Outcome<()> {
    let tokens = (model.tokenizer.bos(), model.tokenizer.eos());
    match recipe.adapter {
        Adapter::Lora | Adapter::Qlora => {
            let place = folder.adapter();
            let base = recipe.base_model.as_deref().unwrap_or_default();
            model.decoder.save_adapter(&place, base)?;
            if let (true, Err(refusal)) = (model.base.is_file(), model.decoder.check_gguf_adapter()) {
                observer.note(&format!("no {} is written: {refusal}", model::GGUF_ADAPTER));
            } else if model.base.is_file() {
                let name = folder.path().file_name().unwrap_or_default().to_string_lossy();
                model.decoder.save_gguf_adapter(&place.join(model::GGUF_ADAPTER), &name)?;
            }
            quantization::write(&place, recipe.quantization())?;
            model.save_text(&place)?;
        }
        Adapter::Full => {
            let place = folder.path().join("model");
            model.decoder.save(&place, DType::Bf16, tokens)?;
            if place != model.base {
                model.save_text(&place)?;
            }
        }
    }
    Ok(())
}
