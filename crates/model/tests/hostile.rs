//! What files that lie give: a named error, never a panic, and never more memory than a small multiple of the file.

mod allocations;

use std::fs;
use std::path::{Path, PathBuf};

use allocations::measured;
use formats::GgufFile;
use formats::gguf::{Array, Value as Meta};
use model::{ChatTemplate, Config, Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What reading may hold: a fixed sum, and a multiple of the file. JSON goes to a library that panics on some files;
/// where backtraces are switched on, the debug information for one takes 50 MB.
fn allowed(bytes: &[u8]) -> usize {
    let fixed = if bytes.starts_with(b"{") { 64 << 20 } else { 8 << 20 };
    fixed + 64 * bytes.len()
}

/// Reads a file of that name in a folder of its own.
fn reading(name: &str, bytes: &[u8]) -> Result<Tokenizer, String> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(name), bytes).expect("it is written");
    let (result, peak) = measured(|| Tokenizer::from_dir(folder.path()));
    assert!(peak <= allowed(bytes), "{name} of {} bytes: {peak} bytes held", bytes.len());
    if let Ok(tokenizer) = &result {
        let _ = measured(|| tokenizer.encode_ordinary("What is <s> asthma?\n 38.5 °C 日本 <0x41>"));
        let ids = [0, 1, u32::try_from(tokenizer.vocab_size()).expect("small") - 1, u32::MAX];
        let _ = measured(|| tokenizer.decode(&ids, false));
    }
    result
}

fn refused(name: &str, bytes: &[u8], what: &str) {
    let error = reading(name, bytes).expect_err(what);
    assert!(error.contains(name) && error.contains(what), "{error:?} should name {name} and {what:?}");
}

fn small(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vocabularies").join(name))
        .expect("it is there")
}

/// A `tokenizer.json` with one part replaced.
fn document(part: &str, value: Value) -> Vec<u8> {
    let mut json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
    });
    json[part] = value;
    json.to_string().into_bytes()
}

fn bpe(vocabulary: Value, merges: Value) -> Vec<u8> {
    document("model", json!({"type": "BPE", "vocab": vocabulary, "merges": merges}))
}

#[test]
fn a_tokenizer_json_that_lies_is_refused_by_name() {
    let name = "tokenizer.json";
    assert!(reading(name, &document("version", json!("1.0"))).is_ok());
    refused(name, b"", "not valid JSON");
    refused(name, &[b'['; 100_000], "not valid JSON");
    refused(name, &b"{\"model\":".repeat(50_000), "not valid JSON");
    refused(name, b"{}", "not a tokenizer");
    refused(name, &document("model", json!({"type": "BPE"})), "not a tokenizer");
    refused(name, &bpe(json!({}), json!([])), "empty");
    refused(name, &bpe(json!({"a": u32::MAX}), json!([])), "id 4294967295");
    refused(name, &bpe(json!({"a": -1}), json!([])), "not a tokenizer");
    refused(name, &bpe(json!({"a": 0, "b": 1}), json!([["a", "b"]])), "not a tokenizer");
    refused(name, &bpe(json!({"a": 0}), json!([["a", "zzz"]])), "not a tokenizer");
    let map = |map: &str| document("normalizer", json!({"type": "Precompiled", "precompiled_charsmap": map}));
    // A trie of four gigabytes in eight bytes.
    refused(name, &map("/////wAAAAA="), "its trie says 4294967295");
    refused(name, &map("!"), "not Base64");
    let nested =
        json!({"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": "AAAA"}]});
    refused(name, &document("normalizer", nested), "map");
    let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    for pattern in ["(", "(a{1000}){1000}{1000}"] {
        refused(name, &document("pre_tokenizer", split(pattern)), "not a tokenizer");
    }
}

#[test]
fn an_expression_that_tries_everything_ends() {
    let pattern = json!({"type": "Split", "pattern": {"Regex": "(?=(a|a|ab)*)((a*)*)*c"}, "behavior": "Isolated", "invert": false});
    let tokenizer =
        reading("tokenizer.json", &document("pre_tokenizer", pattern)).expect("it is a tokenizer");
    let start = std::time::Instant::now();
    let _ = tokenizer.encode_ordinary(&"a".repeat(2000));
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[test]
fn a_text_that_the_vocabulary_lacks_is_an_error_and_loses_nothing() {
    let tokenizer = reading("tokenizer.json", &document("version", json!("1.0"))).expect("it is a tokenizer");
    assert_eq!(tokenizer.encode_ordinary("abab").expect("it has these"), [2, 2]);
    let error = tokenizer.encode_ordinary("abcab").expect_err("no token for c").to_string();
    assert!(error.contains("no token") && error.contains("abcab"), "{error}");
}

#[test]
fn a_tokenizer_model_that_lies_is_refused_by_name() {
    let name = "tokenizer.model";
    let good = small("llama_like.model");
    assert!(reading(name, &good).is_ok());
    refused(name, b"", "0 tokens");
    refused(name, b"\x0a", "no protobuf field at byte 0");
    refused(name, b"\x0a\xff\xff\xff\xff\x0f", "no protobuf field at byte 0");
    // A piece without a text, one that comes twice, one of an unknown kind, a score that is no number.
    let piece = |body: &[u8]| [&[0x0a, u8::try_from(body.len()).expect("short")], body].concat();
    refused(name, &piece(b""), "token 0 is empty");
    refused(name, &[piece(b"\x0a\x01a"), piece(b"\x0a\x01a")].concat(), "tokens 0 and 1 are the same");
    refused(name, &piece(b"\x0a\x01a\x18\x63"), "of type 99");
    refused(name, &piece(b"\x0a\x01a\x15\x00\x00\xc0\x7f"), "not a number");
    refused(name, &piece(b"\x0a\x01\xff"), "not UTF-8");
    refused(name, &piece(b"\x0a\x01a"), "not the unknown token");
    // BPE with a token of 64 KiB: its merges would take hours to find.
    let mut long = small("llama_like.model");
    let text = "ab".repeat(32 << 10);
    long.extend([0x0a, 0x84, 0x80, 0x04, 0x0a, 0x80, 0x80, 0x04]);
    long.extend(text.as_bytes());
    refused(name, &long, "too long to find the merges");
    refused(name, b"YQ== 0\nYg== 2\n", "rank 2, expected 1");
    refused(name, b"YQ== 0\n", "neither Llama 3");
}

#[test]
fn every_truncation_of_a_tokenizer_model_is_survived() {
    for model in ["llama_like.model", "unigram.model"] {
        let good = small(model);
        for length in (0..good.len()).step_by(13) {
            let _ = reading("tokenizer.model", &good[..length]);
        }
    }
}

/// A GGUF file with a vocabulary of three tokens in which some values are replaced.
fn gguf(folder: &Path, replaced: &[(&str, Option<Meta>)]) -> PathBuf {
    let strings =
        |texts: &[&str]| Meta::Array(Array::String(texts.iter().map(ToString::to_string).collect()));
    let mut metadata = vec![
        ("general.architecture", Meta::from("llama")),
        ("tokenizer.ggml.model", Meta::from("gpt2")),
        ("tokenizer.ggml.pre", Meta::from("gpt-2")),
        ("tokenizer.ggml.tokens", strings(&["a", "b", "ab"])),
        ("tokenizer.ggml.merges", strings(&["a b"])),
    ];
    for (key, value) in replaced {
        metadata.retain(|(name, _)| name != key);
        if let Some(value) = value {
            metadata.push((*key, value.clone()));
        }
    }
    let path = folder.join("vocabulary.gguf");
    formats::gguf::write(&path, &metadata, &[], |_| unreachable!("there are no tensors"))
        .expect("it is written");
    path
}

#[test]
fn a_vocabulary_in_gguf_that_lies_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |replaced: &[(&str, Option<Meta>)]| {
        let path = gguf(folder.path(), replaced);
        let file = GgufFile::open(&path).expect("a GGUF file");
        let (result, peak) = measured(|| Tokenizer::from_gguf(&file));
        assert!(peak <= allowed(&fs::read(&path).expect("it is there")), "{peak} bytes held");
        result
    };
    assert_eq!(read(&[]).expect("it is a vocabulary").encode_ordinary("abab").expect("it encodes"), [2, 2]);
    let strings =
        |texts: &[&str]| Some(Meta::Array(Array::String(texts.iter().map(ToString::to_string).collect())));
    let kinds = |kinds: &[i32]| Some(Meta::Array(Array::I32(kinds.to_vec())));
    let key = "tokenizer.ggml.";
    let cases: [(&str, Option<Meta>, &str); 14] = [
        ("model", None, "no `tokenizer.ggml.model`"),
        ("model", Some(Meta::from("rwkv")), "\"rwkv\", which is not supported"),
        ("model", Some(Meta::from("llama")), "tokenizer.ggml.scores"),
        ("pre", None, "hint"),
        ("pre", Some(Meta::from("nothing")), "\"nothing\", which is not supported"),
        ("tokens", None, "no `tokenizer.ggml.tokens`"),
        ("tokens", strings(&[]), "0 tokens"),
        ("tokens", strings(&["a", "b", "a"]), "tokens 0 and 2 are the same"),
        ("merges", None, "no `tokenizer.ggml.merges`"),
        ("merges", strings(&["a  b"]), "merge 0 is"),
        ("merges", strings(&["b a"]), "two tokens that make a third"),
        ("token_type", kinds(&[1, 1]), "has 2 values for 3 tokens"),
        ("token_type", kinds(&[1, -7, 1]), "of type -7"),
        (
            "bos_token_id",
            Some(Meta::from(3u32)),
            "`tokenizer.ggml.bos_token_id` is 3, and there are 3 tokens",
        ),
    ];
    for (name, value, what) in cases {
        let error = read(&[(format!("{key}{name}").as_str(), value)]).expect_err(what).to_string();
        assert!(
            error.contains("vocabulary.gguf") && error.contains(what),
            "{name}: {error:?} lacks {what:?}"
        );
    }
}

#[test]
fn a_config_nested_too_deep_or_too_large_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.json");
    let texts = ["[".repeat(100_000), "{\"a\":".repeat(100_000), "7".repeat(100_000), String::new()];
    for text in texts {
        fs::write(&path, &text).expect("it is written");
        let (result, peak) = measured(|| Config::from_dir(folder.path()));
        assert!(result.expect_err("no config").contains("config.json"));
        assert!(peak <= allowed(text.as_bytes()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_byte_of_a_tokenizer_model_is_survived(at in 0usize..7000, byte: u8, unigram: bool) {
        let mut bytes = small(if unigram { "unigram.model" } else { "llama_like.model" });
        let length = bytes.len();
        bytes[at % length] = byte;
        let _ = reading("tokenizer.model", &bytes);
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = reading("tokenizer.model", &bytes);
        let _ = reading("tokenizer.json", &bytes);
    }

    #[test]
    fn any_config_is_read_or_refused(
        sizes in proptest::collection::vec(prop_oneof![0u64..9, any::<u64>()], 8),
        family in 0usize..6,
    ) {
        let names = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "head_dim", "max_position_embeddings"];
        let mut document: serde_json::Map<String, Value> =
            names.iter().zip(&sizes).map(|(name, size)| ((*name).to_owned(), json!(size))).collect();
        document.insert("model_type".to_owned(), json!(model::Family::ALL[family].model_type()));
        if let Ok(config) = Config::from_json(&Value::Object(document)) {
            prop_assert!(config.parameters() > 0);
        }
    }

    #[test]
    fn any_template_is_compiled_or_refused(source in "(\\{[{%]-? ?(for|if|set|x|endfor|endif|'a'|\\||in|=|~|range\\(9\\)| ){0,6} ?-?[}%]\\}|a|\n){0,6}") {
        if let Ok(template) = ChatTemplate::from_source(&source, None, None) {
            let _ = template.render(&[], true);
        }
    }
}
