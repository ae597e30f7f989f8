//! Statistics against published numbers, against each other, and by simulation.

use eval::statistics::*;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn close(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value} is not {expected} ± {tolerance}");
}

type Published = (u64, u64, u64, f64, f64, f64, f64, f64);

/// GPT-4 on MIRAGE, chain of thought against retrieval (MedRAG's published answers, scored in pairs): questions, only
/// the first right, only the second right, difference and its 95 % interval in points, p.
const MIRAGE: [Published; 5] = [
    (1_089, 69, 45, -2.20, -4.12, -0.29, 0.030_5, 0.031_5),
    (1_273, 72, 57, -1.18, -2.93, 0.57, 0.215, 0.225),
    (4_183, 505, 370, -3.23, -4.61, -1.84, 5.65e-6, 5.75e-6),
    (500, 34, 189, 31.00, 25.82, 36.18, 2.5e-27, 3.5e-27),
    (618, 18, 69, 8.25, 5.37, 11.14, 3.25e-8, 3.35e-8),
];

#[test]
fn mirage_comes_out_as_published() {
    for (n, only_base, only_tuned, difference, low, high, p_from, p_to) in MIRAGE {
        let counts = Discordant { only_base, only_tuned, n };
        close(100.0 * counts.difference(), difference, 0.005_01);
        let wald = counts.wald_interval();
        close(100.0 * wald.low, low, 0.005_01);
        close(100.0 * wald.high, high, 0.005_01);
        let p = counts.mcnemar_p();
        assert!((p_from..p_to).contains(&p), "{p}");
        // The interval that a comparison reports is close to it at these sizes, and decides alike.
        let adjusted = counts.adjusted_interval(1.0);
        close(100.0 * adjusted.low, low, 0.15);
        close(100.0 * adjusted.high, high, 0.15);
        assert_eq!(adjusted.excludes_zero(), wald.excludes_zero());
    }
}

#[test]
fn a_bootstrap_of_the_same_answers_agrees_with_mirage() {
    let (n, only_base, only_tuned, _, low, high, ..) = MIRAGE[0];
    let pair = |index| match index {
        index if index < only_base => [1.0, 1.0, 0.0, 1.0],
        index if index < only_base + only_tuned => [0.0, 1.0, 1.0, 1.0],
        _ => [1.0, 1.0, 1.0, 1.0],
    };
    let rows: Vec<[f64; 4]> = (0..n).map(pair).collect();
    let resampling = Resampling { seed: 5, resamples: 4_000 };
    let interval = bca_interval(&rows, ratio_difference, &resampling).unwrap();
    close(100.0 * interval.low, low, 0.2);
    close(100.0 * interval.high, high, 0.2);
    let sums: Vec<PairedSums> =
        rows.iter().map(|[a, b, c, d]| PairedSums { base: [*a, *b], tuned: [*c, *d] }).collect();
    let counts = Discordant { only_base, only_tuned, n };
    close(permutation_p(&sums, &resampling), counts.mcnemar_p(), 0.008);
}

#[test]
fn agrestis_approval_ratings() {
    // Agresti, Categorical Data Analysis, table 11.1: 1600 voters, 150 and 86 changed their minds; -0.04 (-0.059, -0.021).
    let counts = Discordant { only_base: 150, only_tuned: 86, n: 1600 };
    close(counts.difference(), -0.04, 1e-12);
    close(counts.standard_error(), 0.0095, 0.000_05);
    close(counts.wald_interval().low, -0.059, 0.000_5);
    close(counts.wald_interval().high, -0.021, 0.000_5);
}

#[test]
fn mcnemar_of_few_disagreements_by_hand() {
    let p = |only_base, only_tuned| Discordant { only_base, only_tuned, n: 50 }.mcnemar_p();
    assert_eq!(p(0, 0), 1.0);
    close(p(0, 1), 1.0, 1e-12);
    close(p(0, 5), 2.0 / 32.0, 1e-12);
    close(p(0, 6), 2.0 / 64.0, 1e-12);
    close(p(1, 5), 2.0 * 7.0 / 64.0, 1e-12);
    close(p(4, 4), 1.0, 1e-12);
}

#[test]
fn darwins_maize_by_fishers_exact_enumeration() {
    // Fisher, The Design of Experiments (1935), §21: 15 pairs; 1726 of 32768 exchanges reach the sum: p = 0.0527.
    let differences =
        [49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0];
    let pairs: Vec<PairedSums> = differences
        .iter()
        .map(|difference| PairedSums { base: [0.0, 1.0], tuned: [*difference, 1.0] })
        .collect();
    close(permutation_p(&pairs, &Resampling::default()), 1726.0 / 32768.0, 1e-12);
}

#[test]
fn wilsons_interval_as_in_textbooks() {
    // 0 of 25 (Agresti, §1.4.3: 0 to 0.133); 8 of 10; nothing seen.
    assert_eq!(wilson(0, 25).low, 0.0);
    close(wilson(0, 25).high, 0.133, 0.000_5);
    close(wilson(8, 10).low, 0.4902, 0.000_05);
    close(wilson(8, 10).high, 0.9433, 0.000_05);
    assert_eq!(wilson(0, 0), Interval { low: 0.0, high: 1.0 });
    assert_eq!(wilson(7, 7).high, 1.0);
}

#[test]
fn holm_as_r_does_it() {
    // p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (value, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        close(*value, expected, 1e-12);
    }
    assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    assert_eq!(holm(&[]), [0.0; 0]);
}

#[test]
fn detectable_differences_of_the_usual_test_sets() {
    // 12 % discordant answers, 80 % power.
    for (n, points) in [(90, 10.2), (500, 4.3), (1_273, 2.7), (4_183, 1.5)] {
        close(100.0 * minimal_detectable_difference(n, 0.12), points, 0.051);
    }
    assert_eq!(minimal_detectable_difference(0, 0.1), 1.0);
}

#[test]
fn one_group_has_no_interval_and_equal_groups_have_no_width() {
    let resampling = Resampling { seed: 1, resamples: 100 };
    assert_eq!(bca_interval(&[[3.0, 2.0]], ratio, &resampling), None);
    assert_eq!(jackknife_standard_error(&[[3.0, 2.0]], ratio), None);
    let interval = bca_interval(&[[3.0, 2.0]; 9], ratio, &resampling).unwrap();
    assert_eq!(interval, Interval { low: 1.5, high: 1.5 });
}

/// A document's difficulty is shared by its questions; loss is a ratio of sums over answers of unequal length.
fn clustered_losses(random: &mut StdRng, groups: usize) -> Vec<[f64; 2]> {
    let group = |random: &mut StdRng| {
        let difficulty: f64 = -(1.0 - random.random::<f64>()).ln(); // exponential, mean 1: skewed
        let items = random.random_range(1..=6);
        let mut sums = [0.0; 2];
        for _ in 0..items {
            let tokens = f64::from(random.random_range(10..100));
            sums[0] += tokens * (difficulty + random.random_range(-0.5..0.5));
            sums[1] += tokens;
        }
        sums
    };
    (0..groups).map(|_| group(random)).collect()
}

#[test]
fn intervals_cover_the_truth_nineteen_times_out_of_twenty() {
    let mut random = StdRng::seed_from_u64(11);
    let (trials, mut covered) = (400, 0);
    for trial in 0..trials {
        let rows = clustered_losses(&mut random, 60);
        let resampling = Resampling { seed: trial, resamples: 600 };
        covered += u32::from(bca_interval(&rows, ratio, &resampling).unwrap().contains(1.0));
    }
    // 95 % less the known shortfall at 60 skewed groups; 1.1 points are one standard error of this count.
    let share = f64::from(covered) / trials as f64;
    assert!((0.90..=0.985).contains(&share), "{share}");
}

#[test]
fn wilson_and_the_paired_interval_cover_too() {
    let mut random = StdRng::seed_from_u64(12);
    let (trials, n) = (2_000, 90);
    let (mut single, mut paired) = (0, 0);
    for _ in 0..trials {
        let hits = (0..n).filter(|_| random.random_bool(0.9)).count() as u64;
        single += u32::from(wilson(hits, n).contains(0.9));
        let mut counts = Discordant { only_base: 0, only_tuned: 0, n };
        for _ in 0..n {
            let draw: f64 = random.random();
            counts.only_base += u64::from(draw < 0.04);
            counts.only_tuned += u64::from((0.04..0.12).contains(&draw));
        }
        paired += u32::from(counts.adjusted_interval(1.0).contains(0.04));
    }
    for covered in [single, paired] {
        let share = f64::from(covered) / f64::from(trials);
        assert!((0.935..=0.975).contains(&share), "{share}");
    }
}

#[test]
fn without_a_difference_the_test_finds_one_rarely() {
    let mut random = StdRng::seed_from_u64(13);
    let (trials, mut found) = (400, 0);
    for trial in 0..trials {
        let base = clustered_losses(&mut random, 30);
        let pairs: Vec<PairedSums> = base
            .into_iter()
            .map(|base| {
                let shift = base[1] * random.random_range(-0.3..0.3);
                PairedSums { base, tuned: [base[0] + shift, base[1]] }
            })
            .collect();
        let resampling = Resampling { seed: trial, resamples: 400 };
        found += u32::from(permutation_p(&pairs, &resampling) < 0.05);
    }
    let share = f64::from(found) / trials as f64;
    assert!((0.02..=0.085).contains(&share), "{share}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// With each item its own group, exchanging right and wrong answers is McNemar's exact test.
    #[test]
    fn the_exchange_test_is_mcnemar_for_single_answers(only_base in 0u64..8, only_tuned in 0u64..8, same in 0u64..40) {
        let answer = |base, tuned| PairedSums { base: [base, 1.0], tuned: [tuned, 1.0] };
        let mut pairs = vec![answer(1.0, 1.0); same as usize];
        pairs.extend(vec![answer(1.0, 0.0); only_base as usize]);
        pairs.extend(vec![answer(0.0, 1.0); only_tuned as usize]);
        let counts = Discordant { only_base, only_tuned, n: same + only_base + only_tuned };
        let p = permutation_p(&pairs, &Resampling::default());
        prop_assert!((p - counts.mcnemar_p()).abs() < 1e-9, "{} {}", p, counts.mcnemar_p());
    }

    /// Changing the two models' places mirrors the interval and leaves p.
    #[test]
    fn swapping_the_models_mirrors_everything(seed in 0u64..1000, groups in 3usize..40) {
        let mut random = StdRng::seed_from_u64(seed);
        let rows: Vec<[f64; 4]> = clustered_losses(&mut random, groups)
            .into_iter()
            .map(|[loss, tokens]| [loss, tokens, loss + tokens * random.random_range(-0.4..0.2), tokens])
            .collect();
        let swapped: Vec<[f64; 4]> = rows.iter().map(|[a, b, c, d]| [*c, *d, *a, *b]).collect();
        let resampling = Resampling { seed, resamples: 400 };
        let one = bca_interval(&rows, ratio_difference, &resampling).unwrap();
        let two = bca_interval(&swapped, ratio_difference, &resampling).unwrap();
        prop_assert!(one.low <= one.high);
        // The two tails count ties on different sides of a rank: equal to within a neighbouring draw.
        let width = one.high - one.low;
        prop_assert!((one.low + two.high).abs() <= 0.05 * width && (one.high + two.low).abs() <= 0.05 * width);
        let sums = |rows: &[[f64; 4]]| -> Vec<PairedSums> {
            rows.iter().map(|[a, b, c, d]| PairedSums { base: [*a, *b], tuned: [*c, *d] }).collect()
        };
        prop_assert!((permutation_p(&sums(&rows), &resampling) - permutation_p(&sums(&swapped), &resampling)).abs() < 1e-12);
    }

    /// Wilson's interval holds its proportion, stays in [0, 1] and mirrors.
    #[test]
    fn wilson_is_symmetric(n in 1u64..500, share in 0.0f64..=1.0) {
        let successes = (share * n as f64) as u64;
        let (one, two) = (wilson(successes, n), wilson(n - successes, n));
        prop_assert!(one.contains(successes as f64 / n as f64) && one.low >= 0.0 && one.high <= 1.0);
        prop_assert!((one.low + two.high - 1.0).abs() < 1e-12);
    }

    /// Corrected p-values are no smaller, keep their order, and stay at most 1.
    #[test]
    fn holm_keeps_order(p_values in proptest::collection::vec(0.0f64..=1.0, 0..8)) {
        let adjusted = holm(&p_values);
        for (i, p) in p_values.iter().enumerate() {
            prop_assert!(adjusted[i] >= *p && adjusted[i] <= 1.0);
            for (j, q) in p_values.iter().enumerate() {
                prop_assert!(p > q || adjusted[i] <= adjusted[j]);
            }
        }
    }
}

#[test]
fn a_plan_says_before_the_run_what_its_items_can_show() {
    let alone = Plan::of(&[1; 1_273], Assumptions { discordant: 0.12, within_group: 0.5 });
    assert_eq!((alone.n, alone.groups, alone.design_effect), (1_273, 1_273, 1.0));
    assert_eq!(alone.detectable, minimal_detectable_difference(1_273, 0.12));
    // Groups of four with a correlation of 0.1: 1 + 3 · 0.1.
    let grouped = Plan::of(&[4; 100], Assumptions { discordant: 0.2, within_group: 0.1 });
    close(grouped.design_effect, 1.3, 1e-12);
    close(grouped.detectable, 1.3f64.sqrt() * minimal_detectable_difference(400, 0.2), 1e-12);
    assert_eq!(
        grouped.to_string(),
        "400 items of 100 documents can show differences from 7.1 percentage points up (80 % power at 5 %, if the \
         models disagree on 20 % of the items); smaller ones are likely to be missed"
    );
    assert_eq!(Plan::of(&[], Assumptions::default()).detectable, 1.0);
}

#[test]
fn a_planned_difference_is_found_four_times_in_five() {
    let (n, discordant) = (400, 0.2);
    let difference = Plan::of(&[1; 400], Assumptions { discordant, within_group: 0.0 }).detectable;
    let mut random = StdRng::seed_from_u64(31);
    let mut found = 0;
    for _ in 0..1_000 {
        let mut counts = Discordant { only_base: 0, only_tuned: 0, n };
        for _ in 0..n {
            let draw: f64 = random.random();
            counts.only_tuned += u64::from(draw < (discordant + difference) / 2.0);
            counts.only_base += u64::from((0.5..0.5 + (discordant - difference) / 2.0).contains(&draw));
        }
        found += u32::from(counts.mcnemar_p() < 0.05);
    }
    // The exact test is a little stricter than the normal approximation of the plan.
    assert!((700..=830).contains(&found), "{found} of 1000");
}

#[test]
fn strengths_of_competitors_are_those_of_choix_and_scipy() {
    // choix 0.4 `mm_pairwise` and a direct maximum by scipy's BFGS, to eight digits.
    let wins = [
        vec![0.0, 7.0, 9.0, 4.5],
        vec![3.0, 0.0, 6.0, 5.0],
        vec![2.0, 4.0, 0.0, 3.5],
        vec![5.5, 5.0, 7.5, 0.0],
    ];
    let strengths = bradley_terry(&wins).unwrap();
    for (strength, expected) in strengths.iter().zip([0.507_240_4, -0.102_094_6, -0.648_370_4, 0.243_224_6]) {
        close(*strength, expected, 1e-6);
    }
    assert_eq!(
        bradley_terry(&[vec![0.0, 3.0], vec![0.0, 0.0]]),
        None,
        "who never loses has no finite strength"
    );
    assert_eq!(bradley_terry(&[vec![0.0]]), None);
}

#[test]
fn a_slope_without_a_constant_is_that_of_statsmodels() {
    let x = [2.041, -2.556, 0.418, -0.568, -0.453, -0.216, -2.02, -0.232, -0.865, 3.323, 0.226, -0.353];
    let y = [1.0, 0.0, 1.0, 0.5, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5, 1.0];
    let pairs: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
    // statsmodels 0.14 `GLM(y, x, family=Binomial())`.
    close(logistic_slope(&pairs).unwrap(), 0.652_946_66, 1e-7);
    assert_eq!(logistic_slope(&[(1.0, 1.0), (-2.0, 0.0)]), None, "the sign tells every outcome");
    assert_eq!(logistic_slope(&[(0.0, 1.0)]), None);
}
