//! The items that all runs have, in one order.

use super::{Run, RunsError};
use crate::comparison::Outcome;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Items that an error names.
const NAMED: usize = 3;

/// A run's outcomes by their ids, checked one by one.
pub(super) fn by_id(run: &Run) -> Result<BTreeMap<&str, &Outcome>> {
    if run.outcomes.is_empty() {
        return Err(Error::NoItems);
    }
    let mut by_id = BTreeMap::new();
    for outcome in &run.outcomes {
        outcome.check_finite()?;
        if by_id.insert(outcome.id.as_str(), outcome).is_some() {
            return Err(RunsError::Twice { id: outcome.id.clone(), run: run.name.clone() }.into());
        }
    }
    Ok(by_id)
}

/// Each run's outcomes of the items that all have, in the order of the ids; and how many of each run are left out.
pub(super) fn align<'a>(
    names: &[String],
    runs: &[BTreeMap<&'a str, &'a Outcome>],
    common: bool,
) -> Result<(Vec<Vec<&'a Outcome>>, Vec<usize>)> {
    let all: BTreeSet<&str> = runs.iter().flat_map(|run| run.keys().copied()).collect();
    let in_all: Vec<&str> =
        all.iter().copied().filter(|id| runs.iter().all(|run| run.contains_key(id))).collect();
    if in_all.len() < all.len() && (!common || in_all.is_empty()) {
        let lacking = |run: &BTreeMap<&str, &Outcome>| all.iter().any(|id| !run.contains_key(id));
        let at = runs.iter().position(lacking).unwrap_or_default();
        let lacks = all.iter().filter(|id| !runs[at].contains_key(**id));
        return Err(RunsError::DifferentItems {
            run: names[at].clone(),
            missing: all.len() - in_all.len(),
            all: all.len(),
            common: in_all.len(),
            first: lacks.take(NAMED).map(|id| format!("`{id}`")).collect(),
        }
        .into());
    }
    let aligned = runs.iter().map(|run| in_all.iter().map(|id| run[id]).collect());
    let left_out = match in_all.len() == all.len() {
        true => Vec::new(),
        false => runs.iter().map(|run| run.len() - in_all.len()).collect(),
    };
    Ok((aligned.collect(), left_out))
}

impl Outcome {
    /// Why two outcomes under one id are not those of one item; what only one of them knows differs in nothing.
    pub(super) fn is_another_item_than(&self, other: &Self) -> Option<&'static str> {
        let differs = |left: Option<&str>, right: Option<&str>| {
            left.zip(right).is_some_and(|(left, right)| left.trim() != right.trim())
        };
        let gold = |outcome: &Self| outcome.choice.as_ref().map(|choice| choice.gold.clone());
        if self.task != other.task {
            Some("its task differs")
        } else if self.group != other.group {
            Some("its group differs")
        } else if differs(gold(self).as_deref(), gold(other).as_deref()) {
            Some("its gold answer differs")
        } else if differs(self.question.as_deref(), other.question.as_deref()) {
            Some("its question differs")
        } else if differs(self.reference.as_deref(), other.reference.as_deref()) {
            Some("its reference differs")
        } else {
            None
        }
    }
}
