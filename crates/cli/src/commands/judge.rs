//! `medtune judge`: a model grades or compares answers; grades of people are tabulated.

mod plan;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use ::chat::Calls;
use ::eval::evaluation::EvaluationError;
use ::eval::judge::human::{Grades, SeveralMarks, read_grades, tabulate};
use ::eval::judge::{
    Answers, Asked, Beside, Judgement, Mode, PROMPTS, People, Plan, Rubric, Settings, Summary, ask, import,
    read_answers, read_judgements, read_lists,
};
use ::eval::{Error, counted};
use dataset::faults;
use endpoint::Cached;
use formats::atomic::write_atomic;

use crate::args::JudgeArgs;
use crate::failure::{Failure, Outcome, io};
use crate::interrupt::Interrupts;
use crate::output;
use crate::pipeline::planned_calls::replies;
use crate::pipeline::question_writer::{Named, Writer};
use crate::pipeline::remote::is_address;
use crate::progress::Counted;

/// What a file of `--rubric` is.
const RUBRIC: &str = "a rubric";

/// What a run that ended early is told.
const GO_ON: &str =
    "the same command goes on where this one ended; replies that are there cost nothing again";

pub(crate) fn run(args: &JudgeArgs) -> Outcome<()> {
    if let Some(name) = &args.print_prompt {
        let text = PROMPTS.text(name).ok_or_else(|| {
            Failure::input(format!("no shipped prompt `{name}`")).hint(PROMPTS.names().join(", "))
        })?;
        return output::print(text);
    }
    if !args.human.is_empty() {
        return human(args);
    }
    if !args.import.is_empty() {
        return imported(args);
    }
    let Some(judge) = &args.judge else { return Err(Failure::input("--judge is needed")) };
    let judge = judge.strip_prefix("local:").unwrap_or(judge);
    let settings = match is_address(judge) {
        true => settings(args)?,
        false => settings(args)?.with_room_for_the_verdict(),
    };
    let answers = answers(&args.answers)?;
    let grades = grades(&args.calibration, args)?;
    let judges = args.other_judge.iter().map(|path| read_judgements(path)).collect::<Result<Vec<_>, _>>()?;
    let plan = Plan::new(&answers, &settings)?;
    let store = replies(args.out.as_deref(), args.dry_run)?;
    let named = Named::new(judge, &args.access, &args.spending, store.as_ref())?;
    if args.dry_run {
        return plan::show(args, &plan, &named, store);
    }
    let (Some(out), Some(store)) = (&args.out, store) else {
        return Err(Failure::input("--out is needed").hint("name a new or empty folder"));
    };
    announce(judge, &plan, &named);
    let context = plan::context(&plan, &named);
    let model = named.start(judge, &args.access, context)?.kept_in(store);
    let (asked, interrupted) = work(args, &plan, &model)?;
    let people = grades.as_ref().map(|grades| People { grades, min_agreement: args.min_agreement });
    let beside = Beside { people, judges: &judges };
    let summary = Summary::of(&plan, &judge_name(args, judge), &asked, beside);
    write(out, &asked.judgements, &summary)?;
    finish(args, out, (asked, summary), interrupted)
}

/// Prints the summary, unless the work is not whole; a judge that may not rank is a gate that said no.
fn finish(
    args: &JudgeArgs,
    out: &Path,
    (asked, summary): (Asked, Summary),
    interrupted: Option<u8>,
) -> Outcome<()> {
    let left = asked.not_asked;
    let planned = summary.calls.planned;
    if let Some(status) = interrupted {
        return Err(Failure::interrupted(status, format!("interrupted; {left} of {planned} calls are left"))
            .hint(GO_ON));
    }
    if let Some(error) = asked.ended_by {
        let mut failure = Failure::from(error);
        failure.message += &format!(
            "\n{} of {planned} calls are done, their verdicts are in {}",
            planned - left,
            out.display()
        );
        failure.hint = Some(failure.hint.map_or(GO_ON.to_owned(), |hint| format!("{hint}; {GO_ON}")));
        return Err(failure);
    }
    match args.json {
        true => output::print_json(&json(&summary)?)?,
        false => output::print(&format!("{}\n{}\n", summary.to_text(), out.display()))?,
    }
    match summary.calibration {
        Some(calibration) if !calibration.passed => {
            Err(Failure::gate(format!("the systems are not ranked: {}", calibration.reason)).hint(
                "take another judge, another prompt or more graded answers; the scores are written and marked as not calibrated",
            ))
        }
        _ => Ok(()),
    }
}

fn human(args: &JudgeArgs) -> Outcome<()> {
    let Some(grades) = grades(&args.human, args)? else { return Err(Failure::input("--human needs a file")) };
    let table = tabulate(&grades, &args.against, &Default::default())?;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(io(out))?;
        write_atomic(out.join("human.json"), format!("{:#}\n", json(&table)?).as_bytes())?;
        write_lines(&out.join("grades.jsonl"), &grades.grades)?;
    }
    if args.json {
        return output::print_json(
            &serde_json::json!({ "table": json(&table)?, "conflicts": grades.conflicts, "unmarked": grades.unmarked }),
        );
    }
    output::print(&table.to_text(&grades))
}

fn imported(args: &JudgeArgs) -> Outcome<()> {
    let grades = grades(&args.calibration, args)?;
    let people = grades.as_ref().map(|grades| People { grades, min_agreement: args.min_agreement });
    let imported = import(&args.import)?;
    let summaries: Vec<Summary> =
        imported.iter().map(|imported| imported.summary(Beside { people, judges: &[] })).collect();
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(io(out))?;
        for (imported, number) in imported.iter().zip(1..) {
            write_lines(&out.join(format!("judgements-{number}.jsonl")), &imported.judgements)?;
        }
        write_atomic(out.join("judge.json"), format!("{:#}\n", json(&summaries)?).as_bytes())?;
    }
    if args.json {
        return output::print_json(&json(&summaries)?);
    }
    output::print(&summaries.iter().map(Summary::to_text).collect::<Vec<_>>().join("\n"))
}

fn grades(files: &[PathBuf], args: &JudgeArgs) -> Outcome<Option<Grades>> {
    let several = if args.best_mark { SeveralMarks::Best } else { SeveralMarks::Exclude };
    if files.is_empty() { Ok(None) } else { Ok(Some(read_grades(files, several)?)) }
}

fn settings(args: &JudgeArgs) -> Outcome<Settings> {
    let rubric = match &args.rubric {
        None => Rubric::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(io(path))?;
            rubric(&text).map_err(|(place, reason)| {
                Failure::input(format!("{}{place}: {reason}", path.display())).hint(
                    "in YAML `criteria: [{name: NAME, description: TEXT}]`, `levels: [five texts]`, or both",
                )
            })?
        }
    };
    Ok(Settings {
        scale: args.scale,
        rubric,
        rotations: args.rotations,
        prompt: args.prompt.clone(),
        max_tokens: args.max_tokens,
        ..Settings::new(Mode::from(args.mode))
    })
}

/// A rubric in YAML; or the place in its file, and what is wrong there.
fn rubric(yaml: &str) -> Result<Rubric, (String, String)> {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).map_err(|error| {
        let place = error.location().map_or_else(String::new, |at| format!(", line {}", at.line()));
        (place, format!("no YAML: expected {RUBRIC}"))
    })?;
    faults::object_of(value, RUBRIC).map_err(|reason| (String::new(), reason))
}

/// One file with the answers of several systems, or the answers of all files under the names of their systems: what
/// stands before `=`, the name of the file, or, where files have one name, that of their folder.
fn answers(files: &[String]) -> Outcome<Answers> {
    if let [only] = files
        && Path::new(only).is_file()
        && let Some(answers) = read_lists(Path::new(only))?
    {
        return Ok(answers);
    }
    let named = |file: &String| match file.split_once('=') {
        Some((name, path)) if !Path::new(file).exists() => (Some(name.to_owned()), PathBuf::from(path)),
        _ => (None, PathBuf::from(file)),
    };
    let files: Vec<(Option<String>, PathBuf)> = files.iter().map(named).collect();
    let part =
        |part: Option<&std::ffi::OsStr>| part.map_or_else(String::new, |p| p.to_string_lossy().into_owned());
    let stem = |path: &Path| part(path.file_stem());
    let (mut systems, mut faults) = (Vec::new(), Vec::new());
    for (name, path) in &files {
        let alone = files.iter().filter(|(_, other)| stem(other) == stem(path)).count() == 1;
        let folder = part(path.parent().and_then(Path::file_name));
        let of_file = if alone || folder.is_empty() { stem(path) } else { folder };
        let read = read_answers(path).map_err(|error| match error {
            Error::Evaluation(EvaluationError::Column { .. }) => {
                Failure::from(error).hint("rename the column of the answers in the file: `answer`")
            }
            error => error.into(),
        })?;
        systems.push((name.clone().unwrap_or(of_file), read.outcomes));
        faults.extend(read.faults);
    }
    Ok(Answers { faults, ..Answers::join(systems)? })
}

/// What the judge is called in results: the model's name at an address, or that of its folder.
fn judge_name(args: &JudgeArgs, judge: &str) -> String {
    let folder = Path::new(judge).file_name().map(|name| name.to_string_lossy().into_owned());
    args.access.remote.model_name.clone().or(folder).unwrap_or_else(|| judge.to_owned())
}

/// Says what is about to happen, and where text goes.
fn announce(judge: &str, plan: &Plan<'_>, named: &Named) {
    let calls = counted(plan.tasks.len(), "call");
    let items = counted(plan.answers.items.len(), "question");
    match named {
        Named::Remote(endpoint) if endpoint.is_remote() => {
            eprintln!("the answers to {items} are sent to {judge} in {calls}");
        }
        _ => eprintln!("asking {judge} about the answers to {items} in {calls}"),
    }
}

/// Makes the calls; with the exit status of a signal, if one came.
fn work(args: &JudgeArgs, plan: &Plan<'_>, model: &Cached<Writer>) -> Outcome<(Asked, Option<u8>)> {
    let signals = Interrupts::watch()?;
    let calls = Calls { model, at_once: usize::from(args.access.remote.at_once), stop: signals.flag() };
    let mut bar = Counted::new(plan.tasks.len() as u64, "calls");
    let asked = ask(plan, calls, &mut |done| bar.at(done as u64));
    drop(bar);
    let interrupted = signals.flag().load(Ordering::Relaxed).then(|| signals.status());
    Ok((asked, interrupted))
}

fn write(out: &Path, judgements: &[Judgement], summary: &Summary) -> Outcome<()> {
    write_lines(&out.join("judgements.jsonl"), judgements)?;
    write_atomic(out.join("judge.txt"), summary.to_text().as_bytes())?;
    Ok(write_atomic(out.join("judge.json"), format!("{:#}\n", json(summary)?).as_bytes())?)
}

fn write_lines<T: serde::Serialize>(path: &Path, rows: &[T]) -> Outcome<()> {
    let mut lines = String::new();
    for row in rows {
        lines += &json(row)?.to_string();
        lines.push('\n');
    }
    Ok(write_atomic(path, lines.as_bytes())?)
}

fn json(value: &impl serde::Serialize) -> Outcome<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| Failure::unexpected(error.to_string()))
}
