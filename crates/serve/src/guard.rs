//! What stands around every route: who may ask, from where, and what happens when a handler panics.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;

use crate::app::App;
use crate::refusal::{Outcome, Refusal, Style};
use crate::routes::is_public;
use crate::settings::Settings;

/// Checks a request, runs its handler, and puts what went wrong in the words of its protocol.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let clock = Instant::now();
    let style = Style::of(request.uri().path());
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let mut response = match check(&app.settings, &route, &request) {
        Err(refusal) => refusal.respond(style),
        Ok(()) => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(mut response) => match response.extensions_mut().remove::<Refusal>() {
                Some(refusal) => refusal.respond(style),
                None => response,
            },
            Err(_) => {
                app.status.metrics.panics.fetch_add(1, Ordering::Relaxed);
                Refusal::defect().respond(style)
            }
        },
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if app.status.is_leaving() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let status = response.status().as_u16();
    app.status.metrics.answered(&route, status);
    if app.settings.access_log {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        eprintln!("{number} {method} {route} {status} {} ms", clock.elapsed().as_millis());
    }
    response
}

fn check(settings: &Settings, route: &str, request: &Request) -> Outcome<()> {
    let host = host(request)?;
    check_host(settings, host)?;
    check_origin(route, host, request.headers())?;
    if !settings.keys.is_empty() && !is_public(route) {
        check_key(settings, request.headers())?;
    }
    if request.method() == Method::POST {
        check_type(request.headers())?;
    }
    Ok(())
}

/// The host that the client believes to speak with, port included.
fn host(request: &Request) -> Outcome<&str> {
    let bad = || Refusal::new(StatusCode::BAD_REQUEST, "bad_host", "expected one Host header");
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = hosts.next().map(|host| host.to_str().map_err(|_| bad())).transpose()?;
    if hosts.next().is_some() {
        return Err(bad());
    }
    let in_uri = request.uri().authority().map(|authority| authority.as_str());
    match (in_uri, named) {
        (Some(a), Some(b)) if a != b => Err(bad()),
        (a, b) => a.or(b).ok_or_else(bad),
    }
}

/// A page of another name that resolves to this machine must not be answered (DNS rebinding), so names are refused
/// unless they are known; an address cannot be rebound.
fn check_host(settings: &Settings, host: &str) -> Outcome<()> {
    let uri: Option<Uri> = host.parse().ok();
    let name = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let known = match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || !settings.bind.ip().is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    };
    let allowed = || settings.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
    match known || allowed() {
        true => Ok(()),
        false => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "host_not_allowed",
            "the server is not known under this name (--allowed-host NAME allows one)",
        )),
    }
}

/// Pages of other origins have no business here. A browser says where a request comes from.
fn check_origin(route: &str, host: &str, headers: &HeaderMap) -> Outcome<()> {
    let foreign = || {
        Refusal::new(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "requests from pages of other origins are refused",
        )
    };
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().map_err(|_| foreign())?;
        let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if own.is_none_or(|own| !own.eq_ignore_ascii_case(host)) {
            return Err(foreign());
        }
    }
    // A link or a picture sends no Origin.
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    match matches!(site, Some("cross-site" | "same-site")) && !is_public(route) {
        true => Err(foreign()),
        false => Ok(()),
    }
}

fn check_key(settings: &Settings, headers: &HeaderMap) -> Outcome<()> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let value = given.next().map(HeaderValue::as_bytes).unwrap_or_default();
    let (scheme, key) = value.split_at_checked(7).unwrap_or_default();
    let right = scheme.eq_ignore_ascii_case(b"bearer ") & settings.keys.contain(key);
    match right && given.next().is_none() {
        true => Ok(()),
        false => Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "expected an API key: Authorization: Bearer KEY",
        )),
    }
}

/// A form on a foreign page can be sent without asking; JSON cannot.
fn check_type(headers: &HeaderMap) -> Outcome<()> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    match kind.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "expected Content-Type: application/json",
        )),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::key::Keys;

    const KEY: &str = "0123456789abcdefX";

    fn settings(bind: &str, key: bool) -> Settings {
        let mut settings = Settings::new(bind.parse().unwrap());
        settings.allowed_hosts = vec!["clinic.example".to_owned()];
        if key {
            settings.keys = Keys::parse(KEY).unwrap();
        }
        settings
    }

    fn verdict(settings: &Settings, route: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method("POST").uri(route);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        check(settings, route, &request).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_known_names_are_answered_on_loopback() {
        let loopback = settings("127.0.0.1:8000", false);
        let json = ("content-type", "application/json");
        for (host, expected) in [
            ("localhost", 200),
            ("LOCALHOST:8000", 200),
            ("127.0.0.1:8000", 200),
            ("[::1]:8000", 200),
            ("clinic.example:8000", 200),
            ("evil.example:8000", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("192.168.0.7:8000", 403),
            ("", 403),
        ] {
            assert_eq!(verdict(&loopback, "/ask", &[("host", host), json]), expected, "{host}");
        }
        assert_eq!(verdict(&loopback, "/ask", &[json]), 400, "no host");
        assert_eq!(verdict(&loopback, "/ask", &[("host", "localhost"), ("host", "evil.example"), json]), 400);
        let open = settings("0.0.0.0:8000", false);
        assert_eq!(verdict(&open, "/ask", &[("host", "192.168.0.7:8000"), json]), 200);
        assert_eq!(verdict(&open, "/ask", &[("host", "evil.example:8000"), json]), 403);
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let settings = settings("127.0.0.1:8000", false);
        let (host, json) = (("host", "localhost:8000"), ("content-type", "application/json"));
        for (origin, expected) in [
            ("http://localhost:8000", 200),
            ("http://localhost:8001", 403),
            ("http://localhost", 403),
            ("https://evil.example", 403),
            ("null", 403),
            ("http://localhost:8000.evil.example", 403),
        ] {
            assert_eq!(verdict(&settings, "/ask", &[host, ("origin", origin), json]), expected, "{origin}");
        }
        assert_eq!(verdict(&settings, "/ask", &[host, ("sec-fetch-site", "cross-site"), json]), 403);
        assert_eq!(verdict(&settings, "/ask", &[host, ("sec-fetch-site", "same-origin"), json]), 200);
        assert_eq!(
            verdict(&settings, "/", &[host, ("sec-fetch-site", "cross-site"), json]),
            200,
            "a link to us"
        );
    }

    #[test]
    fn a_form_is_no_json() {
        let settings = settings("127.0.0.1:8000", false);
        let host = ("host", "localhost");
        for (kind, expected) in [
            ("application/json", 200),
            ("Application/JSON; charset=utf-8", 200),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("multipart/form-data", 415),
            ("text/plain, application/json", 415),
        ] {
            assert_eq!(verdict(&settings, "/ask", &[host, ("content-type", kind)]), expected, "{kind}");
        }
        assert_eq!(verdict(&settings, "/ask", &[host]), 415);
    }

    #[test]
    fn only_the_whole_key_opens() {
        let settings = settings("127.0.0.1:8000", true);
        let (host, json) = (("host", "localhost"), ("content-type", "application/json"));
        for (value, expected) in [
            ("Bearer 0123456789abcdefX", 200),
            ("bearer 0123456789abcdefX", 200),
            ("Bearer 0123456789abcdefx", 401),
            ("Bearer 0123456789abcdef", 401),
            ("Bearer 0123456789abcdefXY", 401),
            ("Bearer  0123456789abcdefX", 401),
            ("0123456789abcdefX", 401),
            ("Basic 0123456789abcdefX", 401),
            ("Bearer", 401),
            ("", 401),
        ] {
            assert_eq!(
                verdict(&settings, "/ask", &[host, ("authorization", value), json]),
                expected,
                "{value:?}"
            );
        }
        assert_eq!(verdict(&settings, "/ask", &[host, json]), 401);
        let twice =
            [host, ("authorization", "Bearer 0123456789abcdefX"), ("authorization", "Bearer no"), json];
        assert_eq!(verdict(&settings, "/ask", &twice), 401);
    }
}
