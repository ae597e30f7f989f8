//! What evaluations leave behind: answers made elsewhere, comparison, rescoring, cards.

mod common;

use std::fs;
use std::path::Path;

use common::{refused, run, run_json, stderr, stdout, text, write_model_of};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// Made with `openssl genpkey -algorithm ed25519` for this test alone.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJOGhBSxShI7+ORc8hE9Qua2AB0G84xsPl6ONMrwzDPh
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "bae441e8786cbc5009642d9902e857dbf5c2c46ceb77188901f5797701d804dd";

/// Answers of two runs, in folders `a` and `b`.
fn scored() -> TempDir {
    let folder = tempdir().unwrap();
    for (name, dose) in [("a", "4 g"), ("b", "40 g")] {
        let rows = (0..12).map(|row| {
            format!(
                "q{row},How much?,Take 4 g of it {row} times.,Take {dose} of it {row} times.,leaflet-{row}\n"
            )
        });
        let table: String =
            std::iter::once("id,question,reference,response,document\n".to_owned()).chain(rows).collect();
        let file = folder.path().join(format!("{name}.csv"));
        fs::write(&file, table).unwrap();
        let out = folder.path().join(name);
        run(&["eval", "--answers-file", text(&file), "--task", "doses", "--out", text(&out)], 0);
    }
    folder
}

fn changed(file: &Path, from: &str, to: &str) {
    let before = fs::read_to_string(file).unwrap();
    assert!(before.contains(from), "{before}");
    fs::write(file, before.replacen(from, to, 1)).unwrap();
}

#[test]
fn answers_made_elsewhere_are_scored_and_compared() {
    let folder = scored();
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    let document = run_json(&["compare", text(&a), text(&b), "--resamples", "500", "--json"]);
    let of_metric = |metric: &str| -> Value {
        let all = document["comparison"]["differences"].as_array().unwrap();
        all.iter().find(|difference| difference["metric"] == metric).unwrap().clone()
    };
    let quantities = of_metric("changed_quantities");
    assert_eq!((&quantities["difference"], &quantities["groups"]), (&1.0.into(), &12.into()));
    assert_eq!(document["comparison"]["changes"][0]["quantity_changed"].as_array().unwrap().len(), 12);

    let out = folder.path().join("compared");
    let page = stdout(&run(
        &[
            "compare",
            text(&a),
            text(&b),
            "--metric",
            "changed_quantities",
            "--metric",
            "bleu",
            "--out",
            text(&out),
        ],
        0,
    ));
    assert!(page.contains("b is worse than a in BLEU (−29.29"), "{page}");
    assert!(page.contains("and changed quantities (+100.0 pt [+58.7, +100.0])."), "{page}");
    let html = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(html.contains("amount: 4 g → 40 g"), "the answers lie in the page");
    assert!(refused(&["compare", text(&a), text(&b), "--metric", "blue"]).contains("known: loss"));
    assert!(refused(&["compare", text(&a)]).contains("2 values required"));
}

/// bert_score's own settings, by the arguments; `table` is what is known of encoders of a customary name.
#[test]
fn bertscore_is_quoted_with_encoder_layer_weights_and_baseline() {
    let oracles = std::env::var_os("MEDTUNE_ORACLES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), Into::into);
    let encoder = oracles.join("numerics/tiny_random_bert");
    if !encoder.exists() {
        return eprintln!("ORACLE ABSENT: tiny_random_bert is not there, so this test compared nothing");
    }
    let folder = scored();
    let (a, baseline) = (folder.path().join("a"), folder.path().join("baseline.tsv"));
    fs::write(&baseline, "LAYER,P,R,F\n1,0.1,0.2,0.3\n2,0.25,0.5,0.4\n").unwrap();
    let with = ["rescore", text(&a), "--json", "--bertscore", text(&encoder)];
    let rescored = |more: &[&str]| {
        let document = run_json(&[&with[..], more].concat());
        let settings: Value = serde_json::from_slice(&fs::read(a.join("settings.json")).unwrap()).unwrap();
        let score = document["results"]["tasks"]["doses"]["metrics"]["bertscore"]["value"].as_f64().unwrap();
        (settings["metrics"]["bertscore"].as_str().unwrap().to_owned(), score)
    };
    let (signature, plain) = rescored(&["--bertscore-layer", "2"]);
    assert_eq!(signature, "tiny_random_bert_L2_no-idf|like:bert_score0.3.13");
    let (signature, stretched) =
        rescored(&["--bertscore-layer", "2", "--bertscore-idf", "--bertscore-baseline", text(&baseline)]);
    assert_eq!(
        signature,
        "tiny_random_bert_L2_idf-rescaled|baseline:0.25000,0.50000,0.40000|like:bert_score0.3.13"
    );
    assert!((plain - 1.0).abs() < 1e-5 && (stretched - 1.0).abs() < 1e-5, "{plain} {stretched}");
    assert!(refused(&with).contains("--bertscore-layer"));
    let unknown = [&with[..], &["--bertscore-layer", "2", "--bertscore-baseline", "table"]].concat();
    assert!(refused(&unknown).contains("no baseline of `tiny_random_bert` at layer 2 is known"));
    // Scores of two kinds are no difference.
    let b = folder.path().join("b");
    run_json(&["rescore", text(&b), "--json", "--bertscore", text(&encoder), "--bertscore-layer", "1"]);
    let compared = stdout(&run(&["compare", text(&a), text(&b), "--resamples", "200"], 0));
    assert!(compared.contains("BERTScore was measured in different ways"), "{compared}");
    let only = ["compare", text(&a), text(&b), "--metric", "bertscore"];
    assert!(refused(&only).contains("medtune rescore"));
}

#[test]
fn what_is_wrong_with_rows_is_said() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("answers.jsonl");
    fs::write(&file, "{\"Frage\":\"Q\",\"target\":\"\",\"answer\":\"A\"}\n{\"target\":\"fever\"}\n{}}\n")
        .unwrap();
    let page = stdout(&run(&["eval", "--answers-file", text(&file), "--column", "question=Frage"], 0));
    assert!(page.contains("question from `Frage`"), "{page}");
    assert!(page.contains("1 empty references, 1 unreadable, 1 without an answer"), "{page}");
    assert!(refused(&["eval", "--answers-file", text(&file), "--column", "Frage"]).contains("OURS=THEIRS"));
    assert!(refused(&["eval"]).contains("--model"));
}

#[test]
fn a_rescored_folder_is_the_same_until_somebody_changes_it() {
    let folder = scored();
    let a = folder.path().join("a");
    let before = fs::read(a.join("results.json")).unwrap();
    assert!(
        stdout(&run(&["rescore", text(&a)], 0))
            .contains("every number is what is on file (items and results)")
    );
    assert_eq!(fs::read(a.join("results.json")).unwrap(), before);
    changed(&a.join("items.jsonl"), "\"answer\":\"Take 4 g", "\"answer\":\"Take 9 g");
    let found = run_json(&["rescore", text(&a), "--json"]);
    let differences = found["result_differences"].as_array().unwrap();
    assert!(
        differences
            .iter()
            .any(|text| text.as_str().unwrap().contains("changed_quantities.value: 0.0 on file"))
    );
    assert!(!found["item_differences"].as_array().unwrap().is_empty());
    assert!(
        stdout(&run(&["rescore", text(&a)], 0)).contains("every number is what is on file"),
        "written anew"
    );
}

#[test]
fn a_signed_card_is_verified_and_a_changed_answer_is_found() {
    let folder = scored();
    let key = folder.path().join("key.pem");
    fs::write(&key, KEY).unwrap();
    let a = folder.path().join("a");
    run(&["rescore", text(&a), "--signing-key", text(&key)], 0);
    let card = a.join("card.json");
    let page = stdout(&run(&["verify", text(&card), "--key", PUBLIC], 0));
    assert!(page.contains("by the trusted key") && page.ends_with("passed\n"), "{page}");
    let stranger = "00".repeat(32);
    assert!(stderr(&run(&["verify", text(&card), "--key", &stranger], 3)).contains("not the trusted one"));
    changed(&a.join("items.jsonl"), "Take 4 g", "Take 5 g");
    let output = run(&["verify", text(&card)], 3);
    assert!(stdout(&output).contains("NOT PASSED") && stderr(&output).contains("its hash differs"));
}

#[test]
fn a_model_that_was_measured_leaves_a_folder() {
    let folder = tempdir().unwrap();
    let base = folder.path().join("base");
    write_model_of(&base, 16, 256);
    let questions = folder.path().join("questions.csv");
    fs::write(&questions, common::questions()).unwrap();
    let prepared = folder.path().join("prepared");
    run(&["prepare", text(&questions), "--out", text(&prepared)], 0);
    let test = prepared.join("test.jsonl");
    let out = folder.path().join("eval");
    let asked = ["eval", text(&test), "--model", text(&base), "--answers", "2", "--max-new-tokens", "4"];
    run(&[&asked[..], &["--out", text(&out)]].concat(), 0);
    let settings: Value = serde_json::from_slice(&fs::read(out.join("settings.json")).unwrap()).unwrap();
    assert_eq!((&settings["options"]["max_new_tokens"], &settings["name"]), (&4.into(), &"eval".into()));
    assert!(settings["files"].as_array().unwrap().len() >= 2, "{settings}");
    assert!(stdout(&run(&["rescore", text(&out)], 0)).contains("every number is what is on file"));
    // A file of outcomes, as before, pairs with it.
    let file = folder.path().join("again.json");
    run(&[&asked[..], &["--out", text(&file)]].concat(), 0);
    let document = run_json(&["compare", text(&out), text(&file), "--resamples", "200", "--json"]);
    let differences = document["comparison"]["differences"].as_array().unwrap();
    assert!(differences.iter().all(|difference| difference["difference"] == 0.0), "{differences:?}");
}
