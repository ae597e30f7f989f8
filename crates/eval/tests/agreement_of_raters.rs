//! Intervals and agreement of raters against scipy, scikit-learn, statsmodels and krippendorff.
//!
//! `data/statistics.json` is written by `tools/make_statistics_vectors.py`.

use eval::statistics::{
    Interval, KappaWeights, Level, Resampling, bca_interval, bca_interval_of, clopper_pearson, cohen_kappa,
    fleiss_kappa, kendall_tau, krippendorff_alpha, ratio_difference, wilson,
};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("data/statistics.json")).unwrap()
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    rows(value).iter().map(|value| value.as_f64().unwrap()).collect()
}

#[track_caller]
fn close(value: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((value - expected).abs() <= tolerance, "{value}, expected {expected}");
}

#[test]
fn intervals_of_proportions_are_those_of_statsmodels() {
    for case in rows(&vectors()["binomial"]) {
        let (successes, n) = (case["successes"].as_u64().unwrap(), case["n"].as_u64().unwrap());
        for (name, interval) in
            [("clopper_pearson", clopper_pearson(successes, n)), ("wilson", wilson(successes, n))]
        {
            close(interval.low, &case[name][0], 1e-9);
            close(interval.high, &case[name][1], 1e-9);
        }
    }
    assert_eq!(clopper_pearson(0, 0), Interval { low: 0.0, high: 1.0 });
}

#[test]
fn kappas_are_those_of_scikit_learn_and_statsmodels() {
    let vectors = vectors();
    let ratings = &vectors["cohen"]["ratings"];
    let rating = |rater: usize| rows(&ratings[rater]).iter().map(|rating| rating.as_u64().unwrap() as usize);
    let pairs: Vec<(usize, usize)> = rating(0).zip(rating(1)).collect();
    let weights = [
        ("None", KappaWeights::None),
        ("linear", KappaWeights::Linear),
        ("quadratic", KappaWeights::Quadratic),
    ];
    for (name, weights) in weights {
        close(cohen_kappa(&pairs, 5, weights).unwrap(), &vectors["cohen"][name], 1e-12);
    }
    for case in rows(&vectors["fleiss"]) {
        let table: Vec<Vec<u64>> = rows(&case["table"])
            .iter()
            .map(|row| numbers(row).iter().map(|count| *count as u64).collect())
            .collect();
        close(fleiss_kappa(&table).unwrap(), &case["kappa"], 1e-12);
    }
    assert_eq!(cohen_kappa(&[], 2, KappaWeights::None), None, "nothing to agree on");
    assert_eq!(cohen_kappa(&[(1, 1), (1, 1)], 2, KappaWeights::None), None, "chance agrees always");
    assert_eq!(cohen_kappa(&[(0, 0), (1, 1)], 2, KappaWeights::None), Some(1.0));
    assert_eq!(fleiss_kappa(&[vec![2, 1], vec![3, 1]]), None, "unequal numbers of raters");
    assert_eq!(fleiss_kappa(&[vec![1, 0], vec![0, 1]]), None, "one rater");
}

#[test]
fn alpha_is_krippendorffs_on_every_level() {
    for case in rows(&vectors()["alpha"]) {
        let raters: Vec<Vec<Option<f64>>> =
            rows(&case["raters"]).iter().map(|row| rows(row).iter().map(Value::as_f64).collect()).collect();
        let items: Vec<Vec<Option<f64>>> =
            (0..raters[0].len()).map(|item| raters.iter().map(|rater| rater[item]).collect()).collect();
        let levels = [
            ("nominal", Level::Nominal),
            ("ordinal", Level::Ordinal),
            ("interval", Level::Interval),
            ("ratio", Level::Ratio),
        ];
        for (name, level) in levels {
            close(krippendorff_alpha(&items, level).unwrap(), &case[name], 1e-9);
        }
    }
    assert_eq!(krippendorff_alpha(&[vec![Some(1.0), None]], Level::Nominal), None, "one rating");
    assert_eq!(krippendorff_alpha(&[vec![Some(1.0), Some(1.0)]], Level::Nominal), None, "nothing varies");
}

#[test]
fn tau_is_scipys_with_and_without_ties() {
    for case in rows(&vectors()["kendall"]) {
        let pairs: Vec<(f64, f64)> = numbers(&case["x"]).into_iter().zip(numbers(&case["y"])).collect();
        close(kendall_tau(&pairs).unwrap(), &case["tau"], 1e-12);
    }
    assert_eq!(kendall_tau(&[(1.0, 2.0), (1.0, 3.0)]), None, "all tied");
}

#[test]
fn the_bca_interval_of_a_paired_difference_is_scipys_up_to_chance() {
    let case = &vectors()["bca"];
    let (base, tuned) = (numbers(&case["base"]), numbers(&case["tuned"]));
    let groups: Vec<[f64; 4]> =
        base.iter().zip(&tuned).map(|(base, tuned)| [*base, 1.0, *tuned, 1.0]).collect();
    let resampling = Resampling { seed: 3, resamples: 40_000 };
    let sums = bca_interval(&groups, ratio_difference, &resampling).unwrap();
    let items: Vec<f64> = base.iter().zip(&tuned).map(|(base, tuned)| tuned - base).collect();
    let mean = |items: &[&f64]| Some(items.iter().copied().sum::<f64>() / items.len() as f64);
    let one_by_one = bca_interval_of(&items, mean, &resampling).unwrap();
    // Scipy's own interval moves by 0.001 from seed to seed at 200,000 resamples.
    for interval in [sums, one_by_one] {
        close(interval.low, &case["interval"][0], 0.004);
        close(interval.high, &case["interval"][1], 0.004);
    }
}

#[test]
fn an_interval_of_agreement_holds_its_estimate_and_repeats() {
    let pairs: Vec<(f64, f64)> =
        (0..60).map(|i| (f64::from(i % 7), f64::from((i * 5 + i % 3) % 9))).collect();
    let tau = |pairs: &[&(f64, f64)]| kendall_tau(&pairs.iter().map(|pair| **pair).collect::<Vec<_>>());
    let resampling = Resampling { seed: 9, resamples: 1_000 };
    let interval = bca_interval_of(&pairs, tau, &resampling).unwrap();
    assert!(interval.contains(kendall_tau(&pairs).unwrap()), "{interval:?}");
    assert_eq!(bca_interval_of(&pairs, tau, &resampling).unwrap(), interval);
    let other = Resampling { seed: 10, resamples: 1_000 };
    assert_ne!(bca_interval_of(&pairs, tau, &other).unwrap(), interval);
    assert_eq!(bca_interval_of(&pairs[..1], tau, &resampling), None);
}
