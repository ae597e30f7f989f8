//! One model on its own.

use super::metric::{Form, bleu_of, chrf_of, measured_text};
use super::outcome::GroupKey;
use super::{ChoiceResult, Metric, Outcome};
use crate::statistics::{
    Interval, Resampling, bca_interval, jackknife_standard_error, ratio, sums_by_group, total,
    wilson_effective,
};
use crate::text::TextOutcome;
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
    /// The estimate of a metric of a run; [`estimate_metric`] measures any.
    pub fn metric(&self, metric: Metric) -> Option<&Estimate> {
        match metric {
            Metric::Loss => self.loss.as_ref(),
            Metric::TokenAccuracy => self.token_accuracy.as_ref(),
            Metric::RougeL => self.rouge_l.as_ref(),
            Metric::McAccuracy => self.mc_accuracy.as_ref(),
            _ => None,
        }
    }

    /// Summarizes outcomes in the order of their ids.
    pub(super) fn of_sorted(outcomes: &[&Outcome], resampling: &Resampling) -> Self {
        let rows =
            |metric: Metric| outcomes.iter().filter_map(move |outcome| row(outcome, metric.sums(outcome)));
        let (mc_answered, mc_accuracy_answered) = coverage(outcomes);
        Self {
            loss: by_bootstrap(rows(Metric::Loss), resampling),
            token_accuracy: by_bootstrap(rows(Metric::TokenAccuracy), resampling),
            rouge_l: by_bootstrap(rows(Metric::RougeL), resampling),
            mc_accuracy: proportion(rows(Metric::McAccuracy)),
            mc_answered,
            mc_accuracy_answered,
            mc_counts: ChoiceCounts::of(outcomes),
        }
    }
}

/// One model's value of a metric over the items that have it, which are in the order of their ids: a share with
/// Wilson's interval, anything else with a BCa interval, both over groups. `None` where no item has it.
pub(crate) fn estimate_metric(
    metric: Metric,
    outcomes: &[&Outcome],
    resampling: &Resampling,
) -> Option<Estimate> {
    let rows = || outcomes.iter().filter_map(move |outcome| row(outcome, metric.sums(outcome)));
    match metric.form() {
        Form::Ratio(_) => by_bootstrap(rows(), resampling),
        Form::Share(_) => proportion(rows()),
        Form::Bleu => of_corpus(outcomes, |text| text.bleu_statistics.sums(), bleu_of, resampling),
        Form::Chrf => of_corpus(outcomes, |text| text.chrf_statistics.sums(), chrf_of, resampling),
    }
}

/// Standard error of a metric by leaving out one group at a time; `None` for fewer than two groups.
pub(crate) fn standard_error(metric: Metric, outcomes: &[&Outcome]) -> Option<f64> {
    let measured = || outcomes.iter().filter_map(|outcome| Some((*outcome, measured_text(outcome)?)));
    match metric.form() {
        Form::Ratio(_) | Form::Share(_) => {
            let rows = outcomes.iter().filter_map(|outcome| row(outcome, metric.sums(outcome)));
            jackknife_standard_error(&sums_by_group(rows), ratio)
        }
        Form::Bleu => {
            let rows = measured().map(|(outcome, text)| (outcome.group_key(), text.bleu_statistics.sums()));
            jackknife_standard_error(&sums_by_group(rows), bleu_of)
        }
        Form::Chrf => {
            let rows = measured().map(|(outcome, text)| (outcome.group_key(), text.chrf_statistics.sums()));
            jackknife_standard_error(&sums_by_group(rows), chrf_of)
        }
    }
}

/// Coverage and selective accuracy: the share of the questions whose answer named an option, and the share of right
/// ones among those. `None` without multiple-choice items, or without an answer that names an option.
pub(crate) fn coverage(outcomes: &[&Outcome]) -> (Option<Estimate>, Option<Estimate>) {
    let results =
        || outcomes.iter().filter_map(|outcome| Some((*outcome, outcome.choice.as_ref()?.result())));
    let answered =
        results().map(|(outcome, result)| (outcome.group_key(), [f64::from(result.names_an_option()), 1.0]));
    let among_answered = results()
        .filter(|(_, result)| result.names_an_option())
        .map(|(outcome, result)| (outcome.group_key(), [f64::from(result == ChoiceResult::Right), 1.0]));
    (proportion(answered), proportion(among_answered))
}

/// Number of groups among some outcomes.
pub(crate) fn group_count<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> usize {
    outcomes.map(Outcome::group_key).collect::<BTreeSet<_>>().len()
}

fn row<'a>(outcome: &'a Outcome, sums: Option<[f64; 2]>) -> Option<(GroupKey<'a>, [f64; 2])> {
    sums.map(|sums| (outcome.group_key(), sums))
}

impl ChoiceCounts {
    /// How the answers came out; `None` without multiple-choice items.
    pub(crate) fn of(outcomes: &[&Outcome]) -> Option<Self> {
        let mut counts = Self::default();
        for choice in outcomes.iter().filter_map(|outcome| outcome.choice.as_ref()) {
            match choice.result() {
                ChoiceResult::Right => counts.right += 1,
                ChoiceResult::Wrong => counts.wrong += 1,
                ChoiceResult::Abstained => counts.abstained += 1,
                ChoiceResult::Unparsed => counts.unparsed += 1,
            }
        }
        (counts.total() > 0).then_some(counts)
    }

    /// All questions.
    pub fn total(&self) -> usize {
        self.right + self.wrong + self.abstained + self.unparsed
    }
}

/// A function of the counts of all texts, with its BCa interval over groups.
fn of_corpus<const K: usize>(
    outcomes: &[&Outcome],
    sums: impl Fn(&TextOutcome) -> [f64; K],
    value: fn(&[f64; K]) -> f64,
    resampling: &Resampling,
) -> Option<Estimate> {
    let measured = outcomes.iter().filter_map(|outcome| Some((*outcome, measured_text(outcome)?)));
    of_sums(measured.map(|(outcome, text)| (outcome.group_key(), sums(text))), value, resampling)
}

/// A function of the sums of `rows`, with its BCa interval over groups; `None` without rows.
pub(crate) fn of_sums<'a, const K: usize>(
    rows: impl Iterator<Item = (GroupKey<'a>, [f64; K])>,
    value: impl Fn(&[f64; K]) -> f64 + Sync,
    resampling: &Resampling,
) -> Option<Estimate> {
    let rows: Vec<_> = rows.collect();
    let n = rows.len();
    let groups = sums_by_group(rows);
    let interval = bca_interval(&groups, &value, resampling);
    (n > 0).then(|| Estimate {
        value: value(&total(&groups)),
        n,
        groups: groups.len(),
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
    })
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
