//! All routes, in one table, so that a test can go through them.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use crate::app::App;
use crate::guard::guard;
use crate::refusal::Refusal;
use crate::{ask, embeddings, health, ollama, openai, pages};

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
        ("/v1/embeddings", POST, post(embeddings::openai)),
        ("/api/version", GET, get(ollama::models::version)),
        ("/api/tags", GET, get(ollama::models::tags)),
        ("/api/ps", GET, get(ollama::models::running)),
        ("/api/show", POST, post(ollama::models::show)),
        ("/api/generate", POST, post(ollama::write::generate)),
        ("/api/chat", POST, post(ollama::write::chat)),
        ("/api/embed", POST, post(embeddings::ollama)),
        ("/api/embeddings", POST, post(embeddings::old)),
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
    use std::sync::Arc;

    use axum::body::Body;
    use axum::extract::Request;
    use model::engine::AdapterId;
    use model::{ChatTemplate, Config, Tokenizer};
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::{Catalogue, Details, Name, Settings};

    fn status(router: &Router, path: &str) -> u16 {
        let request = Request::builder().uri(path).header("host", "localhost").body(Body::empty()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(router.clone().oneshot(request)).unwrap().status().as_u16()
    }

    #[test]
    fn a_panic_in_a_handler_is_the_defect_of_one_request() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/base");
        let text = (Tokenizer::from_dir(folder).unwrap(), ChatTemplate::from_dir(folder).unwrap());
        let names = vec![Name { name: "shipped".to_owned(), adapter: AdapterId::BASE }];
        let about = (Config::from_dir(folder.as_ref()).unwrap(), Details::default());
        let catalogue = Arc::new(Catalogue::new(names, about, text, 512));
        let (app, _jobs) = App::new(catalogue, Settings::new("127.0.0.1:0".parse().unwrap()));
        let broken = get(|| async { [0u8; 0].first().copied().map(|_| ()).unwrap() });
        let routes = Router::new().route("/broken", broken).route("/health", get(health::health));
        let router = guarded(routes, app.clone());
        assert_eq!(status(&router, "/broken"), 500);
        assert_eq!(status(&router, "/health"), 200);
        assert!(app.status.metrics.render(app.status.load(), false).contains("medtune_panics_total 1"));
    }

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
