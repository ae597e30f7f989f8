//! From blocks to rows, with a scripted server in place of a model.

mod corpus_of_drugs;
#[path = "../../endpoint/tests/scripted_server/mod.rs"]
#[allow(dead_code)]
mod scripted_server;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat::{Calls, ChatModel};
use corpus::chunk::Characters;
use corpus_of_drugs::questions;
use dataset::{Input, Item, Side};
use endpoint::{Cached, Endpoint, ReplyStore};
use scripted_server::{Answer, Asked, ScriptedServer, completion};
use synth::{Kind, Made, Obstacle, Plan, Reason, Settings, assemble, generate};

const DOCUMENTS: usize = 10;

fn settings(kind: Kind) -> Settings {
    let chunks = corpus::ChunkOptions { max_tokens: 60, min_tokens: 0, ..Default::default() };
    let questions = synth::Questions { per_1000_tokens: 150.0, ..synth::Questions::default() };
    Settings { kind, chunks, questions, ..Settings::default() }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn plan(folder: &Path, settings: &Settings) -> Plan {
    let blocks = corpus_of_drugs::write(folder, DOCUMENTS);
    Plan::new(&blocks, settings, &words).unwrap()
}

fn model(server: &ScriptedServer, folder: &Path) -> Cached<Endpoint> {
    let settings = endpoint::Settings {
        backoff: Some(Duration::from_millis(2)),
        timeout: Duration::from_secs(5),
        ..endpoint::Settings::new(&server.address, "scripted-1")
    };
    let store = ReplyStore::open(&folder.join("replies.sqlite")).unwrap();
    Cached::new(Endpoint::new(settings).unwrap(), store)
}

fn make(plan: &Plan, model: &dyn ChatModel) -> Made {
    let stop = AtomicBool::new(false);
    let calls = Calls { model, at_once: 4, stop: &stop };
    let generated = generate(plan, calls, &mut |_| {});
    assemble(plan, generated, calls, &mut |_| {}).unwrap()
}

fn good(asked: &Asked, options: bool) -> Answer {
    Answer::text(&questions(asked.question(), options).to_string())
}

#[test]
fn every_row_comes_from_a_page_and_a_box_and_its_documents_side() {
    let folder = tempfile::tempdir().unwrap();
    let server = ScriptedServer::start(|asked| good(asked, false));
    let plan = plan(folder.path(), &settings(Kind::Qa));
    let made = make(&plan, &model(&server, folder.path()));
    assert!(made.report.complete && made.ended_by.is_none() && made.failed.is_empty());
    assert_eq!((made.report.documents, made.report.chunks, made.report.rows), (DOCUMENTS, 20, 60));
    assert_eq!(made.report.drafts, 100);
    let expected = BTreeMap::from([(Reason::RefersToSource, 20), (Reason::UnknownNumber, 20)]);
    assert_eq!(made.report.rejected, expected);

    let mut sides: BTreeMap<&str, BTreeSet<Side>> = BTreeMap::new();
    for row in &made.rows {
        let from = &row.provenance;
        sides.entry(&from.document).or_default().insert(from.split);
        // The page and the box are those of the sentence that answers, not of the whole chunk.
        let harm = from.headings.last().unwrap() == "Harm";
        assert_eq!(from.pages, [if harm { 2 } else { 1 }]);
        let block = from.evidence.unwrap();
        assert!(from.blocks.contains(&block) && from.boxes.len() == 1);
        assert_eq!(from.boxes[0].area.unwrap().y0, 100.0 + block as f32);
        assert!(
            from.prompt.starts_with("qa/1@") && from.model == "scripted-1" && row.id.starts_with(&from.chunk)
        );
    }
    assert_eq!(sides.len(), DOCUMENTS);
    assert!(sides.values().all(|sides| sides.len() == 1), "a document has one side");
    assert_eq!(sides.values().flatten().collect::<BTreeSet<_>>().len(), 3);
    let tachycardia = made.rows.iter().find(|row| row.answer == "Rebound tachycardia.").unwrap();
    assert_eq!(tachycardia.provenance.evidence, Some(8));
}

#[test]
fn a_server_with_every_fault_gives_the_rows_of_a_good_one() {
    let (good_folder, bad_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = ScriptedServer::start(|asked| good(asked, false));
    let expected = make(&plan(good_folder.path(), &settings(Kind::Qa)), &model(&server, good_folder.path()));

    let prompts = Mutex::default();
    let server = ScriptedServer::start(move |asked| {
        let right = questions(asked.body["messages"][1]["content"].as_str().unwrap(), false).to_string();
        match asked.fault(7, &prompts) {
            0 => Answer { delay: Duration::from_millis(50), ..Answer::text(&right) },
            1 => Answer::error(429, "slow down").header("retry-after", "0.05"),
            2 if asked.body["messages"].as_array().unwrap().len() == 2 => {
                Answer::text(&right[..right.len() / 2])
            }
            3 => Answer {
                body: completion(&right).to_string(),
                cut: Some(40),
                status: 200,
                ..Answer::default()
            },
            4 => Answer::error(502, "bad gateway"),
            5 => Answer::text(&format!("Certainly! Here it is:\n```json\n{right}\n```\nGood luck.")),
            _ => Answer::text(&right),
        }
    });
    let made = make(&plan(bad_folder.path(), &settings(Kind::Qa)), &model(&server, bad_folder.path()));
    assert_eq!(made.rows, expected.rows);
    assert_eq!(made.rejected, expected.rejected);
    assert!(made.report.replies.repaired > 0 && server.asked().len() > 30);
}

#[test]
fn a_run_that_was_ended_goes_on_where_it_was_and_pays_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let valid = Arc::new(AtomicBool::new(false));
    let key = valid.clone();
    let server = ScriptedServer::start(move |asked| match asked.number < 7 || key.load(Ordering::SeqCst) {
        true => good(asked, false),
        false => Answer::error(401, "key expired"),
    });
    let plan = plan(folder.path(), &settings(Kind::Qa));
    let made = make(&plan, &model(&server, folder.path()));
    assert!(matches!(made.ended_by, Some(chat::Error::Key { .. })));
    assert!(!made.report.complete && made.failed.is_empty());
    assert_eq!((made.report.chunks_left, made.report.rows), (13, 21), "what was finished is kept");

    valid.store(true, Ordering::SeqCst);
    let before = server.asked().len();
    let model = model(&server, folder.path());
    let estimate = plan.estimate(&words, |request| model.has(request)).unwrap();
    assert_eq!((estimate.kept, estimate.requests), (7, 13));
    assert!(estimate.prompt_tokens > 13 * 200 && estimate.reply_tokens <= estimate.most_reply_tokens);
    let made = make(&plan, &model);
    assert_eq!((made.report.complete, made.report.rows, made.report.replies.kept), (true, 60, 7));
    assert_eq!(server.asked().len() - before, 13);
}

#[test]
fn a_reply_that_never_fits_is_that_chunks_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = ScriptedServer::start(|asked| {
        let prompt = asked.body["messages"][1]["content"].as_str().unwrap();
        let first = prompt.contains(&corpus_of_drugs::name(0)) && prompt.contains("Harm");
        if first {
            Answer::text("I cannot help with that.")
        } else {
            Answer::text(&questions(prompt, false).to_string())
        }
    });
    let made = make(&plan(folder.path(), &settings(Kind::Qa)), &model(&server, folder.path()));
    assert_eq!((made.failed.len(), made.report.rows, made.report.complete), (1, 57, true));
    assert_eq!(made.failed[0].obstacle, Obstacle::NoForm);
    assert!(made.failed[0].reason.contains("no JSON document"), "{}", made.failed[0].reason);
}

#[test]
fn whatever_goes_wrong_with_one_chunk_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = ScriptedServer::start(|asked| {
        let prompt = asked.body["messages"][1]["content"].as_str().unwrap();
        let about =
            |document: usize| prompt.contains(&corpus_of_drugs::name(document)) && prompt.contains("Harm");
        if about(0) {
            Answer::error(400, "This model's maximum context length is 8192 tokens, your messages have 9000")
        } else if about(1) {
            Answer::error(500, "internal error")
        } else if about(2) {
            Answer::error(403, "Your input was flagged by moderation")
        } else if about(3) {
            Answer { body: "<html>".to_owned(), status: 200, ..Answer::default() }
        } else {
            good(asked, false)
        }
    });
    let gate = |request: &chat::ChatRequest| {
        let text = &request.messages[1].content;
        match text.contains(&corpus_of_drugs::name(4)) && text.contains("Harm") {
            true => Err(chat::Refusal { reason: "the PHI gate found 1 name".into() }),
            false => Ok(()),
        }
    };
    let settings_of_server = endpoint::Settings {
        backoff: Some(Duration::from_millis(1)),
        ..endpoint::Settings::new(&server.address, "scripted-1")
    };
    let model = Endpoint::new(settings_of_server).unwrap().with_gate(Arc::new(gate));
    let made = make(&plan(folder.path(), &settings(Kind::Qa)), &model);
    assert!(made.ended_by.is_none() && made.report.complete);
    assert_eq!((made.report.rows, made.report.failed_chunks), (45, 5));
    let expected = BTreeMap::from([(Obstacle::NotSent, 1), (Obstacle::Refused, 2), (Obstacle::NoReply, 2)]);
    assert_eq!(made.report.obstacles, expected);
    let reasons: String = made.failed.iter().map(|failed| failed.reason.as_str()).collect();
    for reason in
        ["maximum context length", "internal error", "flagged", "a body that is no JSON", "PHI gate"]
    {
        assert!(reasons.contains(reason), "{reason}: {reasons}");
    }
}

#[test]
fn a_passage_that_two_documents_share_is_asked_about_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = ScriptedServer::start(|asked| good(asked, false));
    let blocks = corpus_of_drugs::write(folder.path(), DOCUMENTS);
    let lines = std::fs::read_to_string(&blocks).unwrap();
    let first = format!("\"{:064}\"", 0);
    let copy = |line: &str| line.replace(&first, &format!("\"ff{:062}\"", 0)) + "\n";
    let copied: String = lines.lines().filter(|line| line.contains(&first)).map(copy).collect();
    assert!(!copied.is_empty());
    std::fs::write(&blocks, lines + &copied).unwrap();
    let plan = Plan::new(&blocks, &settings(Kind::Qa), &words).unwrap();
    let model = model(&server, folder.path());
    let estimate = plan.estimate(&words, |request| model.has(request)).unwrap();
    let made = make(&plan, &model);
    assert_eq!((made.report.chunks, estimate.requests, server.asked().len()), (22, 20, 20));
    assert_eq!((made.report.replies.total, made.report.replies.kept), (20, 0), "none was there before");
    assert_eq!((made.report.rows, made.report.rejected[&Reason::NearDuplicate]), (60, 6));
}

#[test]
fn chunks_and_replies_follow_what_a_model_reads() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = corpus_of_drugs::write(folder.path(), DOCUMENTS);
    let of_messages = |messages: &[chat::Message]| messages.iter().map(|m| words(&m.content)).sum::<usize>();
    for (kind, context) in [(Kind::Qa, 700), (Kind::Mc, 900), (Kind::Mc, 4096)] {
        let mut settings = Settings { kind, ..Settings::default() };
        settings.chunks.max_tokens = settings.chunk_tokens_within(context, &of_messages).unwrap().min(1024);
        let mut plan = Plan::new(&blocks, &settings, &words).unwrap();
        let usual: Vec<usize> = plan.tasks.iter().map(|task| task.request.max_tokens).collect();
        assert!(plan.keep_within(context, &of_messages) <= context);
        let left: Vec<usize> = plan.tasks.iter().map(|task| task.request.max_tokens).collect();
        assert!(
            left.iter().zip(&usual).all(|(left, usual)| left >= usual),
            "{context}: chunks are so small that replies have their usual room"
        );
    }
    // A recipe for a large model: the reply has what is left of a small one.
    let mut settings = Settings { max_tokens: Some(50_000), ..Settings::default() };
    settings.chunks.max_tokens = settings.chunk_tokens_within(1024, &of_messages).unwrap();
    let mut plan = Plan::new(&blocks, &settings, &words).unwrap();
    assert_eq!(plan.keep_within(1024, &of_messages), 1024);
    for task in &plan.tasks {
        assert_eq!(of_messages(&task.request.messages) + task.request.max_tokens, 1024);
    }
    let error = Settings::default().chunk_tokens_within(400, &of_messages).unwrap_err().to_string();
    assert!(error.contains("`qa/1@") && error.contains("the model reads 400"), "{error}");
}

#[test]
fn options_are_shuffled_with_the_seed_and_each_letter_is_right_as_often() {
    let folder = tempfile::tempdir().unwrap();
    let server = ScriptedServer::start(|asked| good(asked, true));
    let model = model(&server, folder.path());
    let made = make(&plan(folder.path(), &settings(Kind::Mc)), &model);
    assert_eq!(made.rows.len(), 60);
    for row in &made.rows {
        assert_eq!(row.options.keys().map(String::as_str).collect::<Vec<_>>(), ["A", "B", "C", "D"]);
        assert_eq!(row.options[row.answer_idx.as_ref().unwrap()], row.answer);
        assert_eq!(row.options.values().collect::<BTreeSet<_>>().len(), 4);
        assert!(row.prompt().contains(&format!("\nD. {}", row.options["D"])));
    }
    let counts: Vec<usize> = made.report.positions.values().copied().collect();
    assert_eq!(counts.len(), 4);
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 3, "{counts:?}");
    let orders: BTreeSet<Vec<&String>> = made.rows.iter().map(|row| row.options.values().collect()).collect();
    assert!(orders.len() > 12, "wrong options are shuffled too");
    let longest = made.report.longest.unwrap();
    assert_eq!(longest.questions, 60);
    // "Rebound tachycardia." and "Within 20 minutes." are longer than all others.
    assert!((longest.accuracy - 2.0 / 6.0).abs() < 1e-9, "{longest:?}");
    assert_eq!(make(&plan(folder.path(), &settings(Kind::Mc)), &model).rows, made.rows);
    let other = Settings { seed: 7, ..settings(Kind::Mc) };
    assert_ne!(make(&plan(folder.path(), &other), &model).rows, made.rows);
}

#[test]
fn the_model_may_look_at_each_row_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = ScriptedServer::start(|asked| match asked.question().contains("Does the text support") {
        true if asked.question().contains("Answer: 60 percent.") => Answer::text("No"),
        true => Answer::text("yes."),
        false => good(asked, false),
    });
    let mut settings = settings(Kind::Qa);
    settings.checks.model = true;
    let made = make(&plan(folder.path(), &settings), &model(&server, folder.path()));
    assert_eq!((made.report.rows, made.report.rejected[&Reason::ModelDisagrees]), (50, 10));
    assert_eq!(made.report.replies.total, 20 + 60);
}

#[test]
fn a_question_that_another_document_asks_stays_on_the_side_of_the_test() {
    let folder = tempfile::tempdir().unwrap();
    let server = ScriptedServer::start(|_| {
        let question = serde_json::json!({ "question": "How fast does an oral antihypertensive lower blood pressure?", "answer": "Within 20 minutes." });
        Answer::text(&serde_json::json!({ "questions": [question] }).to_string())
    });
    let made = make(&plan(folder.path(), &settings(Kind::Qa)), &model(&server, folder.path()));
    assert_eq!(made.rows.len(), 1);
    assert_eq!(made.rows[0].provenance.split, Side::Test);
    assert_eq!(made.report.rejected[&Reason::NearDuplicate], 9);
    assert_eq!(made.report.rejected[&Reason::UnknownNumber], 10, "the chunks on harm do not say it");
}

#[test]
fn chunks_of_so_many_characters_give_rows_that_know_their_blocks_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Kind::Qa);
    settings.chunks.recursive = Some(Characters { chunk_size: 300, chunk_overlap: 0 });
    let plan = plan(folder.path(), &settings);
    assert!(plan.tasks.iter().all(|task| task.chunk.text.chars().count() <= 300));
    assert!(plan.tasks.iter().all(|task| !task.chunk.blocks.is_empty() && !task.chunk.pages.is_empty()));
    let server = ScriptedServer::start(|asked| good(asked, false));
    let made = make(&plan, &model(&server, folder.path()));
    assert!(!made.rows.is_empty(), "{:?}", made.report.rejected);
    assert!(made.rows.iter().all(|row| !row.provenance.pages.is_empty() && !row.provenance.boxes.is_empty()));

    settings.chunks.recursive = Some(Characters { chunk_size: 300, chunk_overlap: 300 });
    let blocks = corpus_of_drugs::write(folder.path(), DOCUMENTS);
    let error = Plan::new(&blocks, &settings, &words).unwrap_err().to_string();
    assert!(error.contains("chunks.recursive"), "{error}");
}

#[test]
fn all_layouts_are_read_back_as_the_rows_that_were_written() {
    for kind in [Kind::Qa, Kind::Mc] {
        let folder = tempfile::tempdir().unwrap();
        let server = ScriptedServer::start(move |asked| good(asked, kind == Kind::Mc));
        let made = make(&plan(folder.path(), &settings(kind)), &model(&server, folder.path()));
        let out = folder.path().join("out");
        synth::write(&out, &made).unwrap();
        let read = |name: &str| -> Vec<dataset::Row> {
            dataset::read(&Input::new(out.join(name))).unwrap().map(|row| row.unwrap().unwrap()).collect()
        };
        let rows = read("rows.jsonl");
        assert_eq!(rows.len(), 60);
        for (read, row) in rows.iter().zip(&made.rows) {
            assert_eq!((&read.id, read.document.as_ref()), (&row.id, Some(&row.provenance.document)));
            assert_eq!((read.question(), read.answer()), (row.question.clone(), row.answer.clone()));
            match &read.item {
                Item::Choice(choice) => assert_eq!(choice.options, row.options()),
                Item::Conversation(_) => assert_eq!(kind, Kind::Qa),
            }
        }
        let train: Vec<_> = made.rows.iter().filter(|row| row.provenance.split == Side::Train).collect();
        for name in [
            "alpaca/train.jsonl",
            "sharegpt/train.jsonl",
            "messages/train.jsonl",
            "hub/data/train-00000-of-00001.parquet",
        ] {
            let rows = read(name);
            assert_eq!(rows.len(), train.len(), "{name}");
            for (read, row) in rows.iter().zip(&train) {
                assert_eq!(
                    (&read.id, read.question(), read.answer()),
                    (&row.id, row.prompt(), row.completion()),
                    "{name}"
                );
            }
        }
        // The test side is read by `eval` as it is, and so are questions with options.
        let tested = dataset::load(&out.join("messages/test.jsonl")).unwrap();
        assert_eq!((tested.len(), tested[0].document.is_some()), (made.report.sides[&Side::Test], true));
        if kind == Kind::Mc {
            assert_eq!(dataset::load_choices(&out.join("rows.jsonl")).unwrap().len(), 60);
        }
        let card = std::fs::read_to_string(out.join("hub/README.md")).unwrap();
        assert!(card.contains("  - split: validation\n    path: data/validation-*.parquet\n"), "{card}");
        assert_eq!(
            std::fs::read_to_string(out.join("rejected.jsonl")).unwrap().lines().count(),
            made.rejected.len()
        );
        let mut fewer = made;
        fewer.rows.truncate(59);
        synth::write(&out, &fewer).unwrap();
        let other = std::fs::read_to_string(out.join("hub/README.md")).unwrap();
        let name = |card: &str| {
            card.lines().find(|line| line.starts_with("  description: rows ")).unwrap().to_owned()
        };
        assert_ne!(name(&card), name(&other), "`datasets` would take one for the other");
        if let Ok(keep) = std::env::var("MEDTUNE_KEEP_SYNTH") {
            synth::write(&Path::new(&keep).join(kind.as_str()), &fewer).unwrap();
        }
    }
}
