//! The report of evaluations as a reader and a browser get it.

mod answered;
mod html;

use answered::{FEW, evaluation};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eval::comparison::{Choice, CompareOptions, Outcome, Run, compare_runs};
use eval::evaluation::{Evaluation, TaskSettings};
use eval::report::{EvaluationReport, Figure};
use html::assert_well_formed;
use serde_json::Value;

fn report(evaluations: Vec<Evaluation>) -> EvaluationReport {
    let runs: Vec<Run> = evaluations
        .iter()
        .map(|evaluation| Run {
            name: evaluation.settings.name.clone(),
            outcomes: evaluation.outcomes.clone(),
        })
        .collect();
    let options = CompareOptions { resampling: FEW, ..CompareOptions::default() };
    let comparison = compare_runs(&runs, &options).unwrap();
    EvaluationReport::of_several(evaluations, comparison).unwrap()
}

/// What stands between two texts, the first time.
fn between<'a>(html: &'a str, begin: &str, end: &str) -> &'a str {
    let start = html.find(begin).unwrap() + begin.len();
    &html[start..start + html[start..].find(end).unwrap()]
}

fn data(html: &str) -> Value {
    serde_json::from_str(between(html, "id=\"answers-data\">", "</script>")).unwrap()
}

#[test]
fn the_page_of_three_runs_holds_the_verdicts_the_numbers_and_every_answer() {
    let runs = vec![evaluation("base", 0), evaluation("tuned", 1), evaluation("rag", 2)];
    let html = report(runs).to_html().unwrap();
    // To look at it: `MEDTUNE_REPORT=/tmp/report.html cargo test -p eval --test evaluation_report`.
    if let Ok(path) = std::env::var("MEDTUNE_REPORT") {
        std::fs::write(path, &html).unwrap();
    }
    assert_well_formed(&html);
    assert!(html.find("class=\"verdict").unwrap() < html.find("<svg").unwrap(), "the verdict comes first");
    assert_eq!(html.matches("class=\"verdict").count(), 2, "one for each run against the first");
    for told in [
        "<h2>medqa</h2>",
        "<h2>questions</h2>",
        "24 items in 8 groups",
        "What changed from base to rag",
        "not right → right",
        "tok:13a",
        "corrected by Holm",
        "exchange of the two runs",
        "McNemar",
    ] {
        assert!(html.contains(told), "{told}");
    }
    let data = data(&html);
    assert_eq!(data["runs"], serde_json::json!(["base", "tuned", "rag"]));
    let items = data["items"].as_array().unwrap();
    assert_eq!(items.len(), 54);
    assert!(items.iter().all(|item| item["answers"].as_array().unwrap().len() == 3));
    let flags: Vec<&str> = items
        .iter()
        .flat_map(|item| item["answers"][0]["flags"].as_array().unwrap())
        .map(|flag| flag.as_str().unwrap())
        .collect();
    assert!(flags.contains(&"amount: 4 g in 24 hours → 40 g in 24 hours"), "{flags:?}");
    assert!(
        flags.contains(&"urgent advice missing") && flags.contains(&"no answer: counts as 0"),
        "{flags:?}"
    );
}

#[test]
fn the_page_asks_nobody_and_runs_one_script_that_it_names_by_its_hash() {
    let html = report(vec![evaluation("base", 0), evaluation("tuned", 2)]).to_html().unwrap();
    for outside in ["http:", "https:", "src=", "href=", "@import", "url(", "eval(", "innerHTML"] {
        assert!(!html.contains(outside), "{outside}");
    }
    let script = between(&html, "<script>", "</script>");
    let hash = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, script.as_bytes()));
    let policy = between(&html, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    let policy = policy.replace("&#x27;", "'").replace("&#x2f;", "/");
    assert_eq!(policy, format!("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'"));
}

#[test]
fn text_of_others_is_text() {
    let hostile = "</script><script>alert('x')</script><!-- ]]> <img src=y onerror=z>&amp;{{ 123456 * 1000 }}\u{2028}\"";
    let mut evaluations = vec![evaluation("base", 0), evaluation(hostile, 2)];
    for evaluation in &mut evaluations {
        evaluation.settings.model = hostile.into();
        evaluation.settings.left_out = vec![hostile.into()];
        evaluation.settings.options.insert(hostile.into(), hostile.into());
        evaluation.settings.metrics.insert("bleu".into(), hostile.into());
        let asked = TaskSettings { version: Some(hostile.into()), ..TaskSettings::default() };
        evaluation.settings.tasks.insert(hostile.into(), asked);
        for outcome in &mut evaluation.outcomes {
            outcome.id = format!("{hostile}{}", outcome.id);
            outcome.question = Some(hostile.into());
            if let Some(choice) = &mut outcome.choice {
                choice.gold = format!("{hostile}{}", choice.gold);
                choice.picked = choice.picked.as_ref().map(|picked| format!("{hostile}{picked}"));
                outcome.task = Some(hostile.into());
            } else {
                outcome.reference = Some(hostile.into());
                outcome.answer = Some(format!("{hostile}{}", outcome.answer.as_deref().unwrap_or_default()));
                outcome.measure_text();
            }
        }
    }
    let html = report(evaluations.clone()).to_html().unwrap();
    let alone = EvaluationReport::of_one(evaluations.remove(1)).unwrap().to_html().unwrap();
    for html in [html, alone] {
        assert_well_formed(&html);
        assert_eq!(html.matches("<script").count(), 2, "the data and the script, nothing else");
        assert!(!html.contains("<img") && !html.contains("<!--") && !html.contains("123456000"));
        let data = data(&html);
        assert_eq!(data["items"][0]["question"], hostile, "and nothing of it is lost");
    }
}

#[test]
fn thousands_of_items_are_in_the_page() {
    let outcomes = |gold: &str| -> Vec<Outcome> {
        let outcome = |index: usize| Outcome {
            id: format!("{index:05}"),
            question: Some(format!("Question {index}")),
            choice: Some(Choice {
                gold: "A".into(),
                picked: Some(if index.is_multiple_of(3) { gold } else { "A" }.into()),
                ..Choice::default()
            }),
            ..Outcome::default()
        };
        (0..5000).map(outcome).collect()
    };
    let of = |name: &str, gold| Evaluation { outcomes: outcomes(gold), ..evaluation(name, 0) };
    let html = report(vec![of("base", "B"), of("tuned", "A")]).to_html().unwrap();
    assert_eq!(data(&html)["items"].as_array().unwrap().len(), 5000);
    assert!(html.contains("not right → right: 1,667 items"));
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
}

#[test]
fn an_evaluation_of_one_run_has_its_headline_and_the_pictures_of_others() {
    let figure = Figure {
        heading: "Reliability".into(),
        svg: "<svg viewBox=\"0 0 1 1\"></svg>".into(),
        caption: "Said & seen".into(),
    };
    let html =
        EvaluationReport::of_one(evaluation("tuned", 1)).unwrap().with_figure(figure).to_html().unwrap();
    assert_well_formed(&html);
    assert!(between(&html, "<p class=\"verdict open\">", "</p>").starts_with("medqa: multiple choice"));
    assert!(html.contains("<h2>Reliability</h2>") && html.contains("<svg viewBox=\"0 0 1 1\"></svg>"));
    assert!(html.contains("Said &amp; seen") && !html.contains("<h2>Differences</h2>"));
    // An evaluation of nothing that can be shown has no browser.
    let bare = Evaluation {
        outcomes: vec![Outcome { id: "1".into(), ..Outcome::default() }],
        ..evaluation("bare", 0)
    };
    let html = EvaluationReport::of_one(bare).unwrap().to_html().unwrap();
    assert_well_formed(&html);
    assert!(!html.contains("<script"));
}
