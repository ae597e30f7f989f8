//! `medtune eval --answers-file`: answers that were made elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use ::eval::Error;
use ::eval::evaluation::{AnswerFault, Answers, Evaluation, LABELS, Reading, Results, Settings};
use ::eval::statistics::Resampling;
use serde_json::json;
use track::FileHash;

use crate::args::{ElsewhereArgs, EvalArgs};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::bertscore;
use crate::pipeline::evaluation_folder::{keep, program, table};

pub(crate) fn run(file: &Path, args: &EvalArgs) -> Outcome<()> {
    let labels = args.elsewhere.labels()?;
    let rule = args.rule()?;
    let reading = Reading {
        columns: columns(&args.elsewhere)?,
        task: args.elsewhere.task.as_deref(),
        options: &labels,
        rule: rule.unwrap_or_default(),
    };
    let mut answers = Answers::read(file, &reading).map_err(Error::from)?;
    if answers.outcomes.is_empty() {
        let first = answers.faults.first().map_or("it has no rows".to_owned(), ToString::to_string);
        return Err(Failure::input(format!("{}: no row can be read; {first}", file.display()))
            .hint("docs/guide.md, \"Evaluate\", has the rows that are read: CSV, JSON lines or a JSON list, in UTF-8"));
    }
    let mut settings = Settings { rule, ..settings(file, &answers)? };
    if !labels.is_empty() {
        settings.options.insert(LABELS.to_owned(), json!(labels));
    }
    let mut evaluation = Evaluation { settings, outcomes: std::mem::take(&mut answers.outcomes) };
    bertscore::measure(&args.bertscore, &mut evaluation)?;
    let results = evaluation.results()?;
    if args.json {
        let document = json!({
            "results": results,
            "columns": answers.columns,
            "faults": answers.faults,
            "outcomes": evaluation.outcomes,
        });
        keep_if_asked(args, evaluation)?;
        return output::print_json(&document);
    }
    let read_by = rule.map_or_else(String::new, |rule| format!("options read by the rule {rule}"));
    let wrong = AnswerFault::list(&answers.faults).unwrap_or_default();
    let mut lines = vec![answers.columns.describe(), read_by, wrong, table(&results)];
    if let Some(out) = &args.out {
        keep_if_asked(args, evaluation)?;
        lines.push(format!("written to {}", out.display()));
    }
    lines.retain(|line| !line.is_empty());
    output::print(&lines.join("\n"))
}

fn keep_if_asked(args: &EvalArgs, evaluation: Evaluation) -> Outcome<Option<Results>> {
    match &args.out {
        Some(out) => keep(out, evaluation, &args.signing),
        None => Ok(None),
    }
}

fn settings(file: &Path, answers: &Answers) -> Outcome<Settings> {
    let columns = answers.columns.describe();
    Ok(Settings {
        model: format!("answers made elsewhere: {}", file.display()),
        program: Some(program()),
        created: track::utc_timestamp(),
        resampling: Resampling::default(),
        options: [("columns".to_owned(), json!(columns))].into_iter().collect(),
        files: vec![FileHash::of(file)?],
        left_out: answers.faults.iter().map(ToString::to_string).collect(),
        ..Settings::default()
    })
}

/// `reference=Musterantwort` as a pair.
fn columns(args: &ElsewhereArgs) -> Outcome<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let (ours, theirs) = text.split_once('=').ok_or_else(|| {
            Failure::input(format!("--column {text}: expected OURS=THEIRS"))
                .hint("for example --column reference=Musterantwort")
        })?;
        Ok((ours.to_owned(), theirs.to_owned()))
    };
    args.columns.iter().map(pair).collect()
}
