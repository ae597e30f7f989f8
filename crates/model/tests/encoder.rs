//! Encoders: a BERT against transformers 5.23, and what holds for any.

mod reference;
mod small_encoder;

use std::sync::Arc;

use compute::Cpu;
use model::Encoder;
use reference::{oracle, oracle_json};
use serde_json::Value;
use small_encoder::write_encoder;

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

#[test]
fn ids_and_states_are_those_of_transformers() {
    let Some(folder) = oracle("numerics/tiny_random_bert") else { return };
    let expected = oracle_json("numerics/tiny_random_bert/oracle.json").unwrap();
    let encoder = Encoder::from_dir(Arc::new(Cpu::new(2)), &folder).unwrap();
    assert_eq!((encoder.config().layers, encoder.config().longest_text()), (3, 512));
    let sentences: Vec<&str> =
        expected["sentences"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let texts: Vec<_> = sentences.iter().map(|text| encoder.tokens(text).unwrap()).collect();
    for (row, text) in texts.iter().enumerate() {
        let mask = floats(&expected["attention_mask"][row]);
        let ids = floats(&expected["input_ids"][row]);
        let ids: Vec<u32> =
            ids.iter().zip(mask).filter(|(_, mask)| *mask == 1.0).map(|(id, _)| *id as u32).collect();
        assert_eq!((&text.ids, text.cut), (&ids, 0));
    }
    let ids: Vec<&[u32]> = texts.iter().map(|text| text.ids.as_slice()).collect();
    let states = encoder.hidden_states(&ids, 3).unwrap();
    let close = |got: &[f32], expected: Vec<f32>| {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 2e-5, "{got} {expected}");
        }
    };
    for (row, states) in states.iter().enumerate() {
        close(states.rows().next().unwrap(), floats(&expected["cls"][row]));
        close(&states.mean(), floats(&expected["mean_pooled"][row]));
    }
    let alone = encoder.hidden_states(&ids[1..2], 3).unwrap();
    assert_eq!(alone[0], states[1], "a text's states do not depend on the others");
}

#[test]
fn a_text_is_cut_to_what_the_encoder_reads() {
    let Some(folder) = oracle("numerics/tiny_random_bert") else { return };
    let encoder = Encoder::from_dir(Arc::new(Cpu::new(1)), &folder).unwrap();
    let long = encoder.tokens(&"fever ".repeat(600)).unwrap();
    assert_eq!((long.ids.len(), long.cut), (512, 90));
    assert_eq!(encoder.hidden_states(&[&long.ids], 1).unwrap()[0].rows().len(), 512);
    let nothing = encoder.tokens("  ").unwrap();
    assert_eq!(nothing.ids, [101, 102]);
}

#[test]
fn a_folder_that_does_not_fit_is_refused_by_name() {
    let Some(folder) = oracle("numerics/tiny_random_bert") else { return };
    let broken = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(folder.join(file), broken.path().join(file)).unwrap();
    }
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let refusals = [
        ("\"hidden_size\": 32", "\"hidden_size\": 40", "shape"),
        ("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"", "hidden_act"),
        ("\"model_type\": \"bert\"", "\"model_type\": \"albert\"", "albert"),
        ("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", "encoder.layer.3"),
        ("\"num_attention_heads\": 4", "\"num_attention_heads\": 5", "num_attention_heads"),
        ("\"vocab_size\": 30522", "\"vocab_size\": 0", "vocab_size"),
    ];
    for (from, to, named) in refusals {
        assert!(config.contains(from), "{from}");
        std::fs::write(broken.path().join("config.json"), config.replace(from, to)).unwrap();
        let error = Encoder::from_dir(Arc::new(Cpu::new(1)), broken.path()).unwrap_err().to_string();
        assert!(error.contains(named), "{to}: {error}");
    }
}

fn small(kind: &str) -> (tempfile::TempDir, Encoder<Cpu>) {
    let folder = tempfile::tempdir().unwrap();
    write_encoder(folder.path(), kind, 10);
    let encoder = Encoder::from_dir(Arc::new(Cpu::new(2)), folder.path()).unwrap();
    (folder, encoder)
}

#[test]
fn every_token_sees_the_whole_text_and_no_other() {
    let (_folder, encoder) = small("bert");
    let texts = ["no fever", "no cough", "no fevers cough"].map(|text| encoder.tokens(text).unwrap().ids);
    assert_eq!(texts[2], [2, 6, 4, 7, 5, 3]);
    let ids: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let together = encoder.hidden_states(&ids, 2).unwrap();
    for (text, states) in ids.iter().zip(&together) {
        assert_eq!(&encoder.hidden_states(&[text], 2).unwrap()[0], states);
    }
    let first = |index: usize, layer: usize| {
        encoder.hidden_states(&ids[index..=index], layer).unwrap()[0].rows().next().unwrap().to_vec()
    };
    assert_eq!(first(0, 0), first(1, 0), "the embedding of [CLS] knows nothing of the text");
    assert_ne!(first(0, 1), first(1, 1), "after a block it knows of the last word");
    assert!(together.iter().flat_map(|states| &states.values).all(|value| value.is_finite()));
}

#[test]
fn robertas_positions_begin_behind_that_of_padding() {
    let (_folder, bert) = small("bert");
    let (_other, roberta) = small("roberta");
    assert_eq!((bert.config().longest_text(), roberta.config().longest_text()), (10, 8));
    let states = |encoder: &Encoder<Cpu>| encoder.hidden_states(&[&[2, 4, 3]], 0).unwrap();
    assert_ne!(states(&bert), states(&roberta));
    assert_eq!(roberta.tokens(&"fever ".repeat(9)).unwrap().cut, 3);
}
