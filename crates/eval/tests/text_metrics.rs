//! ROUGE against Google's rouge-score 0.1.2.

use eval::text_metrics::{PrecisionRecall, Rouge, rouge, rouge_l};
use serde_json::Value;
use std::path::PathBuf;

/// The folder of oracles: `MEDTUNE_ORACLES`, or the one beside the repository. It is no part of the repository.
fn oracle(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MEDTUNE_ORACLES").map(PathBuf::from);
    let folder =
        folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let file = folder.join(path);
    if !file.exists() {
        eprintln!("NOT CHECKED: {} is not here", file.display());
        return None;
    }
    Some(file)
}

#[test]
fn rouge_equals_rouge_score_on_all_pairs() {
    let Some(file) = oracle("metrics/bleu_rouge_vectors.json") else { return };
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let rows = vectors["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 68);
    for (index, row) in rows.iter().enumerate() {
        let (reference, candidate) =
            (row["reference"].as_str().unwrap(), row["hypothesis"].as_str().unwrap());
        for (setting, stem) in [("rouge_stem", true), ("rouge_nostem", false)] {
            for (name, kind) in [("rouge1", Rouge::One), ("rouge2", Rouge::Two), ("rougeL", Rouge::L)] {
                let expected: Vec<f64> = row[setting][name]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|value| value.as_f64().unwrap())
                    .collect();
                let score = rouge(kind, stem, reference, candidate);
                let values = [score.precision, score.recall, score.f1];
                for (value, expected) in values.iter().zip(&expected) {
                    assert!(
                        (value - expected).abs() < 1e-12,
                        "row {index} {setting} {name}: {values:?} {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn rouge_l_by_hand() {
    // "the cat sat" is in "the cat was sat" in order: 3 of 4 candidate words, 3 of 3 reference words.
    let score = rouge_l("The cat sat.", "the cat was sat");
    assert_eq!((score.precision, score.recall), (0.75, 1.0));
    assert!((score.f1 - 6.0 / 7.0).abs() < 1e-12);
    let nothing = PrecisionRecall { precision: 0.0, recall: 0.0, f1: 0.0 };
    assert_eq!(rouge_l("something", ""), nothing);
    assert_eq!(rouge_l("", ""), nothing);
    assert_eq!(rouge_l("treatments", "treatment").f1, 1.0, "stemmed");
}
