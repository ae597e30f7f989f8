//! The order of the systems, and which of them the questions cannot tell apart.

use super::pairs::{Duel, Duels};
use super::scores::estimate;
use super::{PairRecord, ScoreDifference};
use crate::comparison::Verdict as Word;
use crate::statistics::{Interval, Resampling, bca_interval_of, bradley_terry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Wins that each of two systems that met is given against the other, so that one that always wins has a finite
/// strength.
const PRIOR: f64 = 0.5;
/// Resamples of an interval whose every draw fits a model.
const FITS: usize = 1_000;

/// What the order is by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankBy {
    /// The mean of the scores.
    MeanScore,
    /// The strengths of Bradley and Terry, as natural logarithms with mean 0.
    BradleyTerry,
}

/// A system in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// From 1.
    pub rank: usize,
    /// The system.
    pub system: String,
    /// Its score or strength.
    pub value: f64,
    /// The interval of the value.
    pub interval: Option<Interval>,
    /// Systems that it is not told apart from after Holm's correction.
    pub not_distinguishable_from: Vec<String>,
}

/// The order of the systems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// What it is by.
    pub by: RankBy,
    /// The systems, the best first.
    pub systems: Vec<Ranked>,
}

/// By Bradley and Terry.
pub(super) fn by_strength(
    all: &Duels<'_>,
    pairs: &[PairRecord],
    systems: &[String],
    resampling: &Resampling,
) -> Option<Ranking> {
    let mut clusters: BTreeMap<&str, Vec<Duel<'_>>> = BTreeMap::new();
    for duel in &all.duels {
        clusters.entry(duel.group).or_default().push(*duel);
    }
    let clusters: Vec<Vec<Duel<'_>>> = clusters.into_values().collect();
    let strengths = strengths(&clusters.iter().collect::<Vec<_>>(), systems.len())?;
    let resampling = Resampling { resamples: resampling.resamples.min(FITS), ..*resampling };
    let value = |system: usize| {
        let interval = bca_interval_of(
            &clusters,
            |drawn| Some(self::strengths(drawn, systems.len())?[system]),
            &resampling,
        );
        (strengths[system], interval)
    };
    let open = pairs
        .iter()
        .filter(|pair| pair.verdict == Word::NotDistinguishable)
        .map(|pair| (pair.first.as_str(), pair.second.as_str()));
    Some(order(
        RankBy::BradleyTerry,
        systems,
        &(0..systems.len()).map(value).collect::<Vec<_>>(),
        &open.collect::<Vec<_>>(),
    ))
}

/// By the mean of the criterion `of`.
pub(super) fn by_score<'a>(
    columns: &[BTreeMap<&'a str, (&'a str, f64)>],
    (of, differences): (&str, &[ScoreDifference]),
    systems: &[String],
    resampling: &Resampling,
) -> Option<Ranking> {
    if columns.iter().any(BTreeMap::is_empty) {
        return None;
    }
    let values: Vec<(f64, Option<Interval>)> = columns
        .iter()
        .map(|column| {
            let mean = estimate(column.values().copied(), resampling);
            let interval = mean.low.zip(mean.high).map(|(low, high)| Interval { low, high });
            (mean.value, interval)
        })
        .collect();
    let open: Vec<(&str, &str)> = differences
        .iter()
        .filter(|difference| difference.criterion == of && difference.verdict == Word::NotDistinguishable)
        .map(|difference| (difference.first.as_str(), difference.second.as_str()))
        .collect();
    Some(order(RankBy::MeanScore, systems, &values, &open))
}

fn order(
    by: RankBy,
    systems: &[String],
    values: &[(f64, Option<Interval>)],
    open: &[(&str, &str)],
) -> Ranking {
    let mut places: Vec<usize> = (0..systems.len()).collect();
    places.sort_by(|one, other| values[*other].0.total_cmp(&values[*one].0));
    let ranked = |(place, system): (usize, usize)| {
        let name = systems[system].as_str();
        let others = open.iter().filter_map(|(first, second)| match name {
            name if name == *first => Some((*second).to_owned()),
            name if name == *second => Some((*first).to_owned()),
            _ => None,
        });
        Ranked {
            rank: place + 1,
            system: name.to_owned(),
            value: values[system].0,
            interval: values[system].1,
            not_distinguishable_from: others.collect(),
        }
    };
    Ranking { by, systems: places.into_iter().enumerate().map(ranked).collect() }
}

fn strengths(clusters: &[&Vec<Duel<'_>>], systems: usize) -> Option<Vec<f64>> {
    let mut wins = vec![vec![0.0; systems]; systems];
    for duel in clusters.iter().copied().flatten() {
        wins[duel.first][duel.second] += duel.result;
        wins[duel.second][duel.first] += 1.0 - duel.result;
    }
    let pairs = (0..systems).flat_map(|second| (0..second).map(move |first| (first, second)));
    for (first, second) in pairs {
        if wins[first][second] + wins[second][first] > 0.0 {
            wins[first][second] += PRIOR;
            wins[second][first] += PRIOR;
        }
    }
    bradley_terry(&wins)
}
