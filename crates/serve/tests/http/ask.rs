//! `/ask` with the shipped model.

use model::engine::AdapterId;
use model::{Activations, Options};
use serde_json::{Value, json};

use crate::client::{get, metric, post};
use crate::served::{self, settings, shipped};

const QUESTION: &str = "Which vitamin deficiency causes scurvy?";

#[test]
fn the_letter_is_the_one_that_evaluation_would_choose() {
    let texts = ["Vitamin A", "Vitamin B12 (cobalamin)", "Vitamin C", "Vitamin D"];
    let (decoder, tokenizer, template) = (served::decoder(), served::tokenizer(), served::template());
    let asked = [chat::Message::user(format!("A sailor bleeds from the gums.\n\n{QUESTION}"))];
    let options = Options::encode(&tokenizer, &template, &asked, &texts).unwrap();
    let mut room = Activations::for_inference(&decoder, options.tokens()).unwrap();
    let scores = options.read(&decoder, &mut room, AdapterId::BASE != AdapterId::BASE);
    let best = (0..4).max_by(|&a, &b| scores[a].per_byte().total_cmp(&scores[b].per_byte())).unwrap();

    let server = shipped(settings());
    let map = json!({ "A": texts[0], "B": texts[1], "C": texts[2], "D": texts[3] });
    for options in [json!(texts), map] {
        let body = json!({ "case": "A sailor bleeds from the gums.", "question": QUESTION, "options": options, "max_tokens": 12 });
        let answer = post(server.to, "/ask", &body).json();
        assert_eq!(answer["choice"]["text"], texts[best], "{answer}");
        assert_eq!(answer["choice"]["letter"], ["A", "B", "C", "D"][best]);
        let mut total = 0.0;
        for (letter, score) in ["A", "B", "C", "D"].iter().zip(&scores) {
            let told = &answer["options"][letter];
            assert!((told["log_likelihood"].as_f64().unwrap() - score.log_likelihood).abs() < 1e-9);
            total += told["probability"].as_f64().unwrap();
        }
        assert!((total - 1.0).abs() < 1e-9);
        assert_eq!(answer["usage"]["completion_tokens"], 12);
        assert!(answer["timings"]["decode_ms"].as_f64().unwrap() > 0.0);
    }
    let only = json!({ "question": QUESTION, "options": texts, "max_tokens": 0 });
    let answer = post(server.to, "/ask", &only).json();
    assert!(
        answer["choice"]["letter"].is_string() && answer["text"] == "" && answer["finish_reason"].is_null()
    );
    assert_eq!(metric(server.to, "completion_tokens_total"), 24, "nothing was written for the last");
}

#[test]
fn a_stream_tells_the_choice_then_the_words_then_all() {
    let server = shipped(settings());
    let mut body = json!({ "question": QUESTION, "options": ["Vitamin A", "Vitamin C"], "max_tokens": 10 });
    let whole = post(server.to, "/ask", &body).json();
    body["stream"] = true.into();
    let events = post(server.to, "/ask", &body).events();
    assert_eq!(events[0]["choice"], whole["choice"]);
    let last = events.last().unwrap();
    assert_eq!((&last["done"], &last["text"]), (&true.into(), &whole["text"]));
    let deltas: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert!(whole["text"].as_str().unwrap().starts_with(&deltas) && !deltas.is_empty());
}

#[test]
fn the_old_way_to_ask_gives_what_ollama_gives() {
    let server = shipped(settings());
    let answer = get(server.to, "/ask?model=shipped&prompt=What%20is+sepsis%3F&seed=7").json();
    assert_eq!((&answer["model"], &answer["done"]), (&"shipped".into(), &true.into()));
    assert!(!answer["response"].as_str().unwrap().is_empty());
    let same = json!({ "prompt": "What is sepsis?", "stream": false });
    assert_eq!(post(server.to, "/api/generate", &same).json()["response"], answer["response"]);
    for (query, status) in
        [("model=absent&prompt=a", 404), ("model=shipped", 400), ("prompt=a&seed=x", 400), ("", 400)]
    {
        let response = get(server.to, &format!("/ask?{query}"));
        assert_eq!(response.status, status, "{query}");
        assert!(response.json()["error"].is_string());
    }
}

#[test]
fn what_cannot_be_asked_is_explained() {
    let server = shipped(settings());
    for (body, reason) in [
        (json!({}), "question"),
        (json!({ "question": "  " }), "question"),
        (json!({ "question": "a", "max_tokens": 0 }), "max_tokens"),
        (json!({ "question": "a", "options": ["one"] }), "2 to 26"),
        (json!({ "question": "a", "options": { "first": "x", "second": "y" } }), "single letter"),
        (json!({ "question": "a", "options": "A or B" }), "a list of texts or a map from letters to texts"),
        (json!({ "question": "a", "options": [1, 2] }), "expected a string"),
        (json!({ "question": 5 }), "expected a string"),
    ] {
        let response = post(server.to, "/ask", &body);
        assert_eq!(response.status, 400, "{body}: {}", response.body);
        let error: Value = response.json()["error"].clone();
        assert!(error.as_str().unwrap().contains(reason), "{body}: {error}");
    }
}
