//! What evaluations leave behind: answers made elsewhere, comparison, rescoring, cards.

mod common;

use std::fs;
use std::path::Path;

use common::{refused, run, run_json, stderr, stdout, text, write_model_of};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// Made with `openssl genpkey -algorithm ed25519` for this test alone.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJOGhBSxShI7+ORc8hE9Qua2AB0G84xsPl6ONMrwzDPh
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "bae441e8786cbc5009642d9902e857dbf5c2c46ceb77188901f5797701d804dd";

/// Answers of two runs, in folders `a` and `b`.
fn scored() -> TempDir {
    let folder = tempdir().unwrap();
    for (name, dose) in [("a", "4 g"), ("b", "40 g")] {
        let rows = (0..12).map(|row| {
            format!(
                "q{row},How much?,Take 4 g of it {row} times.,Take {dose} of it {row} times.,leaflet-{row}\n"
            )
        });
        let table: String =
            std::iter::once("id,question,reference,response,document\n".to_owned()).chain(rows).collect();
        let file = folder.path().join(format!("{name}.csv"));
        fs::write(&file, table).unwrap();
        let out = folder.path().join(name);
        run(&["eval", "--answers-file", text(&file), "--task", "doses", "--out", text(&out)], 0);
    }
    folder
}

fn changed(file: &Path, from: &str, to: &str) {
    let before = fs::read_to_string(file).unwrap();
    assert!(before.contains(from), "{before}");
    fs::write(file, before.replacen(from, to, 1)).unwrap();
}

#[test]
fn answers_made_elsewhere_are_scored_and_compared() {
    let folder = scored();
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    let document = run_json(&["compare", text(&a), text(&b), "--resamples", "500", "--json"]);
    let of_metric = |metric: &str| -> Value {
        let all = document["comparison"]["differences"].as_array().unwrap();
        all.iter().find(|difference| difference["metric"] == metric).unwrap().clone()
    };
    let quantities = of_metric("changed_quantities");
    assert_eq!((&quantities["difference"], &quantities["groups"]), (&1.0.into(), &12.into()));
    assert_eq!(document["comparison"]["changes"][0]["quantity_changed"].as_array().unwrap().len(), 12);

    let out = folder.path().join("compared");
    let page = stdout(&run(
        &[
            "compare",
            text(&a),
            text(&b),
            "--metric",
            "changed_quantities",
            "--metric",
            "bleu",
            "--out",
            text(&out),
        ],
        0,
    ));
    assert!(page.contains("b is worse than a in BLEU (−29.29"), "{page}");
    assert!(page.contains("and changed quantities (+100.0 pt [+58.7, +100.0])."), "{page}");
    let html = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(html.contains("amount: 4 g → 40 g"), "the answers lie in the page");
    assert!(refused(&["compare", text(&a), text(&b), "--metric", "blue"]).contains("known: loss"));
    assert!(refused(&["compare", text(&a)]).contains("2 values required"));
}

/// bert_score's own settings, by the arguments; `table` is what is known of encoders of a customary name.
#[test]
fn bertscore_is_quoted_with_encoder_layer_weights_and_baseline() {
    let oracles = std::env::var_os("MEDTUNE_ORACLES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), Into::into);
    let encoder = oracles.join("numerics/tiny_random_bert");
    if !encoder.exists() {
        return eprintln!("ORACLE ABSENT: tiny_random_bert is not there, so this test compared nothing");
    }
    let folder = scored();
    let (a, baseline) = (folder.path().join("a"), folder.path().join("baseline.tsv"));
    fs::write(&baseline, "LAYER,P,R,F\n1,0.1,0.2,0.3\n2,0.25,0.5,0.4\n").unwrap();
    let with = ["rescore", text(&a), "--json", "--bertscore", text(&encoder)];
    let rescored = |more: &[&str]| {
        let document = run_json(&[&with[..], more].concat());
        let settings: Value = serde_json::from_slice(&fs::read(a.join("settings.json")).unwrap()).unwrap();
        let score = document["results"]["tasks"]["doses"]["metrics"]["bertscore"]["value"].as_f64().unwrap();
        (settings["metrics"]["bertscore"].as_str().unwrap().to_owned(), score)
    };
    let (signature, plain) = rescored(&["--bertscore-layer", "2"]);
    assert_eq!(signature, "tiny_random_bert_L2_no-idf|like:bert_score0.3.13");
    let (signature, stretched) =
        rescored(&["--bertscore-layer", "2", "--bertscore-idf", "--bertscore-baseline", text(&baseline)]);
    assert_eq!(
        signature,
        "tiny_random_bert_L2_idf-rescaled|baseline:0.25000,0.50000,0.40000|like:bert_score0.3.13"
    );
    assert!((plain - 1.0).abs() < 1e-5 && (stretched - 1.0).abs() < 1e-5, "{plain} {stretched}");
    assert!(refused(&with).contains("--bertscore-layer"));
    let unknown = [&with[..], &["--bertscore-layer", "2", "--bertscore-baseline", "table"]].concat();
    assert!(refused(&unknown).contains("no baseline of `tiny_random_bert` at layer 2 is known"));
    // Scores of two kinds are no difference.
    let b = folder.path().join("b");
    run_json(&["rescore", text(&b), "--json", "--bertscore", text(&encoder), "--bertscore-layer", "1"]);
    let compared = stdout(&run(&["compare", text(&a), text(&b), "--resamples", "200"], 0));
    assert!(compared.contains("BERTScore was measured in different ways"), "{compared}");
    let only = ["compare", text(&a), text(&b), "--metric", "bertscore"];
    assert!(refused(&only).contains("medtune rescore"));
}

#[test]
fn what_is_wrong_with_rows_is_said() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("answers.jsonl");
    fs::write(&file, "{\"Frage\":\"Q\",\"target\":\"\",\"answer\":\"A\"}\n{\"target\":\"fever\"}\n{}}\n")
        .unwrap();
    let page = stdout(&run(&["eval", "--answers-file", text(&file), "--column", "question=Frage"], 0));
    assert!(page.contains("question from `Frage`"), "{page}");
    assert!(page.contains("1 empty reference, 1 unreadable, 1 without an answer"), "{page}");
    assert!(refused(&["eval", "--answers-file", text(&file), "--column", "Frage"]).contains("OURS=THEIRS"));
    assert!(refused(&["eval"]).contains("--model"));
}

#[test]
fn a_rescored_folder_is_the_same_until_somebody_changes_it() {
    let folder = scored();
    let a = folder.path().join("a");
    let before = fs::read(a.join("results.json")).unwrap();
    assert!(
        stdout(&run(&["rescore", text(&a)], 0))
            .contains("every number is what is on file (items and results)")
    );
    assert_eq!(fs::read(a.join("results.json")).unwrap(), before);
    changed(&a.join("items.jsonl"), "\"answer\":\"Take 4 g", "\"answer\":\"Take 9 g");
    let found = run_json(&["rescore", text(&a), "--json"]);
    let differences = found["result_differences"].as_array().unwrap();
    assert!(
        differences
            .iter()
            .any(|text| text.as_str().unwrap().contains("changed_quantities.value: 0.0 on file"))
    );
    assert!(!found["item_differences"].as_array().unwrap().is_empty());
    assert!(
        stdout(&run(&["rescore", text(&a)], 0)).contains("every number is what is on file"),
        "written anew"
    );
}

#[test]
fn a_signed_card_is_verified_and_a_changed_answer_is_found() {
    let folder = scored();
    let key = folder.path().join("key.pem");
    fs::write(&key, KEY).unwrap();
    let a = folder.path().join("a");
    run(&["rescore", text(&a), "--signing-key", text(&key)], 0);
    let card = a.join("card.json");
    let page = stdout(&run(&["verify", text(&card), "--key", PUBLIC], 0));
    assert!(page.contains("by the trusted key") && page.ends_with("passed\n"), "{page}");
    let stranger = "00".repeat(32);
    assert!(stderr(&run(&["verify", text(&card), "--key", &stranger], 3)).contains("not the trusted one"));
    changed(&a.join("items.jsonl"), "Take 4 g", "Take 5 g");
    let output = run(&["verify", text(&card)], 3);
    assert!(stdout(&output).contains("NOT PASSED") && stderr(&output).contains("its hash differs"));
}

#[test]
fn a_model_that_was_measured_leaves_a_folder() {
    let folder = tempdir().unwrap();
    let base = folder.path().join("base");
    write_model_of(&base, 16, 256);
    let questions = folder.path().join("questions.csv");
    fs::write(&questions, common::questions()).unwrap();
    let prepared = folder.path().join("prepared");
    run(&["prepare", text(&questions), "--out", text(&prepared)], 0);
    let test = prepared.join("test.jsonl");
    let out = folder.path().join("eval");
    let asked = ["eval", text(&test), "--model", text(&base), "--answers", "2", "--max-new-tokens", "4"];
    run(&[&asked[..], &["--out", text(&out)]].concat(), 0);
    let settings: Value = serde_json::from_slice(&fs::read(out.join("settings.json")).unwrap()).unwrap();
    assert_eq!((&settings["options"]["max_new_tokens"], &settings["name"]), (&4.into(), &"eval".into()));
    assert!(settings["files"].as_array().unwrap().len() >= 2, "{settings}");
    assert!(stdout(&run(&["rescore", text(&out)], 0)).contains("every number is what is on file"));
    // A file of outcomes, as before, pairs with it.
    let file = folder.path().join("again.json");
    run(&[&asked[..], &["--out", text(&file)]].concat(), 0);
    let document = run_json(&["compare", text(&out), text(&file), "--resamples", "200", "--json"]);
    let differences = document["comparison"]["differences"].as_array().unwrap();
    assert!(differences.iter().all(|difference| difference["difference"] == 0.0), "{differences:?}");
}

#[test]
fn the_rule_that_reads_options_is_chosen_named_and_on_file() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("answers.csv");
    let rows = "output,model_response\n<answer>A. rest</answer>,the answer is A\nB,<answer>B</answer>\nA,An aspirin\n";
    fs::write(&file, rows).unwrap();
    let counted = |more: &[&str]| {
        let arguments = ["eval", "--answers-file", text(&file), "--labels", "A,B"];
        stdout(&run(&[&arguments[..], more].concat(), 0))
    };
    assert!(counted(&[]).contains("right 2, wrong 0, abstained 0, no option named 1"));
    let [tags, letters] = ["medgpt", "flowertune"].map(|rule| folder.path().join(rule));
    let page = counted(&["--rule", "medgpt", "--out", text(&tags)]);
    assert!(
        page.contains("options read by the rule medgpt (the letter A to E that a closed <answer>"),
        "{page}"
    );
    assert!(page.contains("right 1, wrong 0, abstained 0, no option named 2"), "{page}");
    let page = counted(&["--rule", "flowertune", "--out", text(&letters)]);
    assert!(page.contains("right 1, wrong 1, abstained 0, no option named 1"), "{page}");
    let settings: Value = serde_json::from_slice(&fs::read(tags.join("settings.json")).unwrap()).unwrap();
    assert_eq!(settings["rule"], "medgpt");
    let report = fs::read_to_string(tags.join("report.html")).unwrap();
    assert!(report.contains("Options were read out of answers by the rule medgpt"));
    let page = stdout(&run(&["compare", text(&tags), text(&letters), "--common", "--resamples", "200"], 0));
    assert!(page.contains("by different rules") && page.contains("medgpt by medgpt"), "{page}");
    for (labels, said) in [("", "without a text"), ("A,,B", "without a text"), ("A,B, A", "twice")] {
        let error = refused(&["eval", "--answers-file", text(&file), "--labels", labels]);
        assert!(error.contains(said) && error.contains("hint: name every option once"), "{labels}: {error}");
    }
    let error = refused(&["eval", "--answers-file", text(&file), "--rule", "medgpt"]);
    assert!(error.contains("--rule medgpt: no option is read") && error.contains("--labels"), "{error}");
}

#[test]
fn answers_on_file_are_read_by_another_rule_without_asking_again() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("answers.csv");
    let rows =
        "output,model_response\nA,the answer is A\nB,<answer>B</answer>\nA,An aspirin\nB,I cannot tell\n";
    fs::write(&file, rows).unwrap();
    let [ours, tags, again] = ["ours", "tags", "again"].map(|name| folder.path().join(name));
    let eval = ["eval", "--answers-file", text(&file), "--labels", "A,B", "--out"];
    run(&[&eval[..], &[text(&ours)]].concat(), 0);
    run(&[&eval[..], &[text(&tags), "--rule", "medgpt"]].concat(), 0);
    let items = |folder: &Path| fs::read_to_string(folder.join("items.jsonl")).unwrap();
    let before = items(&ours);

    let found = run_json(&["rescore", text(&ours), "--rule", "medgpt", "--out", text(&again), "--json"]);
    assert_eq!(found["reread"]["changed"], serde_json::json!(["row-000001", "row-000004"]), "{found}");
    assert_eq!((items(&again), items(&ours)), (items(&tags), before.clone()), "as if read so at first");
    let settings: Value = serde_json::from_slice(&fs::read(again.join("settings.json")).unwrap()).unwrap();
    assert_eq!(settings["rule"], "medgpt");
    let in_place = ["rescore", text(&again), "--rule", "medtune"];
    let as_read = items(&again);
    let error = refused(&in_place);
    assert!(error.contains("its numbers are by medgpt, and those by the rule medtune would"), "{error}");
    assert!(error.contains("again-medtune` keeps both") && items(&again) == as_read, "{error}");
    run(&["rescore", text(&again), "--rule", "medgpt"], 0);
    let page = stdout(&run(&[&in_place[..], &["--out", text(&again)]].concat(), 0));
    assert!(page.contains("other than by medgpt: 2 of 4 answers"), "{page}");
    assert_eq!(items(&again), before, "and back");

    let without = items(&ours).replace(",\"answer\":\"I cannot tell\"", "");
    fs::write(ours.join("items.jsonl"), without).unwrap();
    let error = refused(&["rescore", text(&ours), "--rule", "medgpt"]);
    assert!(error.contains("`row-000004` cannot be read by another rule: the text of its answer"), "{error}");
    assert!(error.contains("hint: ask again with"), "{error}");
    let texts = scored();
    let error = refused(&["rescore", text(&texts.path().join("a")), "--rule", "medgpt"]);
    assert!(error.contains("no multiple-choice question in it"), "{error}");
}

#[test]
fn runs_that_share_no_number_are_refused_with_what_to_do() {
    let folder = tempdir().unwrap();
    let file = |name: &str, line: &str| {
        let path = folder.path().join(name);
        fs::write(&path, line).unwrap();
        path
    };
    let rouge = file("rouge.jsonl", r#"{"id": "q1", "rouge_l": 0.5}"#);
    let choice = file("choice.jsonl", r#"{"id": "q1", "choice": {"gold": "A", "picked": "B"}}"#);
    let other = file("other.jsonl", r#"{"id": "q2", "rouge_l": 0.5}"#);
    let error = refused(&["compare", text(&rouge), text(&choice)]);
    assert!(error.contains("Nothing was measured for both rouge and choice."), "{error}");
    assert!(error.contains("hint: measure them in one way") && !error.contains("intervals"), "{error}");
    let same = file("same.jsonl", r#"{"id": "q1", "rouge_l": 0.5}"#);
    let error = refused(&["compare", text(&rouge), text(&same), "--metric", "bleu"]);
    assert!(error.contains("hint: without --metric"), "{error}");
    let error = refused(&["compare", text(&rouge), text(&other), "--common"]);
    assert!(error.contains("0 in all") && error.contains("hint: items are paired by their ids"), "{error}");
}

#[test]
fn a_file_that_is_no_evaluation_is_named_with_the_line_and_what_was_expected() {
    let folder = scored();
    let items = folder.path().join("a/items.jsonl");
    let whole = fs::read_to_string(&items).unwrap();
    let first = whole.lines().next().unwrap();
    let choice = |picked: &str| {
        format!(
            "{{\"id\":\"x\",\"choice\":{{\"gold\":\"A\",\"picked\":\"{picked}\",\"shown\":[\"A\",\"B\"],\"rated\":\
             [{{\"log_likelihood\":-1.0,\"bytes\":1}},{{\"log_likelihood\":-2.0,\"bytes\":1}}]}}}}\n"
        )
    };
    let wrong: [(&str, Vec<u8>, &str); 11] = [
        (
            "another kind",
            b"{\"messages\": []}\n".to_vec(),
            "line 1: `messages` is no part of it: expected an item",
        ),
        ("without an id", b"{\"rouge_l\": 1}\n".to_vec(), "line 1: no `id` in it: expected an item"),
        (
            "cut off",
            whole.as_bytes()[..whole.len() - 40].to_vec(),
            "line 12: cut off in the middle: expected an item",
        ),
        ("twice", format!("{whole}{first}\n").into(), "line 13: item `q0` stands in line 1 already"),
        ("empty", Vec::new(), "it holds no item"),
        ("text", b"hello\n".to_vec(), "line 1: no JSON: expected an item"),
        (
            "null",
            format!("{first}\n\nnull\n").into(),
            "line 3: nothing: expected an item, as `medtune eval --out`",
        ),
        ("latin 1", b"{\"id\": \"caf\xe9\"}\n".to_vec(), "line 1: not text in UTF-8"),
        ("list", b"[1, 2]".to_vec(), "item 1: a number: expected an item"),
        ("stray", choice("C").into(), "line 1: item `x`: the picked option `C` is none of those shown: A, B"),
        (
            "in part",
            choice("A").replace(",{\"log_likelihood\":-2.0,\"bytes\":1}", "").into(),
            "2 options shown, 1 rated",
        ),
    ];
    let file = folder.path().join("wrong.jsonl");
    for (what, bytes, said) in wrong {
        fs::write(&file, bytes).unwrap();
        for arguments in [&["rescore", text(&file)][..], &["compare", text(&items), text(&file)]] {
            let error = refused(arguments);
            assert!(
                error.contains("wrong.jsonl") && error.contains(said) && error.contains("hint:"),
                "{what}: {error}"
            );
            assert!(!error.contains("struct") && !error.contains(" column "), "{what}: {error}");
        }
    }
    // What programs put before or between lines is no fault.
    fs::write(&file, format!("\u{feff}{}", whole.replace('\n', "\r\n"))).unwrap();
    assert!(stdout(&run(&["rescore", text(&file)], 0)).contains("every number is what is on file"));
    assert!(refused(&["rescore", text(folder.path())]).contains("hint: name a run folder"));
    assert!(refused(&["rescore", "nowhere"]).contains("hint: look at the path"));
    fs::write(&file, whole.lines().take(3).collect::<Vec<_>>().join("\n")).unwrap();
    assert!(refused(&["compare", text(&items), text(&file)]).contains("hint: `--common`"));
}

#[test]
fn answers_that_cannot_be_read_are_counted_and_files_without_any_are_named() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("answers");
    let table = "id,reference,answer\nq1,Take 4 mg.,Take 4 mg.\nq2,Café.,Café.\n";
    let read = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        stdout(&run(&["eval", "--answers-file", text(&file)], 0))
    };
    assert!(read(format!("\u{feff}{table}").as_bytes()).contains("2 items"));
    let latin: Vec<u8> = table.chars().map(|c| c as u8).collect();
    let page = read(&latin);
    assert!(page.contains("1 item in") && page.contains("row 2: not text in UTF-8"), "{page}");
    let page = read(b"{\"id\":\"a\",\"reference\":\"x\",\"answer\":\"x\"}\n{\"id\":\"b\",\"refer");
    assert!(page.contains("1 item in") && page.contains("row 2: cut off in the middle"), "{page}");
    let wrong: [(&str, Vec<u8>, &str); 7] = [
        ("empty", Vec::new(), "the file is empty"),
        ("header", b"id,reference,answer\n".to_vec(), "it has no rows"),
        (
            "UTF-16",
            [b"\xff\xfe".to_vec(), table.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat(),
            "UTF-16",
        ),
        ("bytes", (0..=255).collect(), "not text in UTF-8"),
        ("object", b"{\n \"rows\": []\n}\n".to_vec(), "one object: expected a list of objects"),
        (
            "cut list",
            b"[{\"reference\": \"x\", ".to_vec(),
            "cut off in the middle: expected a list of objects",
        ),
        ("columns", b"reference,answer,answer\nx,y,z\n".to_vec(), "two columns are called `answer`"),
    ];
    for (what, bytes, said) in wrong {
        fs::write(&file, bytes).unwrap();
        let error = refused(&["eval", "--answers-file", text(&file)]);
        assert!(error.contains(said) && error.contains("hint:"), "{what}: {error}");
    }
    assert!(refused(&["eval", "--answers-file", text(folder.path())]).contains("hint: name a file in it"));
}

#[test]
fn files_of_another_kind_are_named_with_what_was_found_and_what_was_expected() {
    let folder = tempdir().unwrap();
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/base");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let conversation = "expected a conversation with `messages`, as `medtune prepare` writes one a line";
    for (name, bytes, said) in [
        (
            "rows.csv",
            &b"question,answer\nWhy?,So.\n"[..],
            format!("rows.csv, line 1: no JSON: {conversation}"),
        ),
        (
            "cut.jsonl",
            b"\n{\"messages\": [",
            format!("cut.jsonl, line 2: cut off in the middle: {conversation}"),
        ),
        ("list.json", b"[{\"question\": \"Why?\"}]", format!("list.json, line 1: a list: {conversation}")),
        ("other.jsonl", b"{\"a\": 1}", format!("line 1: no `messages` in it: {conversation}")),
        ("latin.jsonl", b"{\"a\": \"\xe9\"}", "line 1: not text in UTF-8".to_owned()),
        ("choices.csv", b"question,A,B\n", "line 1: no JSON: expected a multiple-choice item".to_owned()),
        ("empty.jsonl", b"", "empty.jsonl: no question in it".to_owned()),
    ] {
        let error = refused(&["eval", text(&file(name, bytes)), "--model", base]);
        assert!(error.contains(&said) && error.contains("hint: `medtune prepare FILE"), "{name}: {error}");
    }
    for (name, bytes, said) in [
        ("a.csv", &b"id,reply\nx,y\n"[..], "no column `answer`; the file has id, reply"),
        ("b.jsonl", b"{\"id\": \"x\", \"answer\": \"y\"}", "none of its ids is one of the suite"),
        ("c.jsonl", b"{\"id\": \"cold-1\", \"answer\": \"y\"}\n{\"id\"", "row 2: cut off in the middle"),
        ("d.jsonl", b"", "the file is empty"),
    ] {
        let error = refused(&["eval", "--suite", "safety", "--answers-file", text(&file(name, bytes))]);
        assert!(error.contains(name) && error.contains(said) && error.contains("hint:"), "{name}: {error}");
    }
    let answers = file("answers.csv", b"id,question,answer\nq1,Why?,So.\n");
    for (name, bytes, said) in [
        ("a.yaml", &b"id,question\nq1,Why?\n"[..], "a text: expected a rubric"),
        ("b.yaml", b"", "nothing: expected a rubric"),
        ("c.yaml", b"levels: [a,\nb: \"", "line 2: no YAML: expected a rubric"),
        ("d.yaml", b"grades: [a]", "`grades` is no part of it: expected a rubric, of `criteria`"),
    ] {
        let rubric = file(name, bytes);
        let judge = ["judge", text(&answers), "--judge", base, "--dry-run", "--rubric", text(&rubric)];
        let error = refused(&judge);
        assert!(error.contains(name) && error.contains(said), "{name}: {error}");
        assert!(error.contains("hint: in YAML") && !error.contains("-->"), "{name}: {error}");
    }
    let nothing = folder.path().join("nothing");
    fs::create_dir(&nothing).unwrap();
    let test = file("test.jsonl", b"{\"messages\":[{\"role\":\"assistant\",\"content\":\"So.\"}]}");
    let error = refused(&["eval", text(&test), "--model", text(&nothing)]);
    assert!(error.contains("no config.json in it") && error.contains("hint: a model is a folder"), "{error}");

    let runs = scored();
    let a = runs.path().join("a");
    for (name, said) in [
        ("settings.json", "expected the settings of an evaluation"),
        ("results.json", "expected the numbers of an evaluation"),
    ] {
        let whole = fs::read(a.join(name)).unwrap();
        for bytes in [&b""[..], b"[1, 2]", &whole[..whole.len() / 2]] {
            fs::write(a.join(name), bytes).unwrap();
            let error = refused(&["rescore", text(&a)]);
            assert!(error.contains(name) && error.contains(said), "{error}");
            assert!(error.contains("hint: `medtune eval --out` writes it anew"), "{error}");
        }
        fs::write(a.join(name), whole).unwrap();
    }
}
