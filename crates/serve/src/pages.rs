//! What a browser sees. Everything is in the binary; nothing is fetched from elsewhere.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use rand::RngExt;

const HOME: &str = include_str!("pages/home.html");
const DOCS: &str = include_str!("pages/docs.html");
/// The description of the routes (OpenAPI 3.1).
pub(crate) const OPENAPI: &str = include_str!("pages/openapi.json");

/// `GET /`: ask in a browser.
pub(crate) async fn home() -> Response {
    page(HOME)
}

/// `GET /docs`: the routes.
pub(crate) async fn docs() -> Response {
    page(DOCS)
}

/// `GET /openapi.json`.
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// A page whose own script and style run, and no others.
fn page(html: &str) -> Response {
    let nonce = format!("{:032x}", rand::rng().random::<u128>());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        // Hexadecimal digits and our own text are a valid header.
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")),
        ),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, html.replace("{{nonce}}", &nonce)).into_response()
}
