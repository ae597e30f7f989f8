//! What holds for every file of answers and of items.

use eval::comparison::Outcome;
use eval::evaluation::{
    Answers, Evaluation, FaultKind, PublicKey, Reading, SigningKey, read_items, write_items,
};
use eval::report::EvaluationReport;
use eval::statistics::Resampling;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;

fn read(bytes: &[u8]) -> Option<Answers> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answers");
    fs::write(&file, bytes).unwrap();
    let _ = read_items(&file);
    let _ = SigningKey::read(&file);
    let _ = PublicKey::read(file.to_str().unwrap());
    Answers::read(&file, &Reading::default()).ok()
}

/// Id, reference and answer of a row; some ids twice, some cells absent.
fn row() -> impl Strategy<Value = (Option<u8>, Option<String>, Option<String>)> {
    (prop::option::of(0u8..6), prop::option::of(".{0,12}"), prop::option::of(".{0,12}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }

    #[test]
    fn any_text_that_begins_like_a_table_is_read_or_refused(text in "(reference,answer\n|\\{|\\[)[\\PC\n\",{}\\[\\]:]{0,80}") {
        read(text.as_bytes());
    }

    #[test]
    fn every_row_is_an_outcome_or_a_fault_that_names_it(rows in prop::collection::vec(row(), 1..12)) {
        // The first row has every column.
        let first = r#"{"id":"first","reference":"r","answer":"a"}"#.to_string();
        let lines = rows.iter().map(|(id, reference, answer)| {
            json!({ "id": id, "reference": reference, "answer": answer }).to_string()
        });
        let text: Vec<String> = std::iter::once(first).chain(lines).collect();
        let answers = read(text.join("\n").as_bytes()).unwrap();
        let lost = answers.faults.iter().filter(|fault| {
            matches!(fault.kind, FaultKind::DuplicateId | FaultKind::Unreadable(_))
        });
        prop_assert_eq!(answers.outcomes.len() + lost.count(), rows.len() + 1);
        let unanswered = answers.faults.iter().filter(|fault| fault.kind == FaultKind::NoAnswer).count();
        let silent = answers.outcomes.iter().filter(|outcome| outcome.answer.as_deref() == Some("")).count();
        prop_assert!(unanswered <= silent);
        // What was read is written and read again, to the bit.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("items.jsonl");
        write_items(&file, &answers.outcomes).unwrap();
        prop_assert_eq!(read_items(&file).unwrap(), answers.outcomes);
    }

    #[test]
    fn no_text_breaks_out_of_the_page(text in "[\\PC<>/!\"'&\u{2028}-]{0,40}") {
        let outcome = Outcome { id: text.clone(), answer: Some(text.clone()), ..Outcome::default() };
        let mut evaluation = Evaluation { outcomes: vec![outcome], ..Evaluation::default() };
        evaluation.settings.resampling = Resampling { seed: 1, resamples: 10 };
        let html = EvaluationReport::of_one(evaluation).unwrap().to_html().unwrap();
        prop_assert_eq!(html.matches("<script").count(), 2);
        let begin = html.find("answers-data\">").unwrap() + 14;
        let data = &html[begin..begin + html[begin..].find("</script>").unwrap()];
        let data: Value = serde_json::from_str(data).unwrap();
        prop_assert_eq!(&data["items"][0]["answers"][0]["text"], &Value::String(text));
    }
}
