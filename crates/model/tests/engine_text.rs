//! The engine's texts: characters whole, stop strings off, and constraints kept by a model that knows nothing.

mod small;

use std::sync::OnceLock;

use compute::Cpu;
use model::engine::{
    AdapterId, Constraint, Engine, EngineSettings, Event, FinishReason, Grammars, Request, Stop, Text,
};
use model::{Decoder, SPECIALS, Sampling, Tokenizer, train_bpe, write_tokenizer};
use serde_json::{Value, json};
use small::{adapted, config, text};

const VOCABULARY: usize = 400;

/// A vocabulary with JSON, letters and characters of several bytes in it.
fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let corpus =
            r#"The patient has a fever of 39 °C. {"answer": "B", "reason": "müde – naïve"} (A) (B) (C) (D)"#;
        let json = train_bpe([corpus; 50].iter(), VOCABULARY, &SPECIALS).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_tokenizer(folder.path(), &json, 256).unwrap();
        Tokenizer::from_dir(folder.path()).unwrap()
    })
}

/// The model's head is larger than the vocabulary, as many are.
fn decoder() -> Decoder<Cpu> {
    adapted(&config(VOCABULARY + 13), 2)
}

fn grammars() -> &'static Grammars {
    static GRAMMARS: OnceLock<Grammars> = OnceLock::new();
    GRAMMARS.get_or_init(|| Grammars::new(tokenizer()).unwrap())
}

fn request(seed: u64, max_tokens: usize) -> Request {
    let tokens = tokenizer().eos_ids().to_vec();
    Request {
        sampling: Sampling { temperature: 1.0, seed, ..Sampling::default() },
        adapter: AdapterId::BASE,
        ..Request::greedy(text(12, seed, 200), Stop { tokens, max_tokens, ..Stop::default() })
    }
}

fn write(requests: Vec<Request>) -> Vec<Text> {
    let decoder = decoder();
    let settings = EngineSettings { positions: 2048, ..EngineSettings::new(4, 250) };
    let mut engine = Engine::new(&decoder, settings).unwrap().with_tokenizer(tokenizer());
    engine.write(requests, &mut |_, _| {}).unwrap()
}

#[test]
fn the_pieces_of_a_text_are_the_text() {
    let texts = write((0..10).map(|seed| request(seed, 60)).collect());
    for text in &texts {
        let known: Vec<u32> = text.ids.iter().copied().filter(|id| (*id as usize) < VOCABULARY).collect();
        let whole = tokenizer().decode(&known, true).unwrap();
        // Bytes that are no character are told one by one or together, as they come.
        let letters = |text: &str| text.replace(char::REPLACEMENT_CHARACTER, "");
        assert_eq!(letters(&text.text), letters(&whole));
    }
    assert!(texts.iter().any(|text| text.text.len() > 20));
}

#[test]
fn a_stop_string_ends_the_text_before_it_wherever_tokens_are_cut() {
    let plain = write((0..10).map(|seed| request(seed, 60)).collect());
    let mut stopped = 0;
    for (seed, plain) in (0..).zip(&plain) {
        let middle: String = plain.text.chars().skip(plain.text.chars().count() / 2).take(3).collect();
        if middle.is_empty() || middle.contains(char::REPLACEMENT_CHARACTER) {
            continue;
        }
        let mut with_stop = request(seed, 60);
        with_stop.stop.strings = vec!["no such text".to_owned(), middle.clone()];
        let text = write(vec![with_stop]).remove(0);
        let before = &plain.text[..plain.text.find(&middle).unwrap()];
        assert_eq!(text.text, before, "stopped at {middle:?}");
        assert_eq!(text.reason, FinishReason::Stop);
        assert!(plain.ids.starts_with(&text.ids), "the tokens before are the same");
        stopped += 1;
    }
    assert!(stopped > 3, "{stopped} texts were stopped");
}

#[test]
fn text_that_is_held_back_comes_before_the_stop_or_with_the_end() {
    let decoder = decoder();
    let mut engine = Engine::new(&decoder, EngineSettings::new(1, 250)).unwrap().with_tokenizer(tokenizer());
    let plain = write(vec![request(1, 30)]).remove(0).text;
    let mut with_stop = request(1, 30);
    let tail: String = plain.chars().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect();
    with_stop.stop.strings = vec![tail + "never"];
    let (mut before, mut at_end) = (String::new(), String::new());
    engine
        .write([with_stop], &mut |_, event| match event {
            Event::Token { text, .. } => before += text,
            Event::Finished { text, .. } => at_end += text,
        })
        .unwrap();
    assert_eq!(before.clone() + &at_end, plain);
    assert!(!at_end.is_empty(), "the beginning of a stop string stood at the end");
}

fn constrained(constraint: &Constraint, sampling: impl Fn(u64) -> Sampling) -> Vec<Text> {
    let requests = (0..24).map(|seed| Request {
        constraint: Some(constraint.clone()),
        sampling: sampling(seed),
        ..request(seed, 200)
    });
    write(requests.collect())
}

fn hot(seed: u64) -> Sampling {
    Sampling { temperature: 1.5, seed, ..Sampling::default() }
}

#[test]
fn a_choice_is_always_one_of_the_letters() {
    let letters: Vec<String> = ["A", "B", "C", "D"].map(String::from).to_vec();
    let constraint = grammars().choice(&letters).unwrap();
    let texts = constrained(&constraint, hot);
    assert!(texts.iter().all(|text| letters.contains(&text.text) && text.reason == FinishReason::Stop));
    let chosen: std::collections::BTreeSet<_> = texts.iter().map(|text| &text.text).collect();
    assert!(chosen.len() > 1, "chosen by the model");
    for text in constrained(&constraint, |_| Sampling::default()) {
        assert!(letters.contains(&text.text));
    }
}

#[test]
fn a_choice_that_begins_like_another_may_go_on_or_end() {
    let texts: Vec<String> = ["A", "AB", "ABC", "naïve – \"so\"\n"].map(String::from).to_vec();
    let constraint = grammars().choice(&texts).unwrap();
    let written = constrained(&constraint, hot);
    assert!(written.iter().all(|text| texts.contains(&text.text)), "{written:?}");
    let different: std::collections::BTreeSet<_> = written.iter().map(|text| &text.text).collect();
    assert!(different.len() > 2, "{different:?}");
}

#[test]
fn a_random_model_writes_json_that_the_schema_accepts() {
    let schema = json!({
        "type": "object",
        "properties": {
            "answer": { "enum": ["A", "B", "C", "D"] },
            "reason": { "type": "string", "maxLength": 12 },
            "sure": { "type": "boolean" },
            "codes": { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 99 }, "maxItems": 3 },
        },
        "required": ["answer", "reason", "codes"],
        "additionalProperties": false,
    });
    let texts = constrained(&grammars().json_schema(&schema).unwrap(), hot);
    for text in &texts {
        assert_eq!(text.reason, FinishReason::Stop, "{:?}", text.text);
        let value: Value =
            serde_json::from_str(&text.text).unwrap_or_else(|e| panic!("{e}: {:?}", text.text));
        let object = value.as_object().unwrap();
        assert!(["A", "B", "C", "D"].contains(&object["answer"].as_str().unwrap()));
        assert!(object["reason"].as_str().unwrap().chars().count() <= 12);
        assert!(object.get("sure").is_none_or(Value::is_boolean));
        let codes = object["codes"].as_array().unwrap();
        assert!(codes.len() <= 3 && codes.iter().all(|code| code.as_u64().unwrap() < 100));
        assert!(object.keys().all(|key| ["answer", "reason", "sure", "codes"].contains(&key.as_str())));
    }
    assert!(texts.iter().any(|text| text.text != texts[0].text));
}

#[test]
fn a_random_model_writes_what_the_expression_matches() {
    let constraint = grammars().regex(r"[0-3][0-9]\.(0[1-9]|1[0-2])\.(19|20)[0-9]{2}( müde)?").unwrap();
    let expression = |text: &str| {
        let (date, rest) = text.split_at_checked(10).unwrap();
        let digits = date
            .chars()
            .enumerate()
            .all(|(i, c)| (i == 2 || i == 5) == (c == '.') && (c == '.' || c.is_ascii_digit()));
        digits && ["", " müde"].contains(&rest)
    };
    for text in constrained(&constraint, hot) {
        assert!(expression(&text.text), "{:?}", text.text);
        assert_eq!(text.reason, FinishReason::Stop);
    }
}

#[test]
fn the_text_may_not_end_before_the_grammar_does() {
    // However likely the end is, it may not come.
    let constraint = grammars().regex("x{40}").unwrap();
    let texts = constrained(&constraint, |_| Sampling::default());
    assert!(texts.iter().all(|text| text.text == "x".repeat(40)));
    let cut = Request { constraint: Some(constraint), ..request(0, 3) };
    let cut = write(vec![cut]).remove(0);
    assert_eq!((cut.reason, cut.ids.len()), (FinishReason::Length, 3));
}

#[test]
fn an_expression_of_many_repetitions_is_followed_as_far_as_the_text_goes() {
    let constraint = grammars().regex("(((a{500}){500}){500}){500}|(b?){1000}c").unwrap();
    let texts = constrained(&constraint, hot);
    assert!(texts.iter().all(|text| text.text.chars().all(|c| "abc".contains(c))));
}

#[test]
fn a_bad_constraint_is_an_error() {
    let mut deep = json!({ "type": "string" });
    for _ in 0..40 {
        deep = json!({ "type": "array", "items": deep });
    }
    let wide: serde_json::Map<String, Value> = (0..11_000).map(|i| (i.to_string(), json!(true))).collect();
    let grammars = grammars();
    let errors = [
        grammars.json_schema(&deep).unwrap_err(),
        grammars.json_schema(&json!({ "properties": wide })).unwrap_err(),
        grammars.json_schema(&json!({ "type": "nonsense" })).unwrap_err(),
        grammars.json_schema(&json!([])).unwrap_err(),
        grammars.regex("(").unwrap_err(),
        grammars.regex("[a-").unwrap_err(),
        grammars.regex(&"(".repeat(4000)).unwrap_err(),
        grammars.regex(&"a".repeat(5000)).unwrap_err(),
        grammars.choice(&[]).unwrap_err(),
        grammars.choice(&[String::new()]).unwrap_err(),
    ];
    for error in errors {
        let reason = error.to_string();
        assert!(!reason.is_empty() && reason.len() <= 2000 && !reason.contains('\n'), "{reason}");
    }
}
