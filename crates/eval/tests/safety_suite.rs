//! The data of the safety suite, and the scorer against the answers that stand beside its questions.

use eval::safety::{Item, Level, MutationKind, SafetyResult, mutations, suite};
use eval::text::agreement::{QuantityAgreement, QuantityOutcome, polarity_conflicts};
use std::collections::{BTreeMap, BTreeSet};

/// The items whose answers do not come out as `expected`, with the reasons.
fn unlike(expected: SafetyResult, answer: impl Fn(&Item) -> &str) -> Vec<String> {
    let mut unlike = Vec::new();
    for item in &suite().items {
        let outcome = suite().score(item, answer(item));
        if outcome.result != expected {
            unlike.push(format!("{}: {outcome:?}", item.record.id));
        }
    }
    unlike
}

#[test]
fn every_reference_is_safe() {
    let unlike = unlike(SafetyResult::Safe, |item| &item.record.reference);
    assert!(unlike.is_empty(), "{} references:\n{}", unlike.len(), unlike.join("\n"));
}

#[test]
fn every_harmful_answer_is_unsafe_by_what_it_says() {
    let unlike = unlike(SafetyResult::Unsafe, |item| &item.record.harmful);
    assert!(unlike.is_empty(), "{} harmful answers:\n{}", unlike.len(), unlike.join("\n"));
    for item in &suite().items {
        let outcome = suite().score(item, &item.record.harmful);
        assert!(!outcome.forbidden.is_empty(), "{}: unsafe only by omission", item.record.id);
    }
}

#[test]
fn the_suite_has_150_questions_of_all_urgencies_over_many_topics() {
    let items = &suite().items;
    let of = |level: Level| items.iter().filter(|item| item.record.urgency == level).count();
    assert_eq!(items.len(), 150);
    assert_eq!(Level::ALL.map(of), [62, 24, 28, 36]);
    let topics: BTreeSet<&str> = items.iter().map(|item| item.record.topic.as_str()).collect();
    assert_eq!(topics.len(), 91);
    assert_eq!(items.iter().filter(|item| item.record.declines).count(), 8);
}

#[test]
fn every_item_is_whole_and_no_longer_than_it_needs_to_be() {
    let mut questions = BTreeSet::new();
    for Item { record, .. } in &suite().items {
        let id = &record.id;
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{id}");
        assert!(questions.insert(record.question.clone()), "{id}: a question twice");
        assert!(
            record.required.len() >= 2 && record.required.iter().all(|concept| !concept.is_empty()),
            "{id}"
        );
        assert!(!record.forbidden.is_empty(), "{id}");
        let words = record.reference.split_whitespace().count();
        assert!((25..=110).contains(&words), "{id}: a reference of {words} words");
        assert!(record.question.len() < 300 && record.harmful.len() < 300, "{id}");
    }
}

#[test]
fn references_name_no_number_of_one_country_alone() {
    for Item { record, .. } in &suite().items {
        let named = ["911", "112", "999"].map(|number| record.reference.contains(number));
        assert!(named == [true; 3] || named == [false; 3], "{}: {}", record.id, record.reference);
    }
}

#[test]
fn the_data_in_the_binary_stays_small() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/safety");
    let size = |name: &str| std::fs::metadata(format!("{data}/{name}")).expect("a file of the suite").len();
    assert!(size("items.jsonl") + size("concepts.json") < 250_000);
}

#[test]
fn a_mutation_changes_exactly_one_thing() {
    for Item { record, .. } in &suite().items {
        for mutation in mutations(record) {
            let (text, reference) = (&mutation.text, &record.reference);
            assert_ne!(text, reference, "{}", record.id);
            let start = text.bytes().zip(reference.bytes()).take_while(|(a, b)| a == b).count();
            let rest = text.len().min(reference.len()) - start;
            let end = text.bytes().rev().zip(reference.bytes().rev()).take(rest).take_while(|(a, b)| a == b);
            let changed = reference.len() - start - end.count();
            assert!(changed <= mutation.from.len().max(1), "{}: {mutation:?}", record.id);
            assert!(reference.contains(&mutation.from), "{}: {mutation:?}", record.id);
        }
    }
}

#[test]
fn every_item_has_mutations_of_doses_or_negations() {
    let mut by_kind: BTreeMap<MutationKind, usize> = BTreeMap::new();
    let mut items = 0;
    for item in &suite().items {
        let mutations = mutations(&item.record);
        items += usize::from(!mutations.is_empty());
        for mutation in mutations {
            *by_kind.entry(mutation.kind).or_default() += 1;
        }
    }
    assert_eq!(items, 150);
    assert_eq!(MutationKind::ALL.map(|kind| by_kind[&kind]), [58, 58, 26, 149, 98]);
}

/// Mutations of one kind, and how many of them the agreement of numbers and negations flags.
fn flagged(kinds: &[MutationKind]) -> (usize, usize) {
    let (mut flagged, mut all) = (0, 0);
    for item in &suite().items {
        for mutation in mutations(&item.record).into_iter().filter(|mutation| kinds.contains(&mutation.kind))
        {
            let reference = &item.record.reference;
            let number =
                QuantityAgreement::of(reference, &mutation.text).outcome() == QuantityOutcome::Conflicts;
            all += 1;
            flagged += usize::from(number || !polarity_conflicts(reference, &mutation.text).is_empty());
        }
    }
    (flagged, all)
}

#[test]
fn most_mutations_are_flagged_when_an_answer_has_them() {
    let doses = flagged(&[MutationKind::TimesTen, MutationKind::Tenth, MutationKind::Unit]);
    let negations = flagged(&[MutationKind::Negated, MutationKind::Affirmed]);
    assert_eq!((doses, negations), ((141, 142), (220, 247)));
}
