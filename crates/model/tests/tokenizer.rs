//! Tokenizers against reference ids, and the properties of our own training.

mod reference;

use std::fs;

use model::{SPECIALS, TURN_END, Tokenizer, train_bpe, write_tokenizer};
use proptest::prelude::*;
use reference::{oracle, oracle_json};
use serde_json::Value;

const TEXTS: [&str; 6] = [
    "What are the symptoms of asthma? Shortness of breath, cough, and wheezing.",
    "The patient was given 250 mg of amoxicillin three times a day for 7 days.",
    "Naïve café, 38.5 °C, β-blocker, 日本語, 😀",
    "The symptoms of the disease are the symptoms of the patient.",
    "  two  spaces\n\nnew lines\tand a tab\r\n",
    "{\"json\": [1, 2, 3]}",
];

fn trained() -> Tokenizer {
    let json = train_bpe(TEXTS.iter().cycle().take(30), 400, &SPECIALS).expect("it trains");
    Tokenizer::from_json(&json).expect("it loads")
}

#[test]
fn a_text_begins_with_bos_where_the_vocabulary_puts_it() {
    let json = train_bpe(TEXTS.iter().cycle().take(30), 400, &SPECIALS).expect("it trains");
    let start_of = |processor: Value| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut tokenizer: Value = serde_json::from_str(&json).expect("JSON");
        tokenizer["post_processor"] = processor;
        let config = serde_json::json!({"bos_token": SPECIALS[0], "eos_token": SPECIALS[1]});
        fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).expect("a file");
        fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).expect("a file");
        let tokenizer = Tokenizer::from_dir(folder.path()).expect("it loads");
        (tokenizer.text_start(), tokenizer.bos())
    };
    let (start, bos) = start_of(Value::Null);
    assert_eq!(start, None, "a vocabulary with BOS that it does not put there");
    let id = bos.expect("BOS");
    let special = |text: &str, id| serde_json::json!({text: {"id": text, "ids": [id], "tokens": [text]}});
    let sequence = serde_json::json!({"Sequence": {"id": "A", "type_id": 0}});
    let token = |text: &str| serde_json::json!({"SpecialToken": {"id": text, "type_id": 0}});
    let (start, bos) = start_of(serde_json::json!({
        "type": "TemplateProcessing", "single": [token(SPECIALS[0]), sequence.clone()],
        "pair": [token(SPECIALS[0]), sequence.clone()], "special_tokens": special(SPECIALS[0], id),
    }));
    assert_eq!((start, bos), (Some(id), Some(id)));
}

fn ids(value: &Value) -> Vec<u32> {
    let values = value.as_array().expect("a list of ids").iter();
    values.map(|id| u32::try_from(id.as_u64().expect("an id")).expect("an id")).collect()
}

#[test]
fn stories260k_vectors() {
    let Some(vectors) = oracle_json("weights/stories260K/tokenizer_vectors.json") else { return };
    let Some(folder) = oracle("weights/stories260K/hf") else { return };
    let tokenizer = Tokenizer::from_dir(folder).expect("it loads");
    let bos = tokenizer.bos().expect("it has a BOS");
    let mut passed = 0;
    for vector in vectors.as_array().expect("a list") {
        let text = vector["text"].as_str().expect("a text");
        let got = tokenizer.encode_ordinary(text).expect("it encodes");
        let with_bos: Vec<u32> = std::iter::once(bos).chain(got.iter().copied()).collect();
        passed += usize::from(
            got == ids(&vector["sentencepiece_ids"]) && with_bos == ids(&vector["hf_ids_with_bos"]),
        );
        assert_eq!(tokenizer.decode(&got, false).expect("it decodes"), text);
    }
    assert_eq!(passed, 11, "the number of passing vectors changed");
    assert_eq!((tokenizer.vocab_size(), tokenizer.eos(), tokenizer.bos()), (512, Some(2), Some(1)));
}

#[test]
fn bert_as_llama_cpp() {
    let Some(folder) = oracle("tokenizers/all-MiniLM-L6-v2") else { return };
    let Some(vectors) = oracle("tokenizers/llama.cpp") else { return };
    let tokenizer = Tokenizer::from_dir(folder).expect("it loads");
    let read = |name: &str| fs::read_to_string(vectors.join(name)).expect("it can be read");
    let texts = read("ggml-vocab-bert-bge.gguf.inp");
    let expected = read("ggml-vocab-bert-bge.gguf.out");
    let mut passed = 0;
    for (text, line) in texts.split("\n__ggml_vocab_test__\n").zip(expected.split('\n')) {
        let got: Vec<String> =
            tokenizer.encode_ordinary(text).expect("it encodes").iter().map(u32::to_string).collect();
        passed += usize::from(got.iter().map(String::as_str).eq(line.split_whitespace()));
    }
    assert_eq!(passed, 47, "the number of passing vectors changed");
}

#[test]
fn bert_as_swift_transformers() {
    let Some(folder) = oracle("tokenizers/all-MiniLM-L6-v2") else { return };
    let Some(cases) = oracle_json("tokenizers/swift-transformers/tokenizer_tests.json") else { return };
    let tokenizer = Tokenizer::from_dir(folder).expect("it loads");
    let cases = cases["google-bert/bert-base-uncased"].as_array().expect("a list");
    let passed = cases.iter().filter(|case| {
        let got = tokenizer.encode_with_control(case["input"].as_str().expect("a text")).expect("it encodes");
        let wanted = ids(&case["encoded"]["input_ids"]);
        // Theirs are between CLS (101) and SEP (102).
        wanted.strip_prefix(&[101]).and_then(|wanted| wanted.strip_suffix(&[102])) == Some(&got[..])
    });
    assert_eq!(passed.count(), 18, "the number of passing cases changed");
}

#[test]
fn smollm2_loads_and_keeps_control_text_apart() {
    let Some(folder) = oracle("tokenizers/smollm2") else { return };
    let tokenizer = Tokenizer::from_dir(folder).expect("it loads");
    assert_eq!(tokenizer.vocab_size(), 49_152);
    assert_eq!(tokenizer.special_tokens().len(), 17);
    for (text, id) in tokenizer.special_tokens() {
        assert_eq!(tokenizer.encode_with_control(text).expect("it encodes"), [*id]);
        assert!(!tokenizer.encode_ordinary(text).expect("it encodes").contains(id), "{text}");
    }
    for text in TEXTS {
        let got = tokenizer.encode_ordinary(text).expect("it encodes");
        assert_eq!(got, tokenizer.encode_with_control(text).expect("it encodes"));
        assert_eq!(tokenizer.decode(&got, true).expect("it decodes"), text);
    }
}

#[test]
fn training_is_repeatable_and_puts_the_specials_first() {
    let first = train_bpe(TEXTS.iter().cycle().take(30), 400, &SPECIALS).expect("it trains");
    let second = train_bpe(TEXTS.iter().cycle().take(30), 400, &SPECIALS).expect("it trains");
    assert_eq!(first, second);
    let tokenizer = Tokenizer::from_json(&first).expect("it loads");
    for (id, special) in (0..).zip(SPECIALS) {
        assert_eq!(tokenizer.token_to_id(special), Some(id));
        assert_eq!(tokenizer.id_to_token(id).as_deref(), Some(special));
        assert!(tokenizer.is_special(id));
    }
    assert!(tokenizer.vocab_size() > 300 && tokenizer.vocab_size() <= 400);
    let digits = tokenizer.encode_ordinary("2026").expect("it encodes");
    assert_eq!(digits.len(), 4, "each digit is a token");
    let error = train_bpe(TEXTS.iter(), 200, &SPECIALS).expect_err("too small");
    assert!(error.to_string().contains("259"), "{error}");
}

#[test]
fn a_written_tokenizer_has_its_roles() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = Tokenizer::from_dir(folder.path()).expect_err("nothing there");
    assert!(missing.to_string().contains("tokenizer.json"), "{missing}");
    let json = train_bpe(TEXTS.iter(), 300, &SPECIALS).expect("it trains");
    write_tokenizer(folder.path(), &json, 512).expect("it is written");
    let tokenizer = Tokenizer::from_dir(folder.path()).expect("it loads");
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.pad()), (None, Some(2), Some(0)));
    assert_eq!(tokenizer.token_to_id(TURN_END), Some(2));
    fs::write(folder.path().join("generation_config.json"), r#"{"eos_token_id": [2, 0, 99999]}"#)
        .expect("written");
    let tokenizer = Tokenizer::from_dir(folder.path()).expect("it loads");
    assert_eq!(tokenizer.eos_ids(), [2, 0], "ids that are not in the vocabulary are left out");
}

#[test]
fn broken_tokenizer_files_are_errors() {
    let json = train_bpe(TEXTS.iter(), 280, &SPECIALS).expect("it trains");
    for start in (0..json.trim_end().len()).step_by(97).filter_map(|length| json.get(..length)) {
        assert!(Tokenizer::from_json(start).is_err());
    }
    let mut bytes = json.into_bytes();
    for at in (0..bytes.len()).step_by(41) {
        let original = std::mem::replace(&mut bytes[at], b'9');
        if let Ok(text) = std::str::from_utf8(&bytes)
            && let Ok(tokenizer) = Tokenizer::from_json(text)
        {
            let ids = tokenizer.encode_ordinary(TEXTS[0]).unwrap_or_default();
            assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_size()));
        }
        bytes[at] = original;
    }
}

proptest! {
    #[test]
    fn any_text_comes_back(text in "\\PC{0,60}|[ \\t\\n<|>im_stardeox]{0,40}") {
        let tokenizer = trained();
        let ids = tokenizer.encode_ordinary(&text).expect("it encodes");
        prop_assert_eq!(tokenizer.decode(&ids, false).expect("it decodes"), text.clone());
        prop_assert!(ids.iter().all(|id| !tokenizer.is_special(*id)));
        let mut stream = tokenizer.decode_stream(true);
        let mut streamed = String::new();
        for id in ids {
            streamed += &stream.push(id).expect("it decodes");
        }
        streamed += &stream.finish().expect("it decodes");
        prop_assert_eq!(streamed, text);
    }

    #[test]
    fn texts_that_begin_alike_are_encoded_as_each_alone(
        text in "([a-zA-Z]{1,6}|[0-9]{1,3}|'s|[.,:;?()\n\u{e9}]|<\\|im_end\\|>| ){0,12}",
        endings in proptest::collection::vec("[ \\n]?[A-Da-d]{0,2}[.' ]?[a-z]{0,3}", 0..4),
        control: bool,
    ) {
        let tokenizer = trained();
        let encode = |text: &str| match control {
            true => tokenizer.encode_with_control(text).expect("it encodes"),
            false => tokenizer.encode_ordinary(text).expect("it encodes"),
        };
        let (alone, wholes) = tokenizer.encode_endings(&text, &endings, control).expect("it encodes");
        prop_assert_eq!(alone, encode(&text));
        let each: Vec<_> = endings.iter().map(|ending| encode(&format!("{text}{ending}"))).collect();
        prop_assert_eq!(wholes, each);
    }

    #[test]
    fn any_ids_stream_to_what_they_decode_to(ids in proptest::collection::vec(0u32..420, 0..40)) {
        let tokenizer = trained();
        let mut stream = tokenizer.decode_stream(false);
        let mut streamed = String::new();
        for id in &ids {
            streamed += &stream.push(*id).expect("it decodes");
        }
        streamed += &stream.finish().expect("it decodes");
        prop_assert_eq!(streamed, tokenizer.decode(&ids, false).expect("it decodes"));
    }
}
