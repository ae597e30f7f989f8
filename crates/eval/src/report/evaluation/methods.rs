//! The paragraph on methods: what a paper must say of these numbers.

use super::EvaluationReport;
use crate::comparison::{Metric, Test};
use crate::evaluation::{different_arithmetic, different_rules};
use crate::wording::{count, counted};
use std::collections::BTreeMap;

/// The paragraph, in sentences that can stand in a paper.
pub(super) fn paragraph(report: &EvaluationReport) -> String {
    let first = &report.runs[0];
    let results = &first.results;
    let models: Vec<&str> = report.runs.iter().map(|run| run.evaluation.settings.model.as_str()).collect();
    let models: Vec<&str> = models.into_iter().filter(|model| !model.is_empty()).collect();
    let program = first.evaluation.settings.program.as_ref();
    let program = program
        .map_or_else(|| "medtune".to_string(), |program| format!("{} {}", program.name, program.version));
    let (items, groups) = report
        .comparison
        .as_ref()
        .map_or((results.items, results.groups), |comparison| (comparison.items, comparison.groups));
    let mut text = format!(
        "Answers{} to {} in {} of related items were scored with {program} (seed {}). ",
        if models.is_empty() { String::new() } else { format!(" of {}", models.join(", ")) },
        counted(items, "item"),
        counted(groups, "group"),
        first.evaluation.settings.seed,
    );
    for (task, asked) in &first.evaluation.settings.tasks {
        let version =
            asked.version.as_ref().map_or_else(String::new, |version| format!(", version {version}"));
        text.push_str(&format!("{task}{version}: {}. ", counted(asked.num_fewshot, "worked example")));
    }
    let settings = || report.runs.iter().map(|run| &run.evaluation.settings);
    match (different_arithmetic(settings()), first.evaluation.settings.arithmetic) {
        (Some(different), _) => text.push_str(&format!("Matrix {different}. ")),
        (None, Some(arithmetic)) => {
            text.push_str(&format!("Matrix products were computed in {arithmetic}. "))
        }
        (None, None) => {}
    }
    match (different_rules(settings()), first.evaluation.settings.rule) {
        (Some(different), _) => text.push_str(&format!("Of written answers {different}. ")),
        (None, Some(rule)) => {
            text.push_str(&format!("Options were read out of answers by the rule {rule}. "))
        }
        (None, None) => {}
    }
    for run in &report.runs {
        if let Some(retrieval) = &run.evaluation.settings.retrieval {
            let fingerprint = retrieval.fingerprint.get(..12).unwrap_or_default();
            text.push_str(&format!(
                "Before each question of {} stood {retrieval}, index {fingerprint}. ",
                run.evaluation.settings.name
            ));
        }
    }
    text.push_str(&format!(
        "Brackets hold 95 % intervals: Wilson's for shares, on the effective number of items, and bias-corrected \
         accelerated bootstrap over whole groups for the rest ({} draws, seed {}). An answer that names no option counts \
         as not right; an item without a reference is in no number of the text, an empty answer counts as 0.",
        count(results.resampling.resamples as u64),
        results.resampling.seed
    ));
    if let Some(comparison) = &report.comparison {
        let exact = comparison.differences.iter().any(|d| d.paired.test == Test::McnemarExact);
        let exchange = comparison.differences.iter().any(|d| d.paired.test == Test::Permutation);
        let tests: Vec<&str> = [
            exact.then_some("McNemar's exact test for shares of independent items"),
            exchange.then_some("exchange of the two runs' results in whole groups"),
        ]
        .into_iter()
        .flatten()
        .collect();
        text.push_str(&format!(
            " Differences are paired item by item; two-sided p-values come from {}, and are corrected by Holm's method over \
             all {} numbers compared. A verdict needs a corrected p below 0.05 and an interval without zero.",
            if tests.is_empty() { "no test".to_string() } else { tests.join(" and ") },
            comparison.differences.len()
        ));
    }
    text
}

/// What each number must be quoted with.
pub(super) fn signatures(report: &EvaluationReport) -> Vec<(&'static str, String)> {
    let mut known: BTreeMap<Metric, String> = BTreeMap::new();
    for run in &report.runs {
        for metric in run.results.tasks.values().flat_map(|task| task.metrics.keys()) {
            let on_file = run.evaluation.settings.metrics.get(metric.key()).cloned();
            known.entry(*metric).or_insert_with(|| on_file.unwrap_or_else(|| metric.signature()));
        }
    }
    known.into_iter().map(|(metric, signature)| (metric.name(), signature)).collect()
}
