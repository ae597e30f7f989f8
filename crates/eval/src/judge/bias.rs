//! What a judge prefers for the wrong reasons: the place of an answer, its length, its author's family.

use super::pairs::{Duel, Duels};
use super::scores::OfScores;
use super::{Answers, Judgement, Verdict};
use crate::statistics::{
    Interval, Resampling, bca_interval_of, clopper_pearson, kendall_tau, logistic_slope,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Resamples of an interval whose every draw fits a model.
const FITS: usize = 1_000;

/// Families of models, as their names have them; the first that a name holds is its family.
const FAMILIES: [&str; 20] = [
    "medgemma",
    "gemma",
    "gemini",
    "meditron",
    "biomistral",
    "mixtral",
    "mistral",
    "deepseek",
    "qwen",
    "llama",
    "claude",
    "gpt",
    "phi",
    "command",
    "grok",
    "olmo",
    "falcon",
    "granite",
    "smollm",
    "yi",
];

/// How often the answer that was shown earlier wins, among calls that come in both orders: without a bias half the
/// time, whatever the answers are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PositionBias {
    /// Comparisons of two answers that name a winner.
    pub n: usize,
    /// Those that the earlier one won.
    pub earlier_wins: usize,
    /// Their share, with Clopper and Pearson's interval.
    pub share: f64,
    /// The interval.
    pub interval: Interval,
    /// Comparisons in several orders.
    pub compared: usize,
    /// Those in which all orders say the same.
    pub consistent: usize,
    /// In words.
    pub verdict: String,
}

/// How often the longer answer wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LongerWins {
    /// Duels of answers of different length that have a winner.
    pub n: usize,
    /// Those that the longer one won.
    pub longer_wins: usize,
    /// Their share, with Clopper and Pearson's interval.
    pub share: f64,
    /// The interval.
    pub interval: Interval,
    /// Growth of the log odds to win when an answer is e times as long as the other; `None` where length alone tells
    /// every winner, or none.
    pub slope: Option<f64>,
    /// The interval of the slope, by questions.
    pub slope_interval: Option<Interval>,
}

/// How scores and wins go with the number of characters of an answer. A good answer may well be longer: where people
/// graded the same answers, what they prefer stands beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LengthBias {
    /// Kendall's tau-b of score and length.
    pub score_tau: Option<f64>,
    /// Its interval, by questions.
    pub score_tau_interval: Option<Interval>,
    /// The judge.
    pub judge: Option<LongerWins>,
    /// People, on the duels that the judge decided as well.
    pub people: Option<LongerWins>,
}

/// Whom a judge is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Yardstick {
    /// People who graded the same answers.
    People,
    /// Other judges of the same answers, on average.
    OtherJudges,
}

/// Whether a judge favours models of its own family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfPreference {
    /// Why it cannot be measured.
    NotMeasurable(String),
    /// How often its own win against others, by the judge and by people.
    Measured {
        /// The systems of its family.
        own: Vec<String>,
        /// Whom it is held against.
        against: Yardstick,
        /// Duels of one of them with another system, decided by both.
        n: usize,
        /// Share of them that its own win by the judge; a tie is half.
        judge: f64,
        /// Share by the others.
        others: f64,
        /// The judge's minus the others'.
        advantage: f64,
        /// Its interval, by questions.
        interval: Option<Interval>,
    },
}

pub(super) fn position(all: &Duels<'_>) -> Option<PositionBias> {
    let decided: Vec<f64> = all.said.iter().map(|said| said.result).filter(|result| *result != 0.5).collect();
    let compared = all.duels.iter().filter(|duel| duel.agreed.is_some()).count();
    if compared == 0 {
        return None;
    }
    let earlier_wins = decided.iter().filter(|result| **result == 1.0).count();
    let interval = clopper_pearson(earlier_wins as u64, decided.len() as u64);
    let verdict = match (interval.low > 0.5, interval.high < 0.5) {
        (true, _) => "prefers the answer that is shown earlier",
        (_, true) => "prefers the answer that is shown later",
        _ => "no preference for a place is distinguishable",
    };
    Some(PositionBias {
        n: decided.len(),
        earlier_wins,
        share: if decided.is_empty() { 0.5 } else { earlier_wins as f64 / decided.len() as f64 },
        interval,
        compared,
        consistent: all.duels.iter().filter(|duel| duel.agreed == Some(true)).count(),
        verdict: verdict.to_owned(),
    })
}

/// `people` are duels of the same kind by their grades.
pub(super) fn length(
    all: &Duels<'_>,
    people: Option<&Duels<'_>>,
    (judgements, overall): (&[Judgement], OfScores<'_>),
    answers: &Answers,
    resampling: &Resampling,
) -> Option<LengthBias> {
    let resampling = Resampling { resamples: resampling.resamples.min(FITS), ..*resampling };
    let mut clusters: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for judgement in judgements {
        let system = answers.systems.iter().position(|name| judgement.systems.first() == Some(name));
        if let (Verdict::Scores(scores), Some(system)) = (&judgement.verdict, system)
            && let (Some(score), Some(length)) = (overall(scores), answers.length(&judgement.item, system))
        {
            clusters.entry(&judgement.group).or_default().push((length, score));
        }
    }
    let clusters: Vec<Vec<(f64, f64)>> = clusters.into_values().collect();
    let tau = |drawn: &[&Vec<(f64, f64)>]| {
        kendall_tau(&drawn.iter().flat_map(|cluster| cluster.iter().copied()).collect::<Vec<_>>())
    };
    let score_tau = tau(&clusters.iter().collect::<Vec<_>>());
    let judge = longer_wins(&all.duels, answers, &resampling);
    let people = people.and_then(|people| {
        let judged: std::collections::BTreeSet<_> =
            all.duels.iter().map(|duel| (duel.item, duel.first, duel.second)).collect();
        let mut duels = people.duels.clone();
        duels.retain(|duel| judged.contains(&(duel.item, duel.first, duel.second)));
        longer_wins(&duels, answers, &resampling)
    });
    (score_tau.is_some() || judge.is_some()).then(|| LengthBias {
        score_tau,
        score_tau_interval: score_tau.and_then(|_| bca_interval_of(&clusters, tau, &resampling)),
        judge,
        people,
    })
}

fn longer_wins(duels: &[Duel<'_>], answers: &Answers, resampling: &Resampling) -> Option<LongerWins> {
    let mut clusters: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for duel in duels {
        let lengths = answers.length(duel.item, duel.first).zip(answers.length(duel.item, duel.second));
        if let Some((first, second)) = lengths.filter(|(first, second)| first != second) {
            // An empty answer has no logarithm; one character more changes no other.
            let ratio = ((first + 1.0) / (second + 1.0)).ln();
            clusters.entry(duel.group).or_default().push((ratio, duel.result));
        }
    }
    let clusters: Vec<Vec<(f64, f64)>> = clusters.into_values().collect();
    let decided = clusters.iter().flatten().filter(|(_, result)| *result != 0.5);
    let (n, longer_wins) = decided.fold((0, 0), |(n, longer), (ratio, result)| {
        (n + 1, longer + usize::from((*ratio > 0.0) == (*result == 1.0)))
    });
    if n == 0 {
        return None;
    }
    let slope = |drawn: &[&Vec<(f64, f64)>]| {
        logistic_slope(&drawn.iter().flat_map(|cluster| cluster.iter().copied()).collect::<Vec<_>>())
    };
    let fitted = slope(&clusters.iter().collect::<Vec<_>>());
    Some(LongerWins {
        n,
        longer_wins,
        share: longer_wins as f64 / n as f64,
        interval: clopper_pearson(longer_wins as u64, n as u64),
        slope: fitted,
        slope_interval: fitted.and_then(|_| bca_interval_of(&clusters, slope, resampling)),
    })
}

/// `others` are the duels of the same answers by people or by each of the other judges.
pub(super) fn self_preference(
    judge: &str,
    all: &Duels<'_>,
    (against, others): (Yardstick, &[&Duels<'_>]),
    systems: &[String],
    resampling: &Resampling,
) -> SelfPreference {
    let not_measurable = |reason: String| SelfPreference::NotMeasurable(reason);
    let family = family(judge);
    let own: Vec<bool> = systems.iter().map(|system| self::family(system) == family).collect();
    if !own.contains(&true) {
        return not_measurable(format!("no system is of the judge's family ({family})"));
    }
    if !own.contains(&false) {
        return not_measurable(format!("all systems are of the judge's family ({family})"));
    }
    if others.is_empty() {
        return not_measurable(
            "there are no grades of people and no other judges to compare with".to_owned(),
        );
    }
    let mut decided: BTreeMap<_, (f64, f64)> = BTreeMap::new();
    for duel in others.iter().flat_map(|others| &others.duels) {
        let (sum, count) = decided.entry((duel.item, duel.first, duel.second)).or_default();
        *sum += duel.result;
        *count += 1.0;
    }
    let mut clusters: BTreeMap<&str, Vec<[f64; 2]>> = BTreeMap::new();
    for duel in all.duels.iter().filter(|duel| own[duel.first] != own[duel.second]) {
        if let Some((sum, count)) = decided.get(&(duel.item, duel.first, duel.second)) {
            let of_own = |result: f64| if own[duel.first] { result } else { 1.0 - result };
            clusters.entry(duel.group).or_default().push([of_own(duel.result), of_own(sum / count)]);
        }
    }
    let clusters: Vec<Vec<[f64; 2]>> = clusters.into_values().collect();
    let n = clusters.iter().flatten().count();
    if n == 0 {
        return not_measurable("none of the comparisons was decided by the others as well".to_owned());
    }
    let share = |drawn: &[&Vec<[f64; 2]>], by: usize| {
        let (count, sum) = drawn
            .iter()
            .flat_map(|cluster| cluster.iter())
            .fold((0.0, 0.0), |(count, sum), results| (count + 1.0, sum + results[by]));
        sum / count
    };
    let whole: Vec<&Vec<[f64; 2]>> = clusters.iter().collect();
    let (by_judge, by_others) = (share(&whole, 0), share(&whole, 1));
    SelfPreference::Measured {
        own: systems.iter().zip(&own).filter(|(_, own)| **own).map(|(name, _)| name.clone()).collect(),
        n,
        against,
        judge: by_judge,
        others: by_others,
        advantage: by_judge - by_others,
        interval: bca_interval_of(&clusters, |drawn| Some(share(drawn, 0) - share(drawn, 1)), resampling),
    }
}

/// The family of a model by its name; the name itself, in small letters and digits, where it is of none that is known.
fn family(name: &str) -> String {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let known = FAMILIES.iter().find(|family| match family.len() {
        // Short names stand inside other words.
        0..=3 => words(name).iter().any(|word| word == *family),
        _ => plain.contains(**family),
    });
    known.map_or(plain, |family| (*family).to_owned())
}

fn words(name: &str) -> Vec<String> {
    name.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_one_family_are_known_by_their_names() {
        for (name, expected) in [
            ("meta-llama/Llama-3.3-70B-Instruct", "llama"),
            ("LLama 3.1 8B + RAG", "llama"),
            ("gpt-4o", "gpt"),
            ("microsoft/phi-3", "phi"),
            ("Sapphire", "sapphire"),
            ("google/medgemma-4b", "medgemma"),
            ("My Tuned-1", "mytuned1"),
        ] {
            assert_eq!(family(name), expected);
        }
    }
}
