//! From answers to multiple-choice questions to what they add up to.

use eval::choice::ChoiceReport;
use eval::comparison::{Choice, ChoiceCounts, Outcome, Rated};
use eval::report::reliability_diagram;

const LABELS: [&str; 4] = ["A", "B", "C", "D"];

fn outcome(id: usize, choice: Choice) -> Outcome {
    Outcome { id: format!("t/{id:04}"), task: Some("t".into()), choice: Some(choice), ..Outcome::default() }
}

/// An answer that was written.
fn written(id: usize, gold: &str, picked: Option<&str>, abstained: bool) -> Outcome {
    let picked = picked.map(String::from);
    outcome(id, Choice { gold: gold.into(), picked, abstained, ..Choice::default() })
}

/// An answer that was rated: `p` are the probabilities of A to D.
fn rated(id: usize, gold: usize, p: [f64; 4]) -> Outcome {
    let picked = (0..4).max_by(|a, b| p[*a].total_cmp(&p[*b])).unwrap();
    let rate = |p: &f64| Rated { log_likelihood: p.ln() - 7.0, bytes: 1 };
    outcome(
        id,
        Choice {
            gold: LABELS[gold].into(),
            picked: Some(LABELS[picked].into()),
            abstained: false,
            shown: LABELS.map(String::from).to_vec(),
            rated: p.iter().map(rate).collect(),
            cut: 0,
        },
    )
}

fn report(outcomes: &[Outcome]) -> ChoiceReport {
    ChoiceReport::of(&outcomes.iter().collect::<Vec<_>>())
}

#[test]
fn what_is_not_answered_is_not_right_and_is_counted_by_itself() {
    let answers = [
        written(0, "A", Some("A"), false),
        written(1, "A", Some("B"), false),
        written(2, "B", None, true),
        written(3, "B", None, false),
    ];
    let report = report(&answers);
    assert_eq!(report.counts, ChoiceCounts { right: 1, wrong: 1, abstained: 1, unparsed: 1 });
    let value = |estimate: Option<eval::comparison::Estimate>| estimate.map(|e| (e.value, e.n));
    assert_eq!(value(report.acc), Some((0.25, 4)), "the denominator is every question");
    assert_eq!(value(report.coverage), Some((0.5, 4)));
    assert_eq!(value(report.selective_accuracy), Some((0.5, 2)));
    assert_eq!((report.acc_norm, report.calibration, report.position), (None, None, None));
    assert_eq!(report.confusion.counts, [[1, 1, 0, 0], [0, 0, 1, 1]]);
}

#[test]
fn f1_is_that_of_scikit_learn() {
    // sklearn.metrics.f1_score(gold, picked, labels=["maybe", "no", "yes"], average="macro"), unparsed as a label of its
    // own that is no class: (0 + 2/3 + 4/7) / 3.
    let pairs = [
        ("yes", Some("yes")),
        ("yes", Some("yes")),
        ("yes", Some("no")),
        ("yes", None),
        ("no", Some("no")),
        ("maybe", Some("yes")),
    ];
    let answers: Vec<Outcome> =
        pairs.iter().enumerate().map(|(id, (gold, picked))| written(id, gold, *picked, false)).collect();
    let confusion = report(&answers).confusion;
    assert_eq!(confusion.labels, ["maybe", "no", "yes"]);
    let expected = (0.0 + 2.0 / 3.0 + 4.0 / 7.0) / 3.0;
    assert!((confusion.macro_f1.unwrap() - expected).abs() < 1e-12, "{:?}", confusion.macro_f1);
    let yes = confusion.classes[2];
    assert_eq!((yes.right, yes.named), (4, 3));
    assert!((yes.precision - 2.0 / 3.0).abs() < 1e-12 && (yes.recall - 0.5).abs() < 1e-12);
}

#[test]
fn calibration_by_hand() {
    // Three answers with confidence 0.7, two of them right, and one with 0.4 that is right.
    let sure = [0.7, 0.1, 0.1, 0.1];
    let answers =
        [rated(0, 0, sure), rated(1, 0, sure), rated(2, 1, sure), rated(3, 0, [0.4, 0.3, 0.2, 0.1])];
    let calibration = report(&answers).calibration.unwrap();
    assert_eq!(calibration.n, 4);
    let ece = (3.0 * (0.7 - 2.0 / 3.0) + 0.6) / 4.0;
    assert!((calibration.ece - ece).abs() < 1e-9, "{}", calibration.ece);
    let brier = (2.0 * (0.09 + 0.03) + (0.49 + 0.81 + 0.02) + (0.36 + 0.09 + 0.04 + 0.01)) / 4.0;
    assert!((calibration.brier - brier).abs() < 1e-9, "{}", calibration.brier);
    assert!((calibration.confidence - 0.625).abs() < 1e-9);
    let filled: Vec<usize> = calibration.bins.iter().map(|bin| bin.n).collect();
    assert_eq!(filled.iter().sum::<usize>(), 4);
    assert_eq!(calibration.bins.len(), 10);

    let picture = reliability_diagram(&calibration).unwrap();
    assert_eq!(picture.matches("<circle").count(), 2, "one point for each bin with questions");
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>"));
}

#[test]
fn a_model_that_always_says_a_prefers_the_first_place() {
    let answers: Vec<Outcome> = (0..40).map(|id| rated(id, id % 4, [0.4, 0.2, 0.2, 0.2])).collect();
    let report = report(&answers);
    let position = report.position.unwrap();
    assert_eq!(position.places.iter().map(|place| place.picked).collect::<Vec<_>>(), [40, 0, 0, 0]);
    assert!(position.places.iter().all(|place| place.gold == 10 && place.shown == 40));
    assert!(position.p < 1e-5 && position.degrees == 3, "{position:?}");
    assert!((report.acc.unwrap().value - 0.25).abs() < 1e-12);

    let right: Vec<Outcome> = (0..40)
        .map(|id| {
            let mut p = [0.1; 4];
            p[id % 4] = 0.7;
            rated(id, id % 4, p)
        })
        .collect();
    let position = self::report(&right).position.unwrap();
    assert_eq!((position.p, position.degrees), (1.0, 0), "a model that is always right prefers nothing");
}

#[test]
fn by_byte_a_short_option_does_not_win_for_being_short() {
    let mut outcome = rated(0, 1, [0.6, 0.4, 1e-9, 1e-9]);
    if let Some(choice) = &mut outcome.choice {
        choice.rated[1].bytes = 20;
        choice.rated[1].log_likelihood -= 10.0;
        choice.rated[0].log_likelihood -= 5.0;
    }
    let report = report(&[outcome]);
    assert_eq!(report.acc.unwrap().value, 0.0);
    assert_eq!(report.acc_norm.unwrap().value, 1.0);
}

#[test]
fn questions_about_one_document_widen_the_interval() {
    let answers = |grouped: bool| -> Vec<Outcome> {
        let right = |id: usize| (id / 10).is_multiple_of(2);
        let answer = |id: usize| Outcome {
            group: grouped.then(|| format!("document {}", id / 10)),
            ..written(id, "A", Some(if right(id) { "A" } else { "B" }), false)
        };
        (0..100).map(answer).collect()
    };
    let width = |outcomes: &[Outcome]| {
        let acc = report(outcomes).acc.unwrap();
        acc.high.unwrap() - acc.low.unwrap()
    };
    assert!(width(&answers(true)) > 2.0 * width(&answers(false)));
}

#[test]
fn no_answers_add_up_to_nothing() {
    let report = report(&[]);
    assert_eq!(report, ChoiceReport::default());
}
