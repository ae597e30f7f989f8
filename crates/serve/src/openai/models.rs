//! `/v1/models` and `/v1/embeddings`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::app::App;
use crate::catalogue::Name;
use crate::json::reply;
use crate::refusal::{Outcome, Refusal};

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
    let data: Vec<Value> = app.catalogue.names().iter().map(|name| entry(&app, name)).collect();
    reply(&json!({ "object": "list", "data": data }))
}

/// `GET /v1/models/{model}`.
pub(crate) async fn one(State(app): State<App>, Path(model): Path<String>) -> Outcome<Response> {
    Ok(reply(&entry(&app, app.catalogue.find(Some(&model))?)))
}

/// `POST /v1/embeddings`.
pub(crate) async fn embeddings() -> Refusal {
    no_encoder()
}

/// Embeddings need another kind of model.
pub(crate) fn no_encoder() -> Refusal {
    let message = "this server has no embedding model loaded";
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "no_encoder", message)
}
