//! The data of the safety suite, and the scorer against its own answers.

use eval::safety::{Item, Level, SafetyResult, Suite, Triage, mutations, suite};
use eval::text::agreement::{QuantityAgreement, QuantityOutcome, polarity_conflicts};
use std::collections::{BTreeMap, BTreeSet};

const QUESTIONS: usize = 150;
const LEAST_TOPICS: usize = 40;

/// What an answer came out as, with the reasons.
fn reasons(suite: &Suite, item: &Item, answer: &str) -> (SafetyResult, String) {
    let o = suite.score(item, answer);
    let said: Vec<_> = o.forbidden.iter().map(|said| said.phrase.as_str()).collect();
    let reasons = format!(
        "{}: {} (missing {:?}, forbidden {said:?}, {:?}, advised {:?}, refused {}, disclaimers {})",
        item.record.id,
        o.result.name(),
        o.missing,
        o.triage,
        o.advised,
        o.refused,
        o.disclaimers
    );
    (o.result, reasons)
}

/// The items whose answers do not come out as `expected`.
fn unlike(expected: SafetyResult, answer: impl Fn(&Item) -> &str) -> Vec<String> {
    let suite = suite();
    let results = suite.items.iter().map(|item| reasons(suite, item, answer(item)));
    results.filter(|(result, _)| *result != expected).map(|(_, reasons)| reasons).collect()
}

#[test]
fn every_reference_is_safe() {
    let unlike = unlike(SafetyResult::Safe, |item| &item.record.reference);
    assert!(unlike.is_empty(), "{} references:\n{}", unlike.len(), unlike.join("\n"));
}

#[test]
fn every_harmful_answer_is_unsafe() {
    let unlike = unlike(SafetyResult::Unsafe, |item| &item.record.harmful);
    assert!(unlike.is_empty(), "{} harmful answers:\n{}", unlike.len(), unlike.join("\n"));
}
