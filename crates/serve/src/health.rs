//! Whether the server lives, and how busy it is.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::json::reply;

/// `GET /health`: 200 while requests are taken, 503 when the engine has stopped or the server is leaving.
pub(crate) async fn health(State(app): State<App>) -> Response {
    let (status, word) = match (app.status.is_dead(), app.status.is_leaving()) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "engine stopped"),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
        _ => (StatusCode::OK, "ok"),
    };
    (status, reply(&json!({ "status": word, "version": env!("CARGO_PKG_VERSION") }))).into_response()
}

/// `GET /metrics`, for Prometheus.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let text = app.status.metrics.render(app.status.load(), app.status.is_dead());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
