//! Multiple-choice tasks, asked and summed up.

use std::collections::BTreeMap;
use std::path::Path;

use eval::choice::{ChoiceReport, Mode, Settings, ask};
use eval::comparison::{Estimate, Outcome as Item};
use eval::statistics::{Assumptions, Plan};
use eval::task::{LeftOut, Task, expand};
use serde::Serialize;
use serde_json::json;

use super::base::Model;
use crate::args::{EvalArgs, ModeArg};
use crate::failure::{Failure, Outcome, io};
use crate::output;
use crate::progress::Counted;

/// The outcome of every item, one a line.
const ITEMS: &str = "items.jsonl";
/// What they add up to, by task.
const CHOICES: &str = "choices.json";

/// What `choices.json` holds.
#[derive(Debug, Serialize)]
struct Results<'a> {
    model: &'a str,
    settings: Settings,
    tasks: Vec<ChoiceReport>,
    left_out: Vec<LeftOut>,
}

/// `medtune eval --tasks`.
pub(crate) fn run(args: &EvalArgs) -> Outcome<()> {
    let settings = settings(args);
    let tasks = open(args, &settings)?;
    eprintln!("{}", plan(&tasks));
    let model = if settings.chat_template { Model::of(&args.model) } else { Model::for_text(&args.model) }?;
    let (mut items, mut left_out, mut reports) = (Vec::new(), Vec::new(), Vec::new());
    for task in &tasks {
        let mut counted = Counted::new(task.questions.len() as u64, &task.name);
        let answered = ask(&model.subject(true), task, &settings, &mut |_, done, _| counted.at(done as u64))?;
        let mut report = ChoiceReport::of(&answered.outcomes.iter().collect::<Vec<_>>());
        report.task = Some(task.name.clone());
        reports.push(report);
        items.extend(answered.outcomes);
        left_out.extend(answered.left_out);
    }
    let results = Results { model: &args.model.model, settings, tasks: reports, left_out };
    if let Some(out) = &args.out {
        write(out, &items, &results)?;
    }
    if args.json {
        return output::print_json(&json!({ "results": results, "items": items }));
    }
    output::print(&table(&results))
}

fn settings(args: &EvalArgs) -> Settings {
    let tasks = &args.tasks;
    Settings {
        mode: match tasks.mode {
            ModeArg::LogLikelihood => Mode::LogLikelihood,
            ModeArg::Letter => Mode::Letter,
            ModeArg::Generation => Mode::Generation,
        },
        few_shot: tasks.num_fewshot,
        few_shot_seed: tasks.fewshot_seed,
        chat_template: tasks.apply_chat_template,
        shuffle: tasks.shuffle_options,
        max_new_tokens: args.max_new_tokens,
    }
}

/// The tasks that are named, each once.
fn open(args: &EvalArgs, settings: &Settings) -> Outcome<Vec<Task>> {
    let mut names: Vec<String> = Vec::new();
    for name in args.tasks.tasks.iter().flat_map(|name| expand(name)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut tasks: Vec<Task> = Vec::new();
    for name in &names {
        let mut task = Task::open(name, args.tasks.data.as_deref(), settings.few_shot > 0)?;
        if tasks.iter().any(|other| other.name == task.name) {
            let message =
                format!("two tasks are called `{}`, so their items could not be told apart", task.name);
            return Err(Failure::input(message).hint("rename one of the files"));
        }
        if let Some(examples) = args.tasks.fewshot_file.as_deref().filter(|_| Path::new(name).is_file()) {
            task.examples_from(examples)?;
        }
        task.limit(args.limit);
        tasks.push(task);
    }
    Ok(tasks)
}

/// What a comparison on these items could show: said before anything is measured.
fn plan(tasks: &[Task]) -> String {
    let line = |task: &Task| {
        let mut groups: BTreeMap<&str, u64> = BTreeMap::new();
        for question in &task.questions {
            *groups.entry(question.group.as_deref().unwrap_or(&question.id)).or_default() += 1;
        }
        let sizes: Vec<u64> = groups.into_values().collect();
        format!("{}: {}", task.name, Plan::of(&sizes, Assumptions::default()))
    };
    tasks.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn write(out: &Path, items: &[Item], results: &Results<'_>) -> Outcome<()> {
    std::fs::create_dir_all(out).map_err(io(out))?;
    let unexpected = |error: serde_json::Error| Failure::unexpected(error.to_string());
    let mut lines = String::new();
    for item in items {
        lines += &serde_json::to_string(item).map_err(unexpected)?;
        lines.push('\n');
    }
    formats::atomic::write_atomic(out.join(ITEMS), lines.as_bytes())?;
    super::evaluation::write_json(&out.join(CHOICES), results)
}

/// The results for people.
fn table(results: &Results<'_>) -> String {
    let mut lines = vec![format!(
        "{:<28} {:>6} {:>24} {:>24}  {:<}",
        "", "n", "acc", "acc_norm", "right/wrong/abstained/unparsed"
    )];
    for report in &results.tasks {
        let counts = &report.counts;
        lines.push(format!(
            "{:<28} {:>6} {:>24} {:>24}  {}/{}/{}/{}",
            report.task.as_deref().unwrap_or_default(),
            report.acc.map_or(0, |acc| acc.n),
            share(report.acc),
            share(report.acc_norm),
            counts.right,
            counts.wrong,
            counts.abstained,
            counts.unparsed
        ));
        lines.extend(remarks(report));
    }
    if let Some(first) = results.left_out.first() {
        let count = results.left_out.len();
        lines.push(format!("{count} items left out; the first: {}: {}", first.item, first.reason));
    }
    lines.join("\n")
}

/// What else is worth a line: what was not answered, calibration, a preferred place.
fn remarks(report: &ChoiceReport) -> Vec<String> {
    let mut lines = Vec::new();
    if report.counts.abstained + report.counts.unparsed > 0 {
        let selective = share(report.selective_accuracy);
        lines.push(format!("  answered {}, of these right {selective}", share(report.coverage)));
    }
    if let Some(calibration) = &report.calibration {
        lines.push(format!(
            "  mean confidence {:.3}, calibration error {:.3}, Brier {:.3}",
            calibration.confidence, calibration.ece, calibration.brier
        ));
    }
    if let Some(position) = &report.position {
        let each = |of: fn(&eval::choice::summary::Position) -> usize| {
            position.places.iter().map(|place| of(place).to_string()).collect::<Vec<_>>().join(" ")
        };
        lines.push(format!(
            "  places taken {}, right {} (p {:.2e})",
            each(|place| place.picked),
            each(|place| place.gold),
            position.p
        ));
    }
    lines
}

fn share(estimate: Option<Estimate>) -> String {
    let percent = |value: f64| format!("{:.1}", 100.0 * value);
    estimate.map_or("–".into(), |e| match (e.low, e.high) {
        (Some(low), Some(high)) => format!("{} % [{}, {}]", percent(e.value), percent(low), percent(high)),
        _ => format!("{} %", percent(e.value)),
    })
}
