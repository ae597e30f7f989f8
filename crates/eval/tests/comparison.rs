//! From outcomes to verdicts.

mod support;

use eval::Error;
use eval::comparison::{Choice, Comparison, Metric, Outcome, Test, TokenLoss, Verdict, compare, summarize};
use eval::statistics::Resampling;

const FEW: Resampling = Resampling { seed: 42, resamples: 500 };

fn loss(id: usize, group: Option<usize>, per_token: f64, tokens: u64) -> Outcome {
    Outcome {
        id: format!("{id:04}"),
        group: group.map(|group| format!("g{group}")),
        loss: Some(TokenLoss { loss_sum: per_token * tokens as f64, tokens, correct_tokens: tokens / 2 }),
        ..Outcome::default()
    }
}

fn choice(id: usize, group: Option<usize>, picked: Option<&str>) -> Outcome {
    Outcome {
        id: format!("{id:04}"),
        group: group.map(|group| format!("g{group}")),
        choice: Some(Choice { gold: "A".into(), picked: picked.map(str::to_string), ..Choice::default() }),
        ..Outcome::default()
    }
}

/// Both right, only base right, only tuned right, both wrong.
fn answers(both: usize, only_base: usize, only_tuned: usize, neither: usize) -> (Vec<Outcome>, Vec<Outcome>) {
    let right = |yes: bool| Some(if yes { "A" } else { "B" });
    let all =
        [(both, true, true), (only_base, true, false), (only_tuned, false, true), (neither, false, false)];
    let pairs = all.iter().flat_map(|(count, base, tuned)| std::iter::repeat_n((*base, *tuned), *count));
    pairs.enumerate().map(|(id, (b, t))| (choice(id, None, right(b)), choice(id, None, right(t)))).unzip()
}

#[test]
fn mirage_through_the_front_door() {
    // MMLU-Med: 974 right with chain of thought, 69 of them only there; 45 only with retrieval.
    let (base, tuned) = answers(974 - 69, 69, 45, 1089 - 974 - 45);
    let comparison = compare(&base, &tuned, &FEW).unwrap();
    assert!((comparison.base.mc_accuracy.unwrap().value - 0.8944).abs() < 5e-5);
    assert!((comparison.tuned.mc_accuracy.unwrap().value - 0.8724).abs() < 5e-5);
    let paired = comparison.metric(Metric::McAccuracy).unwrap();
    assert_eq!((paired.test, paired.n, paired.verdict), (Test::McnemarExact, 1089, Verdict::Worse));
    assert!((paired.p - 0.031).abs() < 0.0005);
    assert!(
        (100.0 * paired.low.unwrap() + 4.12).abs() < 0.05
            && (100.0 * paired.high.unwrap() + 0.29).abs() < 0.05
    );
    // MedQA: 72 against 57 of 1273 is not distinguishable.
    let (base, tuned) = answers(997, 72, 57, 147);
    let comparison = compare(&base, &tuned, &FEW).unwrap();
    assert_eq!(comparison.metric(Metric::McAccuracy).unwrap().verdict, Verdict::NotDistinguishable);
    assert!(comparison.verdict_sentence().contains("not distinguishable"));
}

#[test]
fn lower_loss_is_better() {
    let base: Vec<Outcome> =
        (0..60).map(|id| loss(id, None, 2.0 + id as f64 / 60.0, 10 + id as u64)).collect();
    let tuned: Vec<Outcome> =
        (0..60).map(|id| loss(id, None, 1.5 + id as f64 / 50.0, 10 + id as u64)).collect();
    let verdict = |base: &[Outcome], tuned: &[Outcome]| {
        compare(base, tuned, &FEW).unwrap().metric(Metric::Loss).unwrap().verdict
    };
    assert_eq!(verdict(&base, &tuned), Verdict::Better);
    assert_eq!(verdict(&tuned, &base), Verdict::Worse);
    assert_eq!(verdict(&base, &base), Verdict::NotDistinguishable);
}

#[test]
fn loss_is_a_ratio_of_sums() {
    let summary = summarize(&[loss(0, None, 1.0, 90), loss(1, None, 2.0, 10)], &FEW).unwrap();
    let loss = summary.loss.unwrap();
    assert!((loss.value - 1.1).abs() < 1e-12);
    assert_eq!((loss.n, loss.groups), (2, 2));
    assert_eq!(summary.rouge_l, None);
}

#[test]
fn an_answer_without_an_option_is_its_own_outcome() {
    let picks = [Some("A"), Some("A"), Some("B"), None, None];
    let outcomes: Vec<Outcome> = picks.iter().enumerate().map(|(id, pick)| choice(id, None, *pick)).collect();
    let summary = summarize(&outcomes, &FEW).unwrap();
    let counts = summary.mc_counts.unwrap();
    assert_eq!((counts.right, counts.wrong, counts.unparsed), (2, 1, 2));
    assert!((summary.mc_accuracy.unwrap().value - 0.4).abs() < 1e-12);
    assert!((summary.mc_answered.unwrap().value - 0.6).abs() < 1e-12);
    assert!((summary.mc_accuracy_answered.unwrap().value - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(summary.mc_accuracy_answered.unwrap().n, 3);
}

#[test]
fn questions_of_one_document_do_not_count_as_independent() {
    // Each document's ten answers go the same way: 40 items carry the information of 4.
    let answers = |right: [bool; 4]| -> Vec<Outcome> {
        (0..40).map(|id| choice(id, Some(id / 10), Some(if right[id / 10] { "A" } else { "B" }))).collect()
    };
    let (base, tuned) = (answers([true, false, false, false]), answers([true, true, true, true]));
    let grouped = compare(&base, &tuned, &FEW).unwrap();
    let paired = grouped.metric(Metric::McAccuracy).unwrap();
    assert_eq!((paired.test, paired.groups, paired.p), (Test::Permutation, 4, 0.25));
    assert_eq!(paired.verdict, Verdict::NotDistinguishable);
    assert!(grouped.notes[0].contains("Only 4 groups"));
    let alone = |outcomes: Vec<Outcome>| -> Vec<Outcome> {
        outcomes.into_iter().map(|outcome| Outcome { group: None, ..outcome }).collect()
    };
    let single = compare(&alone(base), &alone(tuned), &FEW).unwrap();
    assert_eq!(single.metric(Metric::McAccuracy).unwrap().verdict, Verdict::Better);
    let width = |comparison: &Comparison| {
        let estimate = comparison.base.mc_accuracy.unwrap();
        estimate.high.unwrap() - estimate.low.unwrap()
    };
    assert!(width(&grouped) > 1.8 * width(&single));
}

#[test]
fn the_order_of_items_does_not_matter() {
    let base: Vec<Outcome> =
        (0..50).map(|id| loss(id, Some(id % 25), 2.0 + (id % 7) as f64, 10 + id as u64)).collect();
    let tuned: Vec<Outcome> =
        (0..50).map(|id| loss(id, Some(id % 25), 1.9 + (id % 5) as f64, 10 + id as u64)).collect();
    let mut shuffled = tuned.clone();
    shuffled.reverse();
    assert_eq!(compare(&base, &tuned, &FEW).unwrap(), compare(&base, &shuffled, &FEW).unwrap());
}

#[test]
fn what_cannot_be_paired_is_an_error() {
    let base = vec![loss(0, None, 1.0, 5), loss(1, None, 1.0, 5)];
    let reason = |tuned: &[Outcome]| compare(&base, tuned, &FEW).unwrap_err().to_string();
    assert!(reason(&base[..1]).contains("`0001` cannot be paired: only the base model has it"));
    let extra = [base.clone(), vec![loss(2, None, 1.0, 5)]].concat();
    assert!(reason(&extra).contains("only the tuned model has it"));
    let regrouped = vec![base[0].clone(), loss(1, Some(3), 1.0, 5)];
    assert!(reason(&regrouped).contains("its group differs"));
    let unmeasured = vec![base[0].clone(), Outcome { loss: None, ..base[1].clone() }];
    assert!(reason(&unmeasured).contains("for one model only"));
    assert!(reason(&[base[0].clone(), base[0].clone()]).contains("occurs twice"));
    let mut broken = base.clone();
    broken[1].loss = Some(TokenLoss { loss_sum: f64::NAN, tokens: 5, correct_tokens: 0 });
    assert!(reason(&broken).contains("not finite"));
    assert!(matches!(compare(&[], &[], &FEW), Err(Error::NoItems)));
}

#[test]
fn losses_over_different_tokens_are_not_compared() {
    let comparison = compare(&[loss(0, None, 1.0, 5)], &[loss(0, None, 1.0, 6)], &FEW).unwrap();
    assert!(comparison.paired.is_empty());
    assert!(comparison.notes[0].contains("different tokens"));
}

#[test]
fn a_comparison_is_a_document_that_reads_back() {
    let comparison = support::comparison();
    let text = serde_json::to_string(&comparison).unwrap();
    assert_eq!(serde_json::from_str::<Comparison>(&text).unwrap(), comparison);
    assert!(text.contains(r#""metric":"mc_accuracy""#) && text.contains(r#""verdict":"better""#));
    let outcome = choice(3, None, None);
    let text = serde_json::to_string(&outcome).unwrap();
    assert_eq!(text, r#"{"id":"0003","choice":{"gold":"A","picked":null}}"#);
    assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
}

#[test]
fn one_group_has_values_but_no_verdict() {
    let base: Vec<Outcome> = (0..5).map(|id| loss(id, Some(0), 2.0, 10)).collect();
    let tuned: Vec<Outcome> = (0..5).map(|id| loss(id, Some(0), 1.0, 10)).collect();
    let comparison = compare(&base, &tuned, &FEW).unwrap();
    let paired = comparison.metric(Metric::Loss).unwrap();
    assert_eq!((paired.low, paired.verdict), (None, Verdict::NotDistinguishable));
    assert!((paired.difference + 1.0).abs() < 1e-12);
}
