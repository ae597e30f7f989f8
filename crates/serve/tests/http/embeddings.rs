//! Vectors of texts, with an encoder of the test's own.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use serve::{Embedder, Settings, TextVector};

use crate::client::{get, post};
use crate::script::Script;
use crate::served::{scripted, settings};

/// Reads four words; a text's vector is its number of words and of bytes.
#[derive(Debug)]
struct Counting;

impl Embedder for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn embed(&self, texts: &[String]) -> model::Result<Vec<TextVector>> {
        let vector = |text: &String| {
            let words = text.split_whitespace().count();
            let values = vec![words as f32, text.len() as f32 + 0.25];
            TextVector { values, tokens: words.min(4), cut: words.saturating_sub(4) }
        };
        Ok(texts.iter().map(vector).collect())
    }
}

fn with_encoder() -> Settings {
    Settings { embedder: Some(Arc::new(Counting)), ..settings() }
}

#[test]
fn texts_get_their_vectors_in_their_order() {
    let server = scripted(with_encoder(), Script::default());
    let body = json!({ "model": "counting", "input": ["fever", "chest pain"], "encoding_format": "float" });
    let reply = post(server.to, "/v1/embeddings", &body).json();
    let entry =
        |index: usize, values: Value| json!({ "object": "embedding", "index": index, "embedding": values });
    assert_eq!(reply["data"], json!([entry(0, json!([1.0, 5.25])), entry(1, json!([2.0, 10.25]))]));
    assert_eq!(reply["usage"], json!({ "prompt_tokens": 3, "total_tokens": 3 }));
    assert_eq!((&reply["model"], &reply["object"]), (&"counting".into(), &"list".into()));

    let reply =
        post(server.to, "/api/embed", &json!({ "model": "counting:latest", "input": "fever" })).json();
    assert_eq!(reply["embeddings"], json!([[1.0, 5.25]]));
    assert_eq!(reply["prompt_eval_count"], 1);
    assert!(reply["total_duration"].is_u64());

    let reply = post(server.to, "/api/embeddings", &json!({ "model": "counting", "prompt": "fever" })).json();
    assert_eq!(reply["embedding"], json!([1.0, 5.25]));

    let models = get(server.to, "/v1/models").json();
    assert!(models["data"].as_array().unwrap().iter().any(|model| model["id"] == "counting"), "{models}");
}

#[test]
fn base64_holds_the_same_values_in_little_endian() {
    let server = scripted(with_encoder(), Script::default());
    let body = json!({ "input": "chest pain", "encoding_format": "base64" });
    let reply = post(server.to, "/v1/embeddings", &body).json();
    let bytes = BASE64_STANDARD.decode(reply["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert_eq!(values, [2.0, 10.25]);
}

#[test]
fn a_text_that_is_longer_than_the_encoder_reads_is_refused_or_said_to_be_cut() {
    let server = scripted(with_encoder(), Script::default());
    let long = json!({ "input": ["short", "one two three four five six"] });
    let refused = post(server.to, "/v1/embeddings", &long);
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["code"], "context_length_exceeded");
    assert!(refused.body.contains("text 1 has 6 tokens, the encoder reads 4"), "{}", refused.body);

    assert_eq!(post(server.to, "/api/embed", &long).json()["truncated_tokens"], 2);
    let strict = json!({ "input": "one two three four five six", "truncate": false });
    assert_eq!(post(server.to, "/api/embed", &strict).status, 400);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let server = scripted(with_encoder(), Script::default());
    let status = |body: Value| post(server.to, "/v1/embeddings", &body).status;
    assert_eq!(status(json!({ "model": "shipped", "input": "a" })), 404);
    assert_eq!(status(json!({ "input": [] })), 400);
    assert_eq!(status(json!({ "input": vec!["a"; 257] })), 400);
    assert_eq!(status(json!({ "input": [[1, 2]] })), 400);
    assert_eq!(status(json!({ "input": "a", "dimensions": 2 })), 400);
    assert_eq!(status(json!({ "input": "a", "encoding_format": "hex" })), 400);
}
