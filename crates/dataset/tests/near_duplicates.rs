//! MinHash finds what brute force finds, and the measures tell paraphrase from template.

use std::collections::HashMap;

use dataset::near_duplicate::{Index, QUESTION_SIMILARITY, Shingles, Signature, join};
use dataset::{Components, nearest};
use proptest::prelude::*;

fn questions(a: &str, b: &str) -> f64 {
    Shingles::of_question(a).jaccard(&Shingles::of_question(b))
}

/// Sets with many near-duplicates: copies of a few, with some features changed.
fn sets() -> impl Strategy<Value = Vec<Shingles>> {
    let base = prop::collection::vec(prop::collection::vec(any::<u64>(), 10..60), 1..6);
    let copies = prop::collection::vec(
        (any::<prop::sample::Index>(), prop::collection::vec(any::<u64>(), 0..4)),
        2..30,
    );
    (base, copies).prop_map(|(base, copies)| {
        let copy = |(of, changed): (prop::sample::Index, Vec<u64>)| {
            let mut set = base[of.index(base.len())].clone();
            for (at, value) in changed.into_iter().enumerate() {
                set[at] = value;
            }
            Shingles::new(set)
        };
        copies.into_iter().map(copy).collect()
    })
}

proptest! {
    #[test]
    fn the_exact_search_agrees_with_brute_force(sets in sets(), threshold in 0.3f64..1.0) {
        let all: Vec<_> = sets.iter().collect();
        let (left, right) = all.split_at(all.len() / 2);
        for (found, set) in nearest(left, right, threshold).iter().zip(left) {
            let best = right.iter().map(|other| set.jaccard(other)).fold(0.0, f64::max);
            prop_assert_eq!(found.map(|found| found.similarity), (best >= threshold).then_some(best));
        }
    }

    #[test]
    fn joining_never_links_sets_that_no_chain_of_near_pairs_links(sets in sets()) {
        let mut joined = Components::new(sets.len());
        join(&sets, 0.8, &mut joined);
        let mut exact = Components::new(sets.len());
        for a in 0..sets.len() {
            for b in 0..a {
                if sets[a].jaccard(&sets[b]) >= 0.8 {
                    exact.join(a, b);
                }
            }
        }
        for a in 0..sets.len() {
            for b in 0..a {
                prop_assert!(!joined.joined(a, b) || exact.joined(a, b));
            }
        }
    }

    #[test]
    fn joining_does_not_depend_on_the_order(sets in sets()) {
        let mut forward = Components::new(sets.len());
        join(&sets, 0.8, &mut forward);
        let reversed: Vec<_> = sets.iter().rev().cloned().collect();
        let mut backward = Components::new(sets.len());
        join(&reversed, 0.8, &mut backward);
        let last = sets.len() - 1;
        for a in 0..sets.len() {
            for b in 0..a {
                prop_assert_eq!(forward.joined(a, b), backward.joined(last - a, last - b));
            }
        }
    }
}

#[test]
fn planted_near_duplicates_are_found_with_the_promised_recall() {
    // 2,000 pairs of exactly 0.8 and as many of exactly 0.9: 100 shared features, changed ones on both sides.
    for (threshold, shared, changed) in [(0.8, 80u64, 10u64), (0.9, 180, 10)] {
        let mut index = Index::new(threshold);
        let set = |pair: u64, side: u64| {
            let own = (0..changed).map(|at| (pair << 20) | (side << 16) | at);
            let common = (0..shared).map(|at| (pair << 20) | (1 << 19) | at);
            Shingles::new(own.chain(common).map(scatter).collect())
        };
        for pair in 0..2_000 {
            index.insert(pair as usize, &Signature::of(&set(pair, 0)));
        }
        let found = |pair: &u64| index.candidates(&Signature::of(&set(*pair, 1))).contains(&(*pair as usize));
        let recall = (0..2_000).filter(found).count() as f64 / 2_000.0;
        assert!((set(7, 0).jaccard(&set(7, 1)) - threshold).abs() < 1e-9);
        assert!(index.recall(threshold) >= 0.999, "{}", index.recall(threshold));
        assert!(recall >= 0.996, "recall {recall} at {threshold}");
    }
}

fn scatter(value: u64) -> u64 {
    let value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (value ^ (value >> 29)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

#[test]
fn the_estimate_of_a_signature_is_the_similarity() {
    // The share of equal places of two signatures estimates Jaccard; averaged over 200 pairs it is within 1 %.
    let set = |from: u64| Shingles::new((from..from + 60).map(scatter).collect());
    let mut hits: HashMap<bool, usize> = HashMap::new();
    for pair in 0..200u64 {
        let (a, b) = (Signature::of(&set(pair * 1000)), Signature::of(&set(pair * 1000 + 20)));
        for equal in a.values().iter().zip(b.values()).map(|(a, b)| a == b) {
            *hits.entry(equal).or_default() += 1;
        }
    }
    let share = hits[&true] as f64 / (hits[&true] + hits[&false]) as f64;
    assert!((share - 0.5).abs() < 0.01, "{share}");
}

#[test]
fn a_reworded_question_is_near_and_a_shared_template_is_not() {
    for (a, b) in [
        ("What is (are) Asthma ?", "what's asthma"),
        ("What are the symptoms of asthma?", "Please, what are the symptoms of Asthma"),
        (
            "A 45-year-old man with chest pain and dyspnea has ST elevation in leads II, III and aVF. What is the diagnosis?",
            "A 46-year-old man with chest pain and dyspnea has ST elevation in leads II, III and aVF. What is the diagnosis?",
        ),
    ] {
        assert!(questions(a, b) >= QUESTION_SIMILARITY, "{a} / {b}: {}", questions(a, b));
    }
    for (a, b) in [
        ("What is (are) Asthma ?", "What is (are) Eczema ?"),
        ("What are the symptoms of asthma?", "What are the treatments for asthma?"),
        (
            "How many people are affected by hereditary fructose intolerance ?",
            "How many people are affected by hereditary lactose intolerance ?",
        ),
        ("What is glutaric acidemia type I ?", "What is glutaric acidemia type II ?"),
        (
            "What are the genetic changes related to spastic paraplegia type 31 ?",
            "What are the genetic changes related to spastic paraplegia type 15 ?",
        ),
    ] {
        assert!(questions(a, b) < QUESTION_SIMILARITY, "{a} / {b}: {}", questions(a, b));
    }
}

#[test]
fn short_questions_that_differ_in_one_content_word_are_never_near() {
    for words in 1..10 {
        let question = |changed: usize| {
            (0..words)
                .map(|at| if at == changed { "other".into() } else { format!("w{at}") })
                .collect::<Vec<_>>()
                .join(" ")
        };
        for changed in 0..words {
            let similarity = questions(&question(words), &question(changed));
            assert!(similarity < QUESTION_SIMILARITY, "{words} words: {similarity}");
        }
    }
}
