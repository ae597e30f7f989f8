//! Grades of people: dirty files, tables, agreement.

mod reference;

use eval::comparison::Verdict;
use eval::judge::human::{Grades, SeveralMarks, read_grades, tabulate};
use eval::statistics::{Resampling, holm};
use proptest::prelude::*;
use reference::oracle;

const FEW: Resampling = Resampling { seed: 3, resamples: 500 };

fn read(name: &str, text: &str, several: SeveralMarks) -> eval::Result<Grades> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    read_grades(&[path], several)
}

#[test]
fn a_dirty_table_of_marks_is_read_with_every_fault_counted() {
    let text = "Question,Answer,Model,Incorrect, Partially incorrect, Corret incomplete, Correct\n\
        Q1,a,one,x,,,\n\
        Q1,a,one,x ,,, \n\
        Q1,b,two,,,, x\n\
        Q2,c,one,x,,,x\n\
        Q2,d,two,,,,\n\
        Q3,e,one,,x,,\n\
        Q3,f,one,,,x,\n";
    let grades = read("grades.csv", text, SeveralMarks::Exclude).unwrap();
    assert_eq!(grades.names, ["Incorrect", "Partially incorrect", "Corret incomplete", "Correct"]);
    assert_eq!((grades.rows, grades.duplicates, grades.unmarked.len()), (7, 1, 1));
    let conflicts: Vec<&str> = grades.conflicts.iter().map(|left| left.reason.as_str()).collect();
    assert_eq!(conflicts, ["marked Incorrect and Correct", "expert graded it [1.0, 2.0]"]);
    let kept: Vec<(&str, &str, f64)> =
        grades.grades.iter().map(|g| (g.item.as_str(), g.system.as_str(), g.grade)).collect();
    assert_eq!(kept, [("Q1", "one", 0.0), ("Q1", "two", 3.0)], "what contradicts itself enters no mean");
    let best = read("grades.csv", text, SeveralMarks::Best).unwrap();
    assert_eq!((best.grades.len(), best.conflicts.len()), (3, 2), "the best mark counts and is still named");
}

#[test]
fn tidy_grades_come_as_csv_and_as_json_lines() {
    let csv = "item,system,grader,grade\nq1,a,Ann,3\nq1,a,Ann,3\nq1,a,Bob,2\nq1,b,Ann,1\nq1,b,Bob,\nq2,a,Ann,1\nq2,a,Ann,2\n";
    let grades = read("grades.csv", csv, SeveralMarks::Exclude).unwrap();
    assert_eq!(
        (grades.grades.len(), grades.duplicates, grades.unmarked.len(), grades.conflicts.len()),
        (3, 1, 1, 1)
    );
    let lines = "{\"item\": \"q1\", \"system\": \"a\", \"grade\": 3}\n\n{\"item\": \"q1\", \"system\": \"b\", \"grade\": \"1\"}\n";
    let grades = read("grades.jsonl", lines, SeveralMarks::Exclude).unwrap();
    assert_eq!((grades.grades.len(), grades.grades[0].grader.as_str()), (2, "expert"));
    for (name, text, reason) in [
        ("a.csv", "item,system,grade\nq1,a,good\n", "row 1: the grade `good` is no number"),
        ("a.csv", "item,system,grade\n,a,1\n", "row 1: no `item`"),
        ("a.csv", "question,mark\nq,1\n", "found question, mark"),
        ("a.jsonl", "{\"item\": 1}\n[2]\n", "row 2: expected an object"),
        ("a.jsonl", "{\"item\"", "none of its 1 row can be read; the first: cut off"),
        ("a.csv", "item,system,grade\n", "it has no rows"),
    ] {
        let error = read(name, text, SeveralMarks::Exclude).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn graders_who_agree_say_so_with_an_interval() {
    let mut text = "item,system,grader,grade\n".to_owned();
    for item in 0..25 {
        for (grader, shift) in [("Ann", 0), ("Bob", usize::from(item % 5 == 0))] {
            text += &format!("q{item},a,{grader},{}\n", (item + shift) % 3);
        }
    }
    let grades = read("grades.csv", &text, SeveralMarks::Exclude).unwrap();
    let table = tabulate(&grades, &[], &FEW).unwrap();
    assert_eq!(table.graders, ["Ann", "Bob"]);
    // statsmodels 0.14 `fleiss_kappa`; krippendorff 0.8 `alpha(level_of_measurement="ordinal")`.
    let (fleiss, alpha) = (table.fleiss.unwrap(), table.alpha.unwrap());
    assert!((fleiss.value - FLEISS).abs() < 1e-9, "{fleiss:?}");
    assert!((alpha.value - ALPHA).abs() < 1e-9, "{alpha:?}");
    let interval = fleiss.interval.unwrap();
    assert!(
        interval.low > 0.3 && interval.low < fleiss.value && interval.high > fleiss.value,
        "{interval:?}"
    );
}

const FLEISS: f64 = 0.699_157_641_395_908_6;
const ALPHA: f64 = 0.669_833_333_333_333_3;

#[test]
fn planned_comparisons_are_fewer_and_find_more() {
    let mut text = "item,system,grade\n".to_owned();
    for item in 0..20 {
        for (system, good) in
            [("base", item < 4), ("tuned", item < 13), ("c", item < 9), ("d", item < 10), ("e", item < 11)]
        {
            text += &format!("q{item},{system},{}\n", u8::from(good));
        }
    }
    let grades = read("grades.csv", &text, SeveralMarks::Exclude).unwrap();
    let (all, planned) =
        (tabulate(&grades, &[], &FEW).unwrap(), tabulate(&grades, &["base".to_owned()], &FEW).unwrap());
    assert_eq!((all.pairs.len(), planned.pairs.len()), (10, 4));
    let of = |table: &eval::judge::human::HumanTable| {
        table.pairs.iter().find(|pair| pair.first == "tuned" && pair.second == "base").unwrap().clone()
    };
    assert_eq!((of(&planned).only_first, of(&planned).only_second), (9, 0));
    assert!((of(&planned).p - 2.0 / 512.0).abs() < 1e-12);
    assert!((of(&planned).p_holm - 4.0 * of(&planned).p).abs() < 1e-12);
    assert!((of(&all).p_holm - 10.0 * of(&all).p).abs() < 1e-12);
    assert_eq!(of(&planned).verdict, Verdict::Better);
    let error = tabulate(&grades, &["bose".to_owned()], &FEW).unwrap_err().to_string();
    assert!(error.contains("no grades of `bose`; there are base"), "{error}");
}

#[test]
fn the_ecg_expert_puts_every_tuned_model_below_its_base_and_retrieval_above_both() {
    let Some(path) = oracle("medical/ecg_llm/40_questions.csv") else { return };
    let grades = read_grades(&[&path], SeveralMarks::Best).unwrap();
    assert_eq!((grades.rows, grades.duplicates, grades.conflicts.len()), (509, 39, 2));
    let table = tabulate(&grades, &[], &FEW).unwrap();
    let row = |system: &str| table.systems.iter().find(|row| row.system == system).unwrap();
    let expected = [
        ("Claude 3.7 Sonnet", 34, 39),
        ("LLama 3.1 70B + RAG", 34, 40),
        ("LLama 3.1 70B", 29, 39),
        ("LLama 3.1 8B + RAG", 28, 40),
        ("LLama 3.1 8B", 21, 39),
        ("Finetuned 70B: r=256, alpha=128", 21, 39),
        ("Finetuned 70B: r=256, alpha=256", 9, 39),
        ("Finetuned 70B: r=256, alpha=512", 16, 39),
        ("Finetuned 8B: r=256, alpha=128", 17, 39),
        ("Finetuned 8B: r=256, alpha=256", 11, 39),
        ("Finetuned 8B: r=256, alpha=512", 12, 39),
        ("Finetuned 8B: r=64, alpha=16", 15, 39),
    ];
    assert_eq!(table.systems.len(), expected.len());
    for (system, best, n) in expected {
        assert_eq!((row(system).best, row(system).n), (best, n), "{system}");
    }
    let interval = row("Claude 3.7 Sonnet").best_interval;
    assert!((interval.low - 0.7329).abs() < 5e-4 && (interval.high - 0.9440).abs() < 5e-4, "{interval:?}");

    // The seven comparisons that the study was made for: each tuned model with its base.
    let planned: Vec<_> = table
        .pairs
        .iter()
        .filter(|pair| {
            ["8B", "70B"].iter().any(|size| {
                let (base, tuned) = (format!("LLama 3.1 {size}"), format!("Finetuned {size}"));
                (pair.first == base && pair.second.starts_with(&tuned))
                    || (pair.second == base && pair.first.starts_with(&tuned))
            })
        })
        .collect();
    assert_eq!(planned.len(), 7);
    for pair in &planned {
        let below = if pair.first.starts_with("Finetuned") { -pair.difference } else { pair.difference };
        assert!(below > 0.0, "{pair:?}");
    }
    let adjusted = holm(&planned.iter().map(|pair| pair.p).collect::<Vec<_>>());
    let told_apart: Vec<&str> = planned
        .iter()
        .zip(&adjusted)
        .filter(|(_, p)| **p < 0.05)
        .map(|(pair, _)| pair.second.as_str())
        .collect();
    assert_eq!(told_apart, ["Finetuned 70B: r=256, alpha=512", "Finetuned 70B: r=256, alpha=256"]);
    for (base, retrieval) in
        [("LLama 3.1 8B", "LLama 3.1 8B + RAG"), ("LLama 3.1 70B", "LLama 3.1 70B + RAG")]
    {
        let pair = table.pairs.iter().find(|pair| pair.first == retrieval && pair.second == base).unwrap();
        assert!(pair.difference > 0.0, "retrieval is above its base");
        assert_eq!(pair.verdict, Verdict::NotDistinguishable, "and 39 questions cannot tell: {pair:?}");
    }
    let strict = read_grades(&[path], SeveralMarks::Exclude).unwrap();
    assert_eq!(strict.grades.len(), 509 - 39 - 2, "two marks in a row are no grade");
}

#[test]
fn the_ten_questions_of_the_ecg_study() {
    let Some(path) = oracle("medical/ecg_llm/10_questions.csv") else { return };
    let grades = read_grades(&[path], SeveralMarks::Exclude).unwrap();
    assert_eq!(
        (grades.rows, grades.duplicates, grades.unmarked.len(), grades.conflicts.len()),
        (80, 0, 1, 0)
    );
    let table = tabulate(&grades, &[], &FEW).unwrap();
    let best: Vec<(usize, usize)> = table.systems.iter().map(|row| (row.best, row.n)).collect();
    assert_eq!(best, [(10, 10), (9, 10), (7, 10), (6, 9), (6, 10), (5, 10), (3, 10), (2, 10)]);
    assert!(
        table.pairs.iter().all(|pair| pair.verdict == Verdict::NotDistinguishable),
        "ten questions tell little"
    );
}

proptest! {
    #[test]
    fn any_text_is_grades_or_an_error(text in "\\PC{0,60}(\n\\PC{0,60}){0,4}", name in "(a[.]csv|a[.]json|a[.]jsonl)") {
        let _ = read(&name, &text, SeveralMarks::Best);
        let _ = read(&name, &format!("item,system,grader,grade\n{text}"), SeveralMarks::Exclude);
        let _ = read(&name, &format!("Question,Answer,Model,Bad,Good\n{text}"), SeveralMarks::Best);
    }
}
