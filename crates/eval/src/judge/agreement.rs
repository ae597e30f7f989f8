//! Whether a judge agrees with people, and enough to rank.

use super::human::Grades;
use super::pairs::{Duel, Duels};
use super::scores::OfScores;
use super::{Answers, Judgement, Verdict};
use crate::statistics::{
    Interval, KappaWeights, Level, Resampling, bca_interval_of, cohen_kappa, kendall_tau, krippendorff_alpha,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The least agreement with people at which a judge may rank: below 0.40 agreement beyond chance is poor (Fleiss 1981,
/// "Statistical Methods for Rates and Proportions", after Landis & Koch 1977, Biometrics 33:159-174).
pub const MIN_AGREEMENT: f64 = 0.4;

/// Resamples of an interval whose every draw sorts all answers.
const SORTS: usize = 2_000;

/// A measure of agreement with its interval, by questions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreed {
    /// The value.
    pub value: f64,
    /// The interval; `None` for fewer than two questions.
    pub interval: Option<Interval>,
    /// What it is of: pairs of answers, or answers.
    pub n: usize,
}

/// Agreement of a judge with people on the answers that both judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Questions with such answers.
    pub questions: usize,
    /// Grades of people for answers that the judge has no verdict on.
    pub unmatched: usize,
    /// Which of two answers to a question is better (better, neither, worse): Cohen's kappa with linear weights, each
    /// pair in both directions, so that the order of the systems does not matter.
    pub preference: Option<Agreed>,
    /// Scores, in as many levels as people have grades: Cohen's kappa with quadratic weights.
    pub scores: Option<Agreed>,
    /// Scores as shares of their scales: Krippendorff's alpha for intervals.
    pub alpha: Option<Agreed>,
    /// Kendall's tau-b of scores and grades.
    pub tau: Option<Agreed>,
}

/// What the gate looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKappa {
    /// Which of two answers is better: what a ranking is made of.
    Preference,
    /// Scores, where there is one system only.
    Scores,
}

/// Whether a judge may rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The agreement that is asked for.
    pub min_agreement: f64,
    /// The measure; `None` where neither is defined.
    pub by: Option<GateKappa>,
    /// Whether it is reached, with an interval above 0.
    pub passed: bool,
    /// In words.
    pub reason: String,
}

#[derive(Default)]
struct Cluster {
    /// Judge and people: 0 worse, 1 neither, 2 better.
    preferences: Vec<(usize, usize)>,
    /// Shares of the scales: judge and people.
    scores: Vec<(f64, f64)>,
}

impl Agreement {
    pub(super) fn measure(
        (all, people): (&Duels<'_>, &Duels<'_>),
        (judgements, share): (&[Judgement], OfScores<'_>),
        (grades, answers): (&Grades, &Answers),
        resampling: &Resampling,
    ) -> Self {
        let resampling = Resampling { resamples: resampling.resamples.min(SORTS), ..*resampling };
        let mut clusters: BTreeMap<&str, Cluster> = BTreeMap::new();
        let key = |duel: &Duel<'_>| (duel.item.to_owned(), duel.first, duel.second);
        let graded: BTreeMap<_, f64> = people.duels.iter().map(|duel| (key(duel), duel.result)).collect();
        let category = |result: f64| (2.0 * result) as usize;
        for duel in &all.duels {
            if let Some(result) = graded.get(&key(duel)) {
                let (judge, people) = (category(duel.result), category(*result));
                let cluster = clusters.entry(duel.group).or_default();
                cluster.preferences.extend([(judge, people), (2 - judge, 2 - people)]);
            }
        }
        let of_people = grades.of_answers(answers);
        let mut matched = 0;
        for judgement in judgements {
            let system = answers.systems.iter().position(|name| judgement.systems.first() == Some(name));
            if let (Verdict::Scores(scores), Some(system)) = (&judgement.verdict, system)
                && let Some(by_judge) = share(scores)
                && let Some(by_people) = of_people.get(&(judgement.item.as_str(), system))
            {
                matched += 1;
                let pair = (by_judge, grades.share(*by_people));
                clusters.entry(&judgement.group).or_default().scores.push(pair);
            }
        }
        if matched == 0 {
            let met: std::collections::BTreeSet<(&str, usize)> = all
                .duels
                .iter()
                .flat_map(|duel| [(duel.item, duel.first), (duel.item, duel.second)])
                .collect();
            matched = of_people.keys().filter(|answer| met.contains(*answer)).count();
        }
        let clusters: Vec<Cluster> = clusters.into_values().collect();
        let preferences = |drawn: &[&Cluster]| -> Vec<(usize, usize)> {
            drawn.iter().flat_map(|cluster| cluster.preferences.iter().copied()).collect()
        };
        let scores = |drawn: &[&Cluster]| -> Vec<(f64, f64)> {
            drawn.iter().flat_map(|cluster| cluster.scores.iter().copied()).collect()
        };
        let last = grades.levels().saturating_sub(1).max(1);
        let level = |share: f64| (share * last as f64).round().clamp(0.0, last as f64) as usize;
        let levels = |drawn: &[&Cluster]| -> Vec<(usize, usize)> {
            scores(drawn).iter().map(|(judge, people)| (level(*judge), level(*people))).collect()
        };
        let n = |count: fn(&Cluster) -> usize| clusters.iter().map(count).sum::<usize>();
        let agreed = |n: usize, measure: &(dyn Fn(&[&Cluster]) -> Option<f64> + Sync)| {
            let value = measure(&clusters.iter().collect::<Vec<_>>())?;
            Some(Agreed { value, interval: bca_interval_of(&clusters, measure, &resampling), n })
        };
        let pairs = n(|cluster| cluster.preferences.len()) / 2;
        let answered = n(|cluster| cluster.scores.len());
        Agreement {
            questions: clusters.len(),
            unmatched: grades.answers().saturating_sub(matched),
            preference: agreed(pairs, &|drawn| cohen_kappa(&preferences(drawn), 3, KappaWeights::Linear)),
            scores: agreed(answered, &|drawn| cohen_kappa(&levels(drawn), last + 1, KappaWeights::Quadratic)),
            alpha: agreed(answered, &|drawn| {
                let rows: Vec<Vec<Option<f64>>> =
                    scores(drawn).iter().map(|(judge, people)| vec![Some(*judge), Some(*people)]).collect();
                krippendorff_alpha(&rows, Level::Interval)
            }),
            tau: agreed(answered, &|drawn| kendall_tau(&scores(drawn))),
        }
    }

    /// Whether it is enough to rank.
    pub(super) fn gate(&self, min_agreement: f64) -> Calibration {
        let (by, agreed) = match (self.preference, self.scores) {
            (Some(agreed), _) => (GateKappa::Preference, agreed),
            (None, Some(agreed)) => (GateKappa::Scores, agreed),
            (None, None) => {
                let reason = "people and the judge have no answers in common on which agreement is defined";
                return Calibration { min_agreement, by: None, passed: false, reason: reason.to_owned() };
            }
        };
        let what = match by {
            GateKappa::Preference => "on which of two answers is better",
            GateKappa::Scores => "on scores",
        };
        let Agreed { value, interval, n } = agreed;
        let ends = interval.map_or("no interval".to_owned(), |i| format!("[{:.2}, {:.2}]", i.low, i.high));
        let above_chance = interval.is_some_and(|interval| interval.low > 0.0);
        let measured = format!("agreement with people {what}: kappa {value:.2} {ends}, n = {n}");
        let (passed, reason) = match (value >= min_agreement, above_chance) {
            (true, true) => (true, format!("{measured}; at least {min_agreement} is asked for")),
            (true, false) => (false, format!("{measured}: too few to tell it from chance")),
            (false, _) => (false, format!("{measured}: less than {min_agreement}")),
        };
        Calibration { min_agreement, by: Some(by), passed, reason }
    }
}
