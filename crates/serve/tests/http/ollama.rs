//! The API of Ollama with the shipped model.

use serde_json::{Value, json};

use crate::client::{get, post};
use crate::served::{settings, shipped};

#[test]
fn a_chat_comes_in_lines_and_ends_with_its_numbers() {
    let server = shipped(settings());
    let mut body = json!({
        "model": "shipped:latest",
        "messages": [{ "role": "user", "content": "What is sepsis?" }],
        "options": { "num_predict": 16, "num_ctx": 4096, "num_thread": 2 },
        "keep_alive": "5m",
    });
    let response = post(server.to, "/api/chat", &body);
    assert_eq!(response.header("content-type"), Some("application/x-ndjson"));
    let mut lines = response.lines();
    let last = lines.pop().unwrap();
    assert!(lines.iter().all(|line| line["done"] == false && line["model"] == "shipped:latest"));
    assert!(lines.iter().all(|line| line["created_at"].as_str().unwrap().ends_with('Z')));
    assert_eq!((&last["done"], &last["done_reason"]), (&true.into(), &"length".into()));
    assert_eq!(last["eval_count"], 16);
    for field in
        ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration", "prompt_eval_count"]
    {
        assert!(last[field].is_u64(), "{field}: {last}");
    }
    assert!(last["total_duration"].as_u64() >= last["eval_duration"].as_u64());
    assert!(last["eval_duration"].as_u64().unwrap() > 10_000, "nanoseconds");
    let text: String = lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();

    body["stream"] = false.into();
    let whole = post(server.to, "/api/chat", &body).json();
    let rest = last["message"]["content"].as_str().unwrap();
    assert_eq!(whole["message"], json!({ "role": "assistant", "content": format!("{text}{rest}") }));
    let generated = json!({ "prompt": "What is sepsis?", "stream": false, "options": { "num_predict": 16 } });
    let generated = post(server.to, "/api/generate", &generated).json();
    assert_eq!(generated["response"], whole["message"]["content"], "a prompt is a conversation of one turn");
    let raw = json!({ "prompt": "What is sepsis?", "raw": true, "stream": false, "options": { "num_predict": 16 } });
    let raw = post(server.to, "/api/generate", &raw).json();
    assert_ne!(raw["prompt_eval_count"], generated["prompt_eval_count"], "raw has no template");
}

#[test]
fn an_empty_prompt_loads_or_unloads_what_is_there_anyway() {
    let server = shipped(settings());
    let load = post(server.to, "/api/generate", &json!({ "model": "shipped" })).json();
    assert_eq!((&load["done_reason"], &load["response"]), (&"load".into(), &"".into()));
    for zero in [json!(0), json!(0.0), json!("0")] {
        let body = json!({ "model": "shipped", "messages": [], "keep_alive": zero });
        let unload = post(server.to, "/api/chat", &body).json();
        assert_eq!((&unload["done_reason"], &unload["done"]), (&"unload".into(), &true.into()), "{zero}");
    }
}

#[test]
fn formats_bind_the_answer() {
    let server = shipped(settings());
    let schema = json!({ "type": "object", "properties": { "yes": { "type": "boolean" } }, "required": ["yes"], "additionalProperties": false });
    let body = json!({ "prompt": "Is sepsis dangerous?", "stream": false, "format": schema, "options": { "num_predict": 40 } });
    let answer = post(server.to, "/api/generate", &body).json();
    let object: Value = serde_json::from_str(answer["response"].as_str().unwrap()).unwrap();
    assert!(object["yes"].is_boolean(), "{answer}");
    let wrong = json!({ "prompt": "a", "format": "xml" });
    assert_eq!(post(server.to, "/api/generate", &wrong).status, 400);
}

#[test]
fn models_are_described_as_clients_expect() {
    let server = shipped(settings());
    assert_eq!(get(server.to, "/api/version").json()["version"], env!("CARGO_PKG_VERSION"));
    let tags = get(server.to, "/api/tags").json();
    let model = &tags["models"][0];
    assert_eq!(model["name"], "shipped:latest");
    assert_eq!(model["digest"].as_str().unwrap().len(), 64);
    assert_eq!(model["details"]["parameter_size"], "7.6M");
    assert_eq!(model["details"]["families"], json!(["llama"]));
    let ps = get(server.to, "/api/ps").json();
    assert!(ps["models"][0]["expires_at"].is_string() && ps["models"][0]["size_vram"] == 0);
    for field in ["model", "name"] {
        let show = post(server.to, "/api/show", &json!({ field: "shipped" })).json();
        assert_eq!(show["model_info"]["llama.context_length"], 512);
        assert_eq!(show["model_info"]["general.architecture"], "llama");
        assert_eq!(show["capabilities"], json!(["completion"]));
        assert!(show["template"].as_str().unwrap().contains("im_start"));
    }
}
