//! The numbers of an evaluation, task by task.

use crate::choice::summary::{Calibration, macro_f1, overconfidence};
use crate::comparison::{
    ChoiceCounts, Estimate, Metric, Outcome, coverage, estimate_metric, group_count, standard_error,
};
use crate::statistics::Resampling;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What items without a task are called in results.
pub const UNNAMED_TASK: &str = "questions";

/// All numbers of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Items.
    pub items: usize,
    /// Groups that they fall into.
    pub groups: usize,
    /// By the name of the task; items without one are under [`UNNAMED_TASK`].
    pub tasks: BTreeMap<String, TaskResults>,
    /// Seed and number of the draws.
    pub resampling: Resampling,
}

/// The numbers of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResults {
    /// Items.
    pub items: usize,
    /// Groups that they fall into.
    pub groups: usize,
    /// What was measured of any item.
    pub metrics: BTreeMap<Metric, MetricResult>,
    /// How multiple-choice answers came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<ChoiceCounts>,
    /// Coverage: share of the multiple-choice questions whose answer named an option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Estimate>,
    /// Selective accuracy: share of right ones among those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_answered: Option<Estimate>,
    /// Mean F1 of the options, see [`crate::choice::summary::Confusion::macro_f1`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<Estimate>,
    /// Expected calibration error of options that were rated, see [`crate::choice::summary::Calibration::ece`]. It has no
    /// interval: chance only ever adds to it, so its resamples lie above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_error: Option<Estimate>,
    /// Mean confidence less accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overconfidence: Option<Estimate>,
    /// Items whose question lost its beginning because it is longer than the model reads: they count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut_questions: Vec<String>,
    /// Items without a word in their reference: in no number of the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub empty_references: Vec<String>,
    /// Items without a word in their answer: they count, as 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub empty_answers: Vec<String>,
}

/// A number with what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricResult {
    /// Value, items, groups and 95 % interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Standard error by leaving out one group at a time; `None` where one group is all there is.
    pub standard_error: Option<f64>,
}

impl Results {
    /// Computes all numbers.
    ///
    /// # Errors
    /// [`Error::NoItems`], [`Error::Twice`], [`Error::NotFinite`].
    pub fn of(outcomes: &[Outcome], resampling: &Resampling) -> Result<Self> {
        if outcomes.is_empty() {
            return Err(Error::NoItems);
        }
        let mut by_id = BTreeMap::new();
        for outcome in outcomes {
            outcome.check_finite()?;
            if by_id.insert(outcome.id.as_str(), outcome).is_some() {
                return Err(Error::Twice { id: outcome.id.clone() });
            }
        }
        let mut by_task: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
        for outcome in by_id.values() {
            by_task.entry(task_of(outcome)).or_default().push(outcome);
        }
        let tasks = by_task
            .into_iter()
            .map(|(task, outcomes)| (task.to_string(), TaskResults::of(&outcomes, resampling)));
        Ok(Self {
            items: outcomes.len(),
            groups: group_count(outcomes.iter()),
            tasks: tasks.collect(),
            resampling: *resampling,
        })
    }

    /// A metric of a task.
    pub fn metric(&self, task: &str, metric: Metric) -> Option<&MetricResult> {
        self.tasks.get(task)?.metrics.get(&metric)
    }

    /// Every number that is not the same in both, as `tasks.medqa.metrics.bleu.value: 23.1 on file, 23.2 now`.
    pub fn differences(on_file: &Self, now: &Self, closeness: Closeness) -> Vec<String> {
        let document = |results: &Self| serde_json::to_value(results).unwrap_or_default();
        let mut differences = Vec::new();
        closeness.walk("", &document(on_file), &document(now), &mut differences);
        differences
    }

    /// One row per number: run, task, metric, value, interval, standard error, items, groups, signature.
    pub fn to_csv(&self, run: &str) -> String {
        let mut text =
            "run,task,metric,value,low,high,standard_error,items,groups,direction,signature\n".to_string();
        for (task, results) in &self.tasks {
            for (metric, MetricResult { estimate, standard_error }) in &results.metrics {
                let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
                let direction = serde_json::to_value(metric.direction()).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "{},{},{},{},{},{},{},{},{},{},{}",
                    cell(run),
                    cell(task),
                    metric.key(),
                    estimate.value,
                    number(estimate.low),
                    number(estimate.high),
                    number(*standard_error),
                    estimate.n,
                    estimate.groups,
                    direction.as_str().unwrap_or_default(),
                    cell(&metric.signature()),
                );
            }
            for number in results.choice_numbers() {
                let end = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
                let Estimate { value, n, groups, low, high } = number.estimate;
                let _ = writeln!(
                    text,
                    "{},{},{},{value},{},{},,{n},{groups},,{}",
                    cell(run),
                    cell(task),
                    number.key,
                    end(low),
                    end(high),
                    cell(number.signature),
                );
            }
        }
        text
    }
}

/// A number of multiple choice beside the shares of [`Metric`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChoiceNumber {
    /// Its name in files.
    pub key: &'static str,
    /// Its name for a reader.
    pub name: &'static str,
    /// The number.
    pub estimate: Estimate,
    /// It is a share, written in percent.
    pub share: bool,
    /// What it must be quoted with.
    pub signature: &'static str,
}

impl ChoiceNumber {
    /// A value as it is written.
    pub fn format(&self, value: f64) -> String {
        if self.share { format!("{:.1} %", 100.0 * value) } else { format!("{value:.3}").replace('-', "−") }
    }

    /// `[0.412, 0.533]`; empty without an interval.
    pub fn interval(&self) -> String {
        let end = |value: f64| self.format(value).trim_end_matches(" %").to_string();
        match (self.estimate.low, self.estimate.high) {
            (Some(low), Some(high)) => format!("[{}, {}]", end(low), end(high)),
            _ => String::new(),
        }
    }
}

impl TaskResults {
    /// What is known of multiple choice beside the shares of right answers.
    pub fn choice_numbers(&self) -> Vec<ChoiceNumber> {
        let number = |key, name, estimate: Option<Estimate>, share, signature| {
            estimate.map(|estimate| ChoiceNumber { key, name, estimate, share, signature })
        };
        let numbers = [
            number(
                "coverage",
                "coverage",
                self.answered,
                true,
                "share of questions whose answer names an option",
            ),
            number(
                "selective_accuracy",
                "selective accuracy",
                self.accuracy_answered,
                true,
                "share of right ones among the answers that name an option",
            ),
            number(
                "macro_f1",
                "macro-F1",
                self.macro_f1,
                false,
                "mean F1 of the options|like:scikit-learn f1_score(average=\"macro\")",
            ),
            number(
                "ece",
                "calibration error (ECE)",
                self.calibration_error,
                false,
                "ten bins of equal width, softmax of the options' log-likelihoods|Guo et al. 2017",
            ),
            number(
                "overconfidence",
                "confidence − accuracy",
                self.overconfidence,
                false,
                "mean confidence less accuracy, softmax of the options' log-likelihoods",
            ),
        ];
        numbers.into_iter().flatten().collect()
    }

    fn of(outcomes: &[&Outcome], resampling: &Resampling) -> Self {
        let measured = |metric: Metric| {
            let estimate = estimate_metric(metric, outcomes, resampling)?;
            Some((metric, MetricResult { estimate, standard_error: standard_error(metric, outcomes) }))
        };
        let (answered, accuracy_answered) = coverage(outcomes);
        let named = |is_so: fn(&crate::text::TextOutcome) -> bool| -> Vec<String> {
            let texts = outcomes.iter().filter(|outcome| outcome.text.as_deref().is_some_and(is_so));
            texts.map(|outcome| outcome.id.clone()).collect()
        };
        Self {
            items: outcomes.len(),
            groups: group_count(outcomes.iter().copied()),
            metrics: Metric::ALL.into_iter().filter_map(measured).collect(),
            choices: ChoiceCounts::of(outcomes),
            answered,
            accuracy_answered,
            macro_f1: macro_f1(outcomes, resampling),
            calibration_error: Calibration::of_outcomes(outcomes).map(|Calibration { ece, n, .. }| {
                Estimate {
                    value: ece,
                    n,
                    groups: group_count(outcomes.iter().copied()),
                    low: None,
                    high: None,
                }
            }),
            overconfidence: overconfidence(outcomes, resampling),
            cut_questions: outcomes
                .iter()
                .filter(|outcome| outcome.choice.as_ref().is_some_and(|choice| choice.cut > 0))
                .map(|outcome| outcome.id.clone())
                .collect(),
            empty_references: named(|text| text.empty_reference),
            empty_answers: named(|text| text.empty_answer),
        }
    }
}

/// The task of an item in results.
pub(crate) fn task_of(outcome: &Outcome) -> &str {
    outcome.task.as_deref().unwrap_or(UNNAMED_TASK)
}

/// A cell of CSV: quoted where it must be.
fn cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

/// When two numbers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closeness {
    /// Where their bits are.
    Exact,
    /// Up to 1e-9 of their size: `exp` and `ln` of two systems may differ in the last place.
    AcrossMachines,
}

impl Closeness {
    fn same(self, before: &Value, now: &Value) -> bool {
        let close = |before: f64, now: f64| (before - now).abs() <= 1e-9 * before.abs().max(1.0);
        let both = before.as_f64().zip(now.as_f64());
        before == now
            || (self == Self::AcrossMachines && both.is_some_and(|(before, now)| close(before, now)))
    }

    /// The leaves that differ, with their path.
    pub(super) fn walk(self, path: &str, before: &Value, now: &Value, differences: &mut Vec<String>) {
        let below = |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        match (before, now) {
            (Value::Object(before), Value::Object(now)) => {
                for (key, value) in before {
                    self.walk(&below(key), value, now.get(key).unwrap_or(&Value::Null), differences);
                }
                for (key, value) in now.iter().filter(|(key, _)| !before.contains_key(*key)) {
                    self.walk(&below(key), &Value::Null, value, differences);
                }
            }
            (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
                for (index, (before, now)) in before.iter().zip(now).enumerate() {
                    self.walk(&below(&index.to_string()), before, now, differences);
                }
            }
            _ if self.same(before, now) => {}
            _ => differences.push(format!("{path}: {before} on file, {now} now")),
        }
    }
}
