//! `medtune compare`: any number of evaluations, item by item.

use std::collections::BTreeSet;

use ::eval::comparison::{Against, CompareOptions, Metric, Run, RunsComparison, compare_runs};
use ::eval::counted;
use ::eval::evaluation::{Evaluation, different_arithmetic, different_rules};
use ::eval::report::EvaluationReport;
use ::eval::statistics::Resampling;
use formats::atomic::write_atomic;
use serde_json::json;

use crate::args::CompareArgs;
use crate::failure::{Failure, Outcome, io};
use crate::output;
use crate::pipeline::evaluation::write_json;

pub(crate) fn run(args: &CompareArgs) -> Outcome<()> {
    let evaluations = read(args)?;
    let runs: Vec<Run> = evaluations
        .iter()
        .map(|evaluation| Run {
            name: evaluation.settings.name.clone(),
            outcomes: evaluation.outcomes.clone(),
        })
        .collect();
    let (options, notes) = options(args, &evaluations)?;
    let mut comparison = compare_runs(&runs, &options)?;
    comparison.notes.extend(notes);
    if comparison.differences.is_empty() {
        return Err(nothing_in_common(args, &comparison));
    }
    let settings = || evaluations.iter().map(|evaluation| &evaluation.settings);
    comparison.notes.extend(different_arithmetic(settings()));
    comparison.notes.extend(different_rules(settings()));
    let document = json!({ "verdicts": comparison.verdict_sentences(), "comparison": comparison });
    let mut page = table(&comparison);
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(io(out))?;
        write_json(&out.join("comparison.json"), &document)?;
        let report = EvaluationReport::of_several(evaluations, comparison)?;
        write_atomic(out.join("report.html"), report.to_html()?.as_bytes())?;
        page.push_str(&format!("\nwritten to {}", out.display()));
    }
    if args.json { output::print_json(&document) } else { output::print(&page) }
}

/// What is compared, and what cannot be: numbers of one metric with different settings, such as BERTScores of two encoders.
fn options(args: &CompareArgs, evaluations: &[Evaluation]) -> Outcome<(CompareOptions, Vec<String>)> {
    let metric = |key: &String| {
        Metric::from_key(key).ok_or_else(|| {
            let known: Vec<&str> = Metric::ALL.into_iter().map(Metric::key).collect();
            Failure::input(format!("--metric {key}: no such metric"))
                .hint(format!("known: {}", known.join(", ")))
        })
    };
    let mut metrics = args.metrics.iter().map(metric).collect::<Outcome<Vec<Metric>>>()?;
    let mut notes = Vec::new();
    for metric in Metric::ALL {
        let signatures: BTreeSet<&String> = evaluations
            .iter()
            .filter_map(|evaluation| evaluation.settings.metrics.get(metric.key()))
            .collect();
        if signatures.len() < 2 || !(metrics.is_empty() || metrics.contains(&metric)) {
            continue;
        }
        let signatures: Vec<&str> = signatures.into_iter().map(String::as_str).collect();
        let reason = format!("{} was measured in different ways: {}", metric.name(), signatures.join("; "));
        if metrics == [metric] {
            return Err(Failure::input(reason).hint("`medtune rescore` measures all evaluations in one way"));
        }
        if metrics.is_empty() {
            metrics = Metric::ALL.to_vec();
        }
        metrics.retain(|other| *other != metric);
        notes.push(format!("{reason}. It is not compared."));
    }
    let options = CompareOptions {
        against: match &args.against {
            Some(name) => Against::Named(name.clone()),
            None if args.each => Against::Each,
            None => Against::First,
        },
        common: args.common,
        metrics,
        resampling: Resampling { resamples: args.resamples, ..Resampling::default() },
    };
    Ok((options, notes))
}

/// What is said of runs that share items and no number of them.
fn nothing_in_common(args: &CompareArgs, comparison: &RunsComparison) -> Failure {
    let said: Vec<String> =
        comparison.verdict_sentences().into_iter().chain(comparison.notes.clone()).collect();
    Failure::input(said.join("\n")).hint(match args.metrics.is_empty() {
        true => {
            "measure them in one way: `medtune eval` with the same files, tasks and options, or `medtune rescore` for \
             answers and references that are on file"
        }
        false => "without --metric, everything that was measured for both is compared",
    })
}

/// The evaluations under names that tell them apart: their own, or their paths.
fn read(args: &CompareArgs) -> Outcome<Vec<Evaluation>> {
    let mut evaluations = Vec::new();
    for path in &args.evaluations {
        if !path.exists() {
            return Err(Failure::input(format!("{}: no such file", path.display()))
                .hint("name run folders that were compared, or what `medtune eval --out` wrote"));
        }
        evaluations.push(Evaluation::read(path)?);
    }
    let names: Vec<String> = evaluations.iter().map(|evaluation| evaluation.settings.name.clone()).collect();
    for (evaluation, path) in evaluations.iter_mut().zip(&args.evaluations) {
        if names.iter().filter(|name| **name == evaluation.settings.name).count() > 1 {
            evaluation.settings.name = path.display().to_string();
        }
    }
    Ok(evaluations)
}

fn table(comparison: &RunsComparison) -> String {
    let mut lines = Vec::new();
    for pair in &comparison.changes {
        lines.push(format!("{} against {}", pair.run, pair.base));
        let of_pair = comparison
            .differences
            .iter()
            .filter(|difference| difference.base == pair.base && difference.run == pair.run);
        for difference in of_pair {
            let paired = &difference.paired;
            let value = |run: &str| {
                let estimate = comparison.value(run, &difference.task, paired.metric);
                estimate.map_or_else(String::new, |estimate| paired.metric.format(estimate.value))
            };
            lines.push(format!(
                "  {:<20} {:<26} {:>9} {:>9}  {:<30} p={:<9.2e} {}",
                difference.task,
                format!("{} (n={})", paired.metric.name(), paired.n),
                value(&pair.base),
                value(&pair.run),
                paired.change(),
                paired.p_holm,
                paired.verdict.name()
            ));
        }
        lines.push(format!(
            "  items: {} right → not right, {} not right → right, {} with a quantity changed, {} with a negation conflict",
            pair.lost.len(),
            pair.won.len(),
            pair.quantity_changed.len(),
            pair.negated.len()
        ));
    }
    lines.push(String::new());
    lines.extend(comparison.verdict_sentences());
    for (run, left_out) in comparison.runs.iter().zip(&comparison.left_out) {
        let left_out = counted(*left_out, "item");
        lines.push(format!("note: not compared: {left_out} of {run}; {} in all are", comparison.items));
    }
    lines.extend(comparison.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}
