//! The engine as a chat model: callers who wait at once, replies in a form, and what is refused.

mod small;

use std::sync::OnceLock;

use chat::{ChatModel, ChatRequest, Error, Form, Message, Reply};
use compute::Cpu;
use model::engine::EngineSettings;
use model::{ChatTemplate, LocalModel, LocalParts, SPECIALS, Tokenizer, train_bpe, write_tokenizer};
use serde_json::json;
use small::{adapted, config};

fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let corpus = r#"The patient has a fever of 39 degrees. {"questions": [{"question": "Why?"}]}"#;
        let json = train_bpe([corpus; 50].iter(), 400, &SPECIALS).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_tokenizer(folder.path(), &json, 256).unwrap();
        Tokenizer::from_dir(folder.path()).unwrap()
    })
}

fn model() -> LocalModel {
    let parts: LocalParts<Cpu> = LocalParts {
        decoder: adapted(&config(413), 2),
        tokenizer: tokenizer().clone(),
        template: ChatTemplate::builtin("chatml").unwrap(),
    };
    LocalModel::start(parts, EngineSettings::new(3, 250), ("small", "small 1")).unwrap()
}

fn request(text: &str) -> ChatRequest {
    ChatRequest { temperature: 1.0, seed: Some(7), ..ChatRequest::new(vec![Message::user(text)], 30) }
}

#[test]
fn callers_at_once_get_what_each_would_get_alone() {
    let questions: Vec<String> = (0..8).map(|n| format!("What is fever number {n}?")).collect();
    let alone: Vec<Reply> = questions.iter().map(|q| model().reply(&request(q)).unwrap()).collect();
    let shared = model();
    std::thread::scope(|scope| {
        let calls: Vec<_> = questions
            .iter()
            .map(|question| scope.spawn(|| shared.reply(&request(question)).unwrap()))
            .collect();
        let together: Vec<Reply> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        assert_eq!(together, alone);
    });
    assert!(alone.iter().any(|reply| reply.text != alone[0].text));
    assert!(alone.iter().all(|reply| reply.usage.prompt_tokens > 0 && reply.cost == Some(0.0)));
}

#[test]
fn a_reply_has_the_form_that_was_asked_for_even_from_a_model_that_knows_nothing() {
    let model = model();
    let form = Some(Form::Choice(vec!["yes".into(), "no".into()]));
    let reply = model.reply(&ChatRequest { form, ..request("Is it fever?") }).unwrap();
    assert!(["yes", "no"].contains(&reply.text.as_str()), "{}", reply.text);

    let schema = json!({
        "type": "object",
        "properties": { "answer": { "enum": ["A", "B"] } },
        "required": ["answer"],
        "additionalProperties": false
    });
    let form = Some(Form::JsonSchema { name: "answer".into(), schema });
    let answered = chat::ask(&model, &ChatRequest { form, ..request("A or B?") }).unwrap();
    assert!(["A", "B"].contains(&answered.value["answer"].as_str().unwrap()));
    assert_eq!(answered.replies.len(), 1);
}

#[test]
fn what_cannot_be_answered_is_refused_and_the_next_request_is_not() {
    let model = model();
    let long = model.reply(&request(&"fever ".repeat(300))).unwrap_err();
    assert!(matches!(&long, Error::Request(reason) if reason.contains("expected at most 249")), "{long}");
    assert!(!long.is_lasting());
    let form = Some(Form::Choice(Vec::new()));
    assert!(matches!(model.reply(&ChatRequest { form, ..request("?") }), Err(Error::Request(_))));
    assert!(model.reply(&request("What is fever?")).is_ok());
}
