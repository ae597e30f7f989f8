//! The difference between two models, metric by metric.

use super::metric::{BLEU_SUMS, CHRF_SUMS, Form, bleu_of, chrf_of, measured_text};
use super::{ChoiceResult, Direction, Metric, Outcome, Pair};
use crate::statistics::{
    Discordant, Interval, PairedSums, Resampling, bca_interval, detectable_from_standard_error, holm,
    jackknife_standard_error, minimal_detectable_difference, permutation_p, permutation_p_of, ratio,
    ratio_difference, sums_by_group, total,
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
    /// Higher, of a metric that has no better and worse.
    #[serde(rename = "higher")]
    Higher,
    /// Lower, of such a metric.
    #[serde(rename = "lower")]
    Lower,
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
            Self::Higher => "higher",
            Self::Lower => "lower",
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
        let sample = Sample { metric, pairs, resampling };
        match metric.form() {
            Form::Ratio(sums) => sample.sums::<2, 4>(sums, ratio),
            Form::Share(is_so) => sample.shares(is_so),
            Form::Bleu => sample.sums::<BLEU_SUMS, { 2 * BLEU_SUMS }>(
                |outcome| measured_text(outcome).map(|text| text.bleu_statistics.sums()),
                bleu_of,
            ),
            Form::Chrf => sample.sums::<CHRF_SUMS, { 2 * CHRF_SUMS }>(
                |outcome| measured_text(outcome).map(|text| text.chrf_statistics.sums()),
                chrf_of,
            ),
        }
    }
}

/// What a metric is measured on.
struct Sample<'a> {
    metric: Metric,
    pairs: &'a [Pair<'a>],
    resampling: &'a Resampling,
}

impl Sample<'_> {
    /// Right or wrong, yes or no: Bonett and Price's interval and McNemar's test.
    fn shares(&self, is_so: fn(&Outcome) -> Option<bool>) -> Option<Paired> {
        let sums = |outcome: &Outcome| is_so(outcome).map(|so| [f64::from(u8::from(so)), 1.0]);
        let groups = self.groups::<2, 4>(sums);
        let counts = discordant(self.pairs, is_so);
        if counts.n == 0 {
            return None;
        }
        let n = counts.n as usize;
        let independent = groups.len() == n;
        let error = jackknife_standard_error(&groups, ratio_difference);
        let effect = if independent { 1.0 } else { design_effect(&counts, error) };
        // One disagreement more than was seen: none seen does not mean that none is possible.
        let rate = (counts.rate() * n as f64 + 1.0) / (n as f64 + 2.0);
        let (test, p) = if independent {
            (Test::McnemarExact, counts.mcnemar_p())
        } else {
            (Test::Permutation, permutation_p(&exchangeable(&groups), self.resampling))
        };
        Some(self.paired(Measured {
            difference: ratio_difference(&total(&groups)),
            interval: Some(counts.adjusted_interval(effect)),
            test: (test, p),
            n,
            groups: groups.len(),
            detectable: Some(minimal_detectable_difference(n as u64, (rate * effect).min(1.0))),
        }))
    }

    /// A function of sums over the items: BCa interval and exchange of results, both in whole groups. `BOTH` is `2 K`.
    fn sums<const K: usize, const BOTH: usize>(
        &self,
        sums: impl Fn(&Outcome) -> Option<[f64; K]>,
        value: fn(&[f64; K]) -> f64,
    ) -> Option<Paired> {
        let n =
            self.pairs.iter().filter(|(base, tuned)| sums(base).is_some() && sums(tuned).is_some()).count();
        if n == 0 {
            return None;
        }
        let groups = self.groups::<K, BOTH>(sums);
        let halves = |row: &[f64; BOTH]| -> ([f64; K], [f64; K]) {
            (std::array::from_fn(|part| row[part]), std::array::from_fn(|part| row[K + part]))
        };
        let difference = |row: &[f64; BOTH]| {
            let (base, tuned) = halves(row);
            value(&tuned) - value(&base)
        };
        let exchangeable: Vec<_> = groups.iter().map(halves).collect();
        Some(self.paired(Measured {
            difference: difference(&total(&groups)),
            interval: bca_interval(&groups, difference, self.resampling),
            test: (Test::Permutation, permutation_p_of(&exchangeable, value, self.resampling)),
            n,
            groups: groups.len(),
            detectable: jackknife_standard_error(&groups, difference).map(detectable_from_standard_error),
        }))
    }

    /// Both models' sums of each group, `[base, tuned]`, over the items that both have.
    fn groups<const K: usize, const BOTH: usize>(
        &self,
        sums: impl Fn(&Outcome) -> Option<[f64; K]>,
    ) -> Vec<[f64; BOTH]> {
        let rows = self.pairs.iter().filter_map(|(base, tuned)| {
            let (of_base, of_tuned) = (sums(base)?, sums(tuned)?);
            let both = std::array::from_fn(|part| if part < K { of_base[part] } else { of_tuned[part - K] });
            Some((base.group_key(), both))
        });
        sums_by_group(rows)
    }

    fn paired(&self, measured: Measured) -> Paired {
        let Measured { difference, interval, test: (test, p), n, groups, detectable } = measured;
        let interval = interval.filter(|_| groups > 1);
        Paired {
            metric: self.metric,
            difference,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            test,
            p,
            p_holm: p,
            n,
            groups,
            verdict: Verdict::NotDistinguishable,
            minimal_detectable_difference: detectable,
        }
    }
}

/// The numbers of a [`Paired`] before it is judged.
struct Measured {
    difference: f64,
    interval: Option<Interval>,
    test: (Test, f64),
    n: usize,
    groups: usize,
    detectable: Option<f64>,
}

/// Corrects the p-values of all metrics together and gives the verdicts.
pub(super) fn judge<'a>(paired: impl IntoIterator<Item = &'a mut Paired>) {
    let paired: Vec<&mut Paired> = paired.into_iter().collect();
    let p_values: Vec<f64> = paired.iter().map(|paired| paired.p).collect();
    for (paired, p_holm) in paired.into_iter().zip(holm(&p_values)) {
        paired.p_holm = p_holm;
        let outside = match (paired.low, paired.high) {
            (Some(low), Some(high)) => Interval { low, high }.excludes_zero(),
            _ => false,
        };
        paired.verdict = if p_holm >= LEVEL || !outside {
            Verdict::NotDistinguishable
        } else {
            match (paired.metric.direction(), paired.difference < 0.0) {
                (Direction::Neither, true) => Verdict::Lower,
                (Direction::Neither, false) => Verdict::Higher,
                (Direction::Lower, true) | (Direction::Higher, false) => Verdict::Better,
                (Direction::Lower, false) | (Direction::Higher, true) => Verdict::Worse,
            }
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
        let discordant = discordant(&pairs, is_right);
        Some(Self {
            base: share(pairs.iter().filter(|(base, _)| is_right(base) == Some(true)).count()),
            tuned: share(pairs.iter().filter(|(_, tuned)| is_right(tuned) == Some(true)).count()),
            discordant,
            p: discordant.mcnemar_p(),
        })
    }
}

fn is_right(outcome: &Outcome) -> Option<bool> {
    outcome.choice.as_ref().map(|choice| choice.result() == ChoiceResult::Right)
}

fn discordant(pairs: &[Pair<'_>], is_so: fn(&Outcome) -> Option<bool>) -> Discordant {
    let mut counts = Discordant { only_base: 0, only_tuned: 0, n: 0 };
    for (base, tuned) in pairs {
        let (Some(base), Some(tuned)) = (is_so(base), is_so(tuned)) else { continue };
        counts.n += 1;
        match (base, tuned) {
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
