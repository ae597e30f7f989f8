//! `/v1/models`.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use crate::app::App;
use crate::catalogue::Name;
use crate::json::reply;
use crate::refusal::Outcome;

fn entry(app: &App, name: &Name) -> Value {
    json!({
        "id": name.name,
        "object": "model",
        "created": app.catalogue.since().0,
        "owned_by": "medtune",
        "max_model_len": app.catalogue.context(),
    })
}

/// `GET /v1/models`.
pub(crate) async fn list(State(app): State<App>) -> Response {
    let mut data: Vec<Value> = app.catalogue.names().iter().map(|name| entry(&app, name)).collect();
    data.extend(app.settings.embedder.iter().map(|embedder| {
        json!({
            "id": embedder.name(),
            "object": "model",
            "created": app.catalogue.since().0,
            "owned_by": "medtune",
        })
    }));
    reply(&json!({ "object": "list", "data": data }))
}

/// `GET /v1/models/{model}`.
pub(crate) async fn one(State(app): State<App>, Path(model): Path<String>) -> Outcome<Response> {
    Ok(reply(&entry(&app, app.catalogue.find(Some(&model))?)))
}
