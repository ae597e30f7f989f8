//! The report's parts as the template wants them: numbers already written as text.

use super::forest::{capitalized, forest};
use super::loss_curve::loss_curve;
use super::{Cleaning, Example, Report, Split};
use crate::comparison::{Comparison, Estimate, Metric, Paired, Summary, Test, Verdict};
use crate::wording::{count, counted};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct View<'a> {
    style: &'static str,
    title: &'a str,
    created: &'a str,
    base_name: &'a str,
    tuned_name: &'a str,
    verdict: Option<String>,
    verdict_class: &'static str,
    forest: Option<String>,
    metrics: Vec<MetricRow>,
    choices: Vec<ChoiceRow>,
    answered_by_both: Option<String>,
    notes: &'a [String],
    method: Option<String>,
    curve: Option<String>,
    curve_has_eval: bool,
    totals: Vec<(&'static str, String)>,
    /// Evaluations during training on multiple-choice items: step, validation loss, accuracy.
    examinations: Vec<(String, String, String)>,
    split: Option<SplitView<'a>>,
    cleaning: Option<CleaningView<'a>>,
    examples: &'a [Example],
    recipe: Option<&'a str>,
    facts: Vec<(&'static str, String)>,
    files: Vec<FileRow<'a>>,
}

#[derive(Serialize)]
struct MetricRow {
    name: String,
    n: String,
    base: String,
    base_interval: String,
    tuned: String,
    tuned_interval: String,
    difference: String,
    difference_interval: String,
    p: String,
    test: &'static str,
    detectable: String,
    verdict: &'static str,
    class: &'static str,
}

#[derive(Serialize)]
struct ChoiceRow {
    model: &'static str,
    /// Label, count, share in percent, CSS class.
    parts: Vec<(&'static str, usize, f64, &'static str)>,
    answered: String,
    accuracy_answered: String,
}

#[derive(Serialize)]
struct SplitView<'a> {
    by: &'a str,
    seed: u64,
    /// Name, items, groups, tokens.
    parts: Vec<(&'a str, String, String, String)>,
    certificate: Option<CertificateView<'a>>,
}

#[derive(Serialize)]
struct CertificateView<'a> {
    clean: bool,
    exact_matches: String,
    shared_groups: String,
    near_duplicates: String,
    threshold: String,
    measure: &'a str,
    /// Similarity, test text, train text.
    nearest: Vec<(String, &'a str, &'a str)>,
}

#[derive(Serialize)]
struct CleaningView<'a> {
    rows_in: String,
    rows_out: String,
    /// Reason, rows, share of the rows read.
    removed: Vec<(&'a str, String, String)>,
}

#[derive(Serialize)]
struct FileRow<'a> {
    what: &'static str,
    path: &'a str,
    bytes: String,
    blake3: &'a str,
}

impl<'a> View<'a> {
    pub(super) fn of(report: &'a Report, style: &'static str) -> Self {
        let comparison = report.comparison.as_ref();
        let run = report.run.as_ref();
        let train: Vec<(u64, f64)> =
            run.iter().flat_map(|run| &run.steps).map(|row| (row.step, row.loss)).collect();
        let eval = run.map(|run| run.eval_points("eval_loss")).unwrap_or_default();
        Self {
            style,
            title: &report.title,
            created: &report.created,
            base_name: &report.base_name,
            tuned_name: &report.tuned_name,
            verdict: comparison.map(Comparison::verdict_sentence),
            verdict_class: comparison.map_or("open", overall_class),
            forest: comparison.and_then(|comparison| forest(&comparison.paired)),
            metrics: comparison.map(metric_rows).unwrap_or_default(),
            choices: comparison.map(choice_rows).unwrap_or_default(),
            answered_by_both: comparison.and_then(answered_by_both),
            notes: comparison.map_or(&[], |comparison| &comparison.notes),
            method: comparison.map(method),
            curve: loss_curve(&train, &eval),
            curve_has_eval: !eval.is_empty(),
            totals: run.and_then(|run| run.stats.as_ref()).map(totals).unwrap_or_default(),
            examinations: run.map(examinations).unwrap_or_default(),
            split: report.split.as_ref().map(split),
            cleaning: report.cleaning.as_ref().map(cleaning),
            examples: &report.examples,
            recipe: run.and_then(|run| run.recipe.as_deref()),
            facts: run.and_then(|run| run.manifest.as_ref()).map(facts).unwrap_or_default(),
            files: run.and_then(|run| run.manifest.as_ref()).map(files).unwrap_or_default(),
        }
    }
}

pub(super) fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Higher | Verdict::Lower | Verdict::NotDistinguishable => "open",
    }
}

/// Worse in anything is a warning, whatever else is better.
fn overall_class(comparison: &Comparison) -> &'static str {
    let any = |verdict| comparison.paired.iter().any(|paired| paired.verdict == verdict);
    if any(Verdict::Worse) {
        "worse"
    } else if any(Verdict::Better) {
        "better"
    } else {
        "open"
    }
}

fn metric_rows(comparison: &Comparison) -> Vec<MetricRow> {
    let row = |paired: &Paired| {
        let value = |summary: &Summary| {
            let estimate = summary.metric(paired.metric);
            (estimate.map(|e| paired.metric.format(e.value)), estimate.map(|e| interval(paired.metric, e)))
        };
        let (base, base_interval) = value(&comparison.base);
        let (tuned, tuned_interval) = value(&comparison.tuned);
        let n = if paired.groups == paired.n {
            count(paired.n as u64)
        } else {
            format!("{} in {}", count(paired.n as u64), counted(paired.groups, "group"))
        };
        let detectable = paired.minimal_detectable_difference.map(|difference| {
            format!("±{}", paired.metric.format_difference(difference).trim_start_matches('+'))
        });
        MetricRow {
            name: capitalized(paired.metric.name()),
            n,
            base: base.unwrap_or_default(),
            base_interval: base_interval.unwrap_or_default(),
            tuned: tuned.unwrap_or_default(),
            tuned_interval: tuned_interval.unwrap_or_default(),
            difference: paired.metric.format_difference(paired.difference),
            difference_interval: paired.interval_text(),
            p: p_value(paired.p_holm),
            test: match paired.test {
                Test::McnemarExact => "McNemar",
                Test::Permutation => "permutation",
            },
            detectable: detectable.unwrap_or_default(),
            verdict: paired.verdict.name(),
            class: class(paired.verdict),
        }
    };
    comparison.paired.iter().map(row).collect()
}

fn choice_rows(comparison: &Comparison) -> Vec<ChoiceRow> {
    let row = |(model, summary): (&'static str, &Summary)| {
        let counts = summary.mc_counts?;
        let all = (counts.right + counts.wrong + counts.abstained + counts.unparsed) as f64;
        let part = |label, number: usize, class| (label, number, 100.0 * number as f64 / all, class);
        let value = |estimate: Option<&Estimate>| {
            estimate.map_or("–".to_string(), |e| {
                format!("{} {}", Metric::McAccuracy.format(e.value), interval(Metric::McAccuracy, e))
            })
        };
        Some(ChoiceRow {
            model,
            parts: vec![
                part("right", counts.right, "right"),
                part("wrong", counts.wrong, "wrong"),
                part("abstained", counts.abstained, "abstained"),
                part("no option named", counts.unparsed, "unparsed"),
            ],
            answered: value(summary.mc_answered.as_ref()),
            accuracy_answered: value(summary.mc_accuracy_answered.as_ref()),
        })
    };
    [("base", &comparison.base), ("tuned", &comparison.tuned)].into_iter().filter_map(row).collect()
}

fn answered_by_both(comparison: &Comparison) -> Option<String> {
    let both = comparison.answered_by_both?;
    Some(format!(
        "On the {} questions for which both models named an option: {} → {}, exact McNemar p {} ({} only base right, {} \
         only tuned right). Chosen after the fact, so it carries no verdict.",
        count(both.discordant.n),
        Metric::McAccuracy.format(both.base),
        Metric::McAccuracy.format(both.tuned),
        p_value(both.p),
        both.discordant.only_base,
        both.discordant.only_tuned,
    ))
}

fn method(comparison: &Comparison) -> String {
    format!(
        "{} items in {} groups, the same for both models. Brackets hold 95 % intervals: bias-corrected accelerated \
         bootstrap over whole groups ({} draws, seed {}); for shares of questions Wilson's interval, and Bonett and Price's \
         for their difference, both widened for groups. p is two-sided and Holm-corrected for {} metrics. A verdict needs p below 0.05 and an \
         interval without zero. “Could show” is the smallest difference that these items would find four times out of \
         five.",
        count(comparison.items as u64),
        count(comparison.groups as u64),
        count(comparison.resampling.resamples as u64),
        comparison.resampling.seed,
        comparison.paired.len(),
    )
}

/// What was asked on the way, where it was asked.
fn examinations(run: &track::Run) -> Vec<(String, String, String)> {
    let losses = run.eval_points("eval_loss");
    let row = |(step, accuracy): (u64, f64)| {
        let loss = losses.iter().find(|(s, _)| *s == step);
        let loss = loss.map_or_else(|| "–".to_string(), |(_, loss)| format!("{loss:.3}"));
        (count(step), loss, format!("{:.1} %", 100.0 * accuracy))
    };
    run.eval_points("eval_choice_accuracy").into_iter().map(row).collect()
}

fn totals(stats: &track::Stats) -> Vec<(&'static str, String)> {
    let mut totals = vec![
        ("time", duration(stats.train_runtime)),
        ("steps", count(stats.steps)),
        ("epochs", format!("{:.2}", stats.epoch)),
        ("mean loss", format!("{:.3}", stats.train_loss)),
        ("samples/s", format!("{:.2}", stats.train_samples_per_second)),
        ("tokens/s", count(stats.train_tokens_per_second.max(0.0).round() as u64)),
        ("FLOPs", format!("{:.2e}", stats.total_flos)),
    ];
    if let (Some(step), Some(loss)) = (stats.best_step, stats.best_eval_loss) {
        totals.push(("step whose weights are kept", count(step)));
        totals.push(("its validation loss", format!("{loss:.3}")));
    }
    if stats.stopped_early {
        totals.push(("before its plan", "stopped".to_string()));
    }
    if stats.skipped_steps > 0 {
        totals.push(("steps skipped as not finite", count(stats.skipped_steps)));
    }
    totals
}

fn split(split: &Split) -> SplitView<'_> {
    let certificate = split.certificate.as_ref().map(|certificate| CertificateView {
        clean: certificate.is_clean(),
        exact_matches: count(certificate.exact_matches as u64),
        shared_groups: count(certificate.shared_groups as u64),
        near_duplicates: count(certificate.near_duplicates as u64),
        threshold: format!("{:.2}", certificate.threshold),
        measure: &certificate.measure,
        nearest: certificate
            .nearest
            .iter()
            .map(|pair| (format!("{:.2}", pair.similarity), pair.test.as_str(), pair.train.as_str()))
            .collect(),
    });
    let parts = split.parts.iter().map(|part| {
        let tokens = part.tokens.map_or("–".to_string(), count);
        (part.name.as_str(), count(part.items as u64), count(part.groups as u64), tokens)
    });
    SplitView { by: &split.by, seed: split.seed, parts: parts.collect(), certificate }
}

fn cleaning(cleaning: &Cleaning) -> CleaningView<'_> {
    let share = |rows: usize| format!("{:.1} %", 100.0 * rows as f64 / cleaning.rows_in.max(1) as f64);
    CleaningView {
        rows_in: count(cleaning.rows_in as u64),
        rows_out: count(cleaning.rows_out as u64),
        removed: cleaning
            .removed
            .iter()
            .map(|(reason, rows)| (reason.as_str(), count(*rows as u64), share(*rows)))
            .collect(),
    }
}

fn facts(manifest: &track::Manifest) -> Vec<(&'static str, String)> {
    let program = &manifest.program;
    let revision = program.git.as_ref().map_or(String::new(), |git| format!(" ({git})"));
    let machine = &manifest.machine;
    let gibibytes = machine.memory_bytes as f64 / f64::from(1 << 30);
    let memory = if machine.memory_bytes > 0 { format!(", {gibibytes:.0} GiB") } else { String::new() };
    let mut facts = vec![
        ("Program", format!("{} {}{revision}", program.name, program.version)),
        ("Begun", manifest.created.clone()),
        ("Seed", manifest.seed.to_string()),
        ("Base model", manifest.base_model.clone()),
        (
            "Machine",
            format!("{}, {} threads{memory}, {}, {}", machine.cpu, machine.cores, machine.isa, machine.os),
        ),
    ];
    facts.extend(machine.accelerator.clone().map(|accelerator| ("Accelerator", accelerator)));
    facts
}

fn files(manifest: &track::Manifest) -> Vec<FileRow<'_>> {
    fn row<'a>(what: &'static str, file: &'a track::FileHash) -> FileRow<'a> {
        FileRow { what, path: &file.path, bytes: count(file.bytes), blake3: &file.blake3 }
    }
    let base = manifest.base_files.iter().map(|file| row("base", file));
    let data = manifest.data_files.iter().map(|file| row("data", file));
    let template = manifest.template.iter().map(|template| FileRow {
        what: "template",
        path: &template.name,
        bytes: String::new(),
        blake3: &template.blake3,
    });
    data.chain(base).chain(template).collect()
}

fn interval(metric: Metric, estimate: &Estimate) -> String {
    let end = |value: f64| metric.format(value).trim_end_matches(" %").to_string();
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("[{}, {}]", end(low), end(high)),
        _ => "no interval: one group".to_string(),
    }
}

pub(super) fn p_value(p: f64) -> String {
    match p {
        p if p < 0.0001 => "< 0.0001".to_string(),
        p if p < 0.1 => format!("{p:.4}"),
        p => format!("{p:.2}"),
    }
}

fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_a_reader() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(16_407_123)],
            ["0", "999", "1,000", "16,407,123"]
        );
        assert_eq!([duration(12.4), duration(75.0), duration(7_384.0)], ["12 s", "1 min 15 s", "2 h 3 min"]);
        assert_eq!([p_value(3e-27), p_value(0.031), p_value(0.22)], ["< 0.0001", "0.0310", "0.22"]);
        assert_eq!(Metric::McAccuracy.format_difference(-0.022), "−2.2 pt");
        assert_eq!(Metric::Loss.format_difference(-0.0001), "0.000");
    }
}
