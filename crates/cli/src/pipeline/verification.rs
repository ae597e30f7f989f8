//! Proof that what is served is what was trained: the same ids for golden conversations, and losses and logits that
//! are apart by no more than the form of the weights explains.

use std::path::{Path, PathBuf};

use compute::DType;
use dataset::Example;
use model::{Base, ChatTemplate, Difference, GGUF_ADAPTER, Golden, Tokenizer};
use serde::Serialize;
use track::RunFolder;

use super::base::{Model, writing_device};
use super::fidelity::{Fidelity, Measured, sample};
use super::{merging, ollama};
use crate::args::VerifyArgs;
use crate::failure::{Failure, Outcome, io};
use crate::recipe_file;

/// What the check found.
#[derive(Debug, Serialize)]
pub(crate) struct Verification {
    /// Nothing is over a limit.
    pub(crate) passed: bool,
    /// What was trained.
    pub(crate) reference: String,
    pub(crate) template_sha256: String,
    /// Conversations whose ids were compared.
    pub(crate) golden_conversations: usize,
    /// The ids were written down when the model was trained; otherwise the reference has made them now.
    pub(crate) golden_from_training: bool,
    pub(crate) limits: Limits,
    pub(crate) forms: Vec<Form>,
    /// Questions that could not be asked, with the reasons.
    pub(crate) left_out: Vec<String>,
}

/// Beyond these a form is refused.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Limits {
    /// Mean KL divergence from the trained distribution, in nats.
    pub(crate) kl_mean: f64,
    /// Upper end of the interval of the change in loss, in nats a token.
    pub(crate) loss: f64,
}

/// A form that the model is served in.
#[derive(Debug, Serialize)]
pub(crate) struct Form {
    pub(crate) name: String,
    pub(crate) passed: bool,
    /// Why it did not pass.
    pub(crate) reasons: Vec<String>,
    pub(crate) golden_differences: Vec<Difference>,
    /// Nothing for the reference itself, and where no question could be asked.
    pub(crate) fidelity: Option<Fidelity>,
}

/// Where the trained model is.
struct Reference {
    base: String,
    adapter: Option<PathBuf>,
    /// Where its golden conversations would be.
    folder: PathBuf,
}

impl Reference {
    fn find(args: &VerifyArgs) -> Outcome<Self> {
        let run = Path::new(&args.model);
        if !RunFolder::holds_run(run) {
            let place = formats::hub::resolve(&args.model)?;
            let folder = args.adapter.clone().unwrap_or_else(|| super::base::folder_of(&place).to_owned());
            return Ok(Reference { base: args.model.clone(), adapter: args.adapter.clone(), folder });
        }
        let adapter = run.join("adapter");
        if adapter.is_dir() {
            let recipe = recipe_file::load(&run.join("recipe.yaml"), &[])?;
            let base = recipe.base_model.unwrap_or_default();
            return Ok(Reference { base, adapter: Some(adapter.clone()), folder: adapter });
        }
        let whole = run.join("model");
        match whole.is_dir() {
            true => {
                Ok(Reference { base: whole.to_string_lossy().into_owned(), adapter: None, folder: whole })
            }
            false => {
                Err(Failure::input(format!("{}: the run has no adapter and no model yet", run.display()))
                    .hint("`medtune train RECIPE --resume` finishes it"))
            }
        }
    }

    fn name(&self) -> String {
        match &self.adapter {
            Some(adapter) => format!("{} with {}", self.base, adapter.display()),
            None => self.base.clone(),
        }
    }
}

/// A model folder that goes away with this.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What is left of it is in nobody's way but the disk's.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Compares the reference of `args` with what it is served as.
pub(crate) fn verify(args: &VerifyArgs) -> Outcome<Verification> {
    let reference = Reference::find(args)?;
    let model = Model::load(&reference.base, reference.adapter.as_deref())?;
    let kept = Golden::read(&reference.folder)?;
    let golden = match &kept {
        Some(golden) => golden.clone(),
        None => Golden::record(&model.tokenizer, &model.template)?,
    };
    let (chosen, left_out) = model.subject(true).readable(&sample(examples(args)?, args.limit));
    let limits = Limits { kl_mean: args.max_kl, loss: args.max_loss };
    let before = Measured::of(&model, &chosen)?;
    let merged = match &reference.adapter {
        Some(adapter) if !args.no_merged && !merging::is_quantized(&reference.base, adapter)? => {
            Some(merge(args, &model)?)
        }
        _ => None,
    };
    let Model { decoder, tokenizer, template, .. } = model;
    // Two models at once would take twice the memory.
    drop(decoder);
    let (tokenizer, template) = (&tokenizer, &template);
    let check = Check { golden: &golden, tokenizer, template, examples: &chosen, before, limits };
    let mut forms = vec![check.form("as trained".into(), (tokenizer, template), None)];
    if let Some(merged) = &merged {
        forms.push(check.file("merged, in bf16".into(), &merged.0, false)?);
    }
    for path in &all_forms(args)? {
        let name = path.display().to_string();
        forms.push(check.file(name.clone(), path, false)?);
        if path.is_file() && Base::open(path)?.is_quantized() {
            forms.push(check.file(format!("{name}, --fast"), path, true)?);
        }
    }
    Ok(Verification {
        passed: forms.iter().all(|form| form.passed),
        reference: reference.name(),
        template_sha256: golden.template_sha256.clone(),
        golden_conversations: golden.conversations.len(),
        golden_from_training: kept.is_some(),
        limits,
        forms,
        left_out: left_out.iter().map(ToString::to_string).collect(),
    })
}

/// The forms that are named, or those that a run has been exported to: GGUF files, and folders with weights.
fn all_forms(args: &VerifyArgs) -> Outcome<Vec<PathBuf>> {
    let exports = Path::new(&args.model).join("export");
    if !args.forms.is_empty() || !exports.is_dir() {
        return Ok(args.forms.clone());
    }
    let entries = |folder: &Path| -> Outcome<Vec<PathBuf>> {
        let entries = std::fs::read_dir(folder).map_err(io(folder))?;
        let mut paths =
            entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(io(folder))?;
        paths.sort();
        Ok(paths)
    };
    let mut forms = Vec::new();
    for folder in entries(&exports)?.into_iter().filter(|path| path.is_dir()) {
        if folder.join("config.json").is_file() {
            forms.push(folder);
            continue;
        }
        let weights = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".gguf") && name != "imatrix.gguf" && name != GGUF_ADAPTER
        };
        forms.extend(entries(&folder)?.into_iter().filter(weights));
    }
    Ok(forms)
}

/// The held-out questions of a run, those that are named, or the shipped ones.
fn examples(args: &VerifyArgs) -> Outcome<Vec<Example>> {
    let held_out = Path::new(&args.model).join("data/test.jsonl");
    if args.data.is_empty() && held_out.is_file() {
        return Ok(dataset::load(&held_out)?);
    }
    merging::examples(&args.data)
}

/// The adapter in its base, in a folder beside the report.
fn merge(args: &VerifyArgs, model: &Model) -> Outcome<Temporary> {
    let beside = args.out(&args.model);
    let folder = beside.parent().unwrap_or(Path::new(".")).join(".verify-merged");
    std::fs::create_dir_all(&folder).map_err(io(&folder))?;
    let folder = Temporary(folder);
    let roles = (model.tokenizer.bos(), model.tokenizer.eos());
    model.decoder.save(&folder.0, DType::Bf16, roles)?;
    model.save_text(&folder.0)?;
    Ok(folder)
}

/// What every form is held against.
struct Check<'a> {
    golden: &'a Golden,
    /// Of what was trained.
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
    examples: &'a [Example],
    before: Measured,
    limits: Limits,
}

impl Check<'_> {
    /// A folder or file; with `fast` as `--fast` serves it.
    fn file(&self, name: String, path: &Path, fast: bool) -> Outcome<Form> {
        let model = Model::load_on(writing_device(fast), &path.to_string_lossy(), None)?;
        let fidelity = match self.examples {
            [] => None,
            examples => Some(self.before.compare(&Measured::of(&model, examples)?)?),
        };
        let mut form = self.form(name, (&model.tokenizer, &model.template), fidelity);
        if let Some(difference) = self.modelfile(path)? {
            form.reasons.push(difference);
            form.passed = false;
        }
        Ok(form)
    }

    /// What the template of the Modelfile beside a GGUF file writes otherwise, if there is one.
    fn modelfile(&self, path: &Path) -> Outcome<Option<String>> {
        let modelfile = path.with_file_name("Modelfile");
        if !path.is_file() || !modelfile.is_file() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&modelfile).map_err(io(&modelfile))?;
        let refused = |reason: String| Ok(Some(format!("{}: {reason}", modelfile.display())));
        let Some(source) = ollama::template_of(&text) else {
            return refused("no TEMPLATE between three quotes".to_owned());
        };
        match self.template.compare_go(self.tokenizer, source) {
            Ok(_) => Ok(None),
            Err(error) => refused(error.to_string()),
        }
    }

    fn form(
        &self,
        name: String,
        (tokenizer, template): (&Tokenizer, &ChatTemplate),
        fidelity: Option<Fidelity>,
    ) -> Form {
        let golden_differences = self.golden.check(tokenizer, template);
        let mut reasons = Vec::new();
        if let Some(first) = golden_differences.first() {
            let Difference { conversation, what, at, expected, got } = first;
            reasons.push(format!(
                "golden conversation {conversation}: {what} {at} is {got}, expected {expected} ({} differ)",
                golden_differences.len()
            ));
        }
        if let Some(f) = &fidelity {
            let Limits { kl_mean, loss } = self.limits;
            let over = |value: f64, limit: f64| value.is_nan() || value > limit;
            if over(f.kl_mean, kl_mean) {
                reasons.push(format!("mean KL divergence {:.4} nats, expected at most {kl_mean}", f.kl_mean));
            }
            let change = f.loss_difference_interval.map_or(f.loss_difference, |[_, high]| high);
            if over(change, loss) {
                reasons
                    .push(format!("loss higher by up to {change:+.4} nats a token, expected at most {loss}"));
            }
        }
        Form { name, passed: reasons.is_empty(), reasons, golden_differences, fidelity }
    }
}
