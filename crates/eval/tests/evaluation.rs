//! What an evaluation leaves behind, and what is computed from it.

mod answered;
mod reference;

use answered::{KEY, answers, evaluation};
use eval::comparison::{Choice, Metric, Outcome, Rated};
use eval::evaluation::{
    AnswerFault, Answers, Card, Evaluation, FaultKind, PublicKey, Reading, Results, Settings, Signed,
    SigningKey, TaskSettings, rescore,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

fn read(folder: &Path, text: &str) -> Answers {
    let file = folder.join("answers.any");
    fs::write(&file, text).unwrap();
    Answers::read(&file, &Reading::default()).unwrap()
}

#[test]
fn answers_made_elsewhere_become_outcomes_with_every_text_metric() {
    let folder = tempdir().unwrap();
    let csv = "id,Input,output,model_response,document\n\
               a,How much?,Take 4 g a day.,Take 40 g a day.,leaflet\n\
               b,Fever?,No fever.,No fever.,leaflet\n";
    let found = read(folder.path(), csv);
    assert_eq!(found.faults, []);
    assert_eq!(
        found.columns.describe(),
        "answer from `model_response`, group from `document`, id from `id`, question from `Input`, reference from `output`"
    );
    let [a, b] = &found.outcomes[..] else { panic!("two rows") };
    assert_eq!(
        (a.id.as_str(), a.group.as_deref(), a.question.as_deref()),
        ("a", Some("leaflet"), Some("How much?"))
    );
    assert_eq!(Metric::ChangedQuantities.of_item(a), Some(1.0));
    assert_eq!((b.rouge_l, Metric::Bleu.of_item(b)), (Some(1.0), Metric::Bleu.of_item(b)));
    let results = Results::of(&found.outcomes, &answered::FEW).unwrap();
    assert_eq!(results.metric("questions", Metric::ChangedQuantities).unwrap().estimate.value, 1.0);
}

#[test]
fn rouge_l_of_an_outcome_is_rouge_l_by_itself() {
    for outcome in answers(0).iter().filter(|outcome| outcome.text.is_some()) {
        let [reference, answer] = [&outcome.reference, &outcome.answer].map(|text| text.as_deref().unwrap());
        assert_eq!(outcome.rouge_l, Some(eval::text::rouge_l(reference, answer).f1));
    }
}

#[test]
fn the_same_rows_are_the_same_answers_in_csv_jsonl_and_json() {
    let folder = tempdir().unwrap();
    let csv = read(folder.path(), "question;reference;answer\nQ1;one two;one two\nQ2;three;\n");
    let rows = [
        r#"{"question":"Q1","reference":"one two","answer":"one two"}"#,
        r#"{"question":"Q2","reference":["three"],"answer":""}"#,
    ];
    let jsonl = read(folder.path(), &format!("\u{feff}{}\n\n{}\n", rows[0], rows[1]));
    let json = read(folder.path(), &format!("[{}, {}]", rows[0], rows[1]));
    assert_eq!(csv.outcomes, jsonl.outcomes);
    assert_eq!(csv.outcomes, json.outcomes);
    assert_eq!(csv.outcomes[1].id, "row-000002");
}

#[test]
fn what_is_wrong_with_a_row_is_counted_and_named_and_never_averaged_in() {
    let folder = tempdir().unwrap();
    let rows = [
        r#"{"id":1,"reference":"fever and cough","answer":"fever and cough"}"#,
        r#"{"id":2,"reference":"  ","answer":"anything"}"#,
        r#"{"id":1,"reference":"pain","answer":"other words"}"#,
        r#"{"id":4,"reference":"rash"}"#,
        r#"{"id":5,"reference":["a","b"],"answer":"a"}"#,
        r#"{"id":6,"reference":"#,
        r#"["not an object"]"#,
    ];
    let found = read(folder.path(), &rows.join("\n"));
    let kinds: Vec<(u64, &FaultKind)> = found.faults.iter().map(|fault| (fault.row, &fault.kind)).collect();
    assert_eq!(kinds[0], (2, &FaultKind::EmptyReference));
    assert_eq!(kinds[1], (3, &FaultKind::DuplicateId));
    assert_eq!(kinds[2], (4, &FaultKind::NoAnswer));
    assert!(
        matches!(kinds[3], (5, FaultKind::Unreadable(reason)) if reason.contains("`reference` is a list of 2"))
    );
    assert_eq!(kinds.len(), 6);
    assert_eq!(
        AnswerFault::count(&found.faults),
        BTreeMap::from([
            ("duplicate ids", 1),
            ("empty references", 1),
            ("unreadable", 3),
            ("without an answer", 1)
        ])
    );
    // 1 and 4 are measured: the right answer and the one that is not there.
    let results = Results::of(&found.outcomes, &answered::FEW).unwrap();
    let rouge = results.metric("questions", Metric::RougeL).unwrap().estimate;
    assert_eq!((rouge.n, rouge.value), (2, 0.5));
    let task = &results.tasks["questions"];
    assert_eq!(
        (&task.empty_references[..], &task.empty_answers[..]),
        (&["2".to_string()][..], &["4".to_string()][..])
    );
}

#[test]
fn options_are_read_out_of_references_and_answers() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("answers.csv");
    let rows = "reference,answer\n\
                <answer>D: Altered RET</answer>,The answer is D.\n\
                B,I would say C. The answer is C\n\
                C,I don't know.\n\
                A,Rest and fluids\n\
                A,\n\
                no letter here,A\n";
    fs::write(&file, rows).unwrap();
    let options = ["A", "B", "C", "D"].map(String::from);
    let found = Answers::read(&file, &Reading { options: &options, ..Reading::default() }).unwrap();
    let read: Vec<(&str, Option<&str>, bool)> = found
        .outcomes
        .iter()
        .filter_map(|outcome| outcome.choice.as_ref())
        .map(|choice| (choice.gold.as_str(), choice.picked.as_deref(), choice.abstained))
        .collect();
    let none = |gold, abstained| (gold, None, abstained);
    let expected = [
        ("D", Some("D"), false),
        ("B", Some("C"), false),
        none("C", true),
        none("A", false),
        none("A", false),
    ];
    assert_eq!(read, expected);
    assert_eq!(
        AnswerFault::count(&found.faults),
        BTreeMap::from([("without an option in the reference", 1)])
    );
    let results = Results::of(&found.outcomes, &answered::FEW).unwrap();
    let counts = results.tasks["questions"].choices.unwrap();
    assert_eq!((counts.right, counts.wrong, counts.abstained, counts.unparsed), (1, 1, 1, 2));
    assert_eq!(results.metric("questions", Metric::McAccuracy).unwrap().estimate.value, 0.2);
    assert!(results.metric("questions", Metric::Bleu).is_none(), "a letter is no text to compare with");
}

#[test]
fn a_file_without_a_column_says_which_and_what_there_is() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("answers.csv");
    fs::write(&file, "question,truth\nQ,T\n").unwrap();
    let error = Answers::read(&file, &Reading::default()).unwrap_err().to_string();
    assert!(error.contains("no column for the answer") && error.contains("question, truth"), "{error}");
    fs::write(&file, " \n").unwrap();
    assert!(Answers::read(&file, &Reading::default()).unwrap_err().to_string().contains("empty"));
}

#[test]
fn a_folder_reads_back_as_it_was_written() {
    let folder = tempdir().unwrap();
    let written = evaluation("tuned", 1);
    let results = written.write(folder.path(), None).unwrap();
    let read = Evaluation::read(folder.path()).unwrap();
    assert_eq!(read.outcomes, written.outcomes);
    assert_eq!(read.results().unwrap(), results);
    assert_eq!(Evaluation::results_on_file(folder.path()).unwrap(), Some(results));
    assert!(read.settings.metrics["bleu"].contains("tok:13a"), "{:?}", read.settings.metrics);
    for file in [
        "items.jsonl",
        "settings.json",
        "results.json",
        "results.csv",
        "report.html",
        "README.md",
        "card.json",
    ] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    // Outcomes alone are an evaluation, too, under the name of their file.
    let alone = folder.path().join("alone.json");
    fs::write(&alone, serde_json::to_string(&written.outcomes).unwrap()).unwrap();
    let alone = Evaluation::read(&alone).unwrap();
    assert_eq!((alone.settings.name.as_str(), alone.outcomes), ("alone", written.outcomes));
}

#[test]
fn a_folder_of_other_things_loses_nothing() {
    let model = tempdir().unwrap();
    fs::write(model.path().join("README.md"), "a model").unwrap();
    let error = evaluation("tuned", 1).write(model.path(), None).unwrap_err().to_string();
    assert!(error.contains("holds other files"), "{error}");
    assert_eq!(fs::read_dir(model.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(model.path().join("README.md")).unwrap(), "a model");
}

#[test]
fn the_results_have_the_shape_of_lm_evaluation_harness() {
    let folder = tempdir().unwrap();
    let mut evaluation = evaluation("tuned", 1);
    let asked = TaskSettings {
        version: Some(1.into()),
        num_fewshot: 3,
        items: Some(1273),
        ..TaskSettings::default()
    };
    evaluation.settings.tasks.insert("medqa".into(), asked);
    let results = evaluation.write(folder.path(), None).unwrap();
    let text = fs::read_to_string(folder.path().join("results.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    for key in [
        "results",
        "group_subtasks",
        "configs",
        "versions",
        "n-shot",
        "higher_is_better",
        "n-samples",
        "config",
        "git_hash",
        "date",
    ] {
        assert!(document.get(key).is_some(), "{key}");
    }
    let medqa = &document["results"]["medqa"];
    let accuracy = results.metric("medqa", Metric::McAccuracy).unwrap();
    assert_eq!(medqa["acc,none"], accuracy.estimate.value);
    assert_eq!(medqa["alias"], "medqa");
    // Of independent items it is the harness' own: sqrt(p (1 - p) / (n - 1)).
    let (p, n) = (accuracy.estimate.value, accuracy.estimate.n as f64);
    let error = (p * (1.0 - p) / (n - 1.0)).sqrt();
    assert!((medqa["acc_stderr,none"].as_f64().unwrap() - error).abs() < 1e-12);
    assert_eq!(
        (&document["n-shot"]["medqa"], &document["n-samples"]["medqa"]["original"]),
        (&3.into(), &1273.into())
    );
    assert_eq!(document["higher_is_better"]["questions"]["changed_quantities"], false);
    assert_eq!(document["versions"]["medqa"], 1);
}

#[test]
fn the_table_has_a_row_per_number() {
    let evaluation = evaluation("tuned, \"second\"", 1);
    let results = evaluation.results().unwrap();
    let text = results.to_csv(&evaluation.settings.name);
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let numbers: usize =
        results.tasks.values().map(|task| task.metrics.len() + task.choice_numbers().len()).sum();
    assert_eq!((rows.len(), &rows[0][0]), (numbers, "tuned, \"second\""));
    let bleu = rows.iter().find(|row| &row[2] == "bleu").unwrap();
    let value = results.metric("questions", Metric::Bleu).unwrap().estimate.value;
    assert_eq!(bleu[3].parse::<f64>().unwrap(), value);
}

#[test]
fn rescoring_a_file_gives_equal_bits() {
    let folder = tempdir().unwrap();
    evaluation("tuned", 1).write(folder.path(), None).unwrap();
    let before = fs::read(folder.path().join("items.jsonl")).unwrap();
    let on_file = Evaluation::results_on_file(folder.path()).unwrap();
    let rescored = rescore(Evaluation::read(folder.path()).unwrap(), on_file.as_ref()).unwrap();
    assert!(rescored.is_the_same(), "{:?}", rescored.findings());
    rescored.evaluation.write(folder.path(), None).unwrap();
    assert_eq!(fs::read(folder.path().join("items.jsonl")).unwrap(), before);
    assert_eq!(Evaluation::results_on_file(folder.path()).unwrap(), on_file);
}

#[test]
fn rescoring_names_every_number_that_is_not_what_is_on_file() {
    let mut evaluation = evaluation("tuned", 1);
    let on_file = evaluation.results().unwrap();
    let told = evaluation.outcomes.iter_mut().find(|outcome| outcome.text.is_some()).unwrap();
    told.text.as_mut().unwrap().meteor = 0.99;
    let id = told.id.clone();
    let asked = evaluation.outcomes.iter_mut().find(|outcome| outcome.choice.is_some()).unwrap();
    let choice = asked.choice.as_mut().unwrap();
    let was = choice.picked.replace("E".into());
    let rescored = rescore(evaluation, Some(&on_file)).unwrap();
    assert_eq!(rescored.of_items.len(), 2, "{:?}", rescored.of_items);
    assert!(
        rescored.of_items.iter().any(|text| text.starts_with(&format!("`{id}`.text.meteor: 0.99 on file")))
    );
    assert_eq!(
        rescored.of_results,
        Some(vec![]),
        "the numbers come out as they were before the file was changed"
    );
    let asked = rescored.evaluation.outcomes.iter().find(|outcome| outcome.choice.is_some()).unwrap();
    assert_eq!(asked.choice.as_ref().unwrap().picked, was, "the likeliest option again");
}

#[test]
fn the_likeliest_option_is_the_first_of_equals_with_and_without_length() {
    let rated = |log_likelihood, bytes| Rated { log_likelihood, bytes };
    let choice = Choice {
        gold: "A".into(),
        shown: ["A", "B", "C"].map(String::from).to_vec(),
        rated: vec![rated(-4.0, 8), rated(-3.0, 3), rated(-3.0, 6)],
        ..Choice::default()
    };
    assert_eq!((choice.likeliest(), choice.likeliest_per_byte()), (Some("B"), Some("A")));
    let outcome = Outcome { id: "1".into(), choice: Some(choice), ..Outcome::default() };
    assert_eq!(Metric::McAccuracyNorm.of_item(&outcome), Some(1.0));
    assert_eq!(Metric::McAccuracy.of_item(&outcome), Some(0.0), "nothing was picked");
}

#[test]
fn a_card_passes_until_a_character_of_its_items_changes() {
    let folder = tempdir().unwrap();
    let key = folder.path().join("key.pem");
    fs::write(&key, KEY).unwrap();
    let key = SigningKey::read(&key).unwrap();
    evaluation("tuned", 1).write(folder.path(), Some(&key)).unwrap();
    let card = folder.path().join("card.json");
    let check = Card::check(&card, Some(&key.public())).unwrap();
    assert!(check.passed, "{check:?}");
    assert_eq!((check.numbers, check.items), (14, 54));
    assert_eq!((check.signed, check.signed_by), (Signed::Yes, Some(key.public().to_string())));

    let items = folder.path().join("items.jsonl");
    let text = fs::read_to_string(&items).unwrap();
    let answer = text.find("\"answer\":\"").unwrap() + 10;
    let other = if text.as_bytes()[answer] == b'a' { "b" } else { "a" };
    fs::write(&items, format!("{}{other}{}", &text[..answer], &text[answer + 1..])).unwrap();
    let check = Card::check(&card, None).unwrap();
    assert!(!check.passed && check.signed == Signed::Yes);
    assert!(check.reasons[0].contains("its hash differs"), "{:?}", check.reasons);
    fs::write(&items, "{\"id\":").unwrap();
    assert!(Card::check(&card, None).unwrap().reasons[1].contains("line 1"));
}

#[test]
fn a_card_whose_numbers_were_changed_does_not_pass_whoever_signs_it() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("key.pem");
    fs::write(&path, KEY).unwrap();
    let key = SigningKey::read(&path).unwrap();
    evaluation("tuned", 1).write(folder.path(), Some(&key)).unwrap();
    let card = folder.path().join("card.json");
    let text = fs::read_to_string(&card).unwrap();
    let at = text.find("\"mc_accuracy\": {").unwrap();
    let at = at + text[at..].find("\"value\": ").unwrap() + 9;
    let end = at + text[at..].find(',').unwrap();
    let better = format!("{}0.99{}", &text[..at], &text[end..]);
    fs::write(&card, &better).unwrap();
    let reasons = Card::check(&card, None).unwrap().reasons;
    assert!(reasons[0].contains("the signature is not that of this card"), "{reasons:?}");
    assert!(reasons[1].starts_with("tasks.medqa.metrics.mc_accuracy.value: 0.99 on file"), "{reasons:?}");
    // Signed anew by the same hand: the items still speak against it.
    fs::write(folder.path().join("card.json.sig"), key.sign(better.as_bytes())).unwrap();
    let check = Card::check(&card, Some(&key.public())).unwrap();
    assert_eq!((check.passed, check.signed, check.reasons.len()), (false, Signed::Yes, 1));
}

#[test]
fn a_signature_is_worth_the_trust_in_its_key() {
    let folder = tempdir().unwrap();
    evaluation("tuned", 1).write(folder.path(), None).unwrap();
    let card = folder.path().join("card.json");
    let stranger = PublicKey::from_hex(&"17".repeat(32)).unwrap();
    let unsigned = Card::check(&card, None).unwrap();
    assert_eq!((unsigned.passed, unsigned.signed), (true, Signed::No));
    assert!(Card::check(&card, Some(&stranger)).unwrap().reasons[0].contains("not signed"));
    let path = folder.path().join("key.pem");
    fs::write(&path, KEY).unwrap();
    let key = SigningKey::read(&path).unwrap();
    evaluation("tuned", 1).write(folder.path(), Some(&key)).unwrap();
    assert!(Card::check(&card, Some(&stranger)).unwrap().reasons[0].contains("not the trusted one"));
    fs::remove_file(folder.path().join("card.json.sig")).unwrap();
    assert_eq!(Card::check(&card, None).unwrap().signed, Signed::Broken);
    fs::write(&path, "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n").unwrap();
    assert!(SigningKey::read(&path).unwrap_err().to_string().contains("no block `PRIVATE KEY`"));
    assert!(!format!("{key:?}").contains("seed"), "a secret is not shown");
}

#[test]
fn the_model_card_begins_with_what_the_hub_reads() {
    let folder = tempdir().unwrap();
    let mut evaluation = evaluation("tuned: \"medqa\"\n---\nlicense: mine", 1);
    evaluation.settings.base_model = Some("HuggingFaceTB/SmolLM2-135M".into());
    let results = evaluation.write(folder.path(), None).unwrap();
    let text = fs::read_to_string(folder.path().join("README.md")).unwrap();
    let front = text.strip_prefix("---\n").unwrap().split("\n---\n").next().unwrap();
    let front: Value = serde_saphyr::from_str(front).unwrap();
    assert_eq!(front["base_model"], "HuggingFaceTB/SmolLM2-135M");
    let index = &front["model-index"][0];
    assert_eq!(index["name"], evaluation.settings.name.as_str(), "text of others stays text");
    assert_eq!(front.get("license"), None);
    let medqa = &index["results"][0];
    assert_eq!(
        (&medqa["task"]["type"], &medqa["dataset"]["name"]),
        (&"multiple-choice".into(), &"medqa".into())
    );
    let value = results.metric("medqa", Metric::McAccuracy).unwrap().estimate.value;
    assert_eq!(medqa["metrics"][0]["type"], "acc");
    assert_eq!(medqa["metrics"][0]["value"], value);
}

#[test]
fn bertscore_of_outcomes_is_bertscore_of_their_texts() {
    let Some(folder) = reference::oracle("numerics/tiny_random_bert") else { return };
    let encoder = model::Encoder::from_dir(std::sync::Arc::new(compute::Cpu::new(1)), &folder).unwrap();
    let settings = eval::text::BertScore { layer: 2, idf: false, baseline: None };
    let mut outcomes = answers(0);
    assert_eq!(eval::evaluation::measure_bertscore(&mut outcomes, &encoder, &settings).unwrap(), 0);
    let measured: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.bertscore.is_some()).collect();
    assert_eq!(measured.len(), 24, "those with a reference");
    let [first, second] = [&measured[0].answer, &measured[0].reference].map(|text| text.as_deref().unwrap());
    let expected = settings.score(&encoder, &[(first, second)]).unwrap()[0].score;
    assert_eq!(measured[0].bertscore, expected);
    let silent = measured.iter().find(|outcome| outcome.answer.as_deref() == Some("")).unwrap();
    assert_eq!(Metric::Bertscore.of_item(silent), Some(0.0));
}

#[test]
fn outcomes_with_any_fields_are_an_evaluation() {
    let only = |outcome: Outcome| Outcome { id: "only".into(), ..outcome };
    let bare = only(Outcome::default());
    let asked = only(Outcome { question: Some("Q".into()), task: Some("t".into()), ..Outcome::default() });
    let open = only(Outcome {
        choice: Some(Choice { gold: "A".into(), ..Choice::default() }),
        ..Outcome::default()
    });
    for outcome in [bare, asked, open] {
        let folder = tempdir().unwrap();
        let evaluation = Evaluation { settings: Settings::default(), outcomes: vec![outcome] };
        evaluation.write(folder.path(), None).unwrap();
        assert_eq!(Evaluation::read(folder.path()).unwrap().outcomes, evaluation.outcomes);
        assert!(Card::check(&folder.path().join("card.json"), None).unwrap().passed);
    }
    let twice = Evaluation { outcomes: [answers(1), answers(1)].concat(), ..Evaluation::default() };
    assert!(twice.results().unwrap_err().to_string().contains("occurs twice"));
    assert!(Evaluation::default().results().unwrap_err().to_string().contains("no items"));
}

#[test]
fn macro_f1_and_calibration_stand_in_every_table() {
    let outcomes = answers(1);
    let evaluation = Evaluation {
        settings: Settings { name: "run".into(), resampling: answered::FEW, ..Settings::default() },
        outcomes,
    };
    let report = evaluation.choices().into_iter().next().unwrap();
    let results = evaluation.results().unwrap();
    let numbers = &results.tasks["medqa"];
    let macro_f1 = numbers.macro_f1.unwrap();
    assert!((macro_f1.value - report.confusion.macro_f1.unwrap()).abs() < 1e-12);
    assert!(macro_f1.low.unwrap() < macro_f1.value && macro_f1.value < macro_f1.high.unwrap());
    let calibration = report.calibration.unwrap();
    let error = numbers.calibration_error.unwrap();
    assert_eq!((error.value, error.n, error.low), (calibration.ece, 30, None));
    let over = numbers.overconfidence.unwrap();
    assert!((over.value - (calibration.confidence - report.acc.unwrap().value)).abs() < 1e-12);
    assert!(over.low.is_some() && numbers.macro_f1.unwrap().n == 30);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    evaluation.write(&out, None).unwrap();
    let file = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let card = file("README.md");
    assert!(card.contains(&format!("| macro-F1 | {:.3} | [", macro_f1.value)), "{card}");
    assert!(card.contains("| calibration error (ECE) | ") && card.contains("| confidence − accuracy | "));
    assert!(file("results.csv").contains("run,medqa,macro_f1,") && file("results.csv").contains(",ece,"));
    let page = file("report.html");
    assert!(
        page.contains("<th>Macro-F1</th><th>Calibration error (ECE)</th><th>Confidence − accuracy</th>"),
        "{page}"
    );
}
