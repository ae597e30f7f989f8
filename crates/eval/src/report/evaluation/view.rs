//! The parts of the page as the template wants them: numbers already written as text.

use super::changed::{ChangesView, changes};
use super::forest::forest;
use super::{BROWSER, BROWSER_STYLE, EvaluationReport, Figure, RunOnFile, answers, methods, script_hash};
use crate::comparison::{Changes, ChoiceCounts, Difference, Direction, Metric, Outcome, RunsComparison};
use crate::evaluation::{MetricResult, TaskResults, interval};
use crate::report::STYLE;
use crate::report::forest::capitalized;
use crate::report::view::{class, p_value};
use crate::wording::{count, counted};
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Serialize)]
pub(super) struct View<'a> {
    style: &'static str,
    browser_style: &'static str,
    script: &'static str,
    script_hash: String,
    title: &'a str,
    created: &'a str,
    /// Sentence, class.
    verdicts: Vec<(String, &'static str)>,
    notes: Vec<String>,
    forest: Option<String>,
    runs: Vec<&'a str>,
    tasks: Vec<TaskView<'a>>,
    differences: Vec<DifferenceRow<'a>>,
    choice_columns: Vec<String>,
    choices: Vec<ChoiceRow<'a>>,
    figures: Vec<FigureView<'a>>,
    changes: Vec<ChangesView<'a>>,
    data: String,
    has_items: bool,
    methods: String,
    signatures: Vec<(&'static str, String)>,
    facts: Vec<(&'static str, Vec<String>)>,
}

#[derive(Serialize)]
struct TaskView<'a> {
    name: &'a str,
    items: String,
    rows: Vec<MetricRow>,
}

#[derive(Serialize)]
struct MetricRow {
    metric: String,
    /// Which way is better.
    arrow: &'static str,
    /// One per run.
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    value: String,
    interval: String,
    n: String,
}

#[derive(Serialize)]
struct DifferenceRow<'a> {
    run: &'a str,
    base: &'a str,
    task: &'a str,
    metric: String,
    n: String,
    difference: String,
    interval: String,
    p: String,
    detectable: String,
    verdict: &'static str,
    class: &'static str,
}

#[derive(Serialize)]
struct ChoiceRow<'a> {
    run: &'a str,
    task: &'a str,
    /// Count, share in percent, CSS class.
    parts: Vec<(usize, f64, &'static str)>,
    /// As [`View::choice_columns`] names them: value and interval.
    numbers: Vec<(String, String)>,
}

#[derive(Serialize)]
struct FigureView<'a> {
    heading: &'a str,
    svg: &'a str,
    caption: &'a str,
}

impl<'a> View<'a> {
    pub(super) fn of(report: &'a EvaluationReport) -> Self {
        let comparison = report.comparison.as_ref();
        let runs: Vec<&str> = report.runs.iter().map(|run| run.evaluation.settings.name.as_str()).collect();
        Self {
            style: STYLE,
            browser_style: BROWSER_STYLE,
            script: BROWSER,
            script_hash: script_hash(),
            title: &report.title,
            created: &report.created,
            verdicts: comparison.map_or_else(|| headlines(&report.runs[0]), verdicts),
            notes: notes(report),
            forest: comparison.and_then(forest),
            tasks: tasks(&report.runs),
            differences: comparison.map(differences).unwrap_or_default(),
            choice_columns: choice_columns(&report.runs).into_iter().map(heading).collect(),
            choices: choices(&report.runs),
            figures: report.figures.iter().map(figure).collect(),
            changes: comparison.map(|comparison| changes(comparison, &report.runs)).unwrap_or_default(),
            data: answers::data(&report.runs),
            has_items: report.runs.iter().any(|run| run.evaluation.outcomes.iter().any(can_be_shown)),
            methods: methods::paragraph(report),
            signatures: methods::signatures(report),
            facts: facts(&report.runs),
            runs,
        }
    }
}

fn can_be_shown(outcome: &Outcome) -> bool {
    outcome.question.is_some() || outcome.answer.is_some() || outcome.choice.is_some()
}

fn figure(figure: &Figure) -> FigureView<'_> {
    FigureView { heading: &figure.heading, svg: &figure.svg, caption: &figure.caption }
}

fn verdicts(comparison: &RunsComparison) -> Vec<(String, &'static str)> {
    let class_of = |pair: &Changes| {
        let of_pair: Vec<&'static str> = comparison
            .differences
            .iter()
            .filter(|difference| difference.base == pair.base && difference.run == pair.run)
            .map(|difference| class(difference.paired.verdict))
            .collect();
        // Worse in anything is a warning, whatever else is better.
        ["worse", "better"].into_iter().find(|class| of_pair.contains(class)).unwrap_or("open")
    };
    let classes = comparison.changes.iter().map(class_of);
    comparison.verdict_sentences().into_iter().zip(classes).collect()
}

/// What one run scored, task by task, in a sentence each.
fn headlines(run: &RunOnFile) -> Vec<(String, &'static str)> {
    let sentence = |(task, numbers): (&String, &TaskResults)| {
        let leading =
            [Metric::McAccuracy, Metric::RougeL, Metric::Bertscore, Metric::Loss, Metric::ChangedQuantities];
        let told = leading.into_iter().filter_map(|metric| {
            let estimate = &numbers.metrics.get(&metric)?.estimate;
            Some(format!(
                "{} {} {}",
                metric.name(),
                metric.format(estimate.value),
                interval(metric, estimate)
            ))
        });
        let told: Vec<String> = told.map(|text| text.trim_end().to_string()).collect();
        let told = if told.is_empty() { "nothing was measured".to_string() } else { told.join(", ") };
        (format!("{task}: {told} on {}.", counted(numbers.items, "item")), "open")
    };
    run.results.tasks.iter().map(sentence).collect()
}

fn notes(report: &EvaluationReport) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(comparison) = &report.comparison {
        for (run, left_out) in comparison.runs.iter().zip(&comparison.left_out) {
            if *left_out > 0 {
                notes.push(format!(
                    "Not compared, because another run lacks them: {} of {run}; compared: {}.",
                    counted(*left_out, "item"),
                    count(comparison.items as u64)
                ));
            }
        }
        notes.extend(comparison.notes.iter().cloned());
    }
    for run in &report.runs {
        let name = &run.evaluation.settings.name;
        let left_out = &run.evaluation.settings.left_out;
        if let Some(first) = left_out.first() {
            notes
                .push(format!("{name}: {} in no number; the first: {first}", counted(left_out.len(), "row")));
        }
        for (task, numbers) in &run.results.tasks {
            for (ids, what) in [
                (&numbers.empty_references, "items have an empty reference and are in no number of the text"),
                (&numbers.empty_answers, "answers are empty and count as 0"),
                (
                    &numbers.cut_questions,
                    "questions are longer than the model reads and lost their beginning; they count",
                ),
            ] {
                if !ids.is_empty() {
                    let first: Vec<&str> = ids.iter().take(3).map(String::as_str).collect();
                    notes.push(format!("{name}, {task}: {} {what} ({}…)", ids.len(), first.join(", ")));
                }
            }
        }
    }
    notes
}

fn tasks(runs: &[RunOnFile]) -> Vec<TaskView<'_>> {
    let names: BTreeSet<&str> =
        runs.iter().flat_map(|run| run.results.tasks.keys()).map(String::as_str).collect();
    names.into_iter().map(|name| task(name, runs)).collect()
}

fn task<'a>(name: &'a str, runs: &'a [RunOnFile]) -> TaskView<'a> {
    let of_runs: Vec<Option<&TaskResults>> = runs.iter().map(|run| run.results.tasks.get(name)).collect();
    let measured: BTreeSet<Metric> =
        of_runs.iter().flatten().flat_map(|task| task.metrics.keys().copied()).collect();
    let cell = |metric: Metric, task: &Option<&TaskResults>| {
        let result = task.and_then(|task| task.metrics.get(&metric));
        result.map_or(
            Cell { value: "–".to_string(), interval: String::new(), n: String::new() },
            |MetricResult { estimate, .. }| Cell {
                value: metric.format(estimate.value),
                interval: interval(metric, estimate),
                n: count(estimate.n as u64),
            },
        )
    };
    let row = |metric: Metric| {
        let arrow = match metric.direction() {
            Direction::Higher => "▴",
            Direction::Lower => "▾",
            Direction::Neither => "",
        };
        let cells = of_runs.iter().map(|task| cell(metric, task)).collect();
        MetricRow { metric: capitalized(metric.name()), arrow, cells }
    };
    let (items, groups) =
        of_runs.iter().flatten().map(|task| (task.items, task.groups)).max().unwrap_or_default();
    TaskView {
        name,
        items: format!("{} in {}", counted(items, "item"), counted(groups, "group")),
        rows: measured.into_iter().map(row).collect(),
    }
}

fn differences(comparison: &RunsComparison) -> Vec<DifferenceRow<'_>> {
    comparison.differences.iter().map(difference).collect()
}

fn difference(Difference { base, run, task, paired }: &Difference) -> DifferenceRow<'_> {
    let detectable = paired.minimal_detectable_difference.map(|difference| {
        format!("±{}", paired.metric.format_difference(difference).trim_start_matches('+'))
    });
    DifferenceRow {
        run,
        base,
        task,
        metric: capitalized(paired.metric.name()),
        n: count(paired.n as u64),
        difference: paired.metric.format_difference(paired.difference),
        interval: paired.interval_text(),
        p: p_value(paired.p_holm),
        detectable: detectable.unwrap_or_default(),
        verdict: paired.verdict.name(),
        class: class(paired.verdict),
    }
}

/// A name at the head of a column.
fn heading(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// The numbers that any run has of its multiple choice, in their order.
fn choice_columns(runs: &[RunOnFile]) -> Vec<&'static str> {
    let mut columns = Vec::new();
    for number in runs.iter().flat_map(|run| run.results.tasks.values()).flat_map(TaskResults::choice_numbers)
    {
        if !columns.contains(&number.name) {
            columns.push(number.name);
        }
    }
    columns
}

fn choices(runs: &[RunOnFile]) -> Vec<ChoiceRow<'_>> {
    let columns = choice_columns(runs);
    let mut rows = Vec::new();
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.results.tasks.keys()).collect();
    for task in names {
        for run in runs {
            let Some(numbers) = run.results.tasks.get(task) else { continue };
            let Some(counts) = numbers.choices else { continue };
            let ChoiceCounts { right, wrong, abstained, unparsed } = counts;
            let part = |number: usize, class| (number, 100.0 * number as f64 / counts.total() as f64, class);
            let known = numbers.choice_numbers();
            let cell = |name: &&str| {
                let number = known.iter().find(|number| number.name == *name);
                number.map_or(("–".to_string(), String::new()), |number| {
                    (number.format(number.estimate.value), number.interval())
                })
            };
            rows.push(ChoiceRow {
                run: &run.evaluation.settings.name,
                task,
                parts: vec![
                    part(right, "right"),
                    part(wrong, "wrong"),
                    part(abstained, "abstained"),
                    part(unparsed, "unparsed"),
                ],
                numbers: columns.iter().map(cell).collect(),
            });
        }
    }
    rows
}

/// What made the runs: a name, and a cell for each.
fn facts(runs: &[RunOnFile]) -> Vec<(&'static str, Vec<String>)> {
    let settings = || runs.iter().map(|run| &run.evaluation.settings);
    let rows: Vec<(&'static str, Vec<String>)> = vec![
        ("Model", settings().map(|s| s.model.clone()).collect()),
        ("Adapter", settings().map(|s| s.adapter.clone().unwrap_or_default()).collect()),
        (
            "Program",
            settings()
                .map(|s| s.program.as_ref().map_or_else(String::new, |p| format!("{} {}", p.name, p.version)))
                .collect(),
        ),
        (
            "Read by the rule",
            settings().map(|s| s.rule.map_or_else(String::new, |rule| rule.to_string())).collect(),
        ),
        ("Measured", settings().map(|s| s.created.clone()).collect()),
        ("Seed", settings().map(|s| s.seed.to_string()).collect()),
        (
            "Chosen",
            settings()
                .map(|s| {
                    s.options
                        .iter()
                        .map(|(key, value)| format!("{key}: {value}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                })
                .collect(),
        ),
        (
            "Files (BLAKE3)",
            settings()
                .map(|s| {
                    s.files.iter().map(|f| format!("{} {}", f.path, f.blake3)).collect::<Vec<_>>().join("\n")
                })
                .collect(),
        ),
    ];
    rows.into_iter().filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty())).collect()
}
