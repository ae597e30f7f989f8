//! `medtune search`: what an index has on a question, and how good the search is.

use std::collections::HashMap;
use std::path::Path;

use ::eval::counted;
use ::eval::statistics::{Interval, Resampling, bca_interval};
use rag::quality::{Judged, ndcg, recall, reciprocal_rank};
use rag::{Hit, Retriever};
use serde_json::{Value, json};

use crate::args::SearchArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::retrieval::Library;
use crate::progress::Counted;

/// Characters of a passage that are shown.
const SHOWN: usize = 300;

/// Passages that a search is measured on.
const MEASURED: usize = 20;

pub(crate) fn run(args: &SearchArgs) -> Outcome<()> {
    let library = Library::open(&args.index, &args.finding)?;
    match (&args.query, &args.questions) {
        (Some(query), _) => {
            let hits = library.retriever(0)?.search(query)?;
            match args.json {
                true => output::print_json(&json!({ "query": query, "hits": hits })),
                false => output::print(&list(&hits, &library.describe()?)),
            }
        }
        (None, Some(questions)) => measure(args, &library.retriever(MEASURED)?, questions),
        (None, None) => Err(Failure::input("nothing to look for")),
    }
}

fn list(hits: &[Hit], searched: &str) -> String {
    if hits.is_empty() {
        return format!("nothing found in {searched}");
    }
    let one = |(at, hit): (usize, &Hit)| {
        let text: String = hit.passage.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let cut = text.chars().count() > SHOWN;
        let text: String = text.chars().take(SHOWN).collect();
        let end = if cut { " …" } else { "" };
        format!("{}. {}  ({})\n   {text}{end}", at + 1, hit.passage.source(), found_by(hit))
    };
    hits.iter().enumerate().map(one).collect::<Vec<_>>().join("\n")
}

fn found_by(hit: &Hit) -> String {
    let place = |name: &str, place: &rag::Place| format!("{name} {}: {:.2}", place.rank, place.score);
    let ways = [
        hit.words.as_ref().map(|at| place("words", at)),
        hit.vectors.as_ref().map(|at| place("vectors", at)),
        hit.reranked.map(|score| format!("reranker {score:.2}")),
        (hit.unread > 0).then(|| format!("{} not read by it", counted(hit.unread, "token"))),
    ];
    ways.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A number of the search, with what it is for each question.
struct Measure {
    name: &'static str,
    of: fn(&[&str], &HashMap<String, u32>) -> f64,
}

const MEASURES: [Measure; 6] = [
    Measure { name: "recall@1", of: |ranked, relevant| recall(ranked, relevant, 1) },
    Measure { name: "recall@5", of: |ranked, relevant| recall(ranked, relevant, 5) },
    Measure { name: "recall@10", of: |ranked, relevant| recall(ranked, relevant, 10) },
    Measure { name: "recall@20", of: |ranked, relevant| recall(ranked, relevant, 20) },
    Measure { name: "MRR@10", of: |ranked, relevant| reciprocal_rank(ranked, relevant, 10) },
    Measure { name: "nDCG@10", of: |ranked, relevant| ndcg(ranked, relevant, 10) },
];

fn measure(args: &SearchArgs, retriever: &Retriever<'_>, file: &Path) -> Outcome<()> {
    let (questions, skipped) = judged(file)?;
    let mut progress = Counted::new(questions.len() as u64, "questions");
    let (mut items, mut values) = (Vec::new(), vec![Vec::new(); MEASURES.len()]);
    for question in &questions {
        let hits = retriever.search(&question.question)?;
        let ranked = keys(&hits, &question.relevant);
        let of: Vec<f64> = MEASURES.iter().map(|measure| (measure.of)(&ranked, &question.relevant)).collect();
        values.iter_mut().zip(&of).for_each(|(values, value)| values.push(*value));
        let named: serde_json::Map<String, Value> = MEASURES
            .iter()
            .zip(&of)
            .map(|(measure, value)| (measure.name.to_owned(), json!(value)))
            .collect();
        items.push(json!({ "id": question.id, "found": ranked, "measures": named }));
        progress.at(items.len() as u64);
    }
    drop(progress);
    let estimate = |values: &[f64]| -> (f64, Option<Interval>) {
        let groups: Vec<[f64; 2]> = values.iter().map(|value| [*value, 1.0]).collect();
        let interval = bca_interval(&groups, |[sum, count]| sum / count, &Resampling::default());
        (values.iter().sum::<f64>() / values.len() as f64, interval)
    };
    let results: Vec<_> =
        MEASURES.iter().zip(&values).map(|(measure, values)| (measure.name, estimate(values))).collect();
    if args.json {
        let results: serde_json::Map<String, Value> = results
            .iter()
            .map(|(name, (value, interval))| {
                let interval = interval.map(|interval| [interval.low, interval.high]);
                ((*name).to_owned(), json!({ "value": value, "interval": interval, "n": questions.len() }))
            })
            .collect();
        let retrieval = retriever.retrieval()?;
        return output::print_json(
            &json!({ "retrieval": retrieval, "results": results, "items": items, "skipped": skipped }),
        );
    }
    let mut lines = vec![format!("{}, {}", counted(questions.len(), "question"), retriever.retrieval()?)];
    for (name, (value, interval)) in results {
        let interval = interval.map_or_else(String::new, |i| format!(" [{:.3}, {:.3}]", i.low, i.high));
        lines.push(format!("{name:<10} {value:.3}{interval}"));
    }
    if let Some(first) = skipped.first() {
        lines.push(format!("{} skipped; the first: {first}", counted(skipped.len(), "row")));
    }
    output::print(&lines.join("\n"))
}

/// What was found, each by the name that the judgements have for it: the passage's or its document's.
fn keys<'a>(hits: &'a [Hit], relevant: &HashMap<String, u32>) -> Vec<&'a str> {
    let mut keys: Vec<&str> = Vec::new();
    for hit in hits {
        let name = hit.passage.name.as_str();
        let document = hit.passage.document.as_deref().unwrap_or(name);
        let key = if relevant.contains_key(name) { name } else { document };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// The questions of a file, and why rows are none.
fn judged(file: &Path) -> Outcome<(Vec<Judged>, Vec<String>)> {
    let (mut questions, mut skipped) = (Vec::new(), Vec::new());
    for record in dataset::records(file, 16 << 20)? {
        let row = match record? {
            Ok(row) => row,
            Err(dropped) => {
                skipped.push(format!("row {}: {}", dropped.origin.row, dropped.detail));
                continue;
            }
        };
        let (at, text) = (row.origin.row, |name: &str| row.fields.get(name).and_then(Value::as_str));
        match (text("question"), row.fields.get("relevant").and_then(grades)) {
            (Some(question), Some(relevant)) if !relevant.is_empty() => {
                let id = row.fields.get("id").and_then(name).unwrap_or_else(|| at.to_string());
                questions.push(Judged { id, question: question.to_owned(), relevant });
            }
            (None, _) => skipped.push(format!("row {at}: no `question`")),
            _ => skipped.push(format!("row {at}: `relevant` names no passage")),
        }
    }
    if questions.is_empty() {
        let first = skipped.first().map_or_else(String::new, |first| format!("; {first}"));
        let message = format!("{}: no question with passages that answer it{first}", file.display());
        return Err(Failure::input(message)
            .hint("a row is {\"question\": \"…\", \"relevant\": [\"name of a passage or document\"]}"));
    }
    Ok((questions, skipped))
}

/// A name; in many files it is a number.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Names with their grades; a name alone has the grade 1, a grade of 0 does not answer.
fn grades(value: &Value) -> Option<HashMap<String, u32>> {
    match value {
        Value::String(_) | Value::Number(_) => Some([(name(value)?, 1)].into()),
        Value::Array(names) => names.iter().map(|value| Some((name(value)?, 1))).collect(),
        Value::Object(grades) => {
            let grades: Option<HashMap<String, u32>> = grades
                .iter()
                .map(|(name, grade)| Some((name.clone(), u32::try_from(grade.as_u64()?).ok()?)))
                .collect();
            grades.map(|grades| grades.into_iter().filter(|(_, grade)| *grade > 0).collect())
        }
        _ => None,
    }
}
