//! One model on its own.

use super::outcome::GroupKey;
use super::{ChoiceResult, Metric, Outcome};
use crate::statistics::{
    Interval, Resampling, bca_interval, jackknife_standard_error, ratio, sums_by_group, total,
    wilson_effective,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A value with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Number of items.
    pub n: usize,
    /// Number of groups that the items fall into.
    pub groups: usize,
    /// Lower end of the interval; `None` where one group is all there is.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

/// How the multiple-choice answers came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceCounts {
    /// Right option.
    pub right: usize,
    /// Another option.
    pub wrong: usize,
    /// No option, and the answer says so.
    #[serde(default)]
    pub abstained: usize,
    /// No option named.
    pub unparsed: usize,
}

/// One model's metrics. A metric is `None` if no item has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Loss per labelled token, in nats: a ratio of sums, so a long answer weighs by its tokens.
    pub loss: Option<Estimate>,
    /// Share of labelled tokens predicted right.
    pub token_accuracy: Option<Estimate>,
    /// Mean ROUGE-L F1.
    pub rouge_l: Option<Estimate>,
    /// Share of all multiple-choice questions answered right; an unparsed answer is not right.
    pub mc_accuracy: Option<Estimate>,
    /// Coverage: share of the multiple-choice questions whose answer named an option.
    pub mc_answered: Option<Estimate>,
    /// Selective accuracy: share of right ones among those answered.
    pub mc_accuracy_answered: Option<Estimate>,
    /// Counts behind the three.
    pub mc_counts: Option<ChoiceCounts>,
}

impl Summary {
    /// A metric's estimate.
    pub fn metric(&self, metric: Metric) -> Option<&Estimate> {
        match metric {
            Metric::Loss => self.loss.as_ref(),
            Metric::TokenAccuracy => self.token_accuracy.as_ref(),
            Metric::RougeL => self.rouge_l.as_ref(),
            Metric::McAccuracy => self.mc_accuracy.as_ref(),
        }
    }

    /// Summarizes outcomes in the order of their ids.
    pub(super) fn of_sorted(outcomes: &[&Outcome], resampling: &Resampling) -> Self {
        let rows =
            |metric: Metric| outcomes.iter().filter_map(move |outcome| row(outcome, metric.sums(outcome)));
        let results =
            || outcomes.iter().filter_map(|outcome| Some((*outcome, outcome.choice.as_ref()?.result())));
        let answered = results()
            .map(|(outcome, result)| (outcome.group_key(), [f64::from(result.names_an_option()), 1.0]));
        let among_answered = results()
            .filter(|(_, result)| result.names_an_option())
            .map(|(outcome, result)| (outcome.group_key(), [f64::from(result == ChoiceResult::Right), 1.0]));
        Self {
            loss: by_bootstrap(rows(Metric::Loss), resampling),
            token_accuracy: by_bootstrap(rows(Metric::TokenAccuracy), resampling),
            rouge_l: by_bootstrap(rows(Metric::RougeL), resampling),
            mc_accuracy: proportion(rows(Metric::McAccuracy)),
            mc_answered: proportion(answered),
            mc_accuracy_answered: proportion(among_answered),
            mc_counts: counts(results().map(|(_, result)| result)),
        }
    }
}

/// Number of groups among some outcomes.
pub(super) fn group_count<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> usize {
    outcomes.map(Outcome::group_key).collect::<BTreeSet<_>>().len()
}

fn row<'a>(outcome: &'a Outcome, sums: Option<[f64; 2]>) -> Option<(GroupKey<'a>, [f64; 2])> {
    sums.map(|sums| (outcome.group_key(), sums))
}

fn counts(results: impl Iterator<Item = ChoiceResult>) -> Option<ChoiceCounts> {
    let mut counts = ChoiceCounts::default();
    for result in results {
        match result {
            ChoiceResult::Right => counts.right += 1,
            ChoiceResult::Wrong => counts.wrong += 1,
            ChoiceResult::Abstained => counts.abstained += 1,
            ChoiceResult::Unparsed => counts.unparsed += 1,
        }
    }
    (counts != ChoiceCounts::default()).then_some(counts)
}

/// A ratio of sums with its BCa interval over groups.
fn by_bootstrap<'a>(
    rows: impl Iterator<Item = (GroupKey<'a>, [f64; 2])>,
    resampling: &Resampling,
) -> Option<Estimate> {
    let rows: Vec<_> = rows.collect();
    let n = rows.len();
    let groups = sums_by_group(rows);
    let interval = bca_interval(&groups, ratio, resampling);
    estimate(&groups, n, interval)
}

/// A proportion with Wilson's interval on its effective number of items: the items divided by the design effect,
/// the variance over groups relative to that of independent items. Where all items agree the groups count.
pub(crate) fn proportion<'a>(rows: impl Iterator<Item = (GroupKey<'a>, [f64; 2])>) -> Option<Estimate> {
    let rows: Vec<_> = rows.collect();
    let n = rows.len() as f64;
    let groups = sums_by_group(rows);
    let share = ratio(&total(&groups));
    let independent = groups.len() as f64 == n;
    let effective = match jackknife_standard_error(&groups, ratio) {
        _ if independent => n,
        Some(error) if error > 0.0 && share > 0.0 && share < 1.0 => {
            let design_effect = error * error / (share * (1.0 - share) / n);
            n / design_effect.max(1.0)
        }
        _ => groups.len() as f64,
    };
    estimate(&groups, n as usize, Some(wilson_effective(share, effective)))
}

fn estimate(groups: &[[f64; 2]], n: usize, interval: Option<Interval>) -> Option<Estimate> {
    (n > 0).then(|| Estimate {
        value: ratio(&total(groups)),
        n,
        groups: groups.len(),
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
    })
}
