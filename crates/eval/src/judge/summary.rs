//! Everything that is known after a judge was asked.

use super::human::Grades;
use super::pairs::{Duels, records};
use super::ranking::{by_score, by_strength};
use super::scores::{OVERALL, columns, differences, means, overall};
use super::{
    Agreement, Answers, Asked, Calibration, FailureKind, Judgement, LeftOut, LengthBias, Mode, PairRecord,
    Plan, PositionBias, Ranking, Scale, ScoreDifference, ScoreMean, SelfPreference, Settings, Verdict,
    Yardstick, bias,
};
use crate::evaluation::AnswerFault;
use crate::wording::counted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fewer groups than this and the intervals are rough; the summary says so.
const FEW_GROUPS: usize = 20;

/// What the calls came to, and what they took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// Calls of the plan.
    pub planned: usize,
    /// Calls with a verdict.
    pub judged: usize,
    /// Calls without one, by reason. They enter no mean.
    pub failed: BTreeMap<FailureKind, usize>,
    /// Calls that were not made.
    pub not_asked: usize,
    /// Why it ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// Calls whose first reply could not be used, and the second could.
    pub repaired: usize,
    /// Replies.
    pub replies: usize,
    /// Replies that were there already.
    pub kept: usize,
    /// Tokens of prompts and replies.
    pub tokens: u64,
    /// What they cost, as far as that is known, those that were there already with what they cost then.
    pub cost: f64,
    /// Calls of unknown cost.
    pub without_price: usize,
}

/// What a judge said of several systems, with what speaks for and against believing it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The judge.
    pub judge: String,
    /// How answers were judged.
    pub mode: Mode,
    /// The scale of its scores, where it gave some.
    pub scale: Option<Scale>,
    /// The prompt: name, version and hash.
    pub prompt: String,
    /// The systems.
    pub systems: Vec<String>,
    /// Questions that were judged.
    pub items: usize,
    /// Groups of them.
    pub groups: usize,
    /// Questions that were not.
    pub left_out: Vec<LeftOut>,
    /// Rows of the files of answers that are none; what they hold is in no number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<AnswerFault>,
    /// The calls.
    pub calls: Calls,
    /// Means of scores.
    pub scores: Vec<ScoreMean>,
    /// Differences of scores.
    pub differences: Vec<ScoreDifference>,
    /// Which of two systems is better, question by question.
    pub pairs: Vec<PairRecord>,
    /// The order of the systems; `None` where the judge may not rank, or the verdicts do not suffice.
    pub ranking: Option<Ranking>,
    /// Agreement with people.
    pub agreement: Option<Agreement>,
    /// Whether that is enough to rank; `None` where nobody asked.
    pub calibration: Option<Calibration>,
    /// Preference for a place.
    pub position: Option<PositionBias>,
    /// Preference for length.
    pub length: Option<LengthBias>,
    /// Preference for its own family.
    pub self_preference: SelfPreference,
    /// What a reader should know before trusting the numbers.
    pub notes: Vec<String>,
}

/// Grades of people, and the agreement with them that a ranking needs.
#[derive(Clone, Copy, Debug)]
pub struct People<'a> {
    /// The grades.
    pub grades: &'a Grades,
    /// The agreement.
    pub min_agreement: f64,
}

/// What a judge is held against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// Grades of people for some of the answers.
    pub people: Option<People<'a>>,
    /// The judgements of each of other judges on the same answers.
    pub judges: &'a [Vec<Judgement>],
}

/// Who judged and how: what judgements alone do not say.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The judge's name.
    pub judge: &'a str,
    /// The prompt's name, version and hash.
    pub prompt: &'a str,
    /// The settings.
    pub settings: &'a Settings,
    /// What was judged.
    pub answers: &'a Answers,
}

impl Summary {
    /// Of the calls of a plan.
    pub fn of(plan: &Plan<'_>, judge: &str, asked: &Asked, beside: Beside<'_>) -> Self {
        let prompt = plan.prompt.to_string();
        let source = Source { judge, prompt: &prompt, settings: &plan.settings, answers: plan.answers };
        let mut summary = Self::of_judgements(&source, &asked.judgements, beside);
        summary.left_out.clone_from(&plan.left_out);
        summary.calls.planned = plan.tasks.len();
        summary.calls.not_asked = asked.not_asked;
        summary.calls.ended_by = asked.ended_by.as_ref().map(ToString::to_string);
        if asked.not_asked > 0 {
            let (left, planned) = (asked.not_asked, plan.tasks.len());
            summary
                .notes
                .push(format!("{left} of {planned} calls were not made: the numbers are of the others."));
        }
        summary
    }

    /// Of judgements on file.
    pub fn of_judgements(source: &Source<'_>, judgements: &[Judgement], beside: Beside<'_>) -> Self {
        let Source { judge, prompt, settings, answers } = *source;
        let people = beside.people;
        let (criteria, scale, resampling) = (settings.criteria(), settings.scale(), &settings.resampling);
        let mean = |scores: &BTreeMap<String, f64>| overall(scores, &criteria);
        let share = |scores: &BTreeMap<String, f64>| Some(scale.share(mean(scores)?));
        let duels = Duels::of(judgements, answers, &share);
        let pairs = records(&duels, &answers.systems, resampling);
        let of_people = people.map(|people| people.grades.duels(answers));
        let agreement = people.zip(of_people.as_ref()).map(|(people, of_people)| {
            Agreement::measure(
                (&duels, of_people),
                (judgements, &share),
                (people.grades, answers),
                resampling,
            )
        });
        let calibration =
            agreement.as_ref().zip(people).map(|(agreement, people)| agreement.gate(people.min_agreement));
        let items: std::collections::BTreeSet<&str> =
            judgements.iter().map(|judgement| judgement.item.as_str()).collect();
        let groups: std::collections::BTreeSet<&str> =
            judgements.iter().map(|judgement| judgement.group.as_str()).collect();
        let columns = columns(judgements, answers, &criteria);
        let scores = means(&columns, answers, items.len(), settings);
        let differences = differences(&columns, &answers.systems, resampling);
        let may_rank = calibration.as_ref().is_none_or(|calibration| calibration.passed);
        let ranking = match settings.mode.scores() {
            _ if !may_rank || answers.systems.len() < 2 => None,
            true => columns.last().and_then(|(name, of_systems)| {
                by_score(of_systems, (name, &differences), &answers.systems, resampling)
            }),
            false => by_strength(&duels, &pairs, &answers.systems, resampling),
        };
        // Other judges may have other criteria and scales; which of two answers has more is what counts.
        let any_mean = |scores: &BTreeMap<String, f64>| {
            (!scores.is_empty()).then(|| scores.values().sum::<f64>() / scores.len() as f64)
        };
        let of_judges: Vec<Duels<'_>> =
            beside.judges.iter().map(|judgements| Duels::of(judgements, answers, &any_mean)).collect();
        let (against, others): (_, Vec<&Duels<'_>>) = match &of_people {
            Some(people) => (Yardstick::People, vec![people]),
            None => (Yardstick::OtherJudges, of_judges.iter().collect()),
        };
        let calls = Calls::of(judgements);
        let notes = notes(&calls, &calibration, groups.len(), people.is_some());
        Summary {
            judge: judge.to_owned(),
            mode: settings.mode,
            scale: settings.mode.scores().then_some(scale),
            prompt: prompt.to_owned(),
            systems: answers.systems.clone(),
            items: items.len(),
            groups: groups.len(),
            left_out: answers.left_out.clone(),
            faults: answers.faults.clone(),
            calls,
            position: bias::position(&duels),
            length: bias::length(&duels, of_people.as_ref(), (judgements, &mean), answers, resampling),
            self_preference: bias::self_preference(
                judge,
                &duels,
                (against, &others),
                &answers.systems,
                resampling,
            ),
            scores,
            differences,
            pairs,
            ranking,
            agreement,
            calibration,
            notes,
        }
    }

    /// The mean of all criteria of a system.
    pub fn overall(&self, system: &str) -> Option<&ScoreMean> {
        let of_system = || self.scores.iter().filter(|score| score.system == system);
        of_system().find(|score| score.criterion == OVERALL).or_else(|| of_system().next())
    }
}

impl Calls {
    fn of(judgements: &[Judgement]) -> Self {
        let mut calls = Calls { planned: judgements.len(), ..Calls::default() };
        for judgement in judgements {
            match &judgement.verdict {
                Verdict::Failed(failure) => *calls.failed.entry(failure.kind).or_default() += 1,
                _ => {
                    calls.judged += 1;
                    calls.repaired += usize::from(judgement.replies > 1);
                }
            }
            calls.replies += judgement.replies;
            calls.kept += judgement.kept;
            calls.tokens += judgement.tokens;
            calls.cost += judgement.cost.unwrap_or(0.0);
            calls.without_price += usize::from(judgement.replies > 0 && judgement.cost.is_none());
        }
        calls
    }
}

fn notes(calls: &Calls, calibration: &Option<Calibration>, groups: usize, graded: bool) -> Vec<String> {
    let mut notes = Vec::new();
    match calibration {
        Some(calibration) if !calibration.passed => {
            notes.push(format!("Not calibrated, so the systems are not ranked: {}.", calibration.reason));
        }
        Some(_) => {}
        None if !graded => {
            notes.push(
                "Not calibrated: no grades of people were given to compare this judge with.".to_owned(),
            );
        }
        None => {}
    }
    let failed: usize = calls.failed.values().sum();
    if failed > 0 {
        notes.push(format!("In no number, as their verdict cannot be used: {}.", counted(failed, "call")));
    }
    if groups < FEW_GROUPS {
        notes.push(format!(
            "Only {} of related questions: the intervals are rough.",
            counted(groups, "group")
        ));
    }
    notes
}
