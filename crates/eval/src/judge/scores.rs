//! Means of scores, and their differences question by question.

use super::settings::Settings;
use super::{Answers, Judgement, Verdict};
use crate::comparison::{Estimate, Verdict as Word};
use crate::statistics::{
    Interval, PairedSums, Resampling, bca_interval, holm, permutation_p, ratio, ratio_difference,
    sums_by_group, total,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::pairs::LEVEL;

/// The mean of all criteria goes by this name.
pub(super) const OVERALL: &str = "overall";

/// The mean score of a system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreMean {
    /// The system.
    pub system: String,
    /// The criterion, or `overall` for the mean of all.
    pub criterion: String,
    /// The mean over the answers that have a score, with its interval.
    pub mean: Estimate,
    /// Answers without one.
    pub failed: usize,
}

/// The difference of two systems on the questions where both have a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreDifference {
    /// The first system.
    pub first: String,
    /// The second system.
    pub second: String,
    /// The criterion, or `overall`.
    pub criterion: String,
    /// Questions.
    pub n: usize,
    /// First minus second.
    pub difference: f64,
    /// Its interval; `None` where one group is all there is.
    pub interval: Option<Interval>,
    /// Two-sided p by exchanges of whole groups.
    pub p: f64,
    /// p after Holm's correction for all differences of the summary.
    pub p_holm: f64,
    /// The first from its view.
    pub verdict: Word,
}

/// The mean of the scores, where all of `criteria` are there.
pub(super) fn overall(scores: &BTreeMap<String, f64>, criteria: &[String]) -> Option<f64> {
    let values: Option<Vec<f64>> = criteria.iter().map(|criterion| scores.get(criterion).copied()).collect();
    let values = values.filter(|values| !values.is_empty())?;
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

/// A number from the scores of an answer; nothing where some are missing.
pub(super) type OfScores<'a> = &'a dyn Fn(&BTreeMap<String, f64>) -> Option<f64>;

/// A system's score by item, with the item's group.
type Column<'a> = BTreeMap<&'a str, (&'a str, f64)>;

/// The scores of each system and criterion, `overall` last; criteria of one rubric have no `overall`.
pub(super) fn columns<'a>(
    judgements: &'a [Judgement],
    answers: &Answers,
    criteria: &[String],
) -> Vec<(String, Vec<Column<'a>>)> {
    let mut names = criteria.to_vec();
    if criteria.len() > 1 {
        names.push(OVERALL.to_owned());
    }
    let column = |system: &String, name: &String| -> Column<'a> {
        let of_system = judgements.iter().filter(|judgement| judgement.systems.first() == Some(system));
        of_system
            .filter_map(|judgement| {
                let Verdict::Scores(scores) = &judgement.verdict else { return None };
                let value = match name.as_str() {
                    OVERALL if criteria.len() > 1 => overall(scores, criteria)?,
                    name => *scores.get(name)?,
                };
                Some((judgement.item.as_str(), (judgement.group.as_str(), value)))
            })
            .collect()
    };
    names
        .into_iter()
        .map(|name| {
            let of_systems = answers.systems.iter().map(|system| column(system, &name)).collect();
            (name, of_systems)
        })
        .collect()
}

/// The means of all systems by all criteria.
pub(super) fn means(
    columns: &[(String, Vec<Column<'_>>)],
    answers: &Answers,
    judged: usize,
    settings: &Settings,
) -> Vec<ScoreMean> {
    let mut means = Vec::new();
    for (criterion, of_systems) in columns {
        for (system, column) in
            answers.systems.iter().zip(of_systems).filter(|(_, column)| !column.is_empty())
        {
            means.push(ScoreMean {
                system: system.clone(),
                criterion: criterion.clone(),
                mean: estimate(column.values().copied(), &settings.resampling),
                failed: judged.saturating_sub(column.len()),
            });
        }
    }
    means
}

/// The mean of values in groups.
pub(super) fn estimate<'a>(
    values: impl Iterator<Item = (&'a str, f64)>,
    resampling: &Resampling,
) -> Estimate {
    let rows: Vec<(&str, [f64; 2])> = values.map(|(group, value)| (group, [value, 1.0])).collect();
    let n = rows.len();
    let groups = sums_by_group(rows);
    let interval = bca_interval(&groups, ratio, resampling);
    Estimate {
        value: ratio(&total(&groups)),
        n,
        groups: groups.len(),
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
    }
}

/// The differences of every two systems by every criterion.
pub(super) fn differences(
    columns: &[(String, Vec<Column<'_>>)],
    systems: &[String],
    resampling: &Resampling,
) -> Vec<ScoreDifference> {
    let mut differences = Vec::new();
    for (criterion, of_systems) in columns {
        for second in 0..systems.len() {
            for first in 0..second {
                let rows: Vec<(&str, [f64; 4])> = of_systems[first]
                    .iter()
                    .filter_map(|(item, (group, one))| {
                        let (_, other) = of_systems[second].get(item)?;
                        Some((*group, [*other, 1.0, *one, 1.0]))
                    })
                    .collect();
                if rows.is_empty() {
                    continue;
                }
                let n = rows.len();
                let groups = sums_by_group(rows);
                let exchangeable: Vec<PairedSums> = groups
                    .iter()
                    .map(|[b, c, t, u]| PairedSums { base: [*b, *c], tuned: [*t, *u] })
                    .collect();
                let p = permutation_p(&exchangeable, resampling);
                differences.push(ScoreDifference {
                    first: systems[first].clone(),
                    second: systems[second].clone(),
                    criterion: criterion.clone(),
                    n,
                    difference: ratio_difference(&total(&groups)),
                    interval: bca_interval(&groups, ratio_difference, resampling),
                    p,
                    p_holm: p,
                    verdict: Word::NotDistinguishable,
                });
            }
        }
    }
    let p_values: Vec<f64> = differences.iter().map(|difference| difference.p).collect();
    for (difference, p_holm) in differences.iter_mut().zip(holm(&p_values)) {
        difference.p_holm = p_holm;
        let outside = difference.interval.is_some_and(|interval| interval.excludes_zero());
        difference.verdict = match (p_holm < LEVEL && outside, difference.difference > 0.0) {
            (false, _) => Word::NotDistinguishable,
            (true, true) => Word::Better,
            (true, false) => Word::Worse,
        };
    }
    differences
}
