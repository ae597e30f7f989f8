//! The API of OpenAI with the shipped model.

use model::encode_prompt;
use model::engine::{Engine, EngineSettings, Request, Stop};
use serde_json::{Value, json};

use crate::client::{get, post};
use crate::served::{self, settings, shipped};

fn chat(question: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": question }], "max_tokens": 24 })
}

/// The likeliest answer to a question, from the engine alone.
fn directly(questions: &[&str], max_tokens: usize) -> Vec<(String, usize)> {
    let (decoder, tokenizer, template) = (served::decoder(), served::tokenizer(), served::template());
    let mut engine = Engine::new(&decoder, EngineSettings::new(1, 512)).unwrap().with_tokenizer(&tokenizer);
    let requests: Vec<Request> = questions
        .iter()
        .map(|question| {
            let prompt = encode_prompt(&tokenizer, &template, &[chat::Message::user(*question)]).unwrap();
            let stop = Stop { tokens: tokenizer.eos_ids().to_vec(), max_tokens, ..Stop::default() };
            Request::greedy(prompt, stop)
        })
        .collect();
    let prompts: Vec<usize> = requests.iter().map(|request| request.prompt.len()).collect();
    let texts = engine.write(requests, &mut |_, _| {}).unwrap();
    texts.into_iter().map(|text| text.text).zip(prompts).collect()
}

#[test]
fn answers_are_those_of_the_engine_alone_however_many_ask_at_once() {
    let questions = [
        "What is sepsis?",
        "What are the symptoms of anemia?",
        "How is asthma treated?",
        "What is the thyroid?",
        "Who is at risk for stroke?",
        "What causes gout?",
    ];
    let expected = directly(&questions, 24);
    let server = shipped(settings());
    let to = server.to;
    let clients: Vec<_> = questions
        .iter()
        .map(|question| {
            let body = chat(question);
            std::thread::spawn(move || post(to, "/v1/chat/completions", &body).json())
        })
        .collect();
    for (client, (text, prompt_tokens)) in clients.into_iter().zip(expected) {
        let answer = client.join().unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], text);
        assert_eq!(answer["usage"]["prompt_tokens"], prompt_tokens);
    }
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let server = shipped(settings());
    let mut body = chat("What is sepsis?");
    body["logprobs"] = true.into();
    body["top_logprobs"] = 3.into();
    let whole = post(server.to, "/v1/chat/completions", &body).json();
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["model"], "shipped");
    body["stream"] = true.into();
    body["stream_options"] = json!({ "include_usage": true });
    let response = post(server.to, "/v1/chat/completions", &body);
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let mut events = response.events();
    assert_eq!(events.pop().unwrap(), "[DONE]");
    let usage = events.pop().unwrap();
    assert_eq!(
        (usage["choices"].as_array().unwrap().len(), &usage["object"]),
        (0, &"chat.completion.chunk".into())
    );
    for field in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        assert_eq!(usage["usage"][field], whole["usage"][field], "{field}");
    }
    assert_eq!(events[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    let last = events.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], whole["choices"][0]["finish_reason"]);
    assert!(events.iter().all(|event| event["id"] == events[0]["id"] && event["usage"].is_null()));
    let deltas = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    assert_eq!(deltas.collect::<String>(), whole["choices"][0]["message"]["content"]);

    let streamed = events.iter().filter_map(|event| event["choices"][0]["logprobs"]["content"].as_array());
    let streamed: Vec<Value> = streamed.flatten().cloned().collect();
    let tokens = whole["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(&streamed, tokens);
    assert_eq!(tokens.len() as u64, whole["usage"]["completion_tokens"].as_u64().unwrap());
    for token in tokens {
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        assert_eq!(top[0]["logprob"], token["logprob"], "the likeliest was chosen");
        assert!(token["logprob"].as_f64().unwrap() <= 0.0);
    }
    let bytes = tokens.iter().flat_map(|token| token["bytes"].as_array().unwrap().clone());
    let bytes: Vec<u8> = bytes.map(|byte| byte.as_u64().unwrap() as u8).collect();
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(bytes.starts_with(text.as_bytes()), "the tokens' bytes are the text");
}

#[test]
fn seeds_choices_and_stop_strings_do_what_they_say() {
    let server = shipped(settings());
    let ask = |extra: Value| {
        let mut body = chat("What is diabetes?");
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        post(server.to, "/v1/chat/completions", &body).json()
    };
    let text = |answer: &Value, index: usize| {
        answer["choices"][index]["message"]["content"].as_str().unwrap().to_owned()
    };
    let hot = |seed: i64| json!({ "temperature": 1.5, "seed": seed, "n": 3 });
    let (first, again, other) = (ask(hot(0)), ask(hot(0)), ask(hot(-1)));
    for index in 0..3 {
        assert_eq!(first["choices"][index]["index"], index);
        assert_eq!(text(&first, index), text(&again, index), "the same seed");
    }
    assert_ne!(text(&first, 0), text(&first, 1), "choices differ");
    assert_ne!(text(&first, 0), text(&other, 0), "seeds differ");
    let chance = json!({ "temperature": 1.5 });
    assert_ne!(text(&ask(chance.clone()), 0), text(&ask(chance), 0), "no seed is a new one each time");

    let plain = ask(json!({}));
    let whole = text(&plain, 0);
    let mark: String = whole.chars().skip(5).take(3).collect();
    let cut = ask(json!({ "stop": [mark] }));
    assert_eq!(text(&cut, 0), whole.split_once(&mark).unwrap().0);
    assert_eq!(cut["choices"][0]["finish_reason"], "stop");
    let limited = ask(json!({ "max_completion_tokens": 2 }));
    assert_eq!(limited["choices"][0]["finish_reason"], "length");
    assert_eq!(limited["usage"]["completion_tokens"], 2);
    let parts = json!([{ "role": "user", "content": [{ "type": "text", "text": "What is " }, { "type": "text", "text": "diabetes?" }] }]);
    assert_eq!(text(&ask(json!({ "messages": parts })), 0), whole, "a message may come in parts");
}

#[test]
fn structured_answers_are_well_formed() {
    let server = shipped(settings());
    let schema = json!({
        "type": "object",
        "properties": { "letter": { "enum": ["A", "B", "C"] }, "sure": { "type": "boolean" } },
        "required": ["letter", "sure"],
        "additionalProperties": false,
    });
    let mut body = chat("Which vitamin prevents scurvy? A: A, B: B12, C: C");
    body["max_tokens"] = 48.into();
    body["response_format"] =
        json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema } });
    let answer = post(server.to, "/v1/chat/completions", &body).json();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let object: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(["A", "B", "C"].contains(&object["letter"].as_str().unwrap()) && object["sure"].is_boolean());
    for (format, reason) in [
        (json!({ "type": "xml" }), "expected text, json_object or json_schema"),
        (json!({ "type": "json_schema" }), "json_schema.schema"),
        (
            json!({ "type": "json_schema", "json_schema": { "name": "a", "schema": { "type": 5 } } }),
            "response_format",
        ),
    ] {
        body["response_format"] = format;
        let response = post(server.to, "/v1/chat/completions", &body);
        assert_eq!(response.status, 400, "{}", response.body);
        assert!(response.body.contains(reason), "{}", response.body);
    }
}

#[test]
fn completions_go_on_with_texts_and_with_tokens() {
    let server = shipped(settings());
    let ids = served::tokenizer().encode_with_control("Sepsis is").unwrap();
    let of = |body: Value| post(server.to, "/v1/completions", &body).json();
    let text = of(json!({ "prompt": "Sepsis is", "max_tokens": 12, "logprobs": 2 }));
    assert_eq!(text["object"], "text_completion");
    let whole = text["choices"][0]["text"].as_str().unwrap();
    let logprobs = &text["choices"][0]["logprobs"];
    for column in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        assert_eq!(logprobs[column].as_array().unwrap().len(), 12, "{column}");
    }
    assert_eq!(logprobs["text_offset"][0], 0);
    let several = of(json!({ "prompt": [ids, ids], "max_tokens": 12, "n": 2 }));
    let choices = several["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    assert!(choices.iter().all(|choice| choice["text"] == whole), "{several}");
    assert_eq!(several["usage"]["prompt_tokens"], 2 * ids.len(), "each prompt once");
    let response = post(
        server.to,
        "/v1/completions",
        &json!({ "prompt": "Sepsis is", "max_tokens": 12, "stream": true }),
    );
    let events = response.events();
    let streamed = events.iter().filter_map(|event| event["choices"][0]["text"].as_str());
    assert_eq!(streamed.collect::<String>(), whole);
    assert_eq!(events.last().unwrap(), "[DONE]");
}

#[test]
fn the_models_there_are_can_be_listed() {
    let server = shipped(settings());
    let list = get(server.to, "/v1/models").json();
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&"list".into(), &"shipped".into()));
    assert_eq!(get(server.to, "/v1/models/shipped").json()["object"], "model");
    assert_eq!(get(server.to, "/v1/models/absent").status, 404);
}
