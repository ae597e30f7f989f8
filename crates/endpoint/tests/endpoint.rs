//! A model at an address, with a server that behaves in every way that servers do.

#[allow(dead_code, reason = "every test file takes what it needs")]
mod scripted_server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chat::{ChatModel, ChatRequest, Error, Finish, Form, Message, Refusal};
use endpoint::{ApiKey, Budget, Cached, Endpoint, RateLimit, ReplyStore, Settings};
use scripted_server::{Answer, ScriptedServer, completion};
use serde_json::json;

const KEY: &str = "sk-a-secret-that-nobody-sees";

fn settings(server: &ScriptedServer) -> Settings {
    Settings {
        key: Some(ApiKey::new(KEY).unwrap()),
        backoff: Some(Duration::from_millis(4)),
        attempts: 4,
        ..Settings::new(&server.address, "scripted-1")
    }
}

fn question(text: &str) -> ChatRequest {
    ChatRequest::new(vec![Message::user(text)], 50)
}

fn structured() -> ChatRequest {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
    let form = Some(Form::JsonSchema { name: "number".into(), schema });
    ChatRequest { form, ..question("A number?") }
}

/// The error of a request, in which no key may stand.
fn error_of(endpoint: &Endpoint, request: &ChatRequest) -> Error {
    let error = endpoint.reply(request).unwrap_err();
    assert!(!format!("{error} {error:?} {endpoint:?}").contains(KEY));
    error
}

#[test]
fn a_good_reply_comes_with_what_it_took() {
    let server = ScriptedServer::start(|_| Answer::text("So.").header("x-litellm-response-cost", "0.002"));
    let endpoint = Endpoint::new(settings(&server)).unwrap();
    let reply = endpoint.reply(&question("Why?")).unwrap();
    assert_eq!((reply.text.as_str(), reply.finish, reply.cached), ("So.", Finish::Stop, false));
    assert_eq!((reply.usage.total(), reply.cost, reply.model.as_str()), (120, Some(0.002), "scripted-1"));
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.authorization.as_deref(), Some(&*format!("Bearer {KEY}")));
    assert_eq!(asked.body["model"], "scripted-1");
    assert!(!endpoint.is_remote());
}

#[test]
fn what_may_pass_is_asked_again() {
    let broken = completion("So.").to_string();
    let server = ScriptedServer::start(move |asked| match asked.number {
        0 => Answer::error(503, "loading"),
        1 => Answer { body: broken.clone(), cut: Some(broken.len() / 2), status: 200, ..Answer::default() },
        2 => Answer { body: "<html>bad gateway</html>".into(), status: 200, ..Answer::default() },
        _ => Answer::text("So."),
    });
    let endpoint = Endpoint::new(settings(&server)).unwrap();
    assert_eq!(endpoint.reply(&question("Why?")).unwrap().text, "So.");
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn it_gives_up_after_some_attempts_and_says_what_came_last() {
    let server = ScriptedServer::start(|_| Answer::error(500, "out of memory"));
    let endpoint = Endpoint::new(settings(&server)).unwrap();
    let error = error_of(&endpoint, &question("Why?"));
    assert!(error.is_lasting());
    assert!(
        error.to_string().ends_with("gave up after 4 attempts, the last one: HTTP 500: out of memory"),
        "{error}"
    );
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn retry_after_is_waited_for_by_everybody() {
    let server = ScriptedServer::start(|asked| match asked.number {
        0 => Answer::error(429, "slow down").header("retry-after", "0.3"),
        _ => Answer::text("So."),
    });
    let endpoint = Endpoint::new(settings(&server)).unwrap();
    let start = Instant::now();
    endpoint.reply(&question("Why?")).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_pause_of_hours_is_not_waited_for() {
    let server = ScriptedServer::start(|_| Answer::error(429, "daily limit").header("retry-after", 7200));
    let endpoint = Endpoint::new(settings(&server)).unwrap();
    let start = Instant::now();
    let error = error_of(&endpoint, &question("Why?")).to_string();
    assert!(error.contains("daily limit; it asks to wait for 7200 s"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_slow_reply_is_waited_for_until_the_timeout() {
    let slow = Answer { delay: Duration::from_millis(200), ..Answer::text("So.") };
    let server = ScriptedServer::start(move |_| slow.clone());
    assert_eq!(Endpoint::new(settings(&server)).unwrap().reply(&question("Why?")).unwrap().text, "So.");
    let hasty = Settings { timeout: Duration::from_millis(50), attempts: 2, ..settings(&server) };
    let error = error_of(&Endpoint::new(hasty).unwrap(), &question("Why?")).to_string();
    assert!(error.contains("gave up after 2 attempts") && error.contains("no reply within"), "{error}");
}

#[test]
fn a_wrong_key_is_said_at_once_without_the_key() {
    let server = ScriptedServer::start(|_| Answer::error(401, &format!("Incorrect API key: {KEY}")));
    let endpoint = Endpoint::new(settings(&server)).unwrap();
    let error = error_of(&endpoint, &question("Why?"));
    assert!(matches!(error, Error::Key { status: 401, .. }) && error.is_lasting(), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn quota_that_is_used_up_is_not_asked_for_again() {
    let body = json!({ "error": { "message": "You exceeded your quota", "code": "insufficient_quota" } });
    let server = ScriptedServer::start(move |_| Answer { status: 429, ..Answer::body(&body) });
    let error = error_of(&Endpoint::new(settings(&server)).unwrap(), &question("Why?"));
    assert!(matches!(error, Error::Credit { .. }), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_model_that_is_not_there_is_said_at_once() {
    let server = ScriptedServer::start(|_| Answer::error(404, "no model `scripted-1`"));
    let error = error_of(&Endpoint::new(settings(&server)).unwrap(), &question("Why?"));
    assert!(matches!(error, Error::NotFound { .. }) && error.to_string().contains("no model"), "{error}");
}

#[test]
fn a_redirect_is_not_followed_with_the_key() {
    let server = ScriptedServer::start(|_| {
        Answer { status: 307, body: "{}".into(), ..Answer::default() }
            .header("location", "http://elsewhere/v1")
    });
    let error = error_of(&Endpoint::new(settings(&server)).unwrap(), &question("Why?")).to_string();
    assert!(error.contains("it sends on to http://elsewhere/v1"), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn nobody_at_the_address_is_said_at_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = Settings::new(format!("http://127.0.0.1:{port}"), "m");
    let patient = Settings { backoff: Some(Duration::from_secs(60)), ..settings };
    let endpoint = Endpoint::new(patient).unwrap();
    let start = Instant::now();
    let error = error_of(&endpoint, &question("Why?"));
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "no repetitions where nobody ever answered");
}

#[test]
fn the_ladder_goes_down_to_what_the_server_knows_and_stays_there() {
    let server = ScriptedServer::start(|asked| match asked.body.get("response_format") {
        Some(_) => Answer::error(400, "response_format is not supported by this model"),
        None => Answer::text("{\"n\": 3}"),
    });
    let endpoint = Endpoint::new(settings(&server)).unwrap();
    for _ in 0..2 {
        assert_eq!(chat::ask(&endpoint, &structured()).unwrap().value, json!({ "n": 3 }));
    }
    let formats: Vec<_> =
        server.asked().iter().map(|asked| asked.body["response_format"]["type"].clone()).collect();
    assert_eq!(formats, [json!("json_schema"), json!("json_object"), json!(null), json!(null)]);
    assert!(server.asked()[3].question().contains("\"integer\""));
}

#[test]
fn groqs_failed_generation_goes_down_once_only() {
    let body = json!({ "error": { "message": "Failed to generate JSON", "code": "json_validate_failed" } });
    let server = ScriptedServer::start(move |asked| match asked.number {
        0 => Answer { status: 400, ..Answer::body(&body) },
        _ => Answer::text("{\"n\": 3}"),
    });
    let endpoint = Endpoint::new(settings(&server)).unwrap();
    endpoint.reply(&structured()).unwrap();
    endpoint.reply(&structured()).unwrap();
    let formats: Vec<_> =
        server.asked().iter().map(|asked| asked.body["response_format"]["type"].clone()).collect();
    assert_eq!(formats, [json!("json_schema"), json!("json_object"), json!("json_schema")]);
}

#[test]
fn a_choice_is_one_of_its_texts_whatever_stands_around_it() {
    let server = ScriptedServer::start(|asked| match asked.number {
        0 => Answer::text("<think>A or B?</think>\n**yes**."),
        _ => Answer::text("It depends."),
    });
    let endpoint = Endpoint::new(settings(&server)).unwrap();
    let form = Some(Form::Choice(vec!["Yes".into(), "No".into()]));
    let request = ChatRequest { form, ..question("Is it?") };
    assert_eq!(endpoint.reply(&request).unwrap().text, "Yes");
    assert!(matches!(error_of(&endpoint, &request), Error::Form(_)));
    assert!(server.asked()[0].question().ends_with("nothing else: `Yes`, `No`."));
}

#[test]
fn what_the_gate_refuses_is_never_sent() {
    let server = ScriptedServer::start(|_| Answer::text("So."));
    let gate = |request: &ChatRequest| match request.messages[0].content.contains("Mr") {
        true => Err(Refusal { reason: "a name".into() }),
        false => Ok(()),
    };
    let endpoint =
        Endpoint::new(Settings { before_send: Some(Arc::new(gate)), ..settings(&server) }).unwrap();
    let error = error_of(&endpoint, &question("What has Mr Smith?"));
    assert_eq!(error, Error::Gate(Refusal { reason: "a name".into() }));
    assert!(server.asked().is_empty() && !error.is_lasting());
    assert!(endpoint.reply(&question("What is asthma?")).is_ok());
}

#[test]
fn a_budget_in_tokens_ends_it_before_it_is_passed() {
    let server = ScriptedServer::start(|_| Answer::text("So."));
    let budget = Budget { tokens: Some(400), money: None };
    let endpoint = Endpoint::new(Settings { budget, ..settings(&server) }).unwrap();
    let replies =
        (0..10).map(|n| endpoint.reply(&question(&format!("{n}?")))).take_while(Result::is_ok).count();
    assert_eq!(
        (replies, endpoint.spent().tokens),
        (3, 360),
        "120 tokens each, and 66 set aside for the fourth"
    );
    assert!(matches!(error_of(&endpoint, &question("10?")), Error::Budget(_)));
}

#[test]
fn a_budget_in_money_needs_to_know_prices() {
    let server = ScriptedServer::start(|_| Answer::text("So."));
    let budget = Budget { tokens: None, money: Some(1.0) };
    let endpoint = Endpoint::new(Settings { budget, ..settings(&server) }).unwrap();
    assert!(endpoint.reply(&question("1?")).is_ok());
    let error = error_of(&endpoint, &question("2?")).to_string();
    assert!(error.contains("no price of `scripted-1` is known"), "{error}");

    let table = json!({ "scripted-1": { "input_cost_per_token": 0.001, "output_cost_per_token": 0.01 } });
    let prices = serde_json::from_value(table).unwrap();
    let endpoint = Endpoint::new(Settings { budget, prices, ..settings(&server) }).unwrap();
    assert_eq!(endpoint.reply(&question("1?")).unwrap().cost, Some(0.1 + 0.2));
    assert!(endpoint.reply(&question("2?")).is_ok());
    assert!(matches!(error_of(&endpoint, &question("3?")), Error::Budget(_)));
}

#[test]
fn several_callers_are_served_at_once() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, peak) = (now.clone(), most.clone());
    let server = ScriptedServer::start(move |_| {
        peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let start = Instant::now();
        while peak.load(Ordering::SeqCst) < 6 && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        running.fetch_sub(1, Ordering::SeqCst);
        Answer::text("So.")
    });
    let endpoint = Endpoint::new(settings(&server)).unwrap();
    std::thread::scope(|scope| {
        for n in 0..6 {
            let endpoint = &endpoint;
            scope.spawn(move || endpoint.reply(&question(&format!("{n}?"))).unwrap());
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 6);
}

#[test]
fn a_rate_limit_of_requests_is_kept() {
    let server = ScriptedServer::start(|_| Answer::text("So."));
    let rate = RateLimit { requests: Some(3), tokens: None };
    let endpoint = Arc::new(Endpoint::new(Settings { rate, ..settings(&server) }).unwrap());
    for n in 0..4 {
        let endpoint = endpoint.clone();
        std::thread::spawn(move || endpoint.reply(&question(&format!("{n}?"))));
    }
    let start = Instant::now();
    while server.asked().len() < 3 && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.asked().len(), 3, "the fourth waits for the next minute");
}

#[test]
fn replies_that_are_kept_are_not_asked_for_again_even_when_the_server_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = || ReplyStore::open(&folder.path().join("replies.sqlite")).unwrap();
    let server = ScriptedServer::start(|_| Answer::text("So."));
    let model = Cached::new(Endpoint::new(settings(&server)).unwrap(), store());
    assert!(!model.has(&question("Why?")).unwrap());
    assert!(!model.reply(&question("Why?")).unwrap().cached);
    assert!(model.reply(&question("Why?")).unwrap().cached && model.has(&question("Why?")).unwrap());
    assert_eq!(server.asked().len(), 1);
    let bytes = std::fs::read(folder.path().join("replies.sqlite")).unwrap();
    assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()));
}
