//! Splits cut no group, do not depend on the order of rows, and leak nothing.

#[path = "../../corpus/tests/reference/mod.rs"]
mod reference;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chat::Message;
use dataset::{
    By, Cleaning, Error, Example, Fingerprint, Input, Item, Origin, PrepareOptions, Prepared, Row, Rule,
    SplitOptions, Stratify, components, prepare_rows, read, row_split_leak,
};
use proptest::prelude::*;

fn row(id: usize, document: &str, topic: &str, question: &str, answer: &str) -> Row {
    Row {
        id: format!("r{id}"),
        document: Some(document.into()),
        topic: Some(topic.into()),
        source: None,
        split: None,
        item: Item::Conversation(vec![Message::user(question), Message::assistant(answer)]),
        origin: Origin { file: "rows".into(), row: id as u64, line: None },
    }
}

/// `count` rows about different things, three a document.
fn rows(count: usize) -> Vec<Row> {
    let one = |at: usize| {
        let question = format!("What is condition{at} like in stage{}?", at * 7);
        row(
            at,
            &format!("d{}", at / 3),
            &format!("t{}", at % 4),
            &question,
            &format!("Answer number {at} of all."),
        )
    };
    (0..count).map(one).collect()
}

fn prepared(rows: Vec<Row>, split: SplitOptions) -> Prepared {
    prepare_rows(rows, Vec::new(), &PrepareOptions { split, ..PrepareOptions::default() }).expect("a split")
}

fn sides(prepared: &Prepared) -> BTreeMap<String, &'static str> {
    let side = |name, examples: &[Example]| examples.iter().map(|e| (e.id.clone(), name)).collect::<Vec<_>>();
    let sides = [side("train", &prepared.train), side("val", &prepared.val), side("test", &prepared.test)];
    sides.into_iter().flatten().collect()
}

#[test]
fn a_split_has_the_sizes_that_were_asked_for_and_cuts_no_document() {
    let prepared = prepared(rows(300), SplitOptions { test: 0.2, val: 0.1, ..SplitOptions::default() });
    let counts = prepared.report.splits;
    assert_eq!((counts.train, counts.val, counts.test), (210, 30, 60));
    let mut side_of = HashMap::new();
    for (examples, side) in [(&prepared.train, 0), (&prepared.val, 1), (&prepared.test, 2)] {
        for example in examples.iter() {
            assert_eq!(*side_of.entry(example.group.clone()).or_insert(side), side);
            assert_eq!(*side_of.entry(format!("{:?}", example.document)).or_insert(side), side);
        }
    }
    assert_eq!(prepared.report.leak, dataset::Leak::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_split_is_the_same_in_any_order_of_rows(rows in Just(rows(120)).prop_shuffle(), seed in 0u64..4, stratify in any::<bool>()) {
        let stratify = stratify.then_some(Stratify::Topic);
        let options = || SplitOptions { seed, stratify, ..SplitOptions::default() };
        let (mixed, sorted) = (prepared(rows, options()), prepared(self::rows(120), options()));
        prop_assert_eq!(sides(&mixed), sides(&sorted));
        prop_assert_eq!(mixed.certificate.sides, sorted.certificate.sides);
    }
}

#[test]
fn seeds_make_different_splits_and_the_same_seed_the_same() {
    let with = |seed| sides(&prepared(rows(300), SplitOptions { seed, ..SplitOptions::default() }));
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

#[test]
fn adding_rows_does_not_reshuffle_the_others() {
    let split = SplitOptions { test: 0.5, val: 0.0, ..SplitOptions::default() };
    let (small, large) = (prepared(rows(300), split.clone()), prepared(rows(330), split));
    let (small, large) = (sides(&small), sides(&large));
    let moved = small.iter().filter(|(id, side)| large[*id] != **side).count();
    assert!(moved < 30, "{moved} of 300 rows moved");
}

#[test]
fn a_stratified_split_has_every_topic_on_every_side() {
    let one = |at: usize| {
        let (document, topic) = (format!("d{at}"), format!("t{}", at % 5));
        row(at, &document, &topic, &format!("What is condition{at}?"), "Answer.")
    };
    let split =
        SplitOptions { test: 0.2, val: 0.2, stratify: Some(Stratify::Topic), ..SplitOptions::default() };
    let prepared = prepared((0..200).map(one).collect(), split);
    for examples in [&prepared.val, &prepared.test] {
        let mut topics: BTreeMap<_, usize> = BTreeMap::new();
        for example in examples {
            *topics.entry(example.topic.clone()).or_default() += 1;
        }
        assert_eq!(topics.into_values().collect::<Vec<_>>(), [8; 5]);
    }
}

#[test]
fn planted_near_duplicates_of_questions_end_on_one_side() {
    let mut all = rows(300);
    for at in 0..100 {
        let question = format!("Please, what is  CONDITION{at} like in Stage{} ?!", at * 7);
        all.push(row(
            1000 + at,
            &format!("other{at}"),
            "t",
            &question,
            &format!("Something else about {at}."),
        ));
    }
    let prepared = prepared(all, SplitOptions::default());
    let sides = sides(&prepared);
    for at in 0..100 {
        assert_eq!(sides[&format!("r{at}")], sides[&format!("r{}", 1000 + at)], "{at}");
    }
    assert!(prepared.report.row_split_leak.near_duplicates > 0);
    assert_eq!(prepared.report.leak, dataset::Leak::default());
}

#[test]
fn a_certificate_reports_what_groups_were_not_asked_to_keep_together() {
    let split = SplitOptions { by: vec![By::Question], test: 0.3, ..SplitOptions::default() };
    let leak = prepared(rows(300), split).report.leak;
    assert!(leak.shared_documents > 0 && leak.exact_questions == 0, "{leak:?}");
}

#[test]
fn a_set_of_three_documents_is_cut_and_one_of_two_is_refused() {
    let counts = prepared(rows(9), SplitOptions::default()).report.splits;
    assert_eq!((counts.train, counts.val, counts.test), (3, 3, 3));
    let error = prepare_rows(rows(6), Vec::new(), &PrepareOptions::default()).expect_err("two groups");
    assert!(matches!(error, Error::EmptySide { side: "val", groups: 2, sides: 3 }), "{error}");
    let none = prepare_rows(Vec::new(), Vec::new(), &PrepareOptions::default()).expect_err("no rows");
    assert!(matches!(none, Error::NoRows { .. }), "{none}");
}

#[test]
fn shares_without_sense_are_refused() {
    for (test, val) in [(1.0, 0.0), (-0.1, 0.0), (f64::NAN, 0.1), (0.5, 0.5)] {
        let options = PrepareOptions {
            split: SplitOptions { test, val, ..SplitOptions::default() },
            ..PrepareOptions::default()
        };
        let error = prepare_rows(rows(30), Vec::new(), &options).expect_err("no share");
        assert!(matches!(error, Error::Option { .. }), "{error}");
    }
}

#[test]
fn every_cleaning_rule_counts_what_it_leaves_out() {
    let long = (0..40).map(|at| format!("word{at}")).collect::<Vec<_>>().join(" ");
    let mut all = rows(30);
    for row in &mut all {
        row.topic = Some("common".into());
    }
    let other = long.replace("word39", "changed");
    all.push(row(100, "a", "common", "How is long pneumonia treated?", &long));
    all.push(row(101, "b", "common", "How  is long pneumonia\ttreated?", &format!(" {long}\n")));
    all.push(row(102, "c", "common", "How is the long pneumonia treated?", &other));
    all.push(row(103, "d", "common", "How is short pneumonia treated?", &other));
    all.push(row(104, "e", "common", "Too long?", &format!("{long} {long}")));
    all.push(row(105, "f", "rare", "Rare?", "Yes."));
    let cleaning = Cleaning { max_answer_words: Some(50), min_topic_rows: Some(2), ..Cleaning::default() };
    let options = PrepareOptions { cleaning, ..PrepareOptions::default() };
    let prepared = prepare_rows(all, Vec::new(), &options).expect("a split");
    let of = |rule| {
        prepared
            .dropped
            .iter()
            .filter(|row| row.rule == rule)
            .filter_map(|row| row.id.as_deref())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(Rule::ExactDuplicate), ["r101"]);
    assert_eq!(of(Rule::NearDuplicate), ["r102"]);
    assert_eq!(of(Rule::OverWordLimit), ["r104"]);
    assert_eq!(of(Rule::RareTopic), ["r105"]);
    let report = &prepared.report;
    assert_eq!((report.rows, report.kept, report.dropped.values().sum::<usize>()), (36, 32, 4));
    assert_eq!(report.splits.train + report.splits.val + report.splits.test, report.kept);
}

#[test]
fn answers_that_differ_in_a_word_of_weight_are_not_duplicates() {
    let case = "A 45-year-old man with chest pain and dyspnea has ST elevation in leads II, III and aVF. Is it an infarction?";
    let rows =
        vec![row(1, "a", "t", case, "Yes"), row(2, "b", "t", case, "No"), row(3, "c", "t", "Else?", "No")];
    let cleaned = dataset::clean(rows, &Cleaning::default());
    assert_eq!((cleaned.rows.len(), cleaned.dropped.len()), (3, 0));
}

#[test]
fn ids_that_repeat_get_a_number() {
    let mut all = rows(30);
    all[5].id = "r4".into();
    let prepared = prepared(all, SplitOptions::default());
    let ids: BTreeSet<_> = sides(&prepared).into_keys().collect();
    assert_eq!((ids.len(), prepared.report.renamed_ids), (30, 1));
    assert!(ids.contains("r4#2"));
}

fn medquad() -> Option<Vec<Row>> {
    let path = reference::oracle("medical/medquad/medquad.csv.gz")?;
    let rows = read(&Input::new(path))
        .expect("MedQuAD")
        .map(|row| row.expect("a readable file").expect("a whole row"));
    Some(rows.collect())
}

#[test]
fn the_cleaning_rules_of_the_seed_project_leave_as_many_rows_of_medquad() {
    let Some(rows) = medquad() else { return };
    let cleaning = Cleaning {
        exact_duplicates: false,
        near_duplicates: None,
        max_answer_words: Some(1500),
        default_topic: Some("Others".into()),
        min_topic_rows: Some(2),
        ..Cleaning::default()
    };
    assert_eq!(dataset::clean(rows, &cleaning).rows.len(), 13_946);
}

#[test]
fn a_plain_row_split_of_medquad_leaks_and_ours_does_not() {
    let Some(rows) = medquad() else { return };
    let prints = Fingerprint::of_all(&rows);
    let (row_refs, print_refs): (Vec<_>, Vec<_>) = rows.iter().zip(&prints).unzip();
    for seed in 0..3 {
        let leak = row_split_leak(&row_refs, &print_refs, 0.2, seed);
        assert!((0.175..0.195).contains(&leak.exact_questions_share), "{leak:?}");
        assert!((0.815..0.85).contains(&leak.shared_documents_share), "{leak:?}");
    }
    let mut joined = components(&row_refs, &print_refs, &[By::Document, By::Question]);
    let groups = joined.members();
    let largest = groups.iter().map(Vec::len).max().unwrap_or(0);
    assert!((4_600..4_783).contains(&groups.len()), "{}", groups.len());
    assert!(largest <= rows.len() / 250, "{largest}");

    let prepared = prepared(rows, SplitOptions { test: 0.1, val: 0.1, ..SplitOptions::default() });
    let report = &prepared.report;
    assert_eq!(report.leak, dataset::Leak::default());
    assert_eq!((report.rows, report.kept + prepared.dropped.len()), (16_407, 16_407));
    assert_eq!(report.splits.test, (report.kept as f64 * 0.1).round() as usize);
    assert_eq!(prepared.certificate.nearest_pairs.len(), 20);
    assert!(prepared.certificate.nearest_pairs.iter().all(|pair| pair.similarity < 0.8));
}

fn given(row: Row, split: &str) -> Row {
    Row { split: Some(split.into()), ..row }
}

fn dropped(prepared: &Prepared) -> Vec<(Option<&str>, Rule, &str)> {
    prepared.dropped.iter().map(|row| (row.id.as_deref(), row.rule, row.detail.as_str())).collect()
}

#[test]
fn sides_that_the_rows_bring_are_kept_and_others_are_drawn() {
    let names = ["train", "validation", "Test", "dev"];
    let mut all = rows(300);
    for (document, rows) in all.chunks_mut(3).enumerate() {
        if let Some(name) = names.get(document % 8) {
            rows.iter_mut().for_each(|row| row.split = Some((*name).into()));
        }
    }
    let prepared = prepared(all, SplitOptions::default());
    let sides = sides(&prepared);
    for at in 0..300 {
        let expected = ["train", "val", "test", "val"].get(at / 3 % 8);
        assert!(expected.is_none_or(|side| sides[&format!("r{at}")] == *side), "row {at}");
    }
    assert_eq!((prepared.certificate.given, prepared.dropped.len()), (52 * 3, 0));
    let drawn = |side| (0..300).filter(|at| at / 3 % 8 > 3 && sides[&format!("r{at}")] == side).count();
    let tenth = 12..=15;
    assert!(tenth.contains(&drawn("test")) && tenth.contains(&drawn("val")), "of 144 rows without a side");
}

#[test]
fn of_two_sides_with_something_in_common_the_one_held_out_keeps_its_rows() {
    let rows = vec![
        given(row(1, "a", "t", "What is gout about in short?", "One."), "train"),
        given(row(2, "b", "t", "How is scurvy treated in adults?", "Two."), "train"),
        given(row(3, "a", "t", "Which joint does it hit at first?", "Three."), "test"),
        given(row(4, "c", "t", "How is scurvy treated, in adults?", "Four."), "val"),
        given(row(5, "d", "t", "Why do bones break with age?", "Five."), "train"),
        given(row(6, "e", "t", "Does smoking harm the heart?", "Six."), "elsewhere"),
    ];
    let prepared = prepared(rows, SplitOptions::default());
    assert_eq!(
        sides(&prepared),
        BTreeMap::from([("r3".into(), "test"), ("r4".into(), "val"), ("r5".into(), "train")])
    );
    let expected = [
        (Some("r1"), Rule::SplitConflict, "given as train, but its document `a` has rows in test"),
        (Some("r2"), Rule::SplitConflict, "given as train, but its question is that of `r4` in val"),
        (Some("r6"), Rule::UnknownSplit, "`split` is `elsewhere`, which is not train, validation or test"),
    ];
    assert_eq!(dropped(&prepared), expected);
    assert_eq!(prepared.certificate.leak, dataset::Leak::default());
    assert_eq!(prepared.report.rows, prepared.report.kept + prepared.dropped.len());
}

#[test]
fn a_row_without_a_side_goes_with_those_it_belongs_to_or_nowhere() {
    let rows = vec![
        given(row(1, "a", "t", "What is gout about in short?", "One."), "train"),
        row(2, "a", "t", "Who gets it most often of all?", "Two."),
        given(row(3, "b", "t", "Why do bones break with age?", "Three."), "test"),
        row(4, "b", "t", "What is gout about, in short?", "Four."),
    ];
    let prepared = prepared(rows, SplitOptions::default());
    assert_eq!(sides(&prepared).get("r2"), None, "it belongs to `a`, which row 4 joins to `b`");
    let detail = "without a side, and belongs to rows of train and test";
    let expected = [(Some("r2"), Rule::SplitConflict, detail), (Some("r4"), Rule::SplitConflict, detail)];
    assert_eq!(dropped(&prepared), expected);
}

#[test]
fn given_sides_are_drawn_anew_on_request_and_need_a_side_to_train_on() {
    let all = |split: &str| rows(60).into_iter().map(|row| given(row, split)).collect::<Vec<_>>();
    let anew = prepared(all("test"), SplitOptions { given: false, ..SplitOptions::default() });
    let counts = anew.report.splits;
    assert_eq!((counts.train, counts.val, counts.test, anew.certificate.given), (48, 6, 6, 0));
    let failure = prepare_rows(all("test"), Vec::new(), &PrepareOptions::default()).unwrap_err();
    assert!(failure.to_string().contains("no row is left on the side `train`"), "{failure}");
    assert_eq!(prepared(all("train"), SplitOptions::default()).report.splits.train, 60);
}
