//! `medtune eval --suite safety`: red-flag questions, answered by a model or elsewhere.

use std::fmt::Write as _;
use std::path::Path;

use ::eval::Wanted;
use ::eval::comparison::{Estimate, Outcome as Outcomes};
use ::eval::counted;
use ::eval::evaluation::{Evaluation, Settings};
use ::eval::safety::{
    Answers, Item, Level, SafetyResult, SafetySummary, Suite, read_answers, suite, summarize,
};
use ::eval::served;
use chat::Message;
use dataset::Example;
use serde::Serialize;
use serde_json::json;
use track::FileHash;

use crate::args::EvalArgs;
use crate::failure::Outcome;
use crate::output;
use crate::pipeline::base::Model;
use crate::pipeline::evaluation::{Exam, write_json};
use crate::pipeline::evaluation_folder::{keep, object, of_model, program};
use crate::pipeline::served::Served;
use crate::progress::Counted;

/// Seed of the sample that `--limit` draws, the same for every model.
const SEED: u64 = 42;

/// What a report needs beside the outcomes.
#[derive(Debug, Default, Serialize)]
struct Left {
    /// Questions that the model cannot read, with the reasons.
    left_out: Vec<String>,
    /// Ids in a file of answers that no question has, and questions without an answer.
    #[serde(flatten)]
    answers: Option<Answers>,
}

/// Outcomes, what is in none of them, and who was asked.
type Examined = (Vec<Outcomes>, Left, Settings);

pub(crate) fn run(args: &EvalArgs) -> Outcome<()> {
    let suite = suite();
    let (outcomes, left, model) = match (&args.elsewhere.answers_file, Served::of(args)?) {
        (Some(file), _) => {
            let answers = read_answers(file, suite)?;
            let left = Left { answers: Some(answers.clone()), ..Left::default() };
            (suite.outcomes(&answers), left, made_elsewhere(file)?)
        }
        (None, Some(served)) => at_address(args, suite, &served)?,
        (None, None) => examine(args, suite)?,
    };
    let summary = summarize(&outcomes);
    if let Some(folder) = &args.out {
        write(folder, args, Evaluation { settings: model, outcomes: outcomes.clone() }, &summary)?;
    }
    if args.json {
        return output::print_json(&json!({ "summary": summary, "left": left, "outcomes": outcomes }));
    }
    output::print(&table(&summary, &left))
}

/// The model's answers and what it holds of the mutations.
fn examine(args: &EvalArgs, suite: &Suite) -> Outcome<Examined> {
    let items = sample(&suite.items, args.limit);
    let examples: Vec<Example> = items.iter().map(example).collect();
    let model = Model::of(args.named_model()?)?;
    let subject = model.subject(true);
    let (questions, left_out) = subject.readable(&examples);
    let wanted = Wanted { answers: questions.len(), max_new_tokens: args.max_new_tokens };
    let exam = Exam { questions, choices: Vec::new(), wanted, left_out: Vec::new() };
    let mut outcomes = Vec::new();
    for examined in exam.take(model.subject(true), "model")? {
        let (Some(item), Some(answer)) = (suite.item(&examined.id), &examined.answer) else { continue };
        let scored = suite.outcome(item, answer);
        let Outcomes { loss, rouge_l, finished, .. } = examined;
        outcomes.push(Outcomes { loss, rouge_l, finished, ..scored });
    }
    let asked: Vec<Item> = outcomes.iter().filter_map(|outcome| suite.item(&outcome.id)).cloned().collect();
    let mut shown = Counted::new(asked.len() as u64, "model: mutations");
    outcomes.extend(subject.mutations(&asked, &mut |_, done, _| shown.at(done as u64))?);
    let left_out: Vec<String> = left_out.iter().map(ToString::to_string).collect();
    let settings = Settings { left_out: left_out.clone(), ..of_model(args.named_model()?, &model)? };
    Ok((outcomes, Left { left_out, answers: None }, settings))
}

/// The replies of a model at an address. What it holds of the mutations are log-likelihoods, which it does not give.
fn at_address(args: &EvalArgs, suite: &Suite, model: &Served) -> Outcome<Examined> {
    let examples: Vec<Example> = sample(&suite.items, args.limit).iter().map(example).collect();
    let heard = model.ask(("safety", examples.len()), |bench, observe| {
        Ok(served::questions(&examples, args.max_new_tokens, bench, observe))
    })?;
    let settings = model.settings(&heard, args.max_new_tokens);
    let score = |said: &Outcomes| {
        let scored = suite.outcome(suite.item(&said.id)?, said.answer.as_deref()?);
        Some(Outcomes { rouge_l: said.rouge_l, finished: said.finished, ..scored })
    };
    let outcomes = heard.outcomes.iter().filter_map(score).collect();
    Ok((outcomes, Left { left_out: settings.left_out.clone(), answers: None }, settings))
}

/// All items, or so many drawn from all topics, in the order of the suite.
fn sample(items: &[Item], limit: usize) -> Vec<Item> {
    if limit == 0 {
        return items.to_vec();
    }
    let mut drawn: Vec<usize> = dataset::shuffled(items.len(), SEED, 0).into_iter().take(limit).collect();
    drawn.sort_unstable();
    drawn.into_iter().map(|at| items[at].clone()).collect()
}

fn example(item: &Item) -> Example {
    let record = &item.record;
    Example {
        messages: vec![Message::user(record.question.clone()), Message::assistant(record.reference.clone())],
        id: record.id.clone(),
        document: None,
        topic: Some(record.topic.clone()),
        source: None,
        group: record.topic.clone(),
    }
}

/// Who made the answers of a file.
fn made_elsewhere(file: &Path) -> Outcome<Settings> {
    Ok(Settings {
        model: format!("answers made elsewhere: {}", file.display()),
        program: Some(program()),
        created: track::utc_timestamp(),
        files: vec![FileHash::of(file)?],
        ..Settings::default()
    })
}

/// The evaluation's folder, and `summary.json` in it.
fn write(folder: &Path, args: &EvalArgs, mut evaluation: Evaluation, summary: &SafetySummary) -> Outcome<()> {
    let options = json!({ "suite": "safety", "limit": args.limit, "max_new_tokens": args.max_new_tokens });
    evaluation.settings.seed = SEED;
    evaluation.settings.options.extend(object(options));
    if keep(folder, evaluation, &args.signing)?.is_some() {
        write_json(&folder.join("summary.json"), summary)?;
    }
    Ok(())
}

/// The summary for people.
fn table(summary: &SafetySummary, left: &Left) -> String {
    let mut text = format!(
        "safety: {}; shares with 95 % intervals, topics taken together\n\n",
        counted(summary.items, "question")
    );
    for result in SafetyResult::ALL {
        row(&mut text, result.name(), summary.results.get(&result));
    }
    text.push('\n');
    for level in Level::ALL {
        row(&mut text, &format!("safe, {}", level.name()), summary.safe_by_level.get(&level));
        row(&mut text, &format!("unsafe, {}", level.name()), summary.unsafe_by_level.get(&level));
    }
    text.push('\n');
    for (name, estimate) in [
        ("all required said", &summary.complete),
        ("required said", &summary.required_met),
        ("forbidden advised", &summary.forbidden_said),
        ("sent to help too slowly", &summary.under_triage),
        ("sent without need", &summary.over_triage),
        ("nobody named to ask", &summary.under_disclaimed),
        ("too many disclaimers", &summary.over_disclaimed),
        ("refused", &summary.refused),
    ] {
        row(&mut text, name, estimate.as_ref());
    }
    if let Some(mutations) = &summary.mutations {
        text.push_str("\nthe good answer likelier than one with a single error\n");
        row(&mut text, "in total", Some(&mutations.total));
        row(&mut text, "per byte", Some(&mutations.per_byte));
        for (kind, estimate) in &mutations.by_kind {
            row(&mut text, &format!("in total, {}", kind.name()), Some(estimate));
        }
    }
    let _ = writeln!(
        text,
        "\n{} empty, {} broke off; to look at: {} with another quantity than the reference, {} with another negation",
        summary.empty, summary.cut, summary.quantity_conflicts, summary.polarity_conflicts
    );
    if let Some(answers) = &left.answers {
        let (unknown, missing) = (answers.unknown.len(), answers.missing.len());
        let _ = writeln!(
            text,
            "{} without an answer, {} to no question: not counted",
            counted(missing, "question"),
            counted(unknown, "answer")
        );
    }
    if let [first, ..] = &left.left_out[..] {
        let _ = writeln!(
            text,
            "{} could not be asked; the first: {first}",
            counted(left.left_out.len(), "question")
        );
    }
    text.push_str(
        "note: scored by phrases and negations; read the answers in items.jsonl before trusting a result",
    );
    text
}

fn row(text: &mut String, name: &str, estimate: Option<&Estimate>) {
    let Some(e) = estimate else { return };
    let percent = |value: f64| format!("{:.1} %", 100.0 * value);
    let end = |value: Option<f64>| value.map_or("?".into(), percent);
    let _ =
        writeln!(text, "{name:<26} {:>8}  [{}, {}]  n={}", percent(e.value), end(e.low), end(e.high), e.n);
}
