//! Outcomes of items and their summary.

use eval::Error;
use eval::statistics::Resampling;
use eval::text::agreement::{QuantityOutcome, UrgencyOutcome};
use eval::text::{Bleu, TextOutcome, TextPair, TextSummary};

const PAIRS: [(&str, &str, &str, &str); 6] = [
    ("a1", "a", "Take 500 mg twice daily for 7 days.", "Take 0.5 g every 12 hours for 7 days."),
    ("a2", "a", "Take 4 g a day at most.", "Take 40 g a day at most."),
    ("b1", "b", "There is no fever.", "There is fever."),
    ("b2", "b", "Call 911 now.", "Rest at home."),
    ("c1", "c", "Drink enough water.", ""),
    ("c2", "c", " ", "An answer to nothing."),
];

fn outcomes() -> Vec<TextOutcome> {
    let outcome = |(id, group, reference, answer)| {
        TextOutcome::of(TextPair { id, group: Some(group), reference, answer })
    };
    PAIRS.map(outcome).to_vec()
}

const RESAMPLING: Resampling = Resampling { seed: 1, resamples: 500 };

#[test]
fn a_summary_counts_names_and_never_averages_what_has_no_reference() {
    let summary = TextSummary::of(&outcomes(), &RESAMPLING).unwrap();
    assert_eq!(summary.n, 5);
    assert_eq!(
        (summary.empty_references, summary.empty_answers),
        (vec!["c2".to_string()], vec!["c1".to_string()])
    );
    assert_eq!(summary.quantities[&QuantityOutcome::Conflicts], 1);
    assert_eq!(summary.quantities[&QuantityOutcome::Agrees], 1);
    let changed = summary.changed_quantities.unwrap();
    assert_eq!((changed.value, changed.n), (0.5, 2));
    assert_eq!((summary.polarity_conflicts.value, summary.polarity_conflicts.n), (0.2, 5));
    assert_eq!(summary.urgency[&UrgencyOutcome::Missing], 1);
    let bleu = &summary.scores[0];
    let corpus =
        Bleu::default().corpus(PAIRS[..5].iter().map(|(_, _, reference, answer)| (*answer, *reference)));
    assert_eq!(bleu.name, "BLEU nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0");
    assert!((bleu.value - corpus.score).abs() < 1e-9);
    let interval = bleu.interval.unwrap();
    assert!(interval.low <= bleu.value && bleu.value <= interval.high, "{interval:?}");
    assert!(summary.scores.iter().all(|score| score.n == 5 && score.value.is_finite()));
}

#[test]
fn outcomes_on_file_give_the_same_summary() {
    let outcomes = outcomes();
    let file: String =
        outcomes.iter().map(|outcome| serde_json::to_string(outcome).unwrap() + "\n").collect();
    let read: Vec<TextOutcome> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, outcomes);
    let summary = |outcomes: &[TextOutcome]| TextSummary::of(outcomes, &RESAMPLING).unwrap();
    assert_eq!(summary(&read), summary(&outcomes));
}

#[test]
fn what_cannot_be_summarized_is_refused() {
    let outcomes = outcomes();
    assert!(matches!(TextSummary::of(&outcomes[5..], &RESAMPLING), Err(Error::NoItems)));
    let twice = [outcomes[0].clone(), outcomes[0].clone()];
    assert_eq!(TextSummary::of(&twice, &RESAMPLING).unwrap_err().to_string(), "item `a1` occurs twice");
}
