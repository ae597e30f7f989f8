//! BERTScore against bert_score 0.3.13.

mod reference;

use compute::Cpu;
use eval::text::{BertScore, default_baseline, default_layer, read_baseline};
use model::Encoder;
use serde_json::Value;
use std::sync::Arc;

use reference::oracle;

const PLAIN: BertScore = BertScore { layer: 2, idf: false, baseline: None };

#[test]
fn greedy_matching_gives_the_scores_of_bert_score() {
    let Some(folder) = oracle("numerics/tiny_random_bert") else { return };
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("oracle.json")).unwrap()).unwrap();
    let expected = &expected["bertscore"];
    let texts = |key: &str| -> Vec<&str> {
        expected[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
    };
    let pairs: Vec<(&str, &str)> = texts("hyps").into_iter().zip(texts("refs")).collect();
    let encoder = Encoder::from_dir(Arc::new(Cpu::new(2)), &folder).unwrap();
    let items = PLAIN.score(&encoder, &pairs).unwrap();
    for (index, item) in items.iter().enumerate() {
        let score = item.score.unwrap();
        for (value, key) in [(score.precision, "P"), (score.recall, "R"), (score.f1, "F1")] {
            let expected = expected[key][index].as_f64().unwrap();
            assert!((value - expected).abs() < 2e-6, "{index} {key}: {value} {expected}");
        }
    }
    // Rescaling: (x - b) / (1 - b).
    let baseline = default_baseline("roberta-large").unwrap();
    let rescaled = BertScore { baseline: Some(baseline), ..PLAIN }.score(&encoder, &pairs).unwrap();
    let (plain, rescaled) = (items[0].score.unwrap(), rescaled[0].score.unwrap());
    let by_hand = (plain.recall - 0.8314941) / (1.0 - 0.8314941);
    assert!((rescaled.recall - by_hand).abs() < 1e-12);
}

#[test]
fn rare_tokens_weigh_more_and_empty_texts_have_no_score() {
    let Some(folder) = oracle("numerics/tiny_random_bert") else { return };
    let encoder = Encoder::from_dir(Arc::new(Cpu::new(2)), &folder).unwrap();
    let weighted = BertScore { idf: true, ..PLAIN };
    let pairs =
        [("fever and cough", "fever and rash"), ("pain", "pain and fever"), ("", "fever"), ("fever", " ")];
    let items = weighted.score(&encoder, &pairs).unwrap();
    assert_eq!(items.iter().map(|item| item.score.is_some()).collect::<Vec<_>>(), [true, true, false, false]);
    // Of "fever and rash", 4 references: fever is in 2, and in 2, rash in 1; [CLS] and [SEP] in all: weight 0.
    let plain = PLAIN.score(&encoder, &pairs).unwrap();
    assert!(
        items[0].score.unwrap().recall < plain[0].score.unwrap().recall,
        "rash, which is missed, weighs more"
    );
    let long = "fever ".repeat(600);
    assert_eq!(PLAIN.score(&encoder, &[(&long, "fever")]).unwrap()[0].cut, 90);
    let error = BertScore { layer: 4, ..PLAIN }.score(&encoder, &pairs).unwrap_err();
    assert_eq!(error.to_string(), "layer 4 was asked for, the encoder has 3");
}

#[test]
fn layers_and_baselines_are_those_of_bert_score() {
    assert_eq!((default_layer("FacebookAI/roberta-large"), default_layer("gpt2")), (Some(17), None));
    assert_eq!(PLAIN.signature("tiny"), "tiny_L2_no-idf|like:bert_score0.3.13");
    assert!(read_baseline("LAYER,P,R,F\n0,0.1,0.2,0.3\n", 1).is_err());
    assert!(read_baseline("LAYER,P,R,F\n0,0.1,x,0.3\n", 0).is_err());
    let Some(folder) = oracle("metrics/bert_score_rescale_baseline_en") else { return };
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let model = path.file_stem().unwrap().to_str().unwrap();
        let (Some(layer), Some(baseline)) = (default_layer(model), default_baseline(model)) else { continue };
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(read_baseline(&text, layer).unwrap(), baseline, "{model}");
        checked += 1;
    }
    assert_eq!(checked, 10);
}
