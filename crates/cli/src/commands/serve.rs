//! `medtune serve`: a model behind HTTP.

mod verified;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::serve::{Catalogue, DecoderWriter, Details, Embedder, EncoderEmbedder, Keys, Name, Server, Settings};
use compute::{Cpu, KV_BLOCK};
use model::engine::{AdapterId, EngineSettings};
use model::{Config, Decoder, Encoder};

use crate::args::ServeArgs;
use crate::commands::inspect::storage;
use crate::failure::{Failure, Outcome, io};
use crate::output;
use crate::pipeline::base::{Model, check_integers, device, template, writing_device};
use crate::pipeline::quantization;
use crate::recipe_file;

/// The context without `--context`, where the model reads more.
const CONTEXT: usize = 8192;
/// The variable of the API key.
const KEY: &str = "MEDTUNE_API_KEY";

pub(crate) fn run(args: &ServeArgs) -> Outcome<()> {
    // What a panic says may hold a client's text; where it happened does not.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        eprintln!("error: a defect{place}");
    }));
    let settings = settings(args)?;
    let target = Target::find(args)?;
    let first = target.adapters.first().map(PathBuf::as_path);
    let model = Model::load_on(writing_device(args.fast), &target.base, first)?;
    if args.fast {
        check_integers(&model.decoder, &target.base)?;
    }
    let engine = engine_settings(args, model.decoder.config(), model.decoder.positions())?;
    if !args.allow_unverified {
        verified::check(&target, args, &model)?;
    }
    let details = details(&model)?;
    let others = target.others(&model)?;
    let names = target.names(args.name.as_deref());
    let Model { decoder, tokenizer, template, .. } = model;
    let about = (decoder.config().clone(), details);
    let catalogue = Arc::new(Catalogue::new(names, about, (tokenizer, template), engine.context));
    let shared = catalogue.clone();
    let server = Server::start(catalogue.clone(), settings, move |inbox| {
        let decoders: Vec<Decoder<Cpu>> = [decoder].into_iter().chain(others).collect();
        inbox.drive(DecoderWriter::new(&decoders, engine, shared.tokenizer())?);
        Ok(())
    })?;
    let names: Vec<&str> = catalogue.names().iter().map(|name| name.name.as_str()).collect();
    let names = names.join(", ");
    let (address, context, slots) = (server.address(), engine.context, engine.slots);
    // Whoever waits for this line may send a signal at once.
    let ready = || {
        eprintln!("{names} on http://{address} (context {context}, {slots} texts at once); Ctrl-C ends it")
    };
    Ok(server.run(ready)?)
}

fn settings(args: &ServeArgs) -> Outcome<Settings> {
    let mut settings = Settings::new(args.bind);
    let from_environment = std::env::var(KEY).ok().filter(|key| !key.is_empty());
    settings.keys = match (&args.api_key_file, from_environment) {
        (Some(file), _) => Keys::parse(&std::fs::read_to_string(file).map_err(io(file))?)?,
        (None, Some(key)) => Keys::parse(&key)?,
        (None, None) => Keys::default(),
    };
    settings.allowed_hosts.clone_from(&args.allowed_hosts);
    settings.access_log = args.access_log;
    settings.embedder = args.encoder.as_deref().map(embedder).transpose()?;
    settings.limits.places = usize::from(args.slots) + usize::from(args.queue);
    Ok(settings)
}

fn embedder(folder: &Path) -> Outcome<Arc<dyn Embedder>> {
    let encoder = Encoder::from_dir(device(), folder)?;
    Ok(Arc::new(EncoderEmbedder::new(last_part(&folder.display().to_string()), encoder)))
}

/// What to load.
struct Target {
    base: String,
    adapters: Vec<PathBuf>,
    /// Name of the model without an adapter.
    name: String,
    /// Names of the adapters.
    adapted: Vec<String>,
}

impl Target {
    /// A run is its adapter on its base, or the model that it has trained in full.
    fn find(args: &ServeArgs) -> Outcome<Self> {
        let place = Path::new(&args.model);
        let recipe = place.join("recipe.yaml");
        let (adapter, full) = (place.join("adapter"), place.join("model"));
        let (base, name, own) = if !recipe.is_file() {
            (args.model.clone(), last_part(&args.model), None)
        } else if full.is_dir() {
            (full.display().to_string(), last_part(&args.model), None)
        } else {
            let (Some(base), true) = (recipe_file::load(&recipe, &[])?.base_model, adapter.is_dir()) else {
                return Err(Failure::input(format!("{}: the run has no model yet", place.display()))
                    .hint("go on with `medtune train RECIPE --resume`"));
            };
            let name = last_part(&base);
            (base, name, Some(adapter))
        };
        let adapters: Vec<PathBuf> = own.into_iter().chain(args.adapters.iter().cloned()).collect();
        let adapted = adapters.iter().map(|adapter| name_of(adapter)).collect();
        Ok(Target { base, adapters, name, adapted })
    }

    /// The adapters after the first, on its base.
    fn others(&self, model: &Model) -> Outcome<Vec<Decoder<Cpu>>> {
        let Some((first, others)) = self.adapters.split_first() else { return Ok(Vec::new()) };
        let quantization = quantization::read(first)?;
        let load = |adapter: &PathBuf| {
            let differs = |what: &str| {
                let [first, other] = [first, adapter].map(|path| path.display());
                Failure::input(format!("{other}: {what} than that of {first}"))
                    .hint("start a server for each of them")
            };
            if quantization::read(adapter)? != quantization {
                return Err(differs("it was trained on a base in other bits"));
            }
            if template(&model.base, Some(adapter))?.source() != model.template.source() {
                return Err(differs("it was trained with another chat template"));
            }
            Ok(model.decoder.load_another(adapter)?)
        };
        others.iter().map(load).collect()
    }

    /// The first adapter, or the model if there is none, goes first. The base of adapters can be asked as well.
    fn names(&self, given: Option<&str>) -> Vec<Name> {
        let ids = [AdapterId::OWN].into_iter().chain((0..).map(AdapterId::another));
        let mut names: Vec<Name> =
            self.adapted.iter().cloned().zip(ids).map(|(name, adapter)| Name { name, adapter }).collect();
        names.push(Name { name: self.name.clone(), adapter: AdapterId::BASE });
        if let Some(given) = given {
            names[0].name = given.to_owned();
        }
        for place in 1..names.len() {
            let more = if place + 1 == names.len() { "-base" } else { "-2" };
            while names[..place].iter().any(|other| other.name == names[place].name) {
                names[place].name.push_str(more);
            }
        }
        names
    }
}

/// What an adapter is called: a run keeps it as `NAME/adapter`.
fn name_of(adapter: &Path) -> String {
    let within = |name| adapter.file_name().is_some_and(|last| last == name);
    let place = match within("adapter.gguf") || within("adapter") {
        true => adapter.parent().unwrap_or(adapter),
        false => adapter,
    };
    match place.file_name().is_some_and(|last| last == "adapter") && place != adapter {
        true => name_of(place),
        false => last_part(&place.display().to_string()),
    }
}

/// The last part of a path or of a name in the hub.
fn last_part(path: &str) -> String {
    let path = path.trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or(path);
    let last = last.strip_suffix(".gguf").unwrap_or(last);
    if matches!(last, "" | "." | "..") { "model".to_owned() } else { last.to_owned() }
}

/// Slots, context and the memory of keys and values.
fn engine_settings(args: &ServeArgs, config: &Config, positions: usize) -> Outcome<EngineSettings> {
    let context = args.context.map_or(CONTEXT.min(positions), |context| context as usize);
    if context > positions {
        return Err(Failure::input(format!("--context {context}: the model reads {positions}")));
    }
    let lookup = usize::from(args.lookup);
    let mut settings = EngineSettings { lookup, ..EngineSettings::new(usize::from(args.slots), context) };
    let bytes = (config.layers * config.kv_heads * config.head_dim * 2 * size_of::<f32>()) as u64;
    let least = context.next_multiple_of(KV_BLOCK);
    let fit = |room: u64| usize::try_from(room / bytes.max(1)).unwrap_or(usize::MAX);
    match (args.kv_memory, track::memory::available()) {
        (Some(mib), _) => {
            settings.positions = fit(mib << 20);
            if settings.positions < least {
                let needed = output::bytes(least as u64 * bytes);
                return Err(Failure::input(format!(
                    "--kv-memory {mib}: a text of {context} tokens needs {needed}"
                ))
                .hint("give more, or a smaller --context"));
            }
        }
        (None, Some(available)) => settings.positions = settings.positions.min(fit(available / 4).max(least)),
        (None, None) => {}
    }
    Ok(settings)
}

/// What clients are told of the weights.
fn details(model: &Model) -> Outcome<Details> {
    let [family, format, quantization] = storage(&model.base)?;
    Ok(Details { family, format, quantization, bytes: model.decoder.weight_bytes() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_by_the_last_part_of_its_place() {
        for (path, name) in [
            ("runs/mine/", "mine"),
            ("/models/model-Q4_K_M.gguf", "model-Q4_K_M"),
            ("org/SmolLM2-1.7B", "SmolLM2-1.7B"),
            (".", "model"),
        ] {
            assert_eq!(last_part(path), name, "{path}");
        }
    }

    #[test]
    fn an_adapter_is_called_as_its_run() {
        for (path, name) in [
            ("runs/mine/adapter", "mine"),
            ("runs/mine/adapter/adapter.gguf", "mine"),
            ("lora/cardiology", "cardiology"),
            ("lora/cardiology.gguf", "cardiology"),
        ] {
            assert_eq!(name_of(Path::new(path)), name, "{path}");
        }
    }

    #[test]
    fn every_model_has_a_name_of_its_own() {
        let names = |adapted: &[&str], given| -> Vec<String> {
            let adapted = adapted.iter().map(|name| name.to_string()).collect();
            let target =
                Target { base: "models/base".into(), adapters: Vec::new(), name: "base".into(), adapted };
            target.names(given).into_iter().map(|name| name.name).collect()
        };
        assert_eq!(names(&[], None), ["base"]);
        assert_eq!(names(&[], Some("clinic")), ["clinic"]);
        assert_eq!(names(&["mine"], None), ["mine", "base"]);
        assert_eq!(names(&["base"], None), ["base", "base-base"]);
        assert_eq!(names(&["a", "a"], Some("b")), ["b", "a", "base"]);
        assert_eq!(names(&["a", "a"], None), ["a", "a-2", "base"]);
    }
}
