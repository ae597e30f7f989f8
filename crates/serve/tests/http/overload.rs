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
        assert!(clock.elapsed() < Duration::from_millis(250), "{:?}", clock.elapsed());
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
