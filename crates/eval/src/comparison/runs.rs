//! Any number of runs over the same items: each against a reference, or each against each.
//!
//! Every difference is paired item by item within its task, and all of them, over runs, tasks and metrics, are one
//! family for Holm's correction: whoever looks at twenty numbers must expect one false finding in twenty.

mod changes;
mod pairing;

pub use changes::{Changes, Drop};

use super::paired::judge;
use super::{Direction, Estimate, Metric, Outcome, Paired, Verdict, estimate_metric, group_count};
use crate::evaluation::task_of;
use crate::statistics::Resampling;
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

/// Runs that cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunsError {
    /// One run is all there is.
    #[error("{0} run: a comparison needs two")]
    TooFew(usize),
    /// Two runs have one name.
    #[error("two runs are called `{0}`")]
    SameName(String),
    /// A name that no run has.
    #[error("no run is called `{name}`: there are {}", .runs.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are.
        runs: Vec<String>,
    },
    /// Runs over different items.
    #[error(
        "{missing} of {all} items are not in every run: `{run}` lacks {}{}; {common} are in all",
        .first.join(", "),
        if *.missing > .first.len() { " …" } else { "" }
    )]
    DifferentItems {
        /// The first run that lacks one.
        run: String,
        /// Items that some run lacks.
        missing: usize,
        /// Items that some run has.
        all: usize,
        /// Items that every run has.
        common: usize,
        /// The first items that `run` lacks.
        first: Vec<String>,
    },
    /// An item that stands in a run twice.
    #[error("item `{id}` occurs twice in `{run}`")]
    Twice {
        /// The item.
        id: String,
        /// The run.
        run: String,
    },
    /// An item that is not the same in two runs.
    #[error("item `{id}` is not the same in `{base}` and `{run}`: {reason}")]
    Unlike {
        /// The item.
        id: String,
        /// A run.
        base: String,
        /// Another.
        run: String,
        /// What differs.
        reason: &'static str,
    },
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
    if groups < super::FEW_GROUPS {
        notes.push(format!("Only {groups} groups of related items: the intervals are rough."));
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
                let items = if count == 1 { "1 item" } else { &format!("{count} items") };
                format!(
                    "{items} of {task}, measured for only one of `{}` and `{}`: left out of their difference in {}.",
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

    /// The result in a sentence for each pair of runs.
    pub fn verdict_sentences(&self) -> Vec<String> {
        self.changes.iter().map(|pair| self.verdict_sentence(&pair.base, &pair.run)).collect()
    }

    fn verdict_sentence(&self, base: &str, run: &str) -> String {
        let of_pair: Vec<&Difference> = self
            .differences
            .iter()
            .filter(|difference| difference.base == base && difference.run == run)
            .filter(|difference| difference.paired.metric.direction() != Direction::Neither)
            .collect();
        let several = self.tasks().len() > 1;
        let named = |verdict: Verdict| -> Vec<String> {
            let of_verdict = of_pair.iter().filter(|difference| difference.paired.verdict == verdict);
            let name = |difference: &&&Difference| {
                let task = if several { format!(" of {}", difference.task) } else { String::new() };
                format!("{}{task} ({})", difference.paired.metric.name(), difference.paired.change())
            };
            of_verdict.map(|difference| name(&difference)).collect()
        };
        let (better, worse) = (named(Verdict::Better), named(Verdict::Worse));
        let open = of_pair.len() - better.len() - worse.len();
        let open = match (open, of_pair.len()) {
            (0, _) => String::new(),
            (1, _) => "; not distinguishable in one other number".to_string(),
            (open, _) => format!("; not distinguishable in {open} other numbers"),
        };
        match (better.is_empty(), worse.is_empty()) {
            _ if of_pair.is_empty() => format!("Nothing was measured for both {base} and {run}."),
            (true, true) => format!(
                "On {} items {run} is not distinguishable from {base} in any of {} numbers.",
                self.items,
                of_pair.len()
            ),
            (false, true) => format!("{run} is better than {base} in {}{open}.", super::and(&better)),
            (true, false) => format!("{run} is worse than {base} in {}{open}.", super::and(&worse)),
            (false, false) => format!(
                "{run} is better than {base} in {} but worse in {}{open}.",
                super::and(&better),
                super::and(&worse)
            ),
        }
    }
}
