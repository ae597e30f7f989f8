//! A set of outcomes in numbers, each with its `n` and its interval.

use super::TextOutcome;
use crate::statistics::{Interval, Resampling, bca_interval, ratio, sums_by_group, wilson};
use crate::text::agreement::{QuantityOutcome, UrgencyOutcome};
use crate::text::{Bleu, BleuStatistics, Chrf, ChrfStatistics, Meteor};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A number with what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// What is measured, with its settings where they change the number.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Its 95 % interval: BCa over groups; `None` with fewer than two.
    pub interval: Option<Interval>,
    /// Items.
    pub n: usize,
}

/// Text metrics of a set of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextSummary {
    /// Items that are measured.
    pub n: usize,
    /// Items whose reference has no word: named, and in no number.
    pub empty_references: Vec<String>,
    /// Items whose answer has no word. They count, as 0.
    pub empty_answers: Vec<String>,
    /// Scores: of the corpus for BLEU and chrF, means for the rest.
    pub scores: Vec<Estimate>,
    /// How many items have each outcome of their quantities.
    pub quantities: BTreeMap<QuantityOutcome, usize>,
    /// Share of the items with quantities in their reference of which one is changed, with Wilson's interval; `None`
    /// where no reference has any.
    pub changed_quantities: Option<Estimate>,
    /// Share of the items in which something is negated in one text only, with Wilson's interval.
    pub polarity_conflicts: Estimate,
    /// How many items have each outcome of their advice to get help.
    pub urgency: BTreeMap<UrgencyOutcome, usize>,
}

/// A number of one outcome.
type Value = fn(&TextOutcome) -> f64;

/// Sums of a metric's numerators and denominators: BLEU's counts are the most.
const BLEU_SUMS: usize = 10;
const CHRF_SUMS: usize = ChrfStatistics::SUMS;

impl TextSummary {
    /// Summarizes outcomes; items of one group are resampled together, items without a group by themselves.
    ///
    /// # Errors
    ///
    /// [`Error::NoItems`] when no item has a reference, [`Error::Twice`] when two have one id.
    pub fn of(outcomes: &[TextOutcome], resampling: &Resampling) -> Result<Self> {
        let mut ids = BTreeSet::new();
        if let Some(twice) = outcomes.iter().find(|outcome| !ids.insert(&outcome.id)) {
            return Err(Error::Twice { id: twice.id.clone() });
        }
        let named =
            |keep: fn(&&TextOutcome) -> bool| outcomes.iter().filter(keep).map(|o| o.id.clone()).collect();
        let measured: Vec<&TextOutcome> =
            outcomes.iter().filter(|outcome| !outcome.empty_reference).collect();
        if measured.is_empty() {
            return Err(Error::NoItems);
        }
        let mut quantities = BTreeMap::new();
        let mut urgency = BTreeMap::new();
        for outcome in &measured {
            *quantities.entry(outcome.quantities).or_insert(0) += 1;
            *urgency.entry(outcome.urgency).or_insert(0) += 1;
        }
        let comparable =
            measured.iter().filter(|outcome| outcome.quantities != QuantityOutcome::NothingToCompare);
        let comparable = comparable.count();
        let conflicts = measured.iter().filter(|outcome| outcome.quantities == QuantityOutcome::Conflicts);
        let polarity = measured.iter().filter(|outcome| !outcome.polarity.is_empty());
        Ok(Self {
            n: measured.len(),
            empty_references: named(|outcome| outcome.empty_reference),
            empty_answers: named(|outcome| outcome.empty_answer),
            scores: scores(&measured, resampling),
            quantities,
            changed_quantities: (comparable > 0)
                .then(|| share("items with a changed quantity", conflicts.count(), comparable)),
            polarity_conflicts: share("items with a polarity conflict", polarity.count(), measured.len()),
            urgency,
        })
    }
}

fn share(name: &str, count: usize, n: usize) -> Estimate {
    Estimate {
        name: name.to_string(),
        value: count as f64 / n as f64,
        interval: Some(wilson(count as u64, n as u64)),
        n,
    }
}

fn scores(outcomes: &[&TextOutcome], resampling: &Resampling) -> Vec<Estimate> {
    let n = outcomes.len();
    let (bleu, chrf) = (Bleu::default(), Chrf::default());
    let corpus_bleu = |sums: &[f64; BLEU_SUMS]| bleu.score(BleuStatistics::from_sums(sums)).score;
    let corpus_chrf = |sums: &[f64; CHRF_SUMS]| chrf.score(&ChrfStatistics::from_sums(sums));
    let mut estimates = vec![
        Estimate {
            name: format!("BLEU {}", bleu.signature(1)),
            n,
            ..estimate(outcomes, |outcome| outcome.bleu_statistics.sums(), corpus_bleu, resampling)
        },
        Estimate {
            name: format!("chrF {}", chrf.signature(1)),
            n,
            ..estimate(outcomes, |outcome| outcome.chrf_statistics.sums(), corpus_chrf, resampling)
        },
    ];
    let meteor = format!("METEOR {}", Meteor::default().signature());
    let means: [(&str, Value); 10] = [
        ("ROUGE-1 F1 stemmed, like rouge_score 0.1.2", |outcome| outcome.rouge.rouge1.f1),
        ("ROUGE-2 F1 stemmed, like rouge_score 0.1.2", |outcome| outcome.rouge.rouge2.f1),
        ("ROUGE-L F1 stemmed, like rouge_score 0.1.2", |outcome| outcome.rouge.rouge_l.f1),
        ("ROUGE-Lsum F1 stemmed, like rouge_score 0.1.2", |outcome| outcome.rouge.rouge_lsum.f1),
        (&meteor, |outcome| outcome.meteor),
        ("words", |outcome| outcome.counts.words as f64),
        ("Flesch reading ease, like textstat 0.7.13", |outcome| outcome.readability.flesch_reading_ease),
        ("Flesch-Kincaid grade, like textstat 0.7.13", |outcome| outcome.readability.flesch_kincaid_grade),
        ("SMOG grade, like textstat 0.7.13", |outcome| outcome.readability.smog),
        ("Dale-Chall, like textstat 0.7.13", |outcome| outcome.readability.dale_chall),
    ];
    for (name, value) in means {
        let mean = estimate(outcomes, |outcome| [value(outcome), 1.0], ratio, resampling);
        estimates.push(Estimate { name: name.to_string(), n, ..mean });
    }
    estimates
}

/// A function of the sums over all items, with its interval over groups.
fn estimate<const K: usize>(
    outcomes: &[&TextOutcome],
    sums: impl Fn(&TextOutcome) -> [f64; K],
    value: impl Fn(&[f64; K]) -> f64 + Sync,
    resampling: &Resampling,
) -> Estimate {
    let group = |outcome: &TextOutcome| match &outcome.group {
        Some(group) => (group.clone(), String::new()),
        None => (String::new(), outcome.id.clone()),
    };
    let groups = sums_by_group(outcomes.iter().map(|outcome| (group(outcome), sums(outcome))));
    let total = crate::statistics::total(&groups);
    Estimate {
        name: String::new(),
        value: value(&total),
        interval: bca_interval(&groups, &value, resampling),
        n: outcomes.len(),
    }
}
