//! A model as files that other programs run: its adapter merged, or as it is.

use std::path::{Path, PathBuf};

use compute::DType;
use formats::GgufFile;
use formats::gguf::{FileType, Importance};
use formats::peft;
use model::{GGUF_ADAPTER, GgufModel};
use serde::Serialize;

use super::base::{Model, folder_of, threads};
use super::evaluation::write_json;
use super::merging::{self, refuse_to_replace};
use super::verification::{Verification, verify};
use super::{importance, ollama};
use crate::args::{ExportArgs, Quant, Target, VerifyArgs};
use crate::failure::{Failure, Outcome, io};

/// What has been written.
#[derive(Debug, Serialize)]
pub(crate) struct Exported {
    pub(crate) out: PathBuf,
    pub(crate) files: Vec<WrittenFile>,
    /// The GGUF file among them.
    pub(crate) weights: Option<String>,
    /// How matrices are stored.
    pub(crate) quant: Option<&'static str>,
    /// How many tensors have which format.
    pub(crate) formats: Vec<(&'static str, usize)>,
    /// Tokens of the training side that the importance matrix was collected on.
    pub(crate) importance_tokens: Option<u64>,
    pub(crate) notes: Vec<String>,
    /// Whether it is what was trained, where that was asked.
    pub(crate) verification: Option<Verification>,
}

#[derive(Debug, Serialize)]
pub(crate) struct WrittenFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// What is to be exported.
#[derive(Debug)]
pub(crate) struct Source {
    /// What to call it.
    pub(crate) name: String,
    /// The base, as `--model` takes it.
    pub(crate) base: String,
    pub(crate) adapter: Option<PathBuf>,
    /// The folder of a run.
    pub(crate) run: Option<PathBuf>,
}

impl Source {
    /// A run is its adapter on its base, or the model that it has trained; everything else is a model.
    fn find(given: &str, adapter: Option<&Path>) -> Outcome<Self> {
        let folder = Path::new(given);
        let is_gguf = folder.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        let name = if is_gguf { folder.file_stem() } else { folder.file_name() };
        let name = name.map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
        let of_run =
            |base, adapter| Source { name: name.clone(), base, adapter, run: Some(folder.to_owned()) };
        let own = folder.join("adapter");
        if adapter.is_none() && own.is_dir() && track::RunFolder::holds_run(folder) {
            let (settings, _) = peft::read(&own)?;
            let base = settings.base_model_name_or_path.filter(|base| !base.is_empty()).ok_or_else(|| {
                Failure::input(format!("{} does not say what its base is", own.display()))
                    .hint("name both: `medtune export BASE --adapter DIR`")
            })?;
            return Ok(of_run(base, Some(own)));
        }
        let own = folder.join("model");
        if own.join("config.json").is_file() && track::RunFolder::holds_run(folder) {
            return Ok(of_run(own.to_string_lossy().into_owned(), None));
        }
        Ok(Source { name, base: given.to_owned(), adapter: adapter.map(Path::to_owned), run: None })
    }

    /// Where files go unless the person says so.
    fn default_out(&self, target: Target) -> PathBuf {
        let kind = target.name();
        match &self.run {
            Some(run) => run.join("export").join(kind),
            None => PathBuf::from(format!("{}-{kind}", self.name)),
        }
    }
}

/// Exports into a folder that appears whole or not at all.
pub(crate) fn export(args: &ExportArgs) -> Outcome<Exported> {
    let source = Source::find(&args.source, args.adapter.as_deref())?;
    let quant = quant_of(args)?;
    let out = args.out.clone().unwrap_or_else(|| source.default_out(args.to));
    refuse_to_replace(&out)?;
    if args.to == Target::Peft && source.adapter.is_none() {
        return Err(Failure::input(format!("{} has no adapter", args.source))
            .hint("`--to safetensors` or `--to gguf` writes all of the model"));
    }
    if let (Some(adapter), false) = (&source.adapter, args.to == Target::Peft || args.allow_quantized_base)
        && merging::is_quantized(&source.base, adapter)?
    {
        return Err(merging::refused_for_quantized(&source.base));
    }
    let model = Model::load(&source.base, source.adapter.as_deref())?;
    let staged = staging(&out)?;
    let written = fill(&staged, &model, (&source, args, quant));
    let placed = written.and_then(|exported| {
        if out.exists() {
            std::fs::remove_dir(&out).map_err(io(&out))?; // It is empty.
        }
        std::fs::rename(&staged, &out).map_err(io(&out))?;
        Ok(exported)
    });
    let mut exported = placed.inspect_err(|_| {
        // The first error is the one to report.
        let _ = std::fs::remove_dir_all(&staged);
    })?;
    drop(model);
    if !args.no_verify && args.to != Target::Peft {
        let weights = exported.weights.as_ref().map_or_else(|| out.clone(), |name| out.join(name));
        let report = out.join("verify.json");
        let verification = verify(&VerifyArgs::of_export(args, vec![weights], report.clone()))?;
        write_json(&report, &verification)?;
        exported.verification = Some(verification);
    }
    exported.files = files_in(&out)?;
    exported.out = out;
    Ok(exported)
}

/// A folder beside the one that shall appear.
fn staging(out: &Path) -> Outcome<PathBuf> {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let staged = out.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    std::fs::create_dir_all(&staged).map_err(io(&staged))?;
    Ok(staged)
}

/// What matrices shall be stored as, refused where the target has no such storage.
fn quant_of(args: &ExportArgs) -> Outcome<Quant> {
    let default = if args.to.is_gguf() { Quant::Q8_0 } else { Quant::Bf16 };
    let quant = args.quant.unwrap_or(default);
    if !args.to.is_gguf() && quant.file_type().is_quantized() {
        return Err(Failure::input(format!("--quant: {} has no blocks", args.to.name()))
            .hint("f32, f16 or bf16; or `--to gguf`"));
    }
    if args.imatrix.is_some() && !(args.to.is_gguf() && quant.file_type().is_quantized()) {
        return Err(Failure::input("--imatrix: nothing is quantized").hint("add `--to gguf --quant q4_k_m`"));
    }
    Ok(quant)
}

fn fill(
    folder: &Path,
    model: &Model,
    (source, args, quant): (&Source, &ExportArgs, Quant),
) -> Outcome<Exported> {
    let file_type = quant.file_type();
    let mut exported = Exported {
        out: folder.to_owned(),
        files: Vec::new(),
        weights: None,
        quant: (args.to != Target::Peft).then(|| file_type.name()),
        formats: Vec::new(),
        importance_tokens: None,
        notes: Vec::new(),
        verification: None,
    };
    match args.to {
        Target::Peft => {
            model.decoder.save_adapter(folder, &source.base)?;
            model.save_text(folder)?;
            if let Err(refusal) = model.decoder.check_gguf_adapter() {
                exported.notes.push(format!("no {GGUF_ADAPTER}: {refusal}"));
            } else {
                model.decoder.save_gguf_adapter(&folder.join(GGUF_ADAPTER), &source.name)?;
            }
        }
        Target::Safetensors => {
            let dtype = match quant {
                Quant::F32 => DType::F32,
                Quant::F16 => DType::F16,
                _ => DType::Bf16,
            };
            let roles = (model.tokenizer.bos(), model.tokenizer.eos());
            model.decoder.save(folder, dtype, roles)?;
            model.save_text(folder)?;
        }
        Target::Gguf | Target::Ollama => {
            let importance = match &args.imatrix {
                None => None,
                Some(file) => Some(importance::find(file.as_deref(), source, model)?),
            };
            if let Some((importance, tokens)) = &importance {
                exported.importance_tokens = *tokens;
                if tokens.is_some() {
                    importance.write(folder.join("imatrix.gguf"))?;
                }
            }
            let name = format!("{}-{}.gguf", source.name, file_type.name());
            let importance = importance.as_ref().map(|(importance, _)| importance);
            let kinds = gguf(&folder.join(&name), model, (source, file_type, importance))?;
            exported.formats = kinds;
            if args.to == Target::Ollama {
                exported.notes.extend(ollama::write(folder, model, &name)?);
            }
            exported.weights = Some(name);
        }
    }
    Ok(exported)
}

fn gguf(
    path: &Path,
    model: &Model,
    (source, file_type, importance): (&Source, FileType, Option<&Importance>),
) -> Outcome<Vec<(&'static str, usize)>> {
    let license = license(&model.base)?;
    let description = GgufModel {
        name: &source.name,
        license: license.as_deref(),
        tokenizer: &model.tokenizer,
        template: &model.template,
        file_type,
        importance,
        threads: threads(),
    };
    let kinds = model.decoder.save_gguf(path, &description)?;
    Ok(kinds.into_iter().map(|(kind, count)| (kind.name(), count)).collect())
}

/// The licence that a base names: in the metadata of its GGUF file, or at the head of the model card beside its weights.
fn license(base: &Path) -> Outcome<Option<String>> {
    if base.is_file() {
        let file = GgufFile::open(base)?;
        return Ok(file.get::<&str>("general.license")?.map(str::to_owned));
    }
    let Ok(card) = std::fs::read_to_string(folder_of(base).join("README.md")) else { return Ok(None) };
    let mut lines = card.lines();
    if lines.next() != Some("---") {
        return Ok(None);
    }
    let mut head = lines.take_while(|line| *line != "---");
    Ok(head.find_map(|line| line.strip_prefix("license:")).map(|name| name.trim().to_owned()))
}

fn files_in(folder: &Path) -> Outcome<Vec<WrittenFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?;
        let bytes = entry.metadata().map_err(io(folder))?.len();
        files.push(WrittenFile { name: entry.file_name().to_string_lossy().into_owned(), bytes });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
