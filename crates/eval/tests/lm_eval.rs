//! Against lm-evaluation-harness 0.4.13 on the shipped model: `tools/make_lm_eval_vectors.py` made the vectors, from the
//! rows in `data/tasks`. And how tasks are read from files.

mod reference;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::Cpu;
use eval::choice::{Answered, ChoiceReport, Mode, Settings, TooLong, ask};
use eval::comparison::ChoiceResult;
use eval::task::{Task, expand};
use eval::{Error, Subject};
use model::{ChatTemplate, Decoder, Tokenizer, Trainable};
use serde::Deserialize;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
const TASKS: [&str; 4] = ["medqa_4options", "medmcqa", "pubmedqa", "mmlu_anatomy"];

struct Model {
    decoder: Decoder<Cpu>,
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

impl Model {
    fn shipped() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/base");
        Model {
            decoder: Decoder::load(Arc::new(Cpu::new(2)), &folder, &Trainable::Nothing).unwrap(),
            tokenizer: Tokenizer::from_dir(&folder).unwrap(),
            template: ChatTemplate::from_dir(&folder).unwrap(),
        }
    }

    fn ask(&self, task: &Task, settings: &Settings) -> Answered {
        let Model { decoder, tokenizer, template } = self;
        let subject = Subject { decoder, tokenizer, template, adapter: true };
        ask(&subject, task, settings, &mut |_, _, _| {}).unwrap()
    }
}

fn rows() -> PathBuf {
    Path::new(DATA).join("tasks")
}

fn open(name: &str) -> Task {
    Task::open(name, Some(&rows()), true).unwrap()
}

fn own() -> Task {
    Task::open(rows().join("own.jsonl").to_str().unwrap(), None, false).unwrap()
}

#[derive(Deserialize)]
struct Vector {
    task: String,
    id: String,
    few_shot: usize,
    chat_template: bool,
    log_likelihoods: Vec<f64>,
    acc: f64,
    acc_norm: Option<f64>,
}

#[test]
fn every_log_likelihood_is_that_of_lm_evaluation_harness() {
    let text = std::fs::read_to_string(Path::new(DATA).join("lm_eval.json")).unwrap();
    let vectors: Vec<Vector> = serde_json::from_str(&text).unwrap();
    let model = Model::shipped();
    let mut compared = 0;
    for (few_shot, chat_template) in [(0, false), (2, false), (0, true), (2, true)] {
        let settings = Settings { few_shot, chat_template, ..Settings::default() };
        let mut tasks = TASKS.map(open).to_vec();
        if few_shot == 0 {
            tasks.push(own());
        }
        for task in tasks {
            let answered = model.ask(&task, &settings);
            assert_eq!(answered.left_out, [], "{}", task.name);
            for outcome in answered.outcomes {
                let choice = outcome.choice.as_ref().unwrap();
                let is_it = |vector: &&Vector| {
                    format!("{}/{}", vector.task, vector.id) == outcome.id
                        && (vector.few_shot, vector.chat_template) == (few_shot, chat_template)
                };
                let vector = vectors.iter().find(is_it).expect(&outcome.id);
                assert_eq!(choice.rated.len(), vector.log_likelihoods.len());
                for (ours, theirs) in choice.rated.iter().zip(&vector.log_likelihoods) {
                    let difference = (ours.log_likelihood - theirs).abs();
                    assert!(
                        difference < 1e-4,
                        "{} {few_shot} {chat_template}: {ours:?}, {theirs}",
                        outcome.id
                    );
                }
                assert_eq!(choice.result() == ChoiceResult::Right, vector.acc == 1.0, "{}", outcome.id);
                let report = ChoiceReport::of(&[&outcome]);
                if let Some(acc_norm) = vector.acc_norm {
                    assert_eq!(report.acc_norm.unwrap().value, acc_norm, "{}", outcome.id);
                }
                compared += 1;
            }
        }
    }
    assert_eq!(compared, vectors.len());
}

/// The values are those of transformers 5.23 in f32 on what lm-evaluation-harness 0.4.13 reads of a text that is too long:
/// `(context + continuation)[-(max_length + 1):][:-1]`.
#[test]
fn a_question_that_is_too_long_is_cut_as_lm_evaluation_harness_cuts_it() {
    let model = Model::shipped();
    let mut task = own();
    task.questions.truncate(1);
    let history = "The patient has had a fever and a dry cough for three days. ".repeat(120);
    task.questions[0].question.insert_str(0, &history);
    for (mode, expected, lost) in [
        (Mode::LogLikelihood, [-44.454_356, -11.331_831, -17.703_307], 683),
        (Mode::Letter, [-1.580_075, -4.113_155, -5.119_606], 700),
    ] {
        let settings = Settings { mode, too_long: TooLong::Cut, ..Settings::default() };
        let answered = model.ask(&task, &settings);
        let choice = answered.outcomes[0].choice.as_ref().unwrap();
        assert_eq!(choice.cut, lost);
        for (ours, theirs) in choice.rated.iter().zip(expected) {
            assert!((ours.log_likelihood - theirs).abs() < 1e-4, "{mode:?}: {ours:?}, {theirs}");
        }
        let report = ChoiceReport::of(&[&answered.outcomes[0]]);
        assert_eq!((report.cut, report.acc.unwrap().n), (1, 1), "it counts, and is counted");
    }
    // A file of one's own is not cut unless that is asked for.
    let answered = model.ask(&task, &Settings::default());
    assert!(answered.outcomes.is_empty() && answered.left_out[0].reason.contains("the model reads 1024"));
    let medqa = Task { questions: vec![task.questions[0].clone()], ..open("medqa_4options") };
    assert_eq!(model.ask(&medqa, &Settings::default()).outcomes[0].choice.as_ref().unwrap().cut, 700);
    let written = Settings { mode: Mode::Generation, max_new_tokens: 4, ..Settings::default() };
    assert!(model.ask(&medqa, &written).outcomes[0].choice.as_ref().unwrap().cut >= 703);
}

#[test]
fn a_question_has_the_same_ratings_alone_and_among_others() {
    let model = Model::shipped();
    for few_shot in [0, 2] {
        let settings = Settings { few_shot, ..Settings::default() };
        for task in TASKS.map(open) {
            let together = model.ask(&task, &settings).outcomes;
            for (question, outcome) in task.questions.iter().zip(together) {
                let alone = Task { questions: vec![question.clone()], ..task.clone() };
                assert_eq!(model.ask(&alone, &settings).outcomes, [outcome], "{few_shot} examples");
            }
        }
    }
}

#[test]
fn letters_are_rated_with_the_options_in_the_order_shown() {
    let model = Model::shipped();
    let letters = Settings { mode: Mode::Letter, ..Settings::default() };
    let plain = model.ask(&own(), &letters);
    for outcome in &plain.outcomes {
        let choice = outcome.choice.as_ref().unwrap();
        assert!(outcome.question.as_ref().unwrap().contains("\nA. "), "the options are listed");
        assert!(choice.rated.iter().all(|rated| rated.bytes == 1) && choice.picked.is_some());
    }
    let shuffled = model.ask(&own(), &Settings { shuffle: Some(7), ..letters });
    let again = model.ask(&own(), &Settings { shuffle: Some(7), ..letters });
    assert_eq!(shuffled, again, "an order depends on seed and question alone");
    let mut moved = 0;
    for (plain, shuffled) in plain.outcomes.iter().zip(&shuffled.outcomes) {
        let (plain, shuffled) = (plain.choice.as_ref().unwrap(), shuffled.choice.as_ref().unwrap());
        assert_eq!(plain.gold, shuffled.gold, "an option keeps its name wherever it stands");
        let mut sorted = shuffled.shown.clone();
        sorted.sort();
        assert_eq!(sorted, plain.shown);
        moved += usize::from(shuffled.shown != plain.shown);
    }
    assert!(moved > 0);
}

#[test]
fn a_written_answer_is_kept_and_read() {
    let model = Model::shipped();
    for chat_template in [false, true] {
        let settings =
            Settings { mode: Mode::Generation, chat_template, max_new_tokens: 12, ..Settings::default() };
        for task in [open("pubmedqa"), own()] {
            let answered = model.ask(&task, &settings);
            assert_eq!(answered.outcomes.len(), task.questions.len());
            for outcome in &answered.outcomes {
                let choice = outcome.choice.as_ref().unwrap();
                assert!(outcome.answer.is_some() && choice.rated.is_empty());
                let named = choice.picked.as_ref();
                assert!(
                    named.is_none_or(
                        |named| ["yes", "no", "maybe", "A", "B", "C", "D", "E"].contains(&&**named)
                    )
                );
            }
        }
    }
}

#[test]
fn examples_are_drawn_for_each_question_from_their_seed() {
    let model = Model::shipped();
    let drawn = |seed| {
        let settings = Settings { few_shot: 1, few_shot_seed: seed, ..Settings::default() };
        model.ask(&open("medqa_4options"), &settings).outcomes
    };
    assert_eq!(drawn(Some(1)), drawn(Some(1)));
    assert!((2..6).any(|seed| drawn(Some(seed)) != drawn(None)), "some seed draws another example");
}

#[test]
fn what_cannot_be_asked_is_named_and_not_averaged_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mixed.jsonl");
    let long = "again and again ".repeat(2000);
    let rows = [
        r#"{"id":"good","question":"Which?","options":{"A":"This","B":"That"},"answer_idx":"B"}"#.to_owned(),
        r#"{"id":"good","question":"Which one?","options":{"A":"This","B":"That"},"answer_idx":"B"}"#
            .to_owned(),
        r#"{"id":"elsewhere","question":"Which?","options":{"A":"This","B":"That"},"answer_idx":"C"}"#
            .to_owned(),
        r#"{"id":"single","question":"Which?","options":{"A":"This"},"answer_idx":"A"}"#.to_owned(),
        r#"{"id":"blank","question":"Which?","options":{"A":"This","B":" "},"answer_idx":"A"}"#.to_owned(),
        r#"{"id":"none","question":"Which?","answer_idx":"A"}"#.to_owned(),
        format!(
            r#"{{"id":"long","question":"{long}","options":{{"A":"This","B":"That"}},"answer_idx":"A"}}"#
        ),
        "not json".to_owned(),
    ];
    std::fs::write(&file, rows.join("\n")).unwrap();
    let task = Task::open(file.to_str().unwrap(), None, false).unwrap();
    let answered = Model::shipped().ask(&task, &Settings::default());
    let asked: Vec<&str> = answered.outcomes.iter().map(|outcome| outcome.id.as_str()).collect();
    assert_eq!(asked, ["mixed/good"]);
    assert_eq!(answered.left_out.len(), rows.len() - 1);
    let reason = |item: &str| {
        let left_out = answered.left_out.iter().find(|left_out| left_out.item.contains(item));
        left_out.map(|left_out| left_out.reason.clone()).unwrap_or_default()
    };
    assert!(reason("mixed/good").contains("twice"));
    assert!(reason("mixed/blank").contains("option B has no text"));
    assert!(reason("mixed/long").contains("tokens, the model reads 1024"));
    assert!(reason("row 3").contains("no option"), "{:?}", answered.left_out);
}

#[test]
fn the_data_sets_are_read_as_their_authors_publish_them() {
    let Some(raw) = reference::oracle("medical/mirage_raw") else { return };
    let opened = |name: &str| Task::open(name, Some(&raw), false).unwrap();
    let asked = |name: &str| opened(name).questions.len();
    assert_eq!(asked("medqa_4options"), 1273);
    assert_eq!(asked("pubmedqa"), 500);
    let medmcqa = opened("medmcqa");
    assert_eq!((medmcqa.questions.len(), medmcqa.left_out.len()), (4179, 4));
    assert!(medmcqa.left_out.iter().all(|left_out| left_out.reason.contains("text of the right one")));
    let mmlu: usize = expand("mmlu_medical").iter().map(|name| asked(name)).sum();
    assert_eq!(mmlu, 1089);
    let labelled = raw.parent().unwrap();
    let pubmedqa = Task::open("pubmedqa", Some(labelled), true).unwrap();
    assert_eq!((pubmedqa.questions.len(), pubmedqa.examples.len()), (500, 500));
    assert!(pubmedqa.questions.iter().all(|question| question.options[question.answer].letter.len() >= 2));
}

#[test]
fn a_task_without_files_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let error = Task::open("medmcqa", Some(folder.path()), false).unwrap_err().to_string();
    assert!(error.contains("medmcqa/data/validation") && error.contains(".parquet"), "{error}");
    let error = Task::open("mmlu_astronomy", Some(folder.path()), false).unwrap_err();
    assert!(matches!(error, Error::Task { .. }) && error.to_string().contains("mmlu_anatomy"), "{error}");
    let shots = Settings { few_shot: 9, ..Settings::default() };
    let model = Model::shipped();
    let Model { decoder, tokenizer, template } = &model;
    let subject = Subject { decoder, tokenizer, template, adapter: true };
    let error = ask(&subject, &open("medmcqa"), &shots, &mut |_, _, _| {}).unwrap_err().to_string();
    assert!(error.contains("2 few-shot examples are there, 9 wanted"), "{error}");
}
