//! Any number of runs over the same items: each against a reference, or each against each.
//!
//! Every difference is paired item by item within its task, and all of them, over runs, tasks and metrics, are one
//! family for Holm's correction: whoever looks at twenty numbers must expect one false finding in twenty.

mod changes;
mod error;
mod pairing;
mod verdict;

pub use changes::{Changes, Drop};
pub use error::RunsError;

use super::paired::judge;
use super::{Estimate, Metric, Outcome, Paired, estimate_metric, group_count};
use crate::evaluation::task_of;
use crate::statistics::Resampling;
use crate::wording::counted;
use crate::{Error, Result};
use pairing::{align, by_id};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The outcomes of a run, under a name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// What it is called beside the others.
    pub name: String,
    /// One per item.
    pub outcomes: Vec<Outcome>,
}

/// What is compared with what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompareOptions {
    /// Which differences are taken.
    pub against: Against,
    /// Compare on the items that all runs have; otherwise runs over different items are an error.
    pub common: bool,
    /// The metrics; empty for all that were measured.
    pub metrics: Vec<Metric>,
    /// Seed and number of the draws.
    pub resampling: Resampling,
}

/// Which differences are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// Each run's from the first one.
    #[default]
    First,
    /// Each run's from the one of this name.
    Named(String),
    /// Each run's from every one before it.
    Each,
}

/// Runs on the same items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunsComparison {
    /// The names of the runs, in the order in which they were given.
    pub runs: Vec<String>,
    /// Number of items that were compared.
    pub items: usize,
    /// Number of groups that they fall into.
    pub groups: usize,
    /// Items of each run that are not compared because another run lacks them; empty where all have the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<usize>,
    /// What each run scored by itself.
    pub values: Vec<RunValue>,
    /// The paired differences.
    pub differences: Vec<Difference>,
    /// The items that changed between two runs.
    pub changes: Vec<Changes>,
    /// Seed and number of the draws.
    pub resampling: Resampling,
    /// What a reader should know before trusting the numbers.
    pub notes: Vec<String>,
}

/// What a run scored in a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunValue {
    /// The run.
    pub run: String,
    /// The task.
    pub task: String,
    /// The metric.
    pub metric: Metric,
    /// Its value.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// The difference between two runs in a metric of a task: `run` minus `base`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// What is subtracted.
    pub base: String,
    /// What it is subtracted from.
    pub run: String,
    /// The task.
    pub task: String,
    /// The difference with interval, test and verdict; its base is `base`, its tuned model `run`.
    #[serde(flatten)]
    pub paired: Paired,
}

/// Compares runs item by item.
///
/// # Errors
/// [`RunsError`]; [`Error::NoItems`], [`Error::NotFinite`].
pub fn compare_runs(runs: &[Run], options: &CompareOptions) -> Result<RunsComparison> {
    if runs.len() < 2 {
        return Err(RunsError::TooFew(runs.len()).into());
    }
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    if let Some(name) =
        names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name))
    {
        return Err(RunsError::SameName(name.clone()).into());
    }
    let pairs = options.against.pairs(&names)?;
    let indexed = runs.iter().map(by_id).collect::<Result<Vec<_>>>()?;
    let (aligned, left_out) = align(&names, &indexed, options.common)?;
    let mut notes = Vec::new();
    let mut differences = Vec::new();
    let mut changes = Vec::new();
    for (base, run) in pairs {
        let both: Vec<(&Outcome, &Outcome)> =
            aligned[base].iter().copied().zip(aligned[run].iter().copied()).collect();
        let of_pair = PairOfRuns { base: &names[base], run: &names[run], both };
        of_pair.check()?;
        differences.extend(of_pair.differences(options, &mut notes));
        changes.push(of_pair.changes());
    }
    judge(differences.iter_mut().map(|difference| &mut difference.paired));
    let groups = group_count(aligned[0].iter().copied());
    if groups < super::FEW_GROUPS && !differences.is_empty() {
        notes.push(format!("Only {} of related items: the intervals are rough.", counted(groups, "group")));
    }
    Ok(RunsComparison {
        values: values(&names, &aligned, options),
        items: aligned[0].len(),
        groups,
        left_out,
        differences,
        changes,
        resampling: options.resampling,
        notes,
        runs: names,
    })
}

impl Against {
    /// Indices of the two runs of each difference.
    fn pairs(&self, names: &[String]) -> Result<Vec<(usize, usize)>> {
        let reference = match self {
            Self::First => 0,
            Self::Named(name) => names.iter().position(|known| known == name).ok_or_else(|| {
                Error::from(RunsError::Unknown { name: name.clone(), runs: names.to_vec() })
            })?,
            Self::Each => {
                let before = |run: usize| (0..run).map(move |base| (base, run));
                return Ok((0..names.len()).flat_map(before).collect());
            }
        };
        Ok((0..names.len()).filter(|run| *run != reference).map(|run| (reference, run)).collect())
    }
}

/// Two runs with their outcomes of each item.
struct PairOfRuns<'a> {
    base: &'a str,
    run: &'a str,
    both: Vec<(&'a Outcome, &'a Outcome)>,
}

impl<'a> PairOfRuns<'a> {
    fn check(&self) -> Result<()> {
        for (base, run) in &self.both {
            if let Some(reason) = base.is_another_item_than(run) {
                return Err(RunsError::Unlike {
                    id: base.id.clone(),
                    base: self.base.to_string(),
                    run: self.run.to_string(),
                    reason,
                }
                .into());
            }
        }
        Ok(())
    }

    fn by_task(&self) -> BTreeMap<&'a str, Vec<(&'a Outcome, &'a Outcome)>> {
        let mut tasks: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for pair in &self.both {
            tasks.entry(task_of(pair.0)).or_default().push(*pair);
        }
        tasks
    }

    fn differences(&self, options: &CompareOptions, notes: &mut Vec<String>) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (task, pairs) in self.by_task() {
            let tokens = |outcome: &Outcome| outcome.loss.map(|loss| loss.tokens);
            let same_tokens = pairs.iter().all(|(base, run)| tokens(base) == tokens(run));
            let mut one_only: BTreeMap<usize, Vec<String>> = BTreeMap::new();
            for metric in options.wanted() {
                let has = |outcome: &Outcome| metric.of_item(outcome).is_some();
                let both = pairs.iter().filter(|(base, run)| has(base) && has(run)).count();
                let of_one = pairs.iter().filter(|(base, run)| has(base) != has(run)).count();
                if of_one > 0 {
                    one_only.entry(of_one).or_default().push(metric.name().to_string());
                }
                if metric.is_per_token() && !same_tokens {
                    if both > 0 {
                        notes.push(format!(
                            "`{}` and `{}` cut the answers of {task} into different tokens: {} cannot be compared.",
                            self.base,
                            self.run,
                            metric.name()
                        ));
                    }
                    continue;
                }
                let paired = Paired::measure(metric, &pairs, &options.resampling);
                differences.extend(paired.map(|paired| Difference {
                    base: self.base.to_string(),
                    run: self.run.to_string(),
                    task: task.to_string(),
                    paired,
                }));
            }
            notes.extend(one_only.into_iter().rev().map(|(count, metrics)| {
                format!(
                    "{} of {task}, measured for only one of `{}` and `{}`: left out of their difference in {}.",
                    counted(count, "item"),
                    self.base,
                    self.run,
                    super::and(&metrics)
                )
            }));
        }
        differences
    }

    fn changes(&self) -> Changes {
        Changes::between(self.base, self.run, &self.both)
    }
}

impl CompareOptions {
    fn wanted(&self) -> impl Iterator<Item = Metric> + '_ {
        Metric::ALL.into_iter().filter(|metric| self.metrics.is_empty() || self.metrics.contains(metric))
    }
}

fn values(names: &[String], aligned: &[Vec<&Outcome>], options: &CompareOptions) -> Vec<RunValue> {
    let tasks: BTreeSet<&str> = aligned[0].iter().map(|outcome| task_of(outcome)).collect();
    let mut values = Vec::new();
    for task in tasks {
        for metric in options.wanted() {
            for (name, outcomes) in names.iter().zip(aligned) {
                let of_task: Vec<&Outcome> =
                    outcomes.iter().copied().filter(|outcome| task_of(outcome) == task).collect();
                let estimate = estimate_metric(metric, &of_task, &options.resampling);
                values.extend(estimate.map(|estimate| RunValue {
                    run: name.clone(),
                    task: task.to_string(),
                    metric,
                    estimate,
                }));
            }
        }
    }
    values
}

impl RunsComparison {
    /// The tasks, in the order of their names.
    pub fn tasks(&self) -> BTreeSet<&str> {
        self.values.iter().map(|value| value.task.as_str()).collect()
    }

    /// What a run scored.
    pub fn value(&self, run: &str, task: &str, metric: Metric) -> Option<&Estimate> {
        let of_run = |value: &&RunValue| value.run == run && value.task == task && value.metric == metric;
        self.values.iter().find(of_run).map(|value| &value.estimate)
    }

    /// The difference between two runs.
    pub fn difference(&self, base: &str, run: &str, task: &str, metric: Metric) -> Option<&Paired> {
        let of_pair = |difference: &&Difference| {
            (difference.base.as_str(), difference.run.as_str()) == (base, run)
                && difference.task == task
                && difference.paired.metric == metric
        };
        self.differences.iter().find(of_pair).map(|difference| &difference.paired)
    }
}
