//! Clients that go away, do not read, do not write, or ask for too much.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Streaming, connect, finish, get, metric, post, raw, request, wait_for};
use crate::script::Script;
use crate::served::{scripted, settings, shipped};

fn endless(stream: bool) -> Value {
    json!({ "prompt": "on and on", "stream": stream, "options": { "num_predict": 500_000 } })
}

#[test]
fn a_client_that_goes_away_frees_its_place_within_a_step_whatever_is_done_for_it() {
    let script = Script { prefill: 10, pace: Duration::from_millis(20), ..Script::default() };
    for stream in [true, false] {
        let server = scripted(settings(), script.clone());
        let mut decodes = Streaming::post(server.to, "/api/generate", &endless(true));
        decodes.until("word");
        let waits = Streaming::post(server.to, "/api/generate", &endless(stream));
        wait_for("the second to wait", || metric(server.to, "texts_waiting") == 1);

        // In the queue.
        drop(waits);
        wait_for("the end of what waited", || metric(server.to, "texts_waiting") == 0);
        assert_eq!(*server.cancelled.lock().unwrap(), [0]);
        // While it is written.
        drop(decodes);
        wait_for("the end of what was written", || metric(server.to, "texts_running") == 0);
        assert!(server.cancelled.lock().unwrap()[1] > 0);
        // While its prompt is read: before the first token.
        let prefills = Streaming::post(server.to, "/api/generate", &endless(stream));
        wait_for("the third to run", || metric(server.to, "texts_running") == 1);
        drop(prefills);
        wait_for("the end of what was read", || metric(server.to, "texts_running") == 0);
        assert_eq!(server.cancelled.lock().unwrap()[2], 0);

        assert_eq!(metric(server.to, "disconnects_total"), 3);
        let next = json!({ "prompt": "next", "stream": false, "options": { "num_predict": 3 } });
        let response = post(server.to, "/api/generate", &next);
        assert_eq!(response.json()["response"], " word word word", "the next one is served");
    }
}

#[test]
fn however_fast_tokens_come_a_client_that_reads_keeps_its_place() {
    let script = Script { pace: Duration::ZERO, ..Script::default() };
    let mut settings = settings();
    settings.limits.unread = 16;
    let server = scripted(settings, script);
    let body = json!({ "prompt": "fast", "options": { "num_predict": 30_000 } });
    let response = post(server.to, "/api/generate", &body);
    assert_eq!(response.lines().len(), 30_001, "all tokens and the end");
    assert_eq!(metric(server.to, "slow_readers_total"), 0);
}

#[test]
fn one_that_never_reads_loses_its_place_and_the_others_notice_nothing() {
    let mut settings = settings();
    settings.limits.send_buffer = 4096;
    settings.limits.write = Duration::from_millis(500);
    settings.limits.unread = 8;
    let token = "x".repeat(2000);
    let script = Script { slots: 2, pace: Duration::from_micros(500), token, ..Script::default() };
    let server = scripted(settings, script);
    let deaf = Streaming::post(server.to, "/api/generate", &endless(true));
    let other = json!({ "prompt": "reads", "options": { "num_predict": 2000 } });
    let response = post(server.to, "/api/generate", &other);
    assert_eq!(response.lines().len(), 2001, "all tokens and the end");
    wait_for("the cut", || metric(server.to, "slow_readers_total") == 1);
    assert_eq!(metric(server.to, "texts_running"), 0);
    // The connection itself goes too, when its write has waited for long enough.
    wait_for("the end of the connection", || metric(server.to, "connections") == 1);
    drop(deaf);
}

#[test]
fn slow_headers_and_bodies_are_not_waited_for() {
    let mut settings = settings();
    settings.limits.header = Duration::from_millis(400);
    settings.limits.body_time = Duration::from_millis(400);
    let server = scripted(settings, Script::default());

    let clock = Instant::now();
    let silent = connect(server.to);
    let mut partial = connect(server.to);
    partial.write_all(b"POST /ask HTTP/1.1\r\nHost: loc").unwrap();
    let mut dribbling = connect(server.to);
    let dribble = std::thread::spawn(move || {
        for byte in
            b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        {
            if dribbling.write_all(&[*byte]).is_err() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        finish(dribbling).status != 200
    });
    for stream in [silent, partial] {
        let response = finish(stream);
        assert!(matches!(response.status, 0 | 408), "{}", response.head);
    }
    assert!(dribble.join().unwrap(), "a byte at a time does not win time");
    assert!(clock.elapsed() < Duration::from_secs(10));

    let whole = request("POST", "/ask", &[], &json!({ "question": "slow?" }).to_string());
    let mut body = connect(server.to);
    body.write_all(&whole.as_bytes()[..whole.len() - 5]).unwrap();
    assert_eq!(finish(body).status, 408);

    let mut cut = connect(server.to);
    cut.write_all(&whole.as_bytes()[..whole.len() - 5]).unwrap();
    cut.shutdown(Shutdown::Both).unwrap();
    assert_eq!(get(server.to, "/health").status, 200);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_worked_on() {
    let server = shipped(settings());
    let large = "word ".repeat(300_000);
    let to = server.to;

    let announced = format!(
        "POST /ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        u64::MAX / 2
    );
    assert_eq!(raw(to, announced.as_bytes()).status, 413, "announced");
    let mut chunked = b"POST /ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
    for _ in 0..20 {
        chunked.extend(format!("{:x}\r\n{}\r\n", 65_536, " ".repeat(65_536)).bytes());
    }
    chunked.extend(b"0\r\n\r\n");
    assert_eq!(raw(to, &chunked).status, 413, "not announced");
    let header = format!("X-Large: {}", "a".repeat(200_000));
    let refused = raw(to, request("GET", "/health", &[&header], "").as_bytes()).status;
    assert!(
        matches!(refused, 431 | 0),
        "header: {refused}; a client that still sends may find itself cut off"
    );
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: a")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(raw(to, request("GET", "/health", &many, "").as_bytes()).status, 431, "headers");

    let clock = Instant::now();
    let too_long = |path: &str, body: Value| {
        let response = post(to, path, &body);
        assert_eq!(response.status, 400, "{path}: {}", response.body);
        assert!(response.body.contains("the model's context takes 51"), "{path}: {}", response.body);
    };
    for length in [3_000, 1_000_000] {
        let text = &large[..length];
        too_long("/v1/chat/completions", json!({ "messages": [{ "role": "user", "content": text }] }));
        too_long("/v1/completions", json!({ "prompt": text }));
        too_long("/api/generate", json!({ "prompt": text }));
        too_long("/api/chat", json!({ "messages": [{ "role": "user", "content": text }] }));
        too_long("/ask", json!({ "question": text }));
        too_long("/ask", json!({ "question": text, "options": ["iron", "zinc"] }));
    }
    assert!(clock.elapsed() < Duration::from_secs(20));

    let user = json!([{ "role": "user", "content": "Why?" }]);
    let mut too_much = Vec::new();
    for (field, value) in [
        ("n", json!(5)),
        ("n", json!(0)),
        ("n", json!(1_000_000_000)),
        ("stop", json!(["a", "b", "c", "d", "e"])),
        ("stop", json!("x".repeat(65))),
        ("stop", json!("")),
        ("top_logprobs", json!(21)),
        ("temperature", json!(-0.1)),
        ("temperature", json!(1e30)),
        ("top_p", json!(1.5)),
        ("frequency_penalty", json!(3)),
        ("max_tokens", json!(0)),
        ("max_tokens", json!(-1)),
        ("tools", json!([{ "type": "function" }])),
        ("logit_bias", json!({ "5": 100 })),
    ] {
        let mut body = json!({ "messages": user, "logprobs": true });
        body[field] = value;
        too_much.push(("/v1/chat/completions", body));
    }
    too_much.push(("/v1/chat/completions", json!({ "messages": [] })));
    let turns: Vec<Value> = (0..257).map(|_| json!({ "role": "user", "content": "" })).collect();
    too_much.push(("/v1/chat/completions", json!({ "messages": turns })));
    too_much.push(("/v1/completions", json!({ "prompt": vec!["a"; 17] })));
    too_much.push(("/v1/completions", json!({ "prompt": vec!["a"; 5], "n": 4 })));
    too_much.push(("/v1/completions", json!({ "prompt": [9_000_000] })));
    too_much.push(("/v1/completions", json!({ "prompt": [] })));
    too_much.push(("/api/generate", json!({ "prompt": "a", "options": { "mirostat": 2 } })));
    too_much.push(("/api/generate", json!({ "prompt": "a", "template": "{{ .Prompt }}" })));
    too_much.push(("/api/generate", json!({ "prompt": "a", "images": ["aaaa"] })));
    too_much.push(("/ask", json!({ "question": "a", "options": vec!["x"; 27] })));
    for (path, body) in too_much {
        let response = post(to, path, &body);
        assert_eq!(response.status, 400, "{path} {body}: {}", response.body);
    }
    assert_eq!(
        post(to, "/v1/completions", &json!({ "prompt": "a", "max_tokens": u64::MAX, "stop": ["."] })).status,
        200
    );
}

#[test]
fn malformed_json_is_refused_with_its_place_everywhere() {
    let server = scripted(settings(), Script::default());
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for path in ["/ask", "/v1/chat/completions", "/v1/completions", "/api/generate", "/api/chat", "/api/show"]
    {
        for body in [
            "{",
            "CANARY",
            "{\"prompt\": \"CANARY}",
            "[1, 2]",
            "{\"model\": 3}",
            "{\"a\": NaN}",
            &deep,
            "\u{0}",
        ] {
            let response = raw(server.to, request("POST", path, &[], body).as_bytes());
            assert_eq!(response.status, 400, "{path} {body:.40}: {}", response.body);
            assert!(response.body.contains("line 1, column"), "{path} {body:.40}: {}", response.body);
            assert!(!response.body.contains("CANARY"), "{}", response.body);
        }
    }
    let mut invalid = request("POST", "/ask", &[], "{\"question\": \"....\"}").into_bytes();
    let place = invalid.windows(4).position(|w| w == b"....").unwrap();
    invalid[place] = 0xff;
    assert_eq!(raw(server.to, &invalid).status, 400, "not UTF-8");
    assert_eq!(raw(server.to, b"nonsense\r\n\r\n").status, 400, "not HTTP");
    assert_eq!(get(server.to, "/health").status, 200, "the server lives on");
}
