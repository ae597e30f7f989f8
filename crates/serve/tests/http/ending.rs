//! How a server ends: asked to, or because its engine has died.

use std::time::Duration;

use serde_json::json;

use crate::client::{Streaming, connect, get, post, wait_for};
use crate::script::Script;
use crate::served::{scripted, settings};

#[test]
fn texts_are_written_to_their_end_before_the_server_leaves() {
    let script = Script { pace: Duration::from_millis(10), ..Script::default() };
    let server = scripted(settings(), script);
    let body = json!({ "prompt": "a", "stream": true, "max_tokens": 60 });
    let mut stream = Streaming::post(server.to, "/v1/completions", &body);
    stream.until("word");
    let to = server.to;
    server.leave();
    wait_for("the door to be closed", || std::net::TcpStream::connect(to).is_err());
    stream.until("\"finish_reason\":\"length\"");
    stream.until("[DONE]");
    server.end().unwrap();
}

#[test]
fn what_takes_too_long_ends_with_an_error_event() {
    let mut settings = settings();
    settings.limits.drain = Duration::from_millis(300);
    let server = scripted(settings, Script::default());
    let body = json!({ "prompt": "a", "stream": true, "max_tokens": 100_000 });
    let mut events = Streaming::post(server.to, "/v1/completions", &body);
    events.until("word");
    server.leave();
    let last = events.until("error");
    assert!(last.contains("shutting down"), "{last}");
    server.end().unwrap();
}

#[test]
fn idle_connections_do_not_hold_the_server() {
    let server = scripted(settings(), Script::default());
    let _idle = connect(server.to);
    let clock = std::time::Instant::now();
    server.leave();
    server.end().unwrap();
    assert!(clock.elapsed() < Duration::from_secs(5), "{:?}", clock.elapsed());
}

#[test]
fn a_dead_engine_is_told_to_everybody_and_ends_the_server() {
    let server = scripted(settings(), Script { slots: 2, ..Script::default() });
    let on = json!({ "prompt": "a", "stream": true, "max_tokens": 100_000 });
    let mut other = Streaming::post(server.to, "/v1/completions", &on);
    other.until("word");
    let fatal = post(server.to, "/v1/completions", &json!({ "prompt": "a", "max_tokens": 666 }));
    assert_eq!(fatal.status, 503, "{}", fatal.body);
    let last = other.until("error");
    assert!(last.contains("engine has stopped"), "{last}");
    assert_eq!(get(server.to, "/health").status, 503);
    assert_eq!(post(server.to, "/api/generate", &json!({ "prompt": "a" })).status, 503);
    assert!(matches!(server.end(), Err(serve::Error::EngineDied)));
}

#[test]
fn an_engine_that_cannot_be_made_is_the_reason_why_nothing_starts() {
    // Others cannot reach what has no key.
    let mut open = settings();
    open.bind = "0.0.0.0:0".parse().unwrap();
    let error = crate::served::start_broken(open).unwrap_err();
    assert!(matches!(error, serve::Error::Open { .. }), "{error}");
    let error = crate::served::start_broken(settings()).unwrap_err();
    assert!(matches!(error, serve::Error::Engine(_)), "{error}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut second = settings();
    second.bind = taken.local_addr().unwrap();
    let error = crate::served::start_broken(second).unwrap_err();
    assert!(matches!(error, serve::Error::Bind { .. }), "{error}");
}
