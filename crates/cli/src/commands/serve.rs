//! `medtune serve`: a model behind HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::serve::{Catalogue, DecoderWriter, Details, Keys, Name, Server, Settings};
use compute::KV_BLOCK;
use model::Config;
use model::engine::{AdapterId, Engine, EngineSettings};

use crate::args::ServeArgs;
use crate::commands::inspect::storage;
use crate::failure::{Failure, Outcome, io};
use crate::output;
use crate::pipeline::base::Model;
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
    let model = Model::load(&target.base, target.adapter.as_deref())?;
    let names = target.names(args.name.as_deref(), model.decoder.adapter().is_some());
    let engine = engine_settings(args, model.decoder.config(), model.decoder.positions())?;
    let details = details(&model)?;
    let Model { decoder, tokenizer, template, .. } = model;
    let about = (decoder.config().clone(), details);
    let catalogue = Arc::new(Catalogue::new(names, about, (tokenizer, template), engine.context));
    let shared = catalogue.clone();
    let server = Server::start(catalogue.clone(), settings, move |inbox| {
        let engine = Engine::new(&decoder, engine)?.with_tokenizer(shared.tokenizer());
        inbox.drive(DecoderWriter::new(engine, &decoder));
        Ok(())
    })?;
    let names: Vec<&str> = catalogue.names().iter().map(|name| name.name.as_str()).collect();
    eprintln!(
        "{} on http://{} (context {}, {} texts at once); Ctrl-C ends it",
        names.join(", "),
        server.address(),
        engine.context,
        engine.slots
    );
    Ok(server.run()?)
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
    settings.limits.places = usize::from(args.slots) + usize::from(args.queue);
    Ok(settings)
}

/// What to load.
struct Target {
    base: String,
    adapter: Option<PathBuf>,
    /// Name of the model with its adapter, or alone.
    name: String,
}

impl Target {
    /// A run is its adapter on its base, or the model that it has trained in full.
    fn find(args: &ServeArgs) -> Outcome<Self> {
        let place = Path::new(&args.model);
        let recipe = place.join("recipe.yaml");
        if !recipe.is_file() {
            let name = match &args.adapter {
                None => last_part(&args.model),
                // A run keeps it as `NAME/adapter`.
                Some(adapter) if adapter.ends_with("adapter") => {
                    last_part(&adapter.parent().unwrap_or(adapter).display().to_string())
                }
                Some(adapter) => last_part(&adapter.display().to_string()),
            };
            return Ok(Target { base: args.model.clone(), adapter: args.adapter.clone(), name });
        }
        let name = last_part(&args.model);
        let (adapter, full) = (place.join("adapter"), place.join("model"));
        if full.is_dir() {
            return Ok(Target { base: full.display().to_string(), adapter: args.adapter.clone(), name });
        }
        let recipe = recipe_file::load(&recipe, &[])?;
        let (Some(base), true) = (recipe.base_model, adapter.is_dir() || args.adapter.is_some()) else {
            return Err(Failure::input(format!("{}: the run has no model yet", place.display()))
                .hint("go on with `medtune train RECIPE --resume`"));
        };
        Ok(Target { base, adapter: Some(args.adapter.clone().unwrap_or(adapter)), name })
    }

    /// With an adapter, the base can be asked too, under its own name.
    fn names(&self, given: Option<&str>, adapter: bool) -> Vec<Name> {
        let name = given.unwrap_or(&self.name).to_owned();
        if !adapter {
            return vec![Name { name, adapter: AdapterId::BASE }];
        }
        let mut base = last_part(&self.base);
        if base == name {
            base.push_str("-base");
        }
        vec![Name { name, adapter: AdapterId::OWN }, Name { name: base, adapter: AdapterId::BASE }]
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
    let mut settings = EngineSettings::new(usize::from(args.slots), context);
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
    fn the_base_of_an_adapter_keeps_a_name_of_its_own() {
        let target = |name: &str| Target { base: "models/base".into(), adapter: None, name: name.into() };
        let names = |target: Target, adapter| -> Vec<String> {
            target.names(None, adapter).into_iter().map(|name| name.name).collect()
        };
        assert_eq!(names(target("mine"), true), ["mine", "base"]);
        assert_eq!(names(target("base"), true), ["base", "base-base"]);
        assert_eq!(names(target("base"), false), ["base"]);
    }
}
