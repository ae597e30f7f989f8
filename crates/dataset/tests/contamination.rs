//! Items of a test in training rows: found when they were planted, and not found where there are none.

#[path = "../../corpus/tests/reference/mod.rs"]
mod reference;

use chat::Message;
use dataset::{
    AnswerOption, Choice, Found, Input, Item, Origin, PrepareOptions, Row, Rule, contamination,
    prepare_against, read,
};
use reference::oracle;

fn origin(file: &str) -> Origin {
    Origin { file: file.into(), row: 1, line: None }
}

fn training(id: usize, question: &str, answer: &str) -> Row {
    Row {
        id: format!("train-{id}"),
        document: None,
        topic: None,
        source: None,
        split: None,
        item: Item::Conversation(vec![Message::user(question), Message::assistant(answer)]),
        origin: origin("train"),
    }
}

fn item(id: usize, question: &str) -> Row {
    let options = ["Aspirin", "Digoxin"].iter().zip(["A", "B"]);
    let options =
        options.map(|(text, letter)| AnswerOption { letter: letter.into(), text: (*text).into() }).collect();
    let question = question.to_owned();
    let choice = Choice { question, context: None, options, answer: 0, explanation: None };
    Row {
        id: format!("test-{id}"),
        item: Item::Choice(choice),
        origin: origin("exam"),
        ..training(id, "", "")
    }
}

const CASE: &str = "A 34-year-old woman comes to the office with sharp chest pain that is worse when she lies flat. \
    Auscultation reveals a scratching sound at the left sternal border. Which of the following drugs is given first?";

#[test]
fn an_item_is_found_as_it_is_nearly_as_it_is_and_inside_of_a_text() {
    let tests = [item(0, CASE), item(1, "Which vitamin is missing in scurvy?")];
    let found = |question: &str, answer: &str| {
        contamination(&[training(0, question, answer)], &tests)
            .remove(0)
            .map(|found| (found.test, found.found))
    };
    let first = |found| Some(("test-0".to_owned(), found));
    assert_eq!(found(&CASE.to_uppercase(), "Aspirin"), first(Found::Exact));
    let retold = CASE.replace("comes to the office", "presents").replace("scratching sound", "rub");
    assert_eq!(found(&retold, "Aspirin"), first(Found::Near));
    let told = format!("From an old exam: {CASE} The answer was aspirin.");
    assert_eq!(found("What is pericarditis?", &told), first(Found::Ngram));
    assert_eq!(
        found("Which vitamin is it that is missing in the scurvy?", "C"),
        Some(("test-1".to_owned(), Found::Near))
    );
    assert_eq!(found("Which vitamin is missing in rickets?", "D"), None);
    assert_eq!(found("What is pericarditis?", "It is an inflammation of the sac around the heart."), None);
}

#[test]
fn what_every_exam_says_is_not_an_item() {
    let phrase =
        "Which of the following is the most appropriate next step in the management of this patient?";
    let topics = ["gout", "asthma", "scurvy", "measles", "anemia", "tetanus"];
    let tests: Vec<Row> = topics
        .iter()
        .enumerate()
        .map(|(at, topic)| item(at, &format!("He has {topic} since {at} days. {phrase}")))
        .collect();
    let train =
        [training(0, &format!("A girl with a broken arm cries and holds the elbow. {phrase}"), "A cast.")];
    assert_eq!(contamination(&train, &tests), [None]);
}

/// Rows among which a word that occurs twice is rare.
fn many_rows() -> Vec<Row> {
    (0..4000).map(|n| training(n, &format!("What is illness{n} of land{n}?"), "It hurts.")).collect()
}

#[test]
fn rare_words_betray_an_item_whose_words_went_or_changed_places() {
    let tests = [
        item(0, "Is anorectal endosonography of the sphincter valuable in elderly women with dyschesia?"),
        item(1, "In Prinzmetal angina"),
    ];
    let found = |question: &str, answer: &str| {
        let mut train = many_rows();
        train.push(training(9999, question, answer));
        let found = contamination(&train, &tests);
        assert!(found[..4000].iter().all(Option::is_none));
        found[4000].clone().map(|found| (found.test, found.found))
    };
    let first = Some(("test-0".to_owned(), Found::RareWords));
    assert_eq!(found("Is anorectal endosonography valuable in elderly with dyschesia?", "Yes."), first);
    assert_eq!(
        found("In elderly women with dyschesia, is endosonography of the anorectal sphincter of use?", ""),
        first
    );
    let told =
        "They asked me: elderly women, dyschesia, anorectal endosonography, valuable or not? I said yes.";
    assert_eq!(found("What did they ask you?", told), first);
    // Two words are the name of a disease, and in a long text so are three.
    assert_eq!(found("What causes Prinzmetal's variant of angina?", "A spasm."), None);
    assert_eq!(
        found("What helps?", "Elderly women with dyschesia may ask for many a thing at the clinic."),
        None
    );
}

#[test]
fn a_question_is_looked_for_apart_from_its_context() {
    let question = "Is anorectal endosonography of the sphincter valuable in dyschesia?";
    let mut test = item(0, question);
    let Item::Choice(choice) = &mut test.item else { unreachable!() };
    choice.context = Some("Twenty patients underwent endosonography at rest and during straining.".into());
    let told = format!("She asked me this: {question} I did not know.");
    let found = contamination(&[training(0, "What did she ask?", &told)], &[test]).remove(0).unwrap();
    assert_eq!(found.found, Found::Ngram);
}

#[test]
fn a_question_of_two_words_is_not_near_to_another_question_about_the_disease() {
    let tests = [item(0, "Is it Crohn's disease?")];
    let rows =
        [training(0, "What is Crohn's Disease?", "An illness."), training(1, "is it crohn's disease", "No.")];
    let found = contamination(&rows, &tests);
    assert_eq!(found[0], None);
    assert_eq!(found[1].as_ref().map(|found| found.found), Some(Found::Exact));
}

#[test]
fn prepare_leaves_out_what_a_test_holds_and_writes_the_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut rows: String =
        (0..30).map(|n| format!("What is illness{n} called in land{n}?,Name number {n}.\n")).collect();
    rows = format!("question,answer\n{rows}\"{CASE}\",Aspirin is.\n");
    std::fs::write(at("rows.csv"), rows).unwrap();
    let line = serde_json::json!({ "question": CASE, "options": { "A": "Aspirin", "B": "Digoxin" }, "answer_idx": "A" });
    std::fs::write(at("exam.jsonl"), format!("{line}\n")).unwrap();
    let (inputs, against) = ([Input::new(at("rows.csv"))], [Input::new(at("exam.jsonl"))]);
    let prepared = prepare_against(&inputs, &against, &at("out"), &PrepareOptions::default()).unwrap();
    assert_eq!((prepared.report.kept, prepared.report.dropped[&Rule::Contaminated]), (30, 1));
    let contamination = prepared.contamination.unwrap();
    assert_eq!((contamination.items, contamination.pairs.len()), (1, 1));
    let written = std::fs::read_to_string(at("out/contamination.json")).unwrap();
    assert!(written.contains("\"test_question\": \"A 34-year-old woman"), "{written}");
    // The folder is ours and is replaced.
    assert!(
        prepare_against(&inputs, &[], &at("out"), &PrepareOptions::default())
            .unwrap()
            .contamination
            .is_none()
    );
    assert!(!at("out/contamination.json").exists());
}

/// Every `n`th word left out, as somebody does who retells a case.
fn without_every(text: &str, n: usize) -> String {
    let kept = text.split_whitespace().enumerate().filter(|(at, _)| at % n != n - 1);
    kept.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
}

fn rows_of(path: &std::path::Path) -> Vec<Row> {
    read(&Input::new(path)).unwrap().filter_map(|row| row.unwrap().ok()).collect()
}

/// The share of items that are found in rows that were made of them.
fn recall(tests: &[Row], plant: impl Fn(&str) -> (String, String)) -> f64 {
    let planted = |(at, row): (usize, &Row)| {
        let (question, answer) = plant(&row.question());
        training(at, &question, &answer)
    };
    let train: Vec<Row> = tests.iter().enumerate().map(planted).collect();
    let found = contamination(&train, tests);
    let is_right = |(found, test): &(&Option<dataset::Contamination>, &Row)| {
        found.as_ref().is_some_and(|found| found.test == test.id || found.test_question == test.question())
    };
    found.iter().zip(tests).filter(is_right).count() as f64 / tests.len() as f64
}

#[test]
fn planted_paraphrases_of_medqa_are_found_and_medquad_is_not_accused() {
    let medqa = "medical/mirage_raw/medqa/data_clean/questions/US/4_options/phrases_no_exclude_test.jsonl";
    let (Some(medqa), Some(medquad)) = (oracle(medqa), oracle("medical/medquad/medquad.csv.gz")) else {
        return;
    };
    let tests = rows_of(&medqa);
    let planted = |change: &dyn Fn(&str) -> (String, String)| recall(&tests, change);
    let exact = planted(&|q| (q.to_lowercase().replace(',', " ,"), "A".into()));
    let retold = planted(&|q| (without_every(q, 8), "A".into()));
    let freely = planted(&|q| (without_every(q, 5), "A".into()));
    let inside =
        planted(&|q| ("Can you help me with my homework?".into(), format!("It says: {q} Answer: A")));
    eprintln!(
        "recall: exact {exact:.4}, every 8th word gone {retold:.4}, every 5th {freely:.4}, inside of a text {inside:.4}"
    );
    assert_eq!(exact, 1.0);
    assert!(retold > 0.99 && inside > 0.99, "{retold} {inside}");

    let train = rows_of(&medquad);
    let accused: Vec<_> = contamination(&train, &tests).into_iter().flatten().collect();
    for pair in accused.iter().take(10) {
        eprintln!(
            "{:?} {:.2}: {} | {}",
            pair.found, pair.similarity, pair.train_question, pair.test_question
        );
    }
    eprintln!(
        "{} of {} rows of MedQuAD are accused of holding one of {} items",
        accused.len(),
        train.len(),
        tests.len()
    );
    assert!(accused.len() * 1000 <= train.len(), "{} rows", accused.len());
}

#[test]
fn planted_paraphrases_of_the_short_questions_of_pubmedqa_are_found_and_medquad_is_not_accused() {
    let pubmedqa = oracle("medical/mirage_raw/pubmedqa/data/test_set.json");
    let (Some(pubmedqa), Some(medquad)) = (pubmedqa, oracle("medical/medquad/medquad.csv.gz")) else {
        return;
    };
    let tests = rows_of(&pubmedqa);
    let freely = recall(&tests, |q| (without_every(q, 5), "yes".into()));
    let inside = recall(&tests, |q| ("What did they ask?".into(), format!("They asked: {q} I said yes.")));
    eprintln!("recall: every 5th word gone {freely:.4}, inside of a text {inside:.4}");
    assert!(freely > 0.9 && inside > 0.9, "{freely} {inside}");
    let accused = contamination(&rows_of(&medquad), &tests).into_iter().flatten().count();
    assert_eq!(accused, 0);
}
