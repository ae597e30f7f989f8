//! All routes, in one table, so that a test can go through them.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use crate::app::App;
use crate::guard::guard;
use crate::refusal::Refusal;
use crate::{ask, health, ollama, openai, pages};

/// What needs no key: fixed pages and whether the server lives.
const PUBLIC: [&str; 4] = ["/", "/docs", "/openapi.json", "/health"];

/// Whether a route needs no key.
pub(crate) fn is_public(route: &str) -> bool {
    PUBLIC.contains(&route)
}

/// Path, methods, handler.
pub(crate) fn table() -> Vec<(&'static str, &'static [&'static str], MethodRouter<App>)> {
    const GET: &[&str] = &["get"];
    const POST: &[&str] = &["post"];
    const BOTH: &[&str] = &["get", "post"];
    vec![
        ("/", GET, get(pages::home)),
        ("/docs", GET, get(pages::docs)),
        ("/openapi.json", GET, get(pages::openapi)),
        ("/health", GET, get(health::health)),
        ("/metrics", GET, get(health::metrics)),
        ("/ask", BOTH, get(ask::legacy::ask).post(ask::ask)),
        ("/v1/models", GET, get(openai::models::list)),
        ("/v1/models/{model}", GET, get(openai::models::one)),
        ("/v1/chat/completions", POST, post(openai::chat::complete)),
        ("/v1/completions", POST, post(openai::completions::complete)),
        ("/v1/embeddings", POST, post(openai::models::embeddings)),
        ("/api/version", GET, get(ollama::models::version)),
        ("/api/tags", GET, get(ollama::models::tags)),
        ("/api/ps", GET, get(ollama::models::running)),
        ("/api/show", POST, post(ollama::models::show)),
        ("/api/generate", POST, post(ollama::write::generate)),
        ("/api/chat", POST, post(ollama::write::chat)),
        ("/api/embed", POST, post(ollama::models::embed)),
        ("/api/embeddings", POST, post(ollama::models::embed)),
    ]
}

/// The whole service.
pub(crate) fn router(app: App) -> Router {
    let routes = table();
    guarded(
        routes.into_iter().fold(Router::new(), |router, (path, _, handler)| router.route(path, handler)),
        app,
    )
}

/// Any routes, with the guard around them.
pub(crate) fn guarded(router: Router<App>, app: App) -> Router {
    router
        .fallback(|| async {
            Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is no such route; see /docs")
        })
        .method_not_allowed_fallback(|| async {
            let message = "the route does not take this method; see /docs";
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        })
        .layer(from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_has_every_route_and_no_other() {
        let description: Value = serde_json::from_str(pages::OPENAPI).unwrap();
        assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
        let described = description["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().map(move |(method, route)| {
                assert_eq!(route.get("security").is_none(), is_public(path), "{path}");
                format!("{method} {path}")
            })
        });
        let table = table();
        let routes =
            table.iter().flat_map(|(path, methods, _)| methods.iter().map(move |m| format!("{m} {path}")));
        assert_eq!(described.collect::<BTreeSet<_>>(), routes.collect::<BTreeSet<_>>());
    }
}
