//! What is there: `/api/version`, `tags`, `ps`, `show`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::catalogue::Name;
use crate::json::{Json, reply};
use crate::refusal::Outcome;

/// When a model that stays will be unloaded.
const NEVER: &str = "2999-12-31T23:59:59Z";

/// A model with its tag, which Ollama's names always have.
pub(super) fn tagged(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

fn parameters(count: usize) -> String {
    match count as f64 {
        n if n >= 1e9 => format!("{:.1}B", n / 1e9),
        n if n >= 1e6 => format!("{:.1}M", n / 1e6),
        n => format!("{:.1}K", n / 1e3),
    }
}

fn details(app: &App) -> Value {
    let details = app.catalogue.details();
    json!({
        "parent_model": "",
        "format": details.format,
        "family": details.family,
        "families": [details.family],
        "parameter_size": parameters(app.catalogue.config().parameters()),
        "quantization_level": details.quantization,
    })
}

fn entry(app: &App, name: &Name) -> Value {
    let tagged = tagged(&name.name);
    json!({
        "name": tagged,
        "model": tagged,
        "modified_at": app.catalogue.since().1,
        "size": app.catalogue.details().bytes,
        "digest": app.catalogue.digest(name),
        "details": details(app),
    })
}

/// `GET /api/version`.
pub(crate) async fn version() -> Response {
    reply(&json!({ "version": env!("CARGO_PKG_VERSION") }))
}

/// `GET /api/tags`: the models there are.
pub(crate) async fn tags(State(app): State<App>) -> Response {
    let models: Vec<Value> = app.catalogue.names().iter().map(|name| entry(&app, name)).collect();
    reply(&json!({ "models": models }))
}

/// `GET /api/ps`: the models in memory, which are all.
pub(crate) async fn running(State(app): State<App>) -> Response {
    let loaded = |name| {
        let mut entry = entry(&app, name);
        entry["expires_at"] = NEVER.into();
        entry["size_vram"] = 0.into();
        entry["context_length"] = app.catalogue.context().into();
        entry
    };
    let models: Vec<Value> = app.catalogue.names().iter().map(loaded).collect();
    reply(&json!({ "models": models }))
}

/// Which model to show.
#[derive(Debug, Deserialize)]
pub(crate) struct ShowRequest {
    model: Option<String>,
    /// The field's old name.
    name: Option<String>,
}

/// `POST /api/show`: a model's settings.
pub(crate) async fn show(State(app): State<App>, Json(request): Json<ShowRequest>) -> Outcome<Response> {
    let name = app.catalogue.find(request.model.or(request.name).as_deref())?;
    let (config, family) = (app.catalogue.config(), &app.catalogue.details().family);
    let mut info = serde_json::Map::new();
    info.insert("general.architecture".to_owned(), family.as_str().into());
    info.insert("general.parameter_count".to_owned(), config.parameters().into());
    for (key, value) in [
        ("context_length", app.catalogue.context()),
        ("embedding_length", config.hidden_size),
        ("feed_forward_length", config.intermediate_size),
        ("block_count", config.layers),
        ("attention.head_count", config.heads),
        ("attention.head_count_kv", config.kv_heads),
        ("vocab_size", config.vocab_size),
    ] {
        info.insert(format!("{family}.{key}"), value.into());
    }
    Ok(reply(&json!({
        "modelfile": "",
        "parameters": "",
        // A Jinja template, which is what is rendered; Ollama's own would be Go's.
        "template": app.catalogue.template().source(),
        "details": details(&app),
        "model_info": info,
        "capabilities": ["completion"],
        "modified_at": app.catalogue.since().1,
        "digest": app.catalogue.digest(name),
    })))
}
