//! More clients than places.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Streaming, metric, post, wait_for};
use crate::script::Script;
use crate::served::{scripted, settings};

#[test]
fn beyond_its_places_the_server_says_no_at_once_and_says_when_to_come_back() {
    let mut settings = settings();
    settings.limits.places = 3;
    let server = scripted(settings, Script::default());
    let body = json!({ "prompt": "on", "options": { "num_predict": 500_000 } });
    let mut first = Streaming::post(server.to, "/api/generate", &body);
    first.until("word");
    let taken = [
        first,
        Streaming::post(server.to, "/api/generate", &body),
        Streaming::post(server.to, "/api/generate", &body),
    ];
    wait_for("all places to be taken", || {
        metric(server.to, "texts_running") + metric(server.to, "texts_waiting") == 3
    });
    for path in ["/api/generate", "/v1/completions"] {
        let clock = Instant::now();
        let response = post(server.to, path, &json!({ "prompt": "me too" }));
        assert!(clock.elapsed() < Duration::from_secs(5), "{:?}", clock.elapsed());
        assert_eq!(response.status, 503);
        let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
    }
    assert_eq!(metric(server.to, "overloaded_total"), 2);
    let four = json!({ "prompt": "four at once", "n": 4 });
    drop(taken);
    wait_for("the places to be free", || metric(server.to, "texts_running") == 0);
    assert_eq!(post(server.to, "/v1/completions", &json!({ "prompt": "now" })).status, 200);
    assert_eq!(post(server.to, "/v1/completions", &four).status, 503, "three places are not four");
}

#[test]
fn many_clients_at_once_all_get_an_answer_or_a_no() {
    let mut settings = settings();
    settings.limits.places = 40;
    let script = Script { slots: 8, pace: Duration::from_micros(500), ..Script::default() };
    let server = scripted(settings, script);
    let to = server.to;
    let clients: Vec<_> = (0..200)
        .map(|_| {
            std::thread::spawn(move || {
                let body = json!({ "prompt": "all at once", "stream": true, "max_tokens": 20 });
                let response = post(to, "/v1/completions", &body);
                if response.status == 200 {
                    assert!(response.body.ends_with("data: [DONE]\n\n"), "{}", response.body);
                }
                response.status
            })
        })
        .collect();
    let statuses: Vec<u16> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let count = |status| statuses.iter().filter(|s| **s == status).count();
    assert_eq!(count(200) + count(503), 200, "{statuses:?}");
    assert!(count(200) >= 40);
    wait_for("nothing to be left", || metric(to, "texts_running") == 0);
}

/// Memory of this process, server and clients together.
#[cfg(target_os = "linux")]
fn resident_mib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096 / (1 << 20)
}

/// For three seconds among the other tests; alone and for longer, memory is held as well:
/// `SOAK_SECONDS=60 cargo test -p serve --release --test http -- soak --nocapture`.
#[cfg(target_os = "linux")]
#[test]
fn soak_two_hundred_streaming_clients_leave_no_trace() {
    let alone: Option<u64> = std::env::var("SOAK_SECONDS").ok().and_then(|s| s.parse().ok());
    let seconds = alone.unwrap_or(3);
    let script = Script { slots: 32, pace: Duration::from_micros(200), ..Script::default() };
    let server = scripted(settings(), script);
    let to = server.to;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let clients: Vec<_> = (0..200)
        .map(|_| {
            std::thread::spawn(move || {
                let (mut written, mut refused) = (0u64, 0u64);
                while Instant::now() < end {
                    let body = json!({ "prompt": "again", "stream": true, "max_tokens": 40 });
                    let response = post(to, "/v1/completions", &body);
                    match response.status {
                        200 => assert!(response.body.ends_with("data: [DONE]\n\n"), "{}", response.body),
                        503 => std::thread::sleep(Duration::from_millis(100)),
                        other => panic!("{other}: {}", response.body),
                    }
                    if response.status == 200 { written += 1 } else { refused += 1 }
                }
                (written, refused)
            })
        })
        .collect();
    std::thread::sleep(Duration::from_secs(seconds) / 4);
    let early = resident_mib();
    let counts: Vec<(u64, u64)> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let late = resident_mib();
    let (written, refused) = counts.iter().fold((0, 0), |(w, r), c| (w + c.0, r + c.1));
    println!("{written} texts, {refused} refused, {early} MiB after a quarter, {late} MiB at the end");
    println!("{:.0} tokens/s", (40 * written) as f64 / begun.elapsed().as_secs_f64());
    assert!(written > 0);
    assert!(alone.is_none() || late <= early + 16, "{early} MiB grew to {late} MiB");
    wait_for("nothing to be left", || metric(to, "texts_running") == 0);
    assert_eq!(metric(to, "slow_readers_total"), 0);
}
