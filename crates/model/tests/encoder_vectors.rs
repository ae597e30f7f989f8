//! Vectors of texts and scores of pairs against sentence-transformers 6.2 and transformers 5.23, and what holds for any.

mod tiny_classifiers;

use std::sync::Arc;

use compute::Cpu;
use model::{CrossEncoder, Encoder, PairScore, Pooling};
use serde_json::{Value, json};
use tiny_classifiers::{change_tensors, classifier, copy, expected, put};

const KINDS: [&str; 3] = ["bert", "roberta", "xlm_roberta"];

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn cross_encoder(kind: &str) -> CrossEncoder<Cpu> {
    CrossEncoder::from_dir(Arc::new(Cpu::new(2)), &classifier(kind)).unwrap()
}

#[test]
fn vectors_are_those_of_sentence_transformers() {
    let poolings = [("mean", Pooling::Mean), ("cls", Pooling::Cls), ("max", Pooling::Max)];
    let mut most = 0.0f32;
    for kind in KINDS {
        let folder = copy(kind);
        let expected = expected(kind);
        let texts = texts(&expected["texts"]);
        for (mode, pooling) in poolings {
            put(folder.path(), "1_Pooling/config.json", json!({ "pooling_mode": mode }).to_string());
            let encoder = Encoder::from_dir(Arc::new(Cpu::new(2)), folder.path()).unwrap();
            assert_eq!(encoder.pooling(), pooling);
            let vectors = encoder.embed(&texts).unwrap();
            assert_eq!(vectors.len(), texts.len());
            for (index, vector) in vectors.iter().enumerate() {
                let read = json!([vector.tokens, vector.cut]);
                assert_eq!(
                    read,
                    json!([expected["tokens"][index], expected["cut"][index]]),
                    "{kind} {index}"
                );
                let wanted = expected["vectors"][mode][index].as_array().unwrap();
                assert_eq!(wanted.len(), vector.values.len());
                for (got, wanted) in vector.values.iter().zip(wanted) {
                    let apart = (got - wanted.as_f64().unwrap() as f32).abs();
                    assert!(apart < 2e-6, "{kind} {mode} {index}: {got} {wanted}");
                    most = most.max(apart);
                }
            }
        }
    }
    println!("vectors are at most {most:e} apart");
}

#[test]
fn scores_are_those_of_transformers() {
    let mut most = 0.0f32;
    for kind in KINDS {
        let (encoder, expected) = (cross_encoder(kind), expected(kind));
        let pairs = expected["pairs"].as_array().unwrap();
        let query = |pair: &Value| pair["query"].as_str().unwrap().to_owned();
        for pairs in pairs.chunk_by(|a, b| query(a) == query(b)) {
            let passages: Vec<&str> = pairs.iter().map(|pair| pair["passage"].as_str().unwrap()).collect();
            let scores = encoder.score(&query(&pairs[0]), &passages).unwrap();
            for (pair, got) in pairs.iter().zip(&scores) {
                assert_eq!(json!(got.cut), pair["cut"], "{kind} {pair}");
                let apart = (got.score - pair["score"].as_f64().unwrap() as f32).abs();
                assert!(apart < 1e-5, "{kind} {pair}: {}", got.score);
                most = most.max(apart);
            }
        }
        assert!(pairs.iter().any(|pair| pair["cut"].as_u64() > Some(40)), "some are cut");
    }
    println!("scores are at most {most:e} apart");
}

/// Scores by their bits, so that two that print alike are not the same.
fn bits(scores: &[PairScore]) -> Vec<(u32, usize)> {
    scores.iter().map(|score| (score.score.to_bits(), score.cut)).collect()
}

#[test]
fn neither_order_nor_company_changes_a_bit() {
    for kind in KINDS {
        let (encoder, expected) = (cross_encoder(kind), expected(kind));
        let pairs = expected["pairs"].as_array().unwrap();
        // More than one batch of 4,096 tokens.
        let passages: Vec<&str> =
            (0..300).map(|index| pairs[index * 7 % pairs.len()]["passage"].as_str().unwrap()).collect();
        let query = "treatment of asthma";
        let together = bits(&encoder.score(query, &passages).unwrap());
        for (passage, together) in passages.iter().zip(&together).take(16) {
            assert_eq!(bits(&encoder.score(query, &[passage]).unwrap()), [*together], "{kind} {passage}");
        }
        let reversed: Vec<&str> = passages.iter().rev().copied().collect();
        let mut backwards = bits(&encoder.score(query, &reversed).unwrap());
        backwards.reverse();
        assert_eq!(backwards, together);

        let vectors = encoder.encoder().embed(&passages).unwrap();
        for (passage, vector) in passages.iter().zip(&vectors).take(16) {
            assert_eq!(&encoder.encoder().embed(&[passage]).unwrap()[0], vector);
        }
    }
}

#[test]
fn nothing_gives_nothing() {
    let encoder = cross_encoder("bert");
    assert_eq!(encoder.score("asthma", &[]).unwrap(), []);
    assert_eq!(encoder.encoder().embed(&[]).unwrap(), []);
}

#[test]
fn a_query_is_cut_only_when_it_takes_more_than_half() {
    // Of 64 tokens three are [CLS] and two [SEP].
    let (encoder, room) = (cross_encoder("bert"), 61);
    let letters = |count: usize| "a ".repeat(count);
    let score = |query: usize, passage: usize| {
        let score = encoder.score(&letters(query), &[&letters(passage)]).unwrap().remove(0);
        (score.score.to_bits(), score.cut)
    };
    let same = |long: (usize, usize), short: (usize, usize)| {
        let ((long, cut), (short, nothing)) = (score(long.0, long.1), score(short.0, short.1));
        assert_eq!((long, nothing), (short, 0));
        cut
    };
    assert_eq!(same((30, 100), (30, 31)), 130 - room, "the passage");
    assert_eq!(same((50, 100), (30, 31)), 150 - room, "both");
    assert_eq!(same((100, 11), (50, 11)), 111 - room, "the query");
    assert_eq!(score(50, 11).1, 0, "a long query that fits");
}

#[test]
fn of_two_labels_the_score_is_yes_less_no() {
    let folder = copy("bert");
    let score = |folder: &std::path::Path| {
        let encoder = CrossEncoder::from_dir(Arc::new(Cpu::new(1)), folder).unwrap();
        encoder.score("cough", &["Shortness of breath, cough, and wheezing."]).unwrap()[0].score
    };
    let one = score(folder.path());
    change_tensors(folder.path(), |tensors| {
        let (shape, values) = tensors.get_mut("classifier.weight").unwrap();
        let no: Vec<f32> = values.iter().map(|value| -value).collect();
        (*shape, *values) = (vec![2, no.len()], [no, values.clone()].concat());
        let (shape, values) = tensors.get_mut("classifier.bias").unwrap();
        (*shape, *values) = (vec![2], vec![-values[0], values[0]]);
    });
    let two = score(folder.path());
    assert!((two - 2.0 * one).abs() < 1e-5, "{two} {one}");
}

#[test]
fn the_type_of_the_second_text_counts() {
    let folder = copy("bert");
    let score = |folder: &std::path::Path| {
        let encoder = CrossEncoder::from_dir(Arc::new(Cpu::new(1)), folder).unwrap();
        let text = encoder.encoder().embed(&["cough"]).unwrap().remove(0);
        (encoder.score("cough", &["asthma"]).unwrap()[0].score, text)
    };
    let before = score(folder.path());
    change_tensors(folder.path(), |tensors| {
        let (shape, values) = tensors.get_mut("bert.embeddings.token_type_embeddings.weight").unwrap();
        let second = shape[1];
        values[second] += 1.0;
    });
    let after = score(folder.path());
    assert_ne!(before.0, after.0);
    assert_eq!(before.1, after.1, "a text alone is of the first type");
}
