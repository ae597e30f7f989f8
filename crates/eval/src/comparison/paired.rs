//! The difference between two models, metric by metric.

use super::{ChoiceResult, Metric, Outcome, Pair};
use crate::statistics::{
    Discordant, Interval, PairedSums, Resampling, bca_interval, detectable_from_standard_error, holm,
    jackknife_standard_error, minimal_detectable_difference, permutation_p, ratio_difference, sums_by_group,
    total,
};
use serde::{Deserialize, Serialize};

/// Level of the tests, after correction for their number.
const LEVEL: f64 = 0.05;

/// From the tuned model's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Better than the base.
    #[serde(rename = "better")]
    Better,
    /// Worse than the base.
    #[serde(rename = "worse")]
    Worse,
    /// The items at hand cannot tell.
    #[serde(rename = "not distinguishable")]
    NotDistinguishable,
}

impl Verdict {
    /// The verdict in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NotDistinguishable => "not distinguishable",
        }
    }
}

/// The test behind a p-value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// McNemar's exact test: right or wrong, each item its own group.
    McnemarExact,
    /// Exchange of the two models' results in whole groups.
    Permutation,
}

/// The difference of one metric, tuned minus base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// The metric.
    pub metric: Metric,
    /// Tuned minus base.
    pub difference: f64,
    /// Lower end of its 95 % interval; `None` where one group is all there is.
    pub low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub high: Option<f64>,
    /// The test.
    pub test: Test,
    /// Its two-sided p.
    pub p: f64,
    /// p after Holm's correction for the number of metrics.
    pub p_holm: f64,
    /// Number of items.
    pub n: usize,
    /// Number of groups.
    pub groups: usize,
    /// Better or worse needs `p_holm < 0.05` and an interval without zero.
    pub verdict: Verdict,
    /// The smallest difference that these items would show with a power of 80 %.
    pub minimal_detectable_difference: Option<f64>,
}

impl Paired {
    /// The difference with its interval: `+3.1 pt [+1.2, +5.0]`.
    pub fn change(&self) -> String {
        let text = format!("{} {}", self.metric.format_difference(self.difference), self.interval_text());
        text.trim_end().to_string()
    }

    /// The interval of the difference: `[+1.2, +5.0]`; empty where there is none.
    pub fn interval_text(&self) -> String {
        let end = |value| self.metric.format_bare_difference(value);
        match (self.low, self.high) {
            (Some(low), Some(high)) => format!("[{}, {}]", end(low), end(high)),
            _ => String::new(),
        }
    }

    /// The metric's name where the verdict is open.
    pub(super) fn open_name(&self) -> Option<&'static str> {
        (self.verdict == Verdict::NotDistinguishable).then(|| self.metric.name())
    }

    /// Measures a metric on the pairs that have it; the verdict comes from [`judge`].
    pub(super) fn measure(metric: Metric, pairs: &[Pair<'_>], resampling: &Resampling) -> Option<Self> {
        let row = |(base, tuned): &Pair<'_>| Some((metric.sums(base)?, metric.sums(tuned)?));
        let rows: Vec<_> = pairs
            .iter()
            .filter_map(|pair| row(pair).map(|([b, c], [t, u])| (pair.0.group_key(), [b, c, t, u])))
            .collect();
        let n = rows.len();
        if n == 0 {
            return None;
        }
        let groups = sums_by_group(rows);
        let error = jackknife_standard_error(&groups, ratio_difference);
        let independent = groups.len() == n;
        let discordant = (metric == Metric::McAccuracy).then(|| discordant(pairs));
        let (interval, detectable) = match discordant {
            Some(counts) => {
                let effect = if independent { 1.0 } else { design_effect(&counts, error) };
                // One disagreement more than was seen: none seen does not mean that none is possible.
                let rate = (counts.rate() * n as f64 + 1.0) / (n as f64 + 2.0);
                let planned = minimal_detectable_difference(n as u64, (rate * effect).min(1.0));
                (Some(counts.adjusted_interval(effect)), Some(planned))
            }
            None => {
                let interval = bca_interval(&groups, ratio_difference, resampling);
                (interval, error.map(detectable_from_standard_error))
            }
        };
        let (test, p) = match discordant {
            Some(counts) if independent => (Test::McnemarExact, counts.mcnemar_p()),
            _ => (Test::Permutation, permutation_p(&exchangeable(&groups), resampling)),
        };
        let interval = interval.filter(|_| groups.len() > 1);
        Some(Self {
            metric,
            difference: ratio_difference(&total(&groups)),
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            test,
            p,
            p_holm: p,
            n,
            groups: groups.len(),
            verdict: Verdict::NotDistinguishable,
            minimal_detectable_difference: detectable,
        })
    }
}

/// Corrects the p-values of all metrics together and gives the verdicts.
pub(super) fn judge(paired: &mut [Paired]) {
    let p_values: Vec<f64> = paired.iter().map(|paired| paired.p).collect();
    for (paired, p_holm) in paired.iter_mut().zip(holm(&p_values)) {
        paired.p_holm = p_holm;
        let outside = match (paired.low, paired.high) {
            (Some(low), Some(high)) => Interval { low, high }.excludes_zero(),
            _ => false,
        };
        paired.verdict = if p_holm >= LEVEL || !outside {
            Verdict::NotDistinguishable
        } else if (paired.difference < 0.0) == paired.metric.lower_is_better() {
            Verdict::Better
        } else {
            Verdict::Worse
        };
    }
}

/// Multiple choice on the questions for which both models named an option: what is left of a difference when
/// refusals are set aside. Chosen after the fact, so it carries no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnsweredByBoth {
    /// Accuracy of the base model there.
    pub base: f64,
    /// Accuracy of the tuned model there.
    pub tuned: f64,
    /// The disagreements.
    pub discordant: Discordant,
    /// Exact McNemar p, for questions taken as independent.
    pub p: f64,
}

impl AnsweredByBoth {
    pub(super) fn measure(pairs: &[Pair<'_>]) -> Option<Self> {
        let named = |outcome: &Outcome| outcome.choice.as_ref().is_some_and(|choice| choice.picked.is_some());
        let pairs: Vec<Pair<'_>> = pairs.iter().filter(|(b, t)| named(b) && named(t)).copied().collect();
        if pairs.is_empty() {
            return None;
        }
        let share = |right: usize| right as f64 / pairs.len() as f64;
        let discordant = discordant(&pairs);
        Some(Self {
            base: share(pairs.iter().filter(|(base, _)| is_right(base)).count()),
            tuned: share(pairs.iter().filter(|(_, tuned)| is_right(tuned)).count()),
            discordant,
            p: discordant.mcnemar_p(),
        })
    }
}

fn is_right(outcome: &Outcome) -> bool {
    outcome.choice.as_ref().is_some_and(|choice| choice.result() == ChoiceResult::Right)
}

fn discordant(pairs: &[Pair<'_>]) -> Discordant {
    let mut counts = Discordant { only_base: 0, only_tuned: 0, n: 0 };
    for (base, tuned) in pairs.iter().filter(|(base, _)| base.choice.is_some()) {
        counts.n += 1;
        match (is_right(base), is_right(tuned)) {
            (true, false) => counts.only_base += 1,
            (false, true) => counts.only_tuned += 1,
            _ => {}
        }
    }
    counts
}

/// Variance of the difference over groups relative to that of independent items, at least 1.
fn design_effect(counts: &Discordant, error: Option<f64>) -> f64 {
    let independent = counts.standard_error();
    match error {
        Some(error) if independent > 0.0 => (error / independent).powi(2).max(1.0),
        _ => 1.0,
    }
}

fn exchangeable(groups: &[[f64; 4]]) -> Vec<PairedSums> {
    groups.iter().map(|[b, c, t, u]| PairedSums { base: [*b, *c], tuned: [*t, *u] }).collect()
}
