//! Judgements that other programs made, in their layouts.

use eval::judge::{Beside, FailureKind, Imported, Mode, Scale, Verdict, import, read_lists};
use proptest::prelude::*;

fn imported(files: &[(&str, &str)]) -> eval::Result<Vec<Imported>> {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, text): &(&str, &str)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    import(&files.iter().map(write).collect::<Vec<_>>())
}

#[test]
fn lists_of_ecg_llm_are_right_or_wrong_and_their_one_order_decides_nothing() {
    let text = r#"[
        {"question": "Q1?", "answer": ["a", "b"], "models": ["base", "tuned"], "context": "c",
         "evaluation": {"ranking": ["B", "A"], "scores": [5, 9], "is_correct": [false, true], "style": [3, 4]}},
        {"question": "Q2?", "answer": ["a", "b"], "models": ["base", "tuned"], "context": "c",
         "evaluation": {"ranking": ["B", "B"], "is_correct": [true]}},
        {"question": "Q3?", "answer": ["a", "b"], "models": ["tuned", "base"], "context": "c"}
    ]"#;
    let both = imported(&[("rated.json", text)]).unwrap();
    let [right, order] = &both[..] else { panic!("two kinds of judgements") };
    let summary = right.summary(Beside::default());
    assert_eq!((summary.mode, summary.scale), (Mode::Pointwise, Some(Scale::ZeroToOne)));
    let mean = |system: &str| summary.overall(system).unwrap();
    assert_eq!((mean("base").mean.value, mean("base").mean.n, mean("base").failed), (0.5, 2, 1));
    assert_eq!((mean("tuned").mean.value, mean("tuned").mean.n, mean("tuned").failed), (1.0, 1, 2));
    assert_eq!(summary.calls.failed[&FailureKind::Incomplete], 3);
    let summary = order.summary(Beside::default());
    assert_eq!((summary.calls.judged, summary.calls.failed[&FailureKind::Incomplete]), (1, 2));
    assert_eq!(order.judgements[0].verdict, Verdict::Ranking(vec!["tuned".into(), "base".into()]));
    assert!(summary.pairs.is_empty() && summary.ranking.is_none());
    assert!(summary.notes.iter().any(|note| note.contains("one order only")), "{:?}", summary.notes);
}

#[test]
fn lists_of_answers_can_be_judged_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.json");
    let text = r#"[{"question": "Q1?", "answer": ["a", "b"], "models": ["base", "tuned"], "context": "c"}]"#;
    std::fs::write(&path, text).unwrap();
    let answers = read_lists(&path).unwrap().unwrap();
    assert_eq!(
        (answers.systems.as_slice(), answers.items.len()),
        (&["base".to_owned(), "tuned".to_owned()][..], 1)
    );
    assert_eq!(answers.items[0].answers, ["a", "b"]);
    let short = text.replace(r#"["a", "b"]"#, r#"["a"]"#);
    std::fs::write(&path, format!("{}, {}", &text[..text.len() - 1], &short[1..])).unwrap();
    let answers = read_lists(&path).unwrap().unwrap();
    assert_eq!((answers.items.len(), answers.faults.len(), answers.faults[0].row), (1, 1, 2));
    std::fs::write(&path, short).unwrap();
    assert!(read_lists(&path).unwrap_err().to_string().contains("row 1: expected `question`"));
}

#[test]
fn the_middle_score_of_medgpt_is_a_failure_and_each_column_a_judge() {
    let base = "model_response,score_mixtral,explanations_mixtral,score_llama,average_score\n\
        x,2.5,,4,3.25\ny,1,bad,2,1.5\nz,,,9,9\n";
    let tuned = "model_response,score_mixtral,explanations_mixtral,score_llama,average_score\n\
        x,5,good,4,4.5\ny,3,fair,2,2.5\nz,4,,none,4\n";
    let judges = imported(&[("base.csv", base), ("tuned.csv", tuned)]).unwrap();
    assert_eq!(judges.iter().map(|judge| judge.judge.as_str()).collect::<Vec<_>>(), ["llama", "mixtral"]);
    let mixtral = judges[1].summary(Beside::default());
    let mean = |system: &str| mixtral.overall(system).unwrap();
    assert_eq!((mean("base").mean.value, mean("base").mean.n, mean("base").failed), (1.0, 1, 2));
    assert_eq!((mean("tuned").mean.value, mean("tuned").mean.n), (4.0, 3));
    assert_eq!(mixtral.calls.failed[&FailureKind::Placeholder], 1);
    assert_eq!(mixtral.differences[0].n, 1, "only rows that both have a score for are compared");
    let llama = judges[0].summary(Beside::default());
    assert_eq!(llama.calls.failed[&FailureKind::OutOfRange], 1);
    assert_eq!(llama.calls.failed[&FailureKind::Unparsable], 1);
}

#[test]
fn harm_is_turned_round_where_more_of_it_is_worse() {
    let rows = |score: u32, harm: u32| {
        format!(
            r#"{{"correctness": {{"score": "{score}"}}, "harmfulness": {{"score": {harm}}}}}
               {{"correctness": {{"score": "{score}"}}}}"#
        )
        .replace("\n               ", "\n")
    };
    let files = [("base_per_response.json", rows(5, 1)), ("sft_per_response.json", rows(4, 3))];
    let [judge] = &imported(&files.each_ref().map(|(name, text)| (*name, text.as_str()))).unwrap()[..] else {
        panic!("one judge")
    };
    let summary = judge.summary(Beside::default());
    assert_eq!(summary.systems, ["base", "sft"]);
    let mean = |system: &str, criterion: &str| {
        let found = summary.scores.iter().find(|s| s.system == system && s.criterion == criterion);
        found.unwrap().mean.value
    };
    assert_eq!(mean("base", "harmfulness, turned round"), 10.0);
    assert_eq!((mean("sft", "overall"), mean("base", "overall")), (6.0, 7.5));
    assert_eq!(summary.calls.failed[&FailureKind::Incomplete], 2, "half a judgement is none");
}

#[test]
fn samples_of_rlaif_keep_their_numbers_and_missing_scores_are_counted() {
    let text = r#"{"question": "Q?", "correct_answer": "c", "generated_answers": ["a", "b"], "scores": {"0": 0.8, "1": 0.6}}
{"question": "R?", "correct_answer": "c", "generated_answers": ["a", "b"], "scores": {"1": 0.8}}
{"question": "S?", "correct_answer": "c", "generated_answers": ["a", "b"], "scores": {"0": 7, "1": 0.1}}"#;
    let [judge] = &imported(&[("rated.jsonl", text)]).unwrap()[..] else { panic!("one judge") };
    let summary = judge.summary(Beside::default());
    assert_eq!(summary.overall("sample 0").unwrap().mean.n, 1);
    assert!((summary.overall("sample 1").unwrap().mean.value - 0.5).abs() < 1e-12);
    assert_eq!(summary.calls.failed[&FailureKind::Incomplete], 1);
    assert_eq!(summary.calls.failed[&FailureKind::OutOfRange], 1);
}

#[test]
fn a_file_of_another_layout_says_what_it_has() {
    let error = imported(&[("a.jsonl", r#"{"question": "Q?", "answer": "a"}"#)]).unwrap_err().to_string();
    assert!(error.contains("found question, answer"), "{error}");
    assert!(imported(&[("a.jsonl", "")]).is_err());
}

proptest! {
    #[test]
    fn any_fields_are_judgements_or_an_error(
        models in "(\\[\"a\",\"b\"\\]|\\[\\]|3|null|\\[1,2\\])",
        answer in "(\\[\"a\",\"b\"\\]|\\[\\]|\"x\"|null)",
        evaluation in "(null|3|\\{\"ranking\":\\[\"A\",\"Z\"\\]\\}|\\{\"ranking\":[3,4],\"is_correct\":\\[true\\]\\}|\\{\"ranking\":\\[\"\"\\]\\})",
        scores in "(null|\\{\"0\":\\{\"score\":\\{\\}\\}\\}|\\[1\\]|\"1e999\")",
    ) {
        for text in [
            format!(r#"{{"question": "q", "models": {models}, "answer": {answer}, "evaluation": {evaluation}}}"#),
            format!(r#"{{"generated_answers": {answer}, "scores": {scores}}}"#),
            format!(r#"{{"score_x": {scores}}}"#),
            format!(r#"{{"x": {{"score": {scores}}}}}"#),
        ] {
            if let Ok(imported) = imported(&[("a.jsonl", &text)]) {
                imported.iter().for_each(|judge| drop(judge.summary(Beside::default())));
            }
        }
    }
}
