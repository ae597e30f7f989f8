//! Who may ask, and under which name: every route, one by one.

use serde_json::{Value, json};
use serve::Keys;

use crate::client::{Response, get, raw, request};
use crate::script::Script;
use crate::served::{Served, scripted, settings};

const KEY: &str = "0123456789abcdefX";

/// All routes with their methods, as the server describes itself.
fn routes(server: &Served) -> Vec<(String, String)> {
    let description = get(server.to, "/openapi.json").json();
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.push((method.to_uppercase(), path.replace("{model}", "shipped")));
        }
    }
    assert!(routes.len() > 15, "{routes:?}");
    routes
}

fn ask(server: &Served, (method, path): &(String, String), headers: &[&str]) -> Response {
    let body = if method == "POST" { json!({ "keep_alive": 0 }).to_string() } else { String::new() };
    raw(server.to, request(method, path, headers, &body).as_bytes())
}

#[test]
fn every_route_but_the_fixed_pages_and_health_needs_the_whole_key() {
    let mut settings = settings();
    settings.keys = Keys::parse(KEY).unwrap();
    let server = scripted(settings, Script::default());
    let mut public = Vec::new();
    for route in routes(&server) {
        if ask(&server, &route, &[]).status != 401 {
            public.push(route.1);
            continue;
        }
        for wrong in ["0123456789abcdef", "0123456789ABCDEFX", "0123456789abcdefXX", "x", ""] {
            let response = ask(&server, &route, &[&format!("Authorization: Bearer {wrong}")]);
            assert_eq!(response.status, 401, "{route:?} {wrong:?}");
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            assert!(!response.body.contains("0123456789"), "{}", response.body);
        }
        let response = ask(&server, &route, &[&format!("Authorization: Bearer {KEY}")]);
        assert_ne!(response.status, 401, "{route:?}");
    }
    public.sort();
    assert_eq!(public, ["/", "/docs", "/health", "/openapi.json"]);
    assert_eq!(get(server.to, "/nothing/here").status, 401, "nor can anybody look for routes");
    let query = format!("/ask?prompt=a&key={KEY}");
    assert_eq!(get(server.to, &query).status, 401, "a key in an address would be logged elsewhere");
}

#[test]
fn no_route_is_answered_under_a_foreign_name_or_for_a_foreign_page() {
    let server = scripted(settings(), Script::default());
    for route in routes(&server) {
        for headers in [&["Host: evil.example"][..], &["Host: localhost", "Origin: https://evil.example"]] {
            let response = ask(&server, &route, headers);
            assert_eq!(response.status, 403, "{route:?} {headers:?}");
            assert!(response.header("access-control-allow-origin").is_none());
        }
    }
    let preflight = ["Origin: https://evil.example", "Access-Control-Request-Method: POST"];
    let response = raw(server.to, request("OPTIONS", "/ask", &preflight, "").as_bytes());
    assert_eq!(response.status, 403);
    let form = "POST /ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    assert_eq!(raw(server.to, form.as_bytes()).status, 415);
}

#[test]
fn errors_speak_the_language_of_their_route() {
    let server = scripted(settings(), Script::default());
    let unknown = |path: &str, body: Value| {
        let response = raw(server.to, request("POST", path, &[], &body.to_string()).as_bytes());
        assert_eq!(response.status, 404, "{path}");
        response.json()["error"].clone()
    };
    let messages = json!([{ "role": "user", "content": "a" }]);
    let error = unknown("/v1/chat/completions", json!({ "model": "gpt-4", "messages": messages }));
    assert_eq!(error["code"], "model_not_found");
    assert_eq!(error["type"], "invalid_request_error");
    assert!(error["message"].as_str().unwrap().contains("there are: shipped"), "{error}");
    for (path, body) in [
        ("/api/chat", json!({ "model": "llama3", "messages": messages })),
        ("/api/show", json!({ "model": "llama3" })),
        ("/ask", json!({ "model": "llama3", "question": "a" })),
    ] {
        let error = unknown(path, body);
        assert!(error.as_str().unwrap().contains("there are: shipped"), "{path}: {error}");
    }
    assert_eq!(get(server.to, "/ask?model=absent&prompt=a").status, 404);
    assert_eq!(get(server.to, "/v1/nothing").json()["error"]["code"], "not_found");
    assert_eq!(get(server.to, "/api/chat").status, 405);
    for path in ["/v1/embeddings", "/api/embed"] {
        let response = raw(server.to, request("POST", path, &[], r#"{"input": "a"}"#).as_bytes());
        assert_eq!(response.status, 501, "{path}");
        assert!(response.body.contains("no embedding model"), "{}", response.body);
    }
}

#[test]
fn pages_run_their_own_script_and_no_other() {
    let server = scripted(settings(), Script::default());
    for path in ["/", "/docs"] {
        let page = get(server.to, path);
        assert_eq!(page.status, 200);
        let policy = page.header("content-security-policy").unwrap();
        let nonce = policy.split_once("script-src 'nonce-").unwrap().1.split_once('\'').unwrap().0;
        assert!(page.body.contains(&format!("<script nonce=\"{nonce}\">")), "{policy}");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
        assert!(!page.body.contains("https://") && !page.body.contains("innerHTML"));
        let again = get(server.to, path);
        assert_ne!(again.header("content-security-policy"), Some(policy));
    }
}
