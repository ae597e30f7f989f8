//! Which option was taken for which.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::comparison::{Choice, Estimate, Outcome, of_sums};
use crate::statistics::Resampling;

/// Right options against those that were named. It says something of tasks whose options are classes, as `yes`, `no` and
/// `maybe`; for letters it shows which are preferred.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// The options, in order of their labels.
    pub labels: Vec<String>,
    /// `[right][named]`: how many answers, with two more columns for abstained and unparsed ones.
    pub counts: Vec<Vec<usize>>,
    /// Precision, recall and F1 of each option.
    pub classes: Vec<Class>,
    /// Mean F1 of the options (scikit-learn's `f1_score(average="macro")`): an option that is never right and never
    /// named is no class; an answer that names none is missing from its right option's recall.
    pub macro_f1: Option<f64>,
}

/// One option as a class. A share of nothing counts as 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// Questions that it is right for.
    pub right: usize,
    /// Answers that name it.
    pub named: usize,
    /// Share of right ones among the answers that name it.
    pub precision: f64,
    /// Share of its questions whose answer names it.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
}

impl Confusion {
    /// The table of these choices.
    pub(super) fn of(choices: &[&Choice]) -> Self {
        let named = choices.iter().filter_map(|choice| choice.picked.as_ref());
        let labels: BTreeSet<&String> = choices.iter().map(|choice| &choice.gold).chain(named).collect();
        let labels: Vec<String> = labels.into_iter().cloned().collect();
        let mut counts = vec![vec![0; labels.len() + 2]; labels.len()];
        for choice in choices {
            let Ok(right) = labels.binary_search(&choice.gold) else { continue };
            let picked = choice.picked.as_ref().and_then(|picked| labels.binary_search(picked).ok());
            let column = picked.unwrap_or(labels.len() + usize::from(!choice.abstained));
            counts[right][column] += 1;
        }
        let classes: Vec<Class> = (0..labels.len()).map(|at| Class::of(&counts, at)).collect();
        let mean = |sum: f64| (!classes.is_empty()).then(|| sum / classes.len() as f64);
        let macro_f1 = mean(classes.iter().map(|class| class.f1).sum());
        Confusion { labels, counts, classes, macro_f1 }
    }
}

/// Mean F1 of the options, as [`Confusion::macro_f1`], with its BCa interval over groups. In a resample an option that
/// is never right and never named is no class. More than 12 options have no interval.
pub(crate) fn macro_f1(outcomes: &[&Outcome], resampling: &Resampling) -> Option<Estimate> {
    let choices: Vec<(&Outcome, &Choice)> =
        outcomes.iter().filter_map(|outcome| Some((*outcome, outcome.choice.as_ref()?))).collect();
    let named = choices.iter().filter_map(|(_, choice)| choice.picked.as_ref());
    let labels: BTreeSet<&String> = choices.iter().map(|(_, choice)| &choice.gold).chain(named).collect();
    let labels: Vec<&String> = labels.into_iter().collect();
    match labels.len() {
        0 => None,
        1..=5 => mean_f1::<15>(&choices, &labels, resampling),
        6..=12 => mean_f1::<36>(&choices, &labels, resampling),
        _ => {
            let only: Vec<&Choice> = choices.iter().map(|(_, choice)| *choice).collect();
            let groups = crate::comparison::group_count(choices.iter().map(|(outcome, _)| *outcome));
            let value = Confusion::of(&only).macro_f1?;
            Some(Estimate { value, n: only.len(), groups, low: None, high: None })
        }
    }
}

/// `K` is at least three times the number of labels: of each the answers that name it and are right, its questions, and
/// the answers that name it.
fn mean_f1<const K: usize>(
    choices: &[(&Outcome, &Choice)],
    labels: &[&String],
    resampling: &Resampling,
) -> Option<Estimate> {
    let place = |label: &String| labels.binary_search(&label).ok();
    let sums = |choice: &Choice| {
        let mut sums = [0.0; K];
        let (right, named) = (place(&choice.gold), choice.picked.as_ref().and_then(place));
        if let Some(right) = right {
            sums[3 * right + 1] = 1.0;
        }
        if let Some(named) = named {
            sums[3 * named + 2] = 1.0;
            sums[3 * named] = f64::from(u8::from(right == Some(named)));
        }
        sums
    };
    let mean = |sums: &[f64; K]| {
        let classes = sums.chunks_exact(3).filter(|class| class[1] + class[2] > 0.0);
        let f1 = classes.map(|class| 2.0 * class[0] / (class[1] + class[2]));
        let (sum, count) = f1.fold((0.0, 0.0), |(sum, count), f1| (sum + f1, count + 1.0));
        sum / count
    };
    of_sums(choices.iter().map(|(outcome, choice)| (outcome.group_key(), sums(choice))), mean, resampling)
}

impl Class {
    fn of(counts: &[Vec<usize>], at: usize) -> Self {
        let right: usize = counts[at].iter().sum();
        let named: usize = counts.iter().map(|row| row[at]).sum();
        let share = |of: usize| if of == 0 { 0.0 } else { counts[at][at] as f64 / of as f64 };
        let (precision, recall) = (share(named), share(right));
        let both = (right + named) as f64;
        let f1 = if both == 0.0 { 0.0 } else { 2.0 * counts[at][at] as f64 / both };
        Class { right, named, precision, recall, f1 }
    }
}
