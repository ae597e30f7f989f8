//! Any number of runs on the same items.

mod answered;

use answered::{FEW, answers};
use eval::comparison::{
    Against, CompareOptions, Metric, Outcome, Run, RunsComparison, Verdict, compare, compare_runs,
};
use eval::statistics::holm;

fn run(name: &str, skill: usize) -> Run {
    Run { name: name.into(), outcomes: answers(skill) }
}

fn options() -> CompareOptions {
    CompareOptions { resampling: FEW, ..CompareOptions::default() }
}

fn compared(runs: &[Run], options: &CompareOptions) -> RunsComparison {
    compare_runs(runs, options).unwrap()
}

#[test]
fn three_runs_are_compared_pairwise_and_corrected_for_all_they_compare() {
    let runs = [run("base", 0), run("tuned", 1), run("rag", 2)];
    let each = CompareOptions { against: Against::Each, ..options() };
    let comparison = compared(&runs, &each);
    let pairs: Vec<(&str, &str)> =
        comparison.changes.iter().map(|pair| (pair.base.as_str(), pair.run.as_str())).collect();
    assert_eq!(pairs, [("base", "tuned"), ("base", "rag"), ("tuned", "rag")]);
    assert_eq!(comparison.tasks().into_iter().collect::<Vec<_>>(), ["medqa", "questions"]);
    let p: Vec<f64> = comparison.differences.iter().map(|difference| difference.paired.p).collect();
    let corrected: Vec<f64> =
        comparison.differences.iter().map(|difference| difference.paired.p_holm).collect();
    assert!(p.len() > 30 && p.len().is_multiple_of(3), "{}", p.len());
    assert_eq!(corrected, holm(&p), "one family over pairs, tasks and metrics");
    // The same pair by itself is a smaller family.
    let alone = compared(&runs[..2], &options());
    let of = |comparison: &RunsComparison| {
        comparison.difference("base", "tuned", "medqa", Metric::McAccuracy).unwrap().clone()
    };
    assert_eq!(of(&alone).difference, of(&comparison).difference);
    assert!(of(&alone).p == of(&comparison).p && of(&alone).p_holm <= of(&comparison).p_holm);
}

#[test]
fn the_reference_is_the_first_run_or_the_one_that_is_named() {
    let runs = [run("base", 0), run("tuned", 1), run("rag", 2)];
    let against = |against| compared(&runs, &CompareOptions { against, ..options() });
    let first = against(Against::First);
    let named = against(Against::Named("tuned".into()));
    let value = |comparison: &RunsComparison, base: &str, run: &str| {
        comparison.difference(base, run, "medqa", Metric::McAccuracy).map(|paired| paired.difference)
    };
    assert!(value(&first, "base", "rag").unwrap() > 0.2);
    assert_eq!(value(&named, "tuned", "base"), value(&first, "base", "tuned").map(|difference| -difference));
    assert_eq!(value(&named, "base", "rag"), None);
    let unknown = CompareOptions { against: Against::Named("other".into()), ..options() };
    let error = compare_runs(&runs, &unknown).unwrap_err().to_string();
    assert_eq!(error, "no run is called `other`: there are base, tuned, rag");
}

#[test]
fn two_runs_come_out_as_base_and_tuned_do() {
    let (base, tuned) = (run("base", 0), run("tuned", 2));
    let of_run = |run: &Run| -> Vec<Outcome> {
        let choices = run.outcomes.iter().filter(|outcome| outcome.choice.is_some());
        choices.map(|outcome| Outcome { task: None, ..outcome.clone() }).collect()
    };
    let two = compare(&of_run(&base), &of_run(&tuned), &FEW).unwrap();
    let only = CompareOptions { metrics: vec![Metric::McAccuracy], ..options() };
    let runs = compared(&[base, tuned], &only);
    assert_eq!(runs.difference("base", "tuned", "medqa", Metric::McAccuracy), two.metric(Metric::McAccuracy));
    assert_eq!(runs.value("tuned", "medqa", Metric::McAccuracy), two.tuned.mc_accuracy.as_ref());
}

#[test]
fn corpus_scores_are_resampled_from_their_counts() {
    let runs = [run("base", 0), run("rag", 2)];
    let comparison = compared(&runs, &options());
    for metric in [Metric::Bleu, Metric::Chrf] {
        let value = |run: &str| comparison.value(run, "questions", metric).unwrap();
        let paired = comparison.difference("base", "rag", "questions", metric).unwrap();
        assert!((paired.difference - (value("rag").value - value("base").value)).abs() < 1e-9, "{metric:?}");
        assert!(paired.low.unwrap() < paired.difference && paired.difference < paired.high.unwrap());
        assert_eq!((paired.n, paired.groups, value("base").groups), (24, 8, 8));
    }
    let texts: Vec<_> =
        runs[1].outcomes.iter().filter_map(|outcome| outcome.text.as_deref().cloned()).collect();
    let summary = eval::text::TextSummary::of(&texts, &FEW).unwrap();
    let bleu = comparison.value("rag", "questions", Metric::Bleu).unwrap();
    assert_eq!(bleu.value, summary.scores[0].value);
}

#[test]
fn what_has_no_better_and_worse_is_higher_or_lower() {
    let told = |name: &str, answer: &str| {
        let outcomes = (0..40).map(|index| {
            let mut outcome = Outcome {
                id: format!("{index}"),
                reference: Some("one two three four five".into()),
                answer: Some(format!("{answer} {}", "word ".repeat(index % 3))),
                ..Outcome::default()
            };
            outcome.measure_text();
            outcome
        });
        Run { name: name.into(), outcomes: outcomes.collect() }
    };
    let runs = [told("short", "one"), told("long", "one two three four five six seven")];
    let comparison = compared(&runs, &options());
    let verdict = |metric| comparison.difference("short", "long", "questions", metric).unwrap().verdict;
    assert_eq!((verdict(Metric::Words), verdict(Metric::Rouge1)), (Verdict::Higher, Verdict::Better));
    assert!(!comparison.verdict_sentences()[0].contains("words"), "{:?}", comparison.verdict_sentences());
}

#[test]
fn the_items_that_changed_are_named() {
    let comparison = compared(&[run("base", 2), run("worse", 0)], &options());
    let changes = &comparison.changes[0];
    assert!(changes.won.is_empty() && changes.lost.len() == 12, "{changes:?}");
    assert!(changes.quantity_changed.iter().all(|id| id.starts_with("question-")));
    assert!(!changes.quantity_changed.is_empty());
    let rouge: Vec<f64> = changes
        .drops
        .iter()
        .filter(|drop| drop.metric == Metric::RougeL)
        .map(|drop| drop.from - drop.to)
        .collect();
    assert!(
        rouge.len() == 5 && rouge.windows(2).all(|pair| pair[0] >= pair[1]) && rouge[4] > 0.0,
        "{rouge:?}"
    );
}

#[test]
fn runs_over_different_items_are_an_error_that_names_them() {
    let (base, mut tuned) = (run("base", 0), run("tuned", 1));
    tuned.outcomes.retain(|outcome| outcome.id != "medqa-07" && outcome.id != "question-03");
    let runs = [base, tuned];
    let error = compare_runs(&runs, &options()).unwrap_err().to_string();
    assert_eq!(error, "not in every run: 2 of 54 items; `tuned` lacks `medqa-07`, `question-03`; 52 in all");
    let comparison = compared(&runs, &CompareOptions { common: true, ..options() });
    assert_eq!((comparison.items, comparison.left_out), (52, vec![2, 0]));
    let apart = [
        run("a", 0),
        Run { name: "b".into(), outcomes: vec![Outcome { id: "x".into(), ..Outcome::default() }] },
    ];
    let none = CompareOptions { common: true, ..options() };
    assert!(compare_runs(&apart, &none).unwrap_err().to_string().contains("0 in all"));
}

#[test]
fn an_item_that_is_another_one_in_another_run_is_an_error() {
    let runs = |change: &dyn Fn(&mut Outcome)| {
        let mut tuned = run("tuned", 1);
        change(&mut tuned.outcomes[40]);
        compare_runs(&[run("base", 0), tuned], &options()).unwrap_err().to_string()
    };
    let id = &answers(0)[40].id;
    let reason = format!("item `{id}` is not the same in `base` and `tuned`: its question differs");
    assert_eq!(runs(&|outcome| outcome.question = Some("Another?".into())), reason);
    assert!(runs(&|outcome| outcome.group = None).contains("its group differs"));
    assert!(runs(&|outcome| outcome.task = Some("medqa".into())).contains("its task differs"));
    assert!(runs(&|outcome| outcome.reference = Some("So.".into())).contains("its reference differs"));
    assert!(runs(&|outcome| outcome.id = "medqa-00".into()).contains("occurs twice in `tuned`"));
    assert!(runs(&|outcome| outcome.rouge_l = Some(f64::NAN)).contains("is not finite"));
    let same = [run("a", 0), run("a", 1)];
    assert_eq!(compare_runs(&same, &options()).unwrap_err().to_string(), "two runs are called `a`");
    assert!(compare_runs(&same[..1], &options()).unwrap_err().to_string().contains("needs two"));
}

#[test]
fn a_metric_of_one_run_only_is_said_and_not_compared() {
    let (base, mut tuned) = (run("base", 0), run("tuned", 1));
    for outcome in tuned.outcomes.iter_mut().rev().take(4) {
        (outcome.text, outcome.rouge_l) = (None, None);
    }
    let comparison = compared(&[base, tuned], &options());
    let paired = comparison.difference("base", "tuned", "questions", Metric::RougeL).unwrap();
    assert_eq!(paired.n, 20);
    let note = &comparison.notes[0];
    assert!(
        note.starts_with("4 items of questions, measured for only one of `base` and `tuned`:")
            && note.contains("ROUGE-L"),
        "{note}"
    );
}

#[test]
fn a_comparison_of_runs_is_a_document_that_reads_back() {
    let comparison = compared(&[run("base", 0), run("tuned", 2)], &options());
    let text = serde_json::to_string(&comparison).unwrap();
    assert_eq!(serde_json::from_str::<RunsComparison>(&text).unwrap(), comparison);
}
