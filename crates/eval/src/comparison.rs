//! Is the tuned model better than its base? Outcomes per item in, a verdict per metric out.
//!
//! Both models answer the same items. What is compared is the difference item by item, in whole groups (a document
//! and all questions about it), with an interval, a test and a correction for the number of metrics. A verdict other
//! than "not distinguishable" needs both the test and the interval.

mod metric;
mod outcome;
mod paired;
mod runs;
mod summary;

pub use metric::{Direction, Metric};
pub(crate) use outcome::GroupKey;
pub use outcome::{Choice, ChoiceResult, Evidence, Outcome, Rated, TokenLoss};
pub use paired::{AnsweredByBoth, Paired, Test, Verdict};
pub use runs::{
    Against, Changes, CompareOptions, Difference, Drop, Run, RunValue, RunsComparison, RunsError,
    compare_runs,
};
pub use summary::{ChoiceCounts, Estimate, Summary};
pub(crate) use summary::{coverage, estimate_metric, group_count, of_sums, proportion, standard_error};

use crate::statistics::Resampling;
use crate::wording::counted;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fewer groups than this and the intervals are rough; the comparison says so.
const FEW_GROUPS: usize = 20;

/// Two models on the same items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Number of items.
    pub items: usize,
    /// Number of groups.
    pub groups: usize,
    /// The base model alone.
    pub base: Summary,
    /// The tuned model alone.
    pub tuned: Summary,
    /// The paired difference of each metric that was measured.
    pub paired: Vec<Paired>,
    /// Multiple choice on the questions that both models answered.
    pub answered_by_both: Option<AnsweredByBoth>,
    /// Seed and number of the draws.
    pub resampling: Resampling,
    /// What a reader should know before trusting the numbers.
    pub notes: Vec<String>,
}

/// Compares two models on the same items, in any order.
///
/// # Errors
/// [`Error::NoItems`], [`Error::Duplicate`], [`Error::NotFinite`]; [`Error::Unpaired`] where an item was measured for
/// one model only, or differs in its group or its gold answer.
pub fn compare(base: &[Outcome], tuned: &[Outcome], resampling: &Resampling) -> Result<Comparison> {
    let base = sorted(base, "base")?;
    let tuned = sorted(tuned, "tuned")?;
    let pairs = pairs(&base, &tuned)?;
    let mut notes = Vec::new();
    let same_tokens = pairs.iter().all(|(base, tuned)| tokens(base) == tokens(tuned));
    if !same_tokens {
        notes.push(
            "The two models cut the answers into different tokens, so loss and token accuracy cannot be compared."
                .to_string(),
        );
    }
    let comparable = |metric: &Metric| same_tokens || !metric.is_per_token();
    let mut paired: Vec<Paired> = Metric::OF_A_RUN
        .into_iter()
        .filter(comparable)
        .filter_map(|metric| Paired::measure(metric, &pairs, resampling))
        .collect();
    paired::judge(&mut paired);
    let groups = summary::group_count(base.iter().copied());
    if groups < FEW_GROUPS {
        notes.push(format!("Only {} of related items: the intervals are rough.", counted(groups, "group")));
    }
    Ok(Comparison {
        items: pairs.len(),
        groups,
        base: Summary::of_sorted(&base, resampling),
        tuned: Summary::of_sorted(&tuned, resampling),
        paired,
        answered_by_both: AnsweredByBoth::measure(&pairs),
        resampling: *resampling,
        notes,
    })
}

/// Measures one model alone.
///
/// # Errors
/// [`Error::NoItems`], [`Error::Duplicate`], [`Error::NotFinite`].
pub fn summarize(outcomes: &[Outcome], resampling: &Resampling) -> Result<Summary> {
    Ok(Summary::of_sorted(&sorted(outcomes, "measured")?, resampling))
}

impl Comparison {
    /// The paired difference of a metric, if it was measured.
    pub fn metric(&self, metric: Metric) -> Option<&Paired> {
        self.paired.iter().find(|paired| paired.metric == metric)
    }

    /// The result in a sentence or two.
    pub fn verdict_sentence(&self) -> String {
        let named = |verdict: Verdict| -> Vec<String> {
            let of_verdict = self.paired.iter().filter(|paired| paired.verdict == verdict);
            of_verdict.map(|paired| format!("{} ({})", paired.metric.name(), paired.change())).collect()
        };
        let (better, worse) = (named(Verdict::Better), named(Verdict::Worse));
        let open: Vec<&str> = self.paired.iter().filter_map(|paired| paired.open_name()).collect();
        let first = match (better.is_empty(), worse.is_empty()) {
            _ if self.paired.is_empty() => return "Nothing was measured that can be compared.".to_string(),
            (true, true) => {
                return format!(
                    "On {} the tuned model is not distinguishable from its base ({}).",
                    counted(self.items, "item"),
                    open.join(", ")
                );
            }
            (false, true) => format!("The tuned model is better than its base in {}", and(&better)),
            (true, false) => format!("The tuned model is worse than its base in {}", and(&worse)),
            (false, false) => {
                format!("The tuned model is better in {} but worse in {}", and(&better), and(&worse))
            }
        };
        let open: Vec<String> = open.into_iter().map(str::to_string).collect();
        if open.is_empty() {
            format!("{first}.")
        } else {
            format!("{first}; not distinguishable in {}.", and(&open))
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
fn and(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn tokens(outcome: &Outcome) -> Option<u64> {
    outcome.loss.as_ref().map(|loss| loss.tokens)
}

/// The outcomes in the order of their ids, checked one by one.
fn sorted<'a>(outcomes: &'a [Outcome], model: &'static str) -> Result<Vec<&'a Outcome>> {
    if outcomes.is_empty() {
        return Err(Error::NoItems);
    }
    let mut by_id = BTreeMap::new();
    for outcome in outcomes {
        outcome.check_finite()?;
        if by_id.insert(outcome.id.as_str(), outcome).is_some() {
            return Err(Error::Duplicate { id: outcome.id.clone(), model });
        }
    }
    Ok(by_id.into_values().collect())
}

type Pair<'a> = (&'a Outcome, &'a Outcome);

fn pairs<'a>(base: &[&'a Outcome], tuned: &[&'a Outcome]) -> Result<Vec<Pair<'a>>> {
    let unpaired = |id: &str, reason| Err(Error::Unpaired { id: id.to_string(), reason });
    let of_tuned: BTreeMap<&str, &Outcome> =
        tuned.iter().map(|outcome| (outcome.id.as_str(), *outcome)).collect();
    let mut pairs = Vec::with_capacity(base.len());
    for base in base {
        let Some(tuned) = of_tuned.get(base.id.as_str()) else {
            return unpaired(&base.id, "only the base model has it");
        };
        if let Some(reason) = base.differs_from(tuned) {
            return unpaired(&base.id, reason);
        }
        pairs.push((*base, *tuned));
    }
    if tuned.len() > base.len() {
        let known: std::collections::BTreeSet<&str> =
            base.iter().map(|outcome| outcome.id.as_str()).collect();
        if let Some(extra) = tuned.iter().find(|outcome| !known.contains(outcome.id.as_str())) {
            return unpaired(&extra.id, "only the tuned model has it");
        }
    }
    Ok(pairs)
}
