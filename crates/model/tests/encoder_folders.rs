//! What the files of sentence-transformers and the heads of classifiers say, and which are refused.

mod tiny_classifiers;

use std::path::Path;
use std::sync::Arc;

use compute::Cpu;
use model::{CrossEncoder, Encoder, Pooling, Result};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tiny_classifiers::{change_tensors, copy, put};

const POOLING: &str = "1_Pooling/config.json";

fn encoder(folder: &Path) -> Result<Encoder<Cpu>> {
    Encoder::from_dir(Arc::new(Cpu::new(1)), folder)
}

fn refused(folder: &Path, file: &str, named: &str) {
    let error = encoder(folder).unwrap_err().to_string();
    assert!(error.contains(file) && error.contains(named), "{error:?} should name {file} and {named:?}");
}

#[test]
fn pooling_is_what_the_folder_says() {
    let folder = copy("bert");
    assert_eq!(encoder(folder.path()).unwrap().pooling(), Pooling::Mean, "no word of it");
    let old = |cls: bool, mean: bool, max: bool| {
        json!({
            "word_embedding_dimension": 32, "pooling_mode_cls_token": cls, "pooling_mode_mean_tokens": mean,
            "pooling_mode_max_tokens": max, "pooling_mode_mean_sqrt_len_tokens": false,
        })
    };
    let said = [
        (old(true, false, false), Pooling::Cls),
        (old(false, true, false), Pooling::Mean),
        (old(false, false, true), Pooling::Max),
        (old(false, false, false), Pooling::Mean),
        (json!({ "pooling_mode": "cls", "pooling_mode_mean_tokens": true }), Pooling::Cls),
        (json!({ "pooling_mode": ["max"], "include_prompt": true }), Pooling::Max),
        (json!({}), Pooling::Mean),
    ];
    for (json, pooling) in said {
        put(folder.path(), POOLING, json.to_string());
        assert_eq!(encoder(folder.path()).unwrap().pooling(), pooling, "{json}");
    }
}

#[test]
fn pooling_that_is_not_computed_here_is_refused_by_name() {
    let folder = copy("bert");
    let wrong = [
        (json!({ "pooling_mode_weightedmean_tokens": true }), "weightedmean"),
        (json!({ "pooling_mode_lasttoken": true }), "lasttoken"),
        (json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true }), "cls and mean"),
        (json!({ "pooling_mode": "mean_sqrt_len_tokens" }), "mean_sqrt_len_tokens"),
        (json!({ "pooling_mode": ["mean", "max"] }), "mean and max"),
        (json!({ "pooling_mode": 3 }), "pooling_mode is 3"),
        (json!({ "pooling_mode": [null] }), "pooling_mode names null"),
        (json!({ "pooling_mode_cls_token": "yes" }), "pooling_mode_cls_token"),
        (json!({ "include_prompt": false }), "include_prompt"),
        (json!([]), "expected an object"),
    ];
    for (json, named) in wrong {
        put(folder.path(), POOLING, json.to_string());
        refused(folder.path(), POOLING, named);
    }
    put(folder.path(), POOLING, "{");
    refused(folder.path(), POOLING, "not valid JSON");
}

fn module(kind: &str, path: &str) -> Value {
    json!({ "idx": 0, "name": "0", "path": path, "type": format!("sentence_transformers.models.{kind}") })
}

#[test]
fn modules_that_would_make_other_vectors_are_refused_by_name() {
    let folder = copy("bert");
    put(folder.path(), "pool/config.json", json!({ "pooling_mode": "cls" }).to_string());
    let list = |modules: &[Value]| put(folder.path(), "modules.json", json!(modules).to_string());
    let transformer = || module("Transformer", "");
    list(&[transformer(), module("Pooling", "pool"), module("Normalize", "2_Normalize")]);
    assert_eq!(encoder(folder.path()).unwrap().pooling(), Pooling::Cls, "it may have another place");
    let wrong = [
        (vec![transformer(), module("Pooling", "pool"), module("Dense", "2_Dense")], "models.Dense"),
        (vec![transformer(), module("Pooling", "pool"), module("Pooling", "pool")], "twice"),
        (vec![transformer(), module("Pooling", "../elsewhere")], "../elsewhere"),
        (vec![json!({})], "no type"),
    ];
    for (modules, named) in wrong {
        list(&modules);
        refused(folder.path(), "modules.json", named);
    }
    list(&[transformer(), module("Pooling", "1_Pooling")]);
    refused(folder.path(), POOLING, "not there");
    put(folder.path(), "modules.json", "{}");
    refused(folder.path(), "modules.json", "expected a list");
}

#[test]
fn prompts_are_read() {
    let folder = copy("xlm_roberta");
    let file = "config_sentence_transformers.json";
    assert_eq!(encoder(folder.path()).unwrap().prompts().query(), "");
    let said =
        json!({ "prompts": { "query": "query: ", "document": "", "passage": "passage: ", "other": null } });
    put(folder.path(), file, said.to_string());
    let prompts = encoder(folder.path()).unwrap().prompts().clone();
    assert_eq!((prompts.query(), prompts.document()), ("query: ", "passage: "));
    assert_eq!((prompts.get("other"), prompts.get("none")), (Some(""), None));
    assert_eq!(prompts.names().collect::<Vec<_>>(), ["document", "other", "passage", "query"]);
    for (json, named) in
        [(json!({ "prompts": [] }), "prompts is []"), (json!({ "prompts": { "query": 1 } }), "query")]
    {
        put(folder.path(), file, json.to_string());
        refused(folder.path(), file, named);
    }
}

#[test]
fn texts_are_cut_to_the_smaller_of_what_the_folder_says_and_the_encoder_reads() {
    let folder = copy("bert");
    let file = "sentence_bert_config.json";
    let text = "cough ".repeat(90);
    let read = |folder: &Path| encoder(folder).unwrap().embed(&[&text]).unwrap().remove(0).tokens;
    assert_eq!(read(folder.path()), 64);
    for (most, tokens) in [(json!(10), 10), (json!(1000), 64), (Value::Null, 64)] {
        put(folder.path(), file, json!({ "max_seq_length": most, "do_lower_case": false }).to_string());
        assert_eq!(read(folder.path()), tokens, "{most}");
    }
    for most in [json!(2), json!(-1), json!(1.5), json!("512")] {
        put(folder.path(), file, json!({ "max_seq_length": most }).to_string());
        refused(folder.path(), file, "max_seq_length");
    }
    std::fs::remove_file(folder.path().join(file)).unwrap();
    for (most, tokens) in [(json!(12), 12), (json!(1e30), 64), (json!(0), 64)] {
        put(folder.path(), "tokenizer_config.json", json!({ "model_max_length": most }).to_string());
        assert_eq!(read(folder.path()), tokens, "{most}");
    }
}

fn cross_encoder_refused(folder: &Path, named: &[&str]) {
    let error = CrossEncoder::from_dir(Arc::new(Cpu::new(1)), folder).unwrap_err().to_string();
    assert!(named.iter().all(|named| error.contains(named)), "{error:?} should name {named:?}");
}

#[test]
fn a_folder_without_a_head_is_refused() {
    for (kind, head) in [("bert", "classifier."), ("roberta", "classifier.")] {
        let folder = copy(kind);
        change_tensors(folder.path(), |tensors| tensors.retain(|name, _| !name.starts_with(head)));
        cross_encoder_refused(folder.path(), &["without a head", "classifier.weight"]);
        assert!(encoder(folder.path()).is_ok(), "it is an encoder still");
    }
}

#[test]
fn a_head_that_does_not_fit_is_refused_by_name() {
    let folder = copy("bert");
    change_tensors(folder.path(), |tensors| drop(tensors.remove("bert.pooler.dense.weight")));
    cross_encoder_refused(folder.path(), &["bert.pooler.dense.weight is missing"]);

    let folder = copy("xlm_roberta");
    change_tensors(folder.path(), |tensors| drop(tensors.remove("classifier.out_proj.bias")));
    cross_encoder_refused(folder.path(), &["classifier.out_proj.bias is missing"]);

    for (shape, named) in [(vec![1, 31], "[1, 31]"), (vec![32], "[32]"), (vec![1, 32, 1], "[1, 32, 1]")] {
        let folder = copy("bert");
        change_tensors(folder.path(), |tensors| {
            let values = vec![0.5; shape.iter().product()];
            tensors.insert("classifier.weight".to_owned(), (shape, values));
        });
        cross_encoder_refused(folder.path(), &["classifier.weight", named, "[1, 32]"]);
    }
}

#[test]
fn three_labels_are_refused() {
    for (labels, named) in [(3, "3 labels"), (0, "0 labels")] {
        let folder = copy("bert");
        change_tensors(folder.path(), |tensors| {
            tensors.insert("classifier.weight".to_owned(), (vec![labels, 32], vec![0.5; labels * 32]));
            tensors.insert("classifier.bias".to_owned(), (vec![labels], vec![0.5; labels]));
        });
        cross_encoder_refused(folder.path(), &[named]);
    }
}

#[test]
fn a_pair_needs_room_and_a_type_for_each_text() {
    let folder = copy("roberta");
    put(folder.path(), "sentence_bert_config.json", json!({ "max_seq_length": 5 }).to_string());
    cross_encoder_refused(folder.path(), &["config.json", "5 tokens"]);

    let folder = copy("bert");
    let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    put(folder.path(), "config.json", config.replace("\"type_vocab_size\": 2", "\"type_vocab_size\": 1"));
    change_tensors(folder.path(), |tensors| {
        let (shape, values) = tensors.get_mut("bert.embeddings.token_type_embeddings.weight").unwrap();
        shape[0] = 1;
        values.truncate(shape[1]);
    });
    cross_encoder_refused(folder.path(), &["config.json", "type_vocab_size"]);
}

/// JSON of any kind, with the words that are looked for.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("pooling_mode".to_owned()),
        Just("pooling_mode_cls_token".to_owned()),
        Just("pooling_mode_lasttoken".to_owned()),
        Just("include_prompt".to_owned()),
        Just("mean".to_owned()),
        Just("cls".to_owned()),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..5)
                .prop_map(|entries| Value::from(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pooling_config_that_lies_is_survived(json in any_json()) {
        let folder = copy("bert");
        put(folder.path(), POOLING, json.to_string());
        let _ = encoder(folder.path());
        put(folder.path(), "modules.json", json.to_string());
        let _ = encoder(folder.path());
    }

    #[test]
    fn bytes_that_are_no_pooling_config_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = copy("bert");
        put(folder.path(), POOLING, bytes);
        let _ = encoder(folder.path());
    }
}
