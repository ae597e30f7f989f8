//! Judges who say what a test wants them to say.

use chat::{ChatModel, ChatRequest, Error, Finish, Form, Message, Refusal, Reply, Usage};
use eval::comparison::{Outcome, Verdict as Word};
use eval::judge::human::{SeveralMarks, read_grades};
use eval::judge::{
    Answers, Asked, Beside, FailureKind, MIN_AGREEMENT, Mode, People, Plan, Scale, SelfPreference, Settings,
    Summary, Verdict, Yardstick, ask,
};
use eval::statistics::Resampling;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

const ITEMS: usize = 30;

type Script = dyn Fn(&str) -> Result<String, Error> + Send + Sync;

/// A judge that replies to the first message of the person by a script, and remembers what it was asked.
struct Scripted {
    script: Box<Script>,
    asked: Mutex<Vec<ChatRequest>>,
}

impl Scripted {
    fn new(script: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::failing(move |prompt| Ok(script(prompt)))
    }

    fn failing(script: impl Fn(&str) -> Result<String, Error> + Send + Sync + 'static) -> Self {
        Scripted { script: Box::new(script), asked: Mutex::default() }
    }
}

impl ChatModel for Scripted {
    fn name(&self) -> &str {
        "meta-llama/Llama-3.3-70B"
    }

    fn identity(&self) -> String {
        "scripted".to_owned()
    }

    fn reply(&self, request: &ChatRequest) -> Result<Reply, Error> {
        self.asked.lock().unwrap().push(request.clone());
        let text = (self.script)(&request.messages[1].content)?;
        let finish = if text == "(filtered)" { Finish::ContentFilter } else { Finish::Stop };
        let usage = Usage { prompt_tokens: 100, completion_tokens: 10, estimated: false };
        Ok(Reply { text, finish, usage, cost: Some(0.01), model: String::new(), cached: false })
    }
}

/// The answers of systems; `answer(system, item)`.
fn answers(systems: &[&str], answer: impl Fn(usize, usize) -> String) -> Answers {
    let outcomes = |system: usize| -> Vec<Outcome> {
        (0..ITEMS)
            .map(|item| Outcome {
                id: format!("q{item:02}"),
                question: Some(format!("Question {item}?")),
                reference: Some("The reference.".to_owned()),
                answer: Some(answer(system, item)),
                ..Outcome::default()
            })
            .collect()
    };
    Answers::join(systems.iter().enumerate().map(|(at, name)| ((*name).to_owned(), outcomes(at))).collect())
        .unwrap()
}

fn settings(mode: Mode) -> Settings {
    let resampling = Resampling { seed: 1, resamples: 500 };
    Settings { resampling, ..Settings::new(mode) }
}

fn asked(plan: &Plan<'_>, judge: &Scripted) -> Asked {
    let stop = AtomicBool::new(false);
    ask(plan, chat::Calls { model: judge, at_once: 3, stop: &stop }, &mut |_| {})
}

fn judged(answers: &Answers, settings: &Settings, judge: &Scripted) -> Summary {
    let plan = Plan::new(answers, settings).unwrap();
    Summary::of(&plan, judge.name(), &asked(&plan, judge), Beside::default())
}

/// What stands between `<answer…>` and `</answer>`, in the order of the prompt.
fn shown(prompt: &str) -> Vec<String> {
    let parts = prompt.split("<answer").skip(1);
    parts
        .map(|part| part.split_once(">\n").unwrap().1.split("\n</answer>").next().unwrap().to_owned())
        .collect()
}

/// The quality that an answer of these tests names: `quality 4, …`.
fn quality(answer: &str) -> u32 {
    answer.strip_prefix("quality ").unwrap()[..1].parse().unwrap()
}

fn scores(value: u32) -> String {
    format!(
        r#"{{"rationale": "because", "scores": {{"correctness": {value}, "completeness": {value}, "relevance": {value}, "safety": {value}}}}}"#
    )
}

fn winner(name: &str) -> String {
    format!(r#"{{"rationale": "because", "winner": "{name}"}}"#)
}

fn better_of_two(prompt: &str) -> String {
    let answers = shown(prompt);
    winner(match quality(&answers[0]).cmp(&quality(&answers[1])) {
        std::cmp::Ordering::Greater => "A",
        std::cmp::Ordering::Less => "B",
        std::cmp::Ordering::Equal => "tie",
    })
}

#[test]
fn point_wise_scores_become_means_differences_and_a_ranking() {
    let answers = answers(&["good", "poor"], |system, item| format!("quality {}", 4 - 2 * system + item % 2));
    let judge = Scripted::new(|prompt| scores(quality(&shown(prompt)[0])));
    let summary = judged(&answers, &settings(Mode::Pointwise), &judge);
    let mean = |system: &str| summary.overall(system).unwrap().mean;
    assert_eq!((mean("good").value, mean("poor").value, mean("good").n), (4.5, 2.5, ITEMS));
    assert!(mean("good").low.unwrap() > 4.2 && mean("good").high.unwrap() < 4.8);
    assert_eq!(summary.scores.len(), 2 * 5, "four criteria and their mean");
    let difference = summary.differences.last().unwrap();
    assert_eq!((difference.criterion.as_str(), difference.difference), ("overall", 2.0));
    assert_eq!((difference.verdict, summary.differences.len()), (Word::Better, 5));
    let ranking = summary.ranking.unwrap();
    assert_eq!(ranking.systems[0].system, "good");
    assert!(ranking.systems[0].not_distinguishable_from.is_empty());
    assert_eq!((summary.calls.judged, summary.calls.tokens), (2 * ITEMS, 110 * 2 * ITEMS as u64));
    assert!((summary.calls.cost - 0.6).abs() < 1e-9);
    let asked = judge.asked.into_inner().unwrap();
    assert!(asked.iter().all(|request| request.temperature == 0.0));
    assert!(matches!(&asked[0].form, Some(Form::JsonSchema { name, .. }) if name == "pointwise_judgement"));
    assert!(asked[0].messages[1].content.contains("- safety: "), "criteria are described");
    assert!(summary.prompt.starts_with("pointwise/1@"), "{}", summary.prompt);
}

#[test]
fn the_same_answers_are_not_told_apart() {
    let answers = answers(&["one", "other"], |system, item| format!("quality {}", (item * 7 + system) % 5));
    let judge = Scripted::new(|prompt| scores(quality(&shown(prompt)[0])));
    let summary = judged(&answers, &settings(Mode::Pointwise), &judge);
    assert!(summary.differences.iter().all(|difference| difference.verdict == Word::NotDistinguishable));
    let ranking = summary.ranking.unwrap();
    assert_eq!(ranking.systems[0].not_distinguishable_from, [ranking.systems[1].system.as_str()]);
}

#[test]
fn every_unusable_reply_is_counted_under_its_reason_and_enters_no_mean() {
    let answers = answers(&["system"], |_, item| format!("quality {}", item % 10));
    let judge = Scripted::failing(|prompt| {
        Ok(match quality(&shown(prompt)[0]) {
            0 => "Blue is a fine colour.".to_owned(),
            1 => scores(9),
            2 => r#"{"rationale": "", "scores": {"correctness": 3}}"#.to_owned(),
            3 => "I'm sorry, but I cannot judge medical answers.".to_owned(),
            4 => "(filtered)".to_owned(),
            5 => return Err(Error::Rejected { address: "x".into(), status: 400, reason: "too long".into() }),
            6 => return Err(Error::Gate(Refusal { reason: "a name".into() })),
            7 => scores(5).replace(": 5", ": \"5\""),
            8 => scores(5).replace(": 5", ": {\"score\": \"5\"}"),
            _ => format!("Here:\n```json\n{}\n```", scores(5)),
        })
    });
    let plan = Plan::new(&answers, &settings(Mode::Pointwise)).unwrap();
    let asked = asked(&plan, &judge);
    let summary = Summary::of(&plan, judge.name(), &asked, Beside::default());
    let each = ITEMS / 10;
    let failed = |kind| summary.calls.failed.get(&kind).copied().unwrap_or(0);
    assert_eq!(failed(FailureKind::Unparsable), each);
    assert_eq!(failed(FailureKind::OutOfRange), each);
    assert_eq!(failed(FailureKind::Incomplete), each);
    assert_eq!(failed(FailureKind::Refused), 2 * each);
    assert_eq!(failed(FailureKind::Request), each);
    assert_eq!(failed(FailureKind::NotSent), each);
    let mean = summary.overall("system").unwrap();
    assert_eq!((mean.mean.value, mean.mean.n, mean.failed), (5.0, 3 * each, 7 * each));
    let Verdict::Failed(failure) = &asked.judgements[0].verdict else { panic!("it is nonsense") };
    assert_eq!((failure.raw.as_str(), asked.judgements[0].replies), ("Blue is a fine colour.", 2));
    let text = summary.to_text();
    assert!(text.contains("9 of 30 judged") && text.contains("6 refused, 3 not sent"), "{text}");
}

#[test]
fn a_reply_that_cannot_be_used_is_asked_for_once_more() {
    let answers = answers(&["system"], |_, _| "quality 4".to_owned());
    struct Learns(Scripted);
    impl ChatModel for Learns {
        fn name(&self) -> &str {
            "learns"
        }
        fn identity(&self) -> String {
            String::new()
        }
        fn reply(&self, request: &ChatRequest) -> Result<Reply, Error> {
            if let Some(Message { content, .. }) = request.messages.get(3) {
                assert!(content.contains("`correctness`: 7 is not on the scale 0-5"), "{content}");
                return self.0.reply(&ChatRequest { messages: request.messages.clone(), ..request.clone() });
            }
            let reply = self.0.reply(request)?;
            Ok(Reply { text: reply.text.replace(": 4", ": 7"), ..reply })
        }
    }
    let judge = Learns(Scripted::new(|prompt| scores(quality(&shown(prompt)[0]))));
    let plan = Plan::new(&answers, &settings(Mode::Pointwise)).unwrap();
    let stop = AtomicBool::new(false);
    let asked = ask(&plan, chat::Calls { model: &judge, at_once: 1, stop: &stop }, &mut |_| {});
    let summary = Summary::of(&plan, "learns", &asked, Beside::default());
    assert_eq!(
        (summary.calls.judged, summary.calls.repaired, summary.calls.replies),
        (ITEMS, ITEMS, 2 * ITEMS)
    );
    assert_eq!(summary.overall("system").unwrap().mean.value, 4.0);
}

#[test]
fn a_judge_that_takes_the_first_answer_is_found_out_and_decides_nothing() {
    let answers = answers(&["a", "b"], |system, _| format!("quality {}", 1 + 3 * system));
    let summary = judged(&answers, &settings(Mode::Pairwise), &Scripted::new(|_| winner("A")));
    let pair = &summary.pairs[0];
    assert_eq!((pair.n, pair.ties, pair.disagreed, pair.win_rate), (ITEMS, ITEMS, ITEMS, 0.5));
    assert_eq!(pair.verdict, Word::NotDistinguishable);
    let position = summary.position.as_ref().unwrap();
    assert_eq!((position.n, position.earlier_wins, position.consistent), (2 * ITEMS, 2 * ITEMS, 0));
    assert!(position.interval.low > 0.9 && position.verdict.contains("earlier"), "{position:?}");
    assert!(summary.to_text().contains("prefers the answer that is shown earlier"));
}

#[test]
fn a_fair_judge_finds_the_better_of_two_in_both_orders() {
    let answers =
        answers(&["a", "b", "c"], |system, item| format!("quality {}", [4, 2, 2][system] - item % 2));
    let summary = judged(&answers, &settings(Mode::Pairwise), &Scripted::new(better_of_two));
    let position = summary.position.as_ref().unwrap();
    assert_eq!((position.earlier_wins * 2, position.consistent), (position.n, position.compared));
    assert!(position.verdict.contains("no preference"));
    let record = |first: &str, second: &str| {
        summary.pairs.iter().find(|pair| pair.first == first && pair.second == second).unwrap()
    };
    assert_eq!((record("a", "b").first_wins, record("a", "b").verdict), (ITEMS, Word::Better));
    assert_eq!((record("b", "c").ties, record("b", "c").verdict), (ITEMS, Word::NotDistinguishable));
    assert!(record("a", "b").interval.low > 0.88 && record("a", "b").p_holm < 1e-6);
    let ranking = summary.ranking.as_ref().unwrap();
    assert_eq!(ranking.systems[0].system, "a");
    assert!(
        ranking.systems[0].value > 2.0 && (ranking.systems[1].value - ranking.systems[2].value).abs() < 1e-6
    );
    assert_eq!(ranking.systems[1].not_distinguishable_from, [ranking.systems[2].system.as_str()]);
}

#[test]
fn half_a_pair_is_no_pair() {
    let answers = answers(&["a", "b"], |system, _| format!("quality {}", 3 + system));
    let judge = Scripted::new(|prompt| {
        let nonsense = quality(&shown(prompt)[0]) == 3 && prompt.contains("Question 7?");
        if nonsense { "no".to_owned() } else { better_of_two(prompt) }
    });
    let summary = judged(&answers, &settings(Mode::Pairwise), &judge);
    assert_eq!((summary.pairs[0].n, summary.pairs[0].incomplete), (ITEMS - 1, 1));
    assert_eq!(summary.position.unwrap().n, 2 * (ITEMS - 1), "only balanced pairs tell of places");
}

#[test]
fn lists_are_ranked_in_both_directions_or_in_every_rotation() {
    let answers = answers(&["a", "b", "c", "d"], |system, _| format!("quality {}", [2, 4, 3, 1][system]));
    let rank = |prompt: &str| {
        let answers = shown(prompt);
        let mut places: Vec<usize> = (0..answers.len()).collect();
        places.sort_by_key(|place| std::cmp::Reverse(quality(&answers[*place])));
        let letters: Vec<String> =
            places.iter().map(|place| format!("\"{}\"", ["A", "B", "C", "D"][*place])).collect();
        format!(r#"{{"rationale": "", "ranking": [{}]}}"#, letters.join(", "))
    };
    for (rotations, calls) in [(false, 2), (true, 4)] {
        let settings = Settings { rotations, ..settings(Mode::Listwise) };
        let summary = judged(&answers, &settings, &Scripted::new(rank));
        assert_eq!((summary.calls.judged, summary.pairs.len()), (calls * ITEMS, 6));
        let order: Vec<&str> =
            summary.ranking.as_ref().unwrap().systems.iter().map(|ranked| ranked.system.as_str()).collect();
        assert_eq!(order, ["b", "c", "a", "d"]);
    }
    let always = |_: &str| r#"{"rationale": "", "ranking": ["A", "B", "C", "D"]}"#.to_owned();
    let summary = judged(&answers, &settings(Mode::Listwise), &Scripted::new(always));
    assert!(summary.pairs.iter().all(|pair| pair.ties == ITEMS && pair.disagreed == ITEMS));
    let twice = |_: &str| r#"{"rationale": "", "ranking": ["A", "A", "C", "D"]}"#.to_owned();
    let summary = judged(&answers, &settings(Mode::Listwise), &Scripted::new(twice));
    assert_eq!(summary.calls.failed[&FailureKind::Incomplete], 2 * ITEMS);
    assert!(summary.ranking.is_none() && summary.pairs.is_empty());
}

#[test]
fn a_rubric_needs_a_reference_and_prometheus_own_form_is_read() {
    let mut answers = answers(&["a"], |_, item| format!("quality {}", 1 + item % 5));
    answers.items[3].reference = None;
    let judge = Scripted::new(|prompt| {
        assert!(prompt.contains("5: The answer is right, complete and safe"));
        format!("Feedback: It is so. [RESULT] {}", quality(&shown(prompt)[0]))
    });
    let plan = Plan::new(&answers, &settings(Mode::Rubric)).unwrap();
    let asked = asked(&plan, &judge);
    assert_eq!(asked.judgements[0].rationale.as_deref(), Some("It is so."));
    let summary = Summary::of(&plan, judge.name(), &asked, Beside::default());
    assert_eq!((summary.scale, summary.calls.judged), (Some(Scale::OneToFive), ITEMS - 1));
    assert!(summary.left_out[0].item == "q03" && summary.left_out[0].reason.contains("reference"));
}

#[test]
fn a_judge_that_likes_long_answers_is_found_out() {
    let answers = answers(&["short", "long"], |system, item| {
        "x".repeat(
            20 + 10 * system + (item * 13) % 17 + if item.is_multiple_of(6) { 30 * (1 - system) } else { 0 },
        )
    });
    let judge = Scripted::new(|prompt| {
        let lengths: Vec<usize> = shown(prompt).iter().map(String::len).collect();
        winner(if lengths[0] > lengths[1] { "A" } else { "B" })
    });
    let length = judged(&answers, &settings(Mode::Pairwise), &judge).length.unwrap();
    let wins = length.judge.unwrap();
    assert_eq!((wins.n, wins.longer_wins), (ITEMS, ITEMS));
    assert_eq!(wins.slope, None, "length alone tells every winner");
}

fn human(folder: &tempfile::TempDir, grade: impl Fn(usize, usize) -> u32) -> eval::judge::human::Grades {
    let path = folder.path().join("human.csv");
    let mut text = "item,system,grader,grade\n".to_owned();
    for item in 0..ITEMS {
        for (system, name) in ["Llama tuned", "other"].into_iter().enumerate() {
            text += &format!("q{item:02},{name},doctor,{}\n", grade(system, item));
        }
    }
    std::fs::write(&path, text).unwrap();
    read_grades(&[path], SeveralMarks::Exclude).unwrap()
}

#[test]
fn a_judge_that_disagrees_with_people_scores_but_does_not_rank() {
    let folder = tempfile::tempdir().unwrap();
    // People: the second system is better on two of three questions.
    let grade = |system: usize, item: usize| if item.is_multiple_of(3) == (system == 0) { 3 } else { 1 };
    let grades = human(&folder, grade);
    let answers =
        answers(&["Llama tuned", "other"], move |system, item| format!("quality {}", grade(system, item)));
    let people = People { grades: &grades, min_agreement: MIN_AGREEMENT };
    let plan = Plan::new(&answers, &settings(Mode::Pointwise)).unwrap();
    let summary = |judge: &Scripted| {
        Summary::of(&plan, judge.name(), &asked(&plan, judge), Beside { people: Some(people), judges: &[] })
    };

    let agrees = summary(&Scripted::new(|prompt| scores(quality(&shown(prompt)[0]) + 1)));
    let agreement = agrees.agreement.as_ref().unwrap();
    assert_eq!(agreement.preference.unwrap().value, 1.0);
    assert_eq!((agreement.preference.unwrap().n, agreement.questions), (ITEMS, ITEMS));
    assert!(agrees.calibration.as_ref().unwrap().passed && agrees.ranking.is_some());

    let contradicts = summary(&Scripted::new(|prompt| scores(4 - quality(&shown(prompt)[0]))));
    assert!(contradicts.agreement.as_ref().unwrap().preference.unwrap().value < -0.9);
    let calibration = contradicts.calibration.as_ref().unwrap();
    assert!(!calibration.passed && calibration.reason.contains("less than 0.4"), "{calibration:?}");
    assert!(contradicts.ranking.is_none() && contradicts.scores.len() == 10);
    let text = contradicts.to_text();
    assert!(text.contains("NOT CALIBRATED") && text.contains("no ranking: agreement with people"), "{text}");

    // A judge who always takes its own family, where people do so on a third of the questions.
    let own = summary(&Scripted::new(|prompt| {
        let item: usize =
            prompt.split("Question ").nth(1).unwrap().split('?').next().unwrap().parse().unwrap();
        let is_own = quality(&shown(prompt)[0]) == if item.is_multiple_of(3) { 3 } else { 1 };
        scores(if is_own { 4 } else { 2 })
    }));
    let SelfPreference::Measured { own, judge, others: people, advantage, interval, .. } =
        own.self_preference
    else {
        panic!("it is measurable")
    };
    assert_eq!((own.as_slice(), judge), (&["Llama tuned".to_owned()][..], 1.0));
    assert!((people - 1.0 / 3.0).abs() < 1e-9 && (advantage - 2.0 / 3.0).abs() < 1e-9);
    assert!(interval.unwrap().low > 0.4);
}

#[test]
fn an_account_that_is_empty_ends_it_and_says_how_much_is_left() {
    let answers = answers(&["a"], |_, item| format!("quality {}", item % 5));
    let judge = Scripted::failing(|prompt| {
        if prompt.contains("Question 9?") {
            return Err(Error::Budget("100 of 100 tokens spent".into()));
        }
        Ok(scores(quality(&shown(prompt)[0])))
    });
    let plan = Plan::new(&answers, &settings(Mode::Pointwise)).unwrap();
    let stop = AtomicBool::new(false);
    let asked = ask(&plan, chat::Calls { model: &judge, at_once: 1, stop: &stop }, &mut |_| {});
    assert_eq!((asked.judgements.len(), asked.not_asked), (9, ITEMS - 9));
    let summary = Summary::of(&plan, judge.name(), &asked, Beside::default());
    assert!(summary.calls.ended_by.as_ref().unwrap().contains("the budget is used up"));
    assert!(summary.to_text().contains("21 not asked"), "{}", summary.to_text());
}

#[test]
fn answers_that_not_all_systems_have_are_left_out_by_name() {
    let outcome = |id: &str, question: &str, answer: Option<&str>| Outcome {
        id: id.into(),
        question: Some(question.into()),
        answer: answer.map(str::to_owned),
        ..Outcome::default()
    };
    let one = vec![outcome("1", "A?", Some("a")), outcome("2", "B?", Some("")), outcome("3", "C?", None)];
    let other = vec![
        outcome("1", "Z?", Some("a")),
        outcome("2", "B?", Some("b")),
        outcome("3", "C?", Some("c")),
        outcome("4", "D?", Some("d")),
    ];
    let joined = Answers::join(vec![("one".into(), one.clone()), ("other".into(), other)]).unwrap();
    assert_eq!(joined.items.len(), 1, "an empty answer is an answer");
    let reasons: Vec<String> =
        joined.left_out.iter().map(|left| format!("{}: {}", left.item, left.reason)).collect();
    assert_eq!(
        reasons,
        ["1: other was asked another question", "3: one has no answer", "4: one does not have it"]
    );
    let twice = Answers::join(vec![("one".into(), [one.clone(), one].concat())]).unwrap_err();
    assert!(twice.to_string().contains("`1` occurs twice"), "{twice}");
    assert!(Plan::new(&joined, &Settings::new(Mode::Pairwise)).is_ok());
    let alone = Answers { systems: vec!["one".into()], ..joined };
    assert!(
        Plan::new(&alone, &Settings::new(Mode::Pairwise)).unwrap_err().to_string().contains("two systems")
    );
}

#[test]
fn a_judge_is_held_against_other_judges_where_no_people_graded() {
    let answers = answers(&["Llama tuned", "other"], |system, _| format!("quality {}", 2 + system));
    let plan = Plan::new(&answers, &settings(Mode::Pairwise)).unwrap();
    let fair = asked(&plan, &Scripted::new(better_of_two)).judgements;
    let of_its_own = Scripted::new(|prompt| winner(if quality(&shown(prompt)[0]) == 2 { "A" } else { "B" }));
    let beside = Beside { people: None, judges: &[fair] };
    let summary = Summary::of(&plan, of_its_own.name(), &asked(&plan, &of_its_own), beside);
    let SelfPreference::Measured { against, n, judge, others, advantage, .. } = summary.self_preference
    else {
        panic!("it is measurable")
    };
    assert_eq!((against, n), (Yardstick::OtherJudges, ITEMS));
    assert_eq!((judge, others, advantage), (1.0, 0.0, 1.0));
    let alone = Summary::of(&plan, "gpt-4o", &asked(&plan, &of_its_own), beside);
    let reason = "no system is of the judge's family (gpt)".to_owned();
    assert_eq!(alone.self_preference, SelfPreference::NotMeasurable(reason));
}
