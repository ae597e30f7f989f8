//! Which of two answers to a question is better, by all that a judge said of them.

use super::scores::OfScores;
use super::{Answers, Judgement, Verdict, Winner};
use crate::comparison::Verdict as Word;
use crate::statistics::{
    Discordant, Interval, PairedSums, Resampling, holm, jackknife_standard_error, permutation_p, ratio,
    sums_by_group, total, wilson_effective,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Level of the tests, after correction for their number.
pub(super) const LEVEL: f64 = 0.05;

/// Two answers to one question, `first < second` among the systems.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Duel<'a> {
    pub(super) item: &'a str,
    pub(super) group: &'a str,
    pub(super) first: usize,
    pub(super) second: usize,
    /// 1 where the first is better, 0 where the second is, ½ where neither is or the orders disagree.
    pub(super) result: f64,
    /// Whether all orders said the same; `None` where there is no order.
    pub(super) agreed: Option<bool>,
}

/// What one call said of two answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Said {
    /// The one that was shown earlier.
    pub(super) earlier: usize,
    /// The one that was shown later.
    pub(super) later: usize,
    /// 1 where the earlier one is better.
    pub(super) result: f64,
}

/// All duels, and what the calls behind those with both orders said.
#[derive(Clone, Debug, Default)]
pub(super) struct Duels<'a> {
    pub(super) duels: Vec<Duel<'a>>,
    pub(super) said: Vec<Said>,
    /// Duels without a verdict in one of the orders, by systems.
    pub(super) incomplete: BTreeMap<(usize, usize), usize>,
}

impl<'a> Duels<'a> {
    /// From judgements of one mode; `overall` is a share from the scores of an answer.
    pub(super) fn of(judgements: &'a [Judgement], answers: &Answers, overall: OfScores<'_>) -> Self {
        let system = |name: &String| answers.systems.iter().position(|other| other == name);
        let mut scores: BTreeMap<(&str, &str), BTreeMap<usize, f64>> = BTreeMap::new();
        let mut said: BTreeMap<(&str, &str, usize, usize), Vec<Option<Said>>> = BTreeMap::new();
        for judgement in judgements {
            let shown: Vec<usize> = judgement.systems.iter().filter_map(system).collect();
            if let (Verdict::Scores(values), [one]) = (&judgement.verdict, &shown[..]) {
                if let Some(share) = overall(values) {
                    scores.entry((&judgement.item, &judgement.group)).or_default().insert(*one, share);
                }
                continue;
            }
            for (place, earlier) in shown.iter().enumerate() {
                for later in &shown[place + 1..] {
                    let key = (earlier.min(later), earlier.max(later));
                    let result = preference(&judgement.verdict, answers, *earlier, *later);
                    said.entry((&judgement.item, &judgement.group, *key.0, *key.1))
                        .or_default()
                        .push(result.map(|result| Said { earlier: *earlier, later: *later, result }));
                }
            }
        }
        let mut all = Duels::default();
        for ((item, group), scores) in &scores {
            for (first, one) in scores {
                for (second, other) in scores.range(first + 1..) {
                    let result = 0.5 * (1.0 + f64::from(one.total_cmp(other) as i8));
                    let (first, second) = (*first, *second);
                    all.duels.push(Duel { item, group, first, second, result, agreed: None });
                }
            }
        }
        for ((item, group, first, second), calls) in said {
            let calls: Vec<Said> = calls.into_iter().flatten().collect();
            let both = calls.iter().any(|said| said.earlier == first)
                && calls.iter().any(|said| said.earlier == second);
            if !both {
                *all.incomplete.entry((first, second)).or_default() += 1;
                continue;
            }
            let for_first = |said: &Said| {
                if said.earlier == first { said.result } else { 1.0 - said.result }
            };
            let agreed = calls.iter().all(|said| for_first(said) == for_first(&calls[0]));
            let result = if agreed { for_first(&calls[0]) } else { 0.5 };
            all.said.extend(&calls);
            all.duels.push(Duel { item, group, first, second, result, agreed: Some(agreed) });
        }
        all
    }
}

fn preference(verdict: &Verdict, answers: &Answers, earlier: usize, later: usize) -> Option<f64> {
    match verdict {
        Verdict::Winner(Winner::First) => Some(1.0),
        Verdict::Winner(Winner::Second) => Some(0.0),
        Verdict::Winner(Winner::Tie) => Some(0.5),
        Verdict::Ranking(order) => {
            let place = |system: usize| order.iter().position(|name| *name == answers.systems[system]);
            Some(f64::from(place(earlier)? < place(later)?))
        }
        Verdict::Scores(_) | Verdict::Failed(_) => None,
    }
}

/// Two systems on all questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairRecord {
    /// The first system.
    pub first: String,
    /// The second system.
    pub second: String,
    /// Questions with a verdict in every order that is needed.
    pub n: usize,
    /// Questions where the first is better.
    pub first_wins: usize,
    /// Questions where neither is, or the orders disagree.
    pub ties: usize,
    /// Questions where the second is better.
    pub second_wins: usize,
    /// Questions where the orders disagree; they are ties.
    pub disagreed: usize,
    /// Questions left out, for want of a verdict in one of the orders.
    pub incomplete: usize,
    /// Wins of the first and half of the ties, as a share of `n`.
    pub win_rate: f64,
    /// Its interval (Wilson; for questions in groups by the effective number of them).
    pub interval: Interval,
    /// Two-sided p: the exact sign test, or exchanges of whole groups where questions are in groups.
    pub p: f64,
    /// p after Holm's correction for the number of pairs.
    pub p_holm: f64,
    /// The first from its view.
    pub verdict: Word,
}

/// The record of every two systems.
pub(super) fn records(all: &Duels<'_>, systems: &[String], resampling: &Resampling) -> Vec<PairRecord> {
    let mut records = Vec::new();
    for second in 0..systems.len() {
        for first in 0..second {
            let duels: Vec<&Duel<'_>> =
                all.duels.iter().filter(|duel| (duel.first, duel.second) == (first, second)).collect();
            if duels.is_empty() {
                continue;
            }
            let mut record = record(&duels, resampling);
            record.first = systems[first].clone();
            record.second = systems[second].clone();
            record.incomplete = all.incomplete.get(&(first, second)).copied().unwrap_or(0);
            records.push(record);
        }
    }
    let p_values: Vec<f64> = records.iter().map(|record| record.p).collect();
    for (record, p_holm) in records.iter_mut().zip(holm(&p_values)) {
        record.p_holm = p_holm;
        let outside = !record.interval.contains(0.5);
        record.verdict = match (p_holm < LEVEL && outside, record.win_rate > 0.5) {
            (false, _) => Word::NotDistinguishable,
            (true, true) => Word::Better,
            (true, false) => Word::Worse,
        };
    }
    records
}

fn record(duels: &[&Duel<'_>], resampling: &Resampling) -> PairRecord {
    let count = |result: f64| duels.iter().filter(|duel| duel.result == result).count();
    let (first_wins, ties, second_wins) = (count(1.0), count(0.5), count(0.0));
    let n = duels.len();
    let groups = sums_by_group(duels.iter().map(|duel| (duel.group, [duel.result, 1.0])));
    let win_rate = ratio(&total(&groups));
    let independent = win_rate * (1.0 - win_rate) / n as f64;
    let effect = jackknife_standard_error(&groups, ratio).filter(|_| groups.len() < n && independent > 0.0);
    let effect = effect.map_or(1.0, |error| (error * error / independent).max(1.0));
    let p = if groups.len() == n {
        Discordant { only_base: second_wins as u64, only_tuned: first_wins as u64, n: n as u64 }.mcnemar_p()
    } else {
        let exchanged = |group: &[f64; 2]| PairedSums {
            base: [group[1] - group[0], group[1]],
            tuned: [group[0], group[1]],
        };
        permutation_p(&groups.iter().map(exchanged).collect::<Vec<_>>(), resampling)
    };
    PairRecord {
        first: String::new(),
        second: String::new(),
        n,
        first_wins,
        ties,
        second_wins,
        disagreed: duels.iter().filter(|duel| duel.agreed == Some(false)).count(),
        incomplete: 0,
        win_rate,
        interval: wilson_effective(win_rate, n as f64 / effect),
        p,
        p_holm: p,
        verdict: Word::NotDistinguishable,
    }
}
