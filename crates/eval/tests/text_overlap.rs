//! BLEU, chrF, TER and ROUGE against sacreBLEU 2.6.0, NLTK 3.10.4, `evaluate` and rouge_score 0.1.2.
//!
//! `data/overlap.json` is written by `tools/make_text_vectors.py`; the 68 pairs lie beside the repository.

mod reference;

use eval::text::{
    Bleu, BleuTokenizer, Chrf, EvaluateBleu, Meteor, NltkBleu, NltkSmoothing, NltkTokens, PrecisionRecall,
    Rouge, Smoothing, Ter, rouge, rouge_all, rouge_l,
};
use serde_json::Value;

use reference::oracle;

/// The 68 pairs of model answers and references.
fn vectors() -> Option<Value> {
    let file = oracle("metrics/bleu_rouge_vectors.json")?;
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(vectors["rows"].as_array().unwrap().len(), 68);
    Some(vectors)
}

fn own_vectors() -> Value {
    serde_json::from_str(include_str!("data/overlap.json")).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// (hypothesis, reference) of each row.
fn pairs(vectors: &Value) -> Vec<(&str, &str)> {
    let rows = vectors["rows"].as_array().unwrap();
    rows.iter().map(|row| (text(row, "hypothesis"), text(row, "reference"))).collect()
}

#[track_caller]
fn assert_close(what: &str, value: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what}: no number expected"));
    assert!((value - expected).abs() <= tolerance, "{what}: {value}, expected {expected}");
}

#[test]
fn all_68_pairs_get_the_scores_of_the_python_packages() {
    let Some(vectors) = vectors() else { return };
    let bleu = Bleu::sentence_level();
    let smoothed = NltkBleu { smoothing: NltkSmoothing::Method1, ..NltkBleu::default() };
    for (index, row) in vectors["rows"].as_array().unwrap().iter().enumerate() {
        let (hypothesis, reference) = (text(row, "hypothesis"), text(row, "reference"));
        let score = bleu.sentence(hypothesis, &[reference]);
        let expected = &row["sacrebleu_sentence"];
        assert_close(&format!("{index} BLEU"), score.score, &expected["score"], 1e-9);
        assert_close(&format!("{index} BP"), score.brevity_penalty, &expected["bp"], 1e-9);
        for order in 0..4 {
            let what = format!("{index} precision {order}");
            assert_close(&what, score.precisions[order], &expected["precisions"][order], 1e-9);
        }
        assert_eq!(score.statistics.hypothesis_length, expected["sys_len"].as_u64().unwrap());
        assert_eq!(score.statistics.reference_length, expected["ref_len"].as_u64().unwrap());
        let chrf = Chrf::default().sentence(hypothesis, &[reference]);
        assert_close(&format!("{index} chrF"), chrf, &row["chrf"], 1e-9);
        let ter = Ter::default().sentence(hypothesis, &[reference]);
        assert_close(&format!("{index} TER"), ter, &row["ter"], 1e-9);
        let nltk = NltkBleu::default().sentence(hypothesis, reference);
        assert_close(&format!("{index} NLTK"), nltk, &row["nltk_sentence_bleu_split"], 1e-12);
        let nltk = smoothed.sentence(hypothesis, reference);
        assert_close(&format!("{index} NLTK 1"), nltk, &row["nltk_sentence_bleu_split_method1"], 1e-12);
        for (setting, stem) in [("rouge_stem", true), ("rouge_nostem", false)] {
            let all = rouge_all(stem, reference, hypothesis);
            let kinds = [
                ("rouge1", Rouge::One, all.rouge1),
                ("rouge2", Rouge::Two, all.rouge2),
                ("rougeL", Rouge::L, all.rouge_l),
                ("rougeLsum", Rouge::Lsum, all.rouge_lsum),
            ];
            for (name, kind, score) in kinds {
                assert_eq!(rouge(kind, stem, reference, hypothesis), score, "one by one and together");
                for (part, value) in [score.precision, score.recall, score.f1].into_iter().enumerate() {
                    assert_close(
                        &format!("{index} {setting} {name}"),
                        value,
                        &row[setting][name][part],
                        1e-12,
                    );
                }
            }
        }
    }
}

#[test]
fn the_corpus_of_68_gets_the_scores_and_signatures_of_the_python_packages() {
    let Some(vectors) = vectors() else { return };
    let (pairs, corpus) = (pairs(&vectors), &vectors["corpus"]);
    let intl = Bleu { tokenizer: BleuTokenizer::International, ..Bleu::default() };
    let floor = Bleu { tokenizer: BleuTokenizer::None, smoothing: Smoothing::Floor(0.1), ..Bleu::default() };
    let settings = [
        ("bleu_default", Bleu::default()),
        ("bleu_lc", Bleu { lowercase: true, ..Bleu::default() }),
        ("bleu_intl", intl),
        ("bleu_none_smooth_floor", floor),
    ];
    for (name, bleu) in settings {
        let score = bleu.corpus(pairs.iter().copied()).score;
        assert_close(name, score, &corpus[name]["score"], 1e-9);
        assert_eq!(bleu.signature(1), text(&corpus[name], "signature"));
    }
    for (name, chrf) in [("chrf", Chrf::default()), ("chrf++", Chrf::plus_plus())] {
        assert_close(name, chrf.corpus(pairs.iter().copied()), &corpus[name]["score"], 1e-9);
        assert_eq!(chrf.signature(1), text(&corpus[name], "signature"));
    }
    assert_close("ter", Ter::default().corpus(pairs.iter().copied()), &corpus["ter"]["score"], 1e-9);
    assert_eq!(Ter::default().signature(1), text(&corpus["ter"], "signature"));
    let nltk = NltkBleu::default().corpus(pairs.iter().copied());
    assert_close("nltk", nltk, &corpus["nltk_corpus_bleu_split"], 1e-12);
    let expected = &corpus["hf_evaluate_bleu_lower"];
    let evaluate = EvaluateBleu { lowercase: true, ..EvaluateBleu::default() }.corpus(pairs.iter().copied());
    assert_close("evaluate", evaluate.bleu, &expected["bleu"], 1e-12);
    assert_close("evaluate BP", evaluate.brevity_penalty, &expected["brevity_penalty"], 1e-12);
    assert_eq!(evaluate.translation_length, expected["translation_length"].as_u64().unwrap());
    assert_eq!(evaluate.reference_length, expected["reference_length"].as_u64().unwrap());
}

/// Checks one metric under one setting: every sentence against all its references, and the corpus against the first.
fn check(
    name: &str,
    expected: &Value,
    pairs: &Value,
    sentence: impl Fn(&str, &[&str]) -> f64,
    corpus: impl Fn(Vec<(&str, &str)>) -> f64,
) {
    let pairs: Vec<(&str, Vec<&str>)> = pairs
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            let references = pair[1].as_array().unwrap();
            (pair[0].as_str().unwrap(), references.iter().map(|text| text.as_str().unwrap()).collect())
        })
        .collect();
    for (index, (hypothesis, references)) in pairs.iter().enumerate() {
        let score = sentence(hypothesis, references);
        assert_close(&format!("{name}, sentence {index}"), score, &expected["sentences"][index], 1e-9);
    }
    let score = corpus(pairs.iter().map(|(hypothesis, references)| (*hypothesis, references[0])).collect());
    assert_close(&format!("{name}, corpus"), score, &expected["corpus"], 1e-9);
}

#[test]
fn every_setting_gives_the_scores_of_sacrebleu() {
    let vectors = own_vectors();
    let pairs = &vectors["pairs"];
    for (name, expected) in vectors["bleu"].as_object().unwrap() {
        let settings = &expected["settings"];
        let value = |default| settings["smooth_value"].as_f64().unwrap_or(default);
        let bleu = Bleu {
            lowercase: settings["lowercase"] == true,
            effective_order: settings["effective_order"] == true,
            tokenizer: match settings["tokenize"].as_str() {
                Some("intl") => BleuTokenizer::International,
                Some("char") => BleuTokenizer::Char,
                Some("none") => BleuTokenizer::None,
                _ => BleuTokenizer::V13a,
            },
            smoothing: match settings["smooth_method"].as_str() {
                Some("floor") => Smoothing::Floor(value(0.1)),
                Some("add-k") => Smoothing::AddK(value(1.0)),
                Some("none") => Smoothing::None,
                _ => Smoothing::Exp,
            },
        };
        let sentence = |hypothesis: &str, references: &[&str]| bleu.sentence(hypothesis, references).score;
        check(name, expected, pairs, sentence, |pairs| bleu.corpus(pairs).score);
        assert_eq!(bleu.signature(1), text(expected, "signature"));
    }
    for (name, expected) in vectors["chrf"].as_object().unwrap() {
        let settings = &expected["settings"];
        let chrf = Chrf {
            words: settings["word_order"] == 2,
            lowercase: settings["lowercase"] == true,
            whitespace: settings["whitespace"] == true,
        };
        check(name, expected, pairs, |text, to| chrf.sentence(text, to), |pairs| chrf.corpus(pairs));
        assert_eq!(chrf.signature(1), text(expected, "signature"));
    }
    for (name, expected) in vectors["ter"].as_object().unwrap() {
        let ter = Ter { case_sensitive: expected["settings"]["case_sensitive"] == true };
        check(name, expected, pairs, |text, to| ter.sentence(text, to), |pairs| ter.corpus(pairs));
        assert_eq!(ter.signature(1), text(expected, "signature"));
    }
}

#[test]
fn nltk_counts_words_or_the_characters_of_an_unsplit_text() {
    let vectors = own_vectors();
    let characters = NltkBleu { tokens: NltkTokens::Characters, ..NltkBleu::default() };
    let mut all = Vec::new();
    for (index, pair) in vectors["pairs"].as_array().unwrap().iter().enumerate() {
        let (hypothesis, reference) = (pair[0].as_str().unwrap(), pair[1][0].as_str().unwrap());
        let expected = &vectors["nltk"];
        let score = NltkBleu::default().sentence(hypothesis, reference);
        assert_close("words", score, &expected["sentences"][index], 1e-12);
        let score = characters.sentence(hypothesis, reference);
        assert_close("characters", score, &expected["characters"][index], 1e-12);
        all.push((hypothesis, reference));
    }
    assert_close("corpus", NltkBleu::default().corpus(all), &vectors["nltk"]["corpus"], 1e-12);
}

#[test]
fn bleu_by_hand() {
    // 5 of 6 words, 3 of 5 pairs, 1 of 4 triples, none of 3 quadruples, which count as half a match.
    let score = Bleu::default().sentence("the cat sat on the mat", &["the cat is on the mat"]);
    let product: f64 = 5.0 / 6.0 * (3.0 / 5.0) * (1.0 / 4.0) * (0.5 / 3.0);
    assert!((score.score - 100.0 * product.powf(0.25)).abs() < 1e-9);
    assert_eq!(score.brevity_penalty, 1.0);
    let unsmoothed = Bleu { smoothing: Smoothing::None, ..Bleu::default() };
    assert_eq!(unsmoothed.sentence("the cat sat on the mat", &["the cat is on the mat"]).score, 0.0);
    assert_eq!(Bleu::default().corpus([]).score, 0.0, "nothing to score");
    assert_eq!(Bleu::default().sentence("word", &[]).score, 0.0, "nothing to compare with");
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

#[test]
fn meteor_of_two_stages_equals_nltks() {
    let vectors = own_vectors();
    for (name, tokenizer) in [("none", BleuTokenizer::None), ("13a", BleuTokenizer::V13a)] {
        let meteor = Meteor { tokenizer };
        for (index, pair) in vectors["pairs"].as_array().unwrap().iter().enumerate() {
            let references: Vec<&str> =
                pair[1].as_array().unwrap().iter().map(|reference| reference.as_str().unwrap()).collect();
            let score = meteor.sentence(pair[0].as_str().unwrap(), &references);
            assert_close(&format!("{name} {index}"), score, &vectors["meteor"][name][index], 1e-12);
        }
    }
    assert!(Meteor::default().signature().starts_with("stages:exact+stem|tok:13a|"));
}
