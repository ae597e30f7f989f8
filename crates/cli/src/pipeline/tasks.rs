//! Multiple-choice tasks, asked and summed up.

use std::collections::BTreeMap;
use std::path::Path;

use eval::choice::{ChoiceReport, Mode, Settings, TooLong, ask, ask_served};
use eval::comparison::{Estimate, Outcome as Item};
use eval::counted;
use eval::evaluation::{self, Evaluation, TaskSettings};
use eval::served::{Heard, Unanswered};
use eval::statistics::{Assumptions, Plan};
use eval::task::{LeftOut, Task, expand};
use serde_json::json;

use super::base::Model;
use super::evaluation_folder::{keep, object, of_model};
use super::retrieval::{describe, find_for};
use super::served::Served;
use crate::args::{EvalArgs, ModeArg, ModelArgs, TooLongArg};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::Counted;

/// `medtune eval --tasks`.
pub(crate) fn run(args: &EvalArgs) -> Outcome<()> {
    let settings = settings(args)?;
    let mut tasks = open(args, &settings)?;
    eprintln!("{}", plan(&tasks));
    let retrieval = match &args.rag.rag {
        Some(index) => Some(find_for(&mut tasks, index, &args.rag.finding)?),
        None => None,
    };
    let Examined { outcomes, left_out, settings } = match Served::of(args)? {
        Some(served) => at_address(&served, &tasks, settings)?,
        None => here(args.named_model()?, &tasks, settings)?,
    };
    let settings = evaluation::Settings { retrieval, ..settings };
    let evaluation = Evaluation { settings, outcomes };
    let reports = evaluation.choices();
    let (arithmetic, rule) = (evaluation.settings.arithmetic, evaluation.settings.rule);
    let before = evaluation.settings.retrieval.as_ref();
    let before = before.map(|retrieval| format!("\n{}", describe(retrieval, &evaluation.outcomes)));
    let document = json!({
        "settings": evaluation.settings,
        "tasks": reports,
        "left_out": left_out,
        "items": if args.json { json!(evaluation.outcomes) } else { json!(null) },
    });
    if let Some(out) = &args.out {
        keep(out, evaluation, &args.signing)?;
    }
    match args.json {
        true => output::print_json(&document),
        false => {
            let computed = arithmetic.map(|arithmetic| format!("\nproducts in {arithmetic}"));
            let read = rule.map(|rule| format!("\noptions read by the rule {rule}"));
            let made = [computed, read, before].into_iter().flatten().collect::<String>();
            output::print(&(table(&reports, &left_out) + &made))
        }
    }
}

/// What a model did with all tasks.
struct Examined {
    outcomes: Vec<Item>,
    left_out: Vec<LeftOut>,
    settings: evaluation::Settings,
}

/// Asks a model on this machine.
fn here(named: &ModelArgs, tasks: &[Task], settings: Settings) -> Outcome<Examined> {
    let model = if settings.chat_template { Model::of(named) } else { Model::for_text(named) }?;
    let (mut outcomes, mut left_out) = (Vec::new(), Vec::new());
    for task in tasks {
        let mut counted = Counted::new(task.questions.len() as u64, &task.name);
        let answered = ask(&model.subject(true), task, &settings, &mut |_, done, _| counted.at(done as u64))?;
        outcomes.extend(answered.outcomes);
        left_out.extend(answered.left_out);
    }
    let mut made_by = of_model(named, &model)?;
    made_by.options.insert("max_new_tokens".to_owned(), json!(settings.max_new_tokens));
    Ok(Examined { outcomes, settings: with_tasks(made_by, tasks, settings, &left_out), left_out })
}

/// Asks a model at an address; a question without a reply is left out.
fn at_address(model: &Served, tasks: &[Task], settings: Settings) -> Outcome<Examined> {
    if settings.mode == Mode::LogLikelihood {
        let message =
            "--mode loglikelihood: an address gives no log-likelihoods of answers that it did not write";
        return Err(Failure::input(message).hint(
            "--mode letter asks for the letter of an option, --mode generation for an answer; or name the weights: --model DIR",
        ));
    }
    // The server puts its own template around every conversation.
    let settings = Settings { chat_template: true, ..settings };
    let (mut all, mut left_out) = (Heard::default(), Vec::new());
    for task in tasks {
        let heard = model.ask((&task.name, task.questions.len()), |bench, observe| {
            ask_served(task, &settings, bench, observe)
        })?;
        left_out.extend(task.left_out.iter().cloned());
        left_out.extend(heard.unanswered.iter().map(|Unanswered { item, reason }| LeftOut {
            task: task.name.clone(),
            item: item.clone(),
            reason: format!("no reply: {reason}"),
        }));
        all.append(heard);
    }
    let made_by = model.settings(&all, settings.max_new_tokens);
    let settings = with_tasks(made_by, tasks, settings, &left_out);
    Ok(Examined { outcomes: all.outcomes, left_out, settings })
}

/// How tasks were asked, beside what `model` says of who was asked.
fn with_tasks(
    model: evaluation::Settings,
    tasks: &[Task],
    settings: Settings,
    left_out: &[LeftOut],
) -> evaluation::Settings {
    let config = object(json!({
        "mode": settings.mode,
        "few_shot_seed": settings.few_shot_seed,
        "chat_template": settings.chat_template,
        "shuffled_options": settings.shuffle,
        "too_long": settings.too_long,
    }));
    let of_task = |task: &Task| {
        let asked = task.questions.len();
        let settings = TaskSettings {
            num_fewshot: settings.few_shot,
            items: Some(asked),
            config: config.clone(),
            ..TaskSettings::default()
        };
        (task.name.clone(), settings)
    };
    evaluation::Settings {
        tasks: tasks.iter().map(of_task).collect(),
        rule: (settings.mode == Mode::Generation).then_some(settings.rule),
        left_out: left_out.iter().map(|left| format!("{}: {}", left.item, left.reason)).collect(),
        ..model
    }
}

fn settings(args: &EvalArgs) -> Outcome<Settings> {
    let tasks = &args.tasks;
    Ok(Settings {
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
        too_long: match tasks.too_long {
            TooLongArg::AsHarness => TooLong::AsHarness,
            TooLongArg::Cut => TooLong::Cut,
            TooLongArg::LeaveOut => TooLong::LeaveOut,
        },
        rule: args.rule()?.unwrap_or_default(),
    })
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

/// The results for people.
fn table(reports: &[ChoiceReport], left_out: &[LeftOut]) -> String {
    let mut lines = vec![format!(
        "{:<28} {:>6} {:>24} {:>24}  {:<}",
        "", "n", "acc", "acc_norm", "right/wrong/abstained/unparsed"
    )];
    for report in reports {
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
    if let Some(first) = left_out.first() {
        let count = counted(left_out.len(), "item");
        lines.push(format!("{count} left out; the first: {}: {}", first.item, first.reason));
    }
    lines.join("\n")
}

/// What else is worth a line: what was not answered, calibration, a preferred place.
fn remarks(report: &ChoiceReport) -> Vec<String> {
    let mut lines = Vec::new();
    if report.cut > 0 {
        lines.push(format!(
            "  asked without its beginning, because the model reads no more: {}",
            counted(report.cut, "question")
        ));
    }
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
    if let Some(macro_f1) = report.confusion.macro_f1 {
        lines.push(format!("  macro-F1 {macro_f1:.3}"));
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
