//! The answers of several systems to the same questions.

use crate::comparison::Outcome;
use crate::evaluation::AnswerFault;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A question with the answer of every system.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name.
    pub id: String,
    /// What is resampled together with it; itself where it has no group.
    pub group: String,
    /// What was asked.
    pub question: String,
    /// What a good answer says.
    pub reference: Option<String>,
    /// By system.
    pub answers: Vec<String>,
}

/// A question that is not judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The item.
    pub item: String,
    /// Why.
    pub reason: String,
}

/// The answers of several systems to the same questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// Names of the systems.
    pub systems: Vec<String>,
    /// The questions, by id.
    pub items: Vec<Item>,
    /// Questions that not every system has an answer to.
    pub left_out: Vec<LeftOut>,
    /// Rows of the files that are no answer.
    pub faults: Vec<AnswerFault>,
}

impl Answers {
    /// Puts the outcomes of several systems together by the ids of their items. What some system lacks is left out
    /// and named; an empty answer is an answer.
    ///
    /// # Errors
    /// [`Error::Judge`] where two systems have one name, [`Error::Twice`] where an id occurs twice in one of them,
    /// [`Error::NoItems`] without items, [`Error::Judge`] where no question has an answer of every system.
    pub fn join(systems: Vec<(String, Vec<Outcome>)>) -> Result<Self> {
        let names: Vec<String> = systems.iter().map(|(name, _)| name.clone()).collect();
        if names.iter().collect::<BTreeSet<_>>().len() != names.len() {
            return Err(Error::Judge {
                what: "systems",
                reason: format!("two have one name: {}", names.join(", ")),
            });
        }
        let mut by_id: BTreeMap<String, Vec<Option<Outcome>>> = BTreeMap::new();
        for (system, (_, outcomes)) in systems.into_iter().enumerate() {
            for outcome in outcomes {
                let slots = by_id.entry(outcome.id.clone()).or_insert_with(|| vec![None; names.len()]);
                if slots[system].is_some() {
                    return Err(Error::Twice { id: outcome.id });
                }
                slots[system] = Some(outcome);
            }
        }
        let mut answers = Answers { systems: names, ..Answers::default() };
        for (id, slots) in by_id {
            match item(&id, slots, &answers.systems) {
                Ok(item) => answers.items.push(item),
                Err(reason) => answers.left_out.push(LeftOut { item: id, reason }),
            }
        }
        match answers.left_out.first() {
            _ if !answers.items.is_empty() => Ok(answers),
            None => Err(Error::NoItems),
            Some(first) => Err(Error::Judge {
                what: "questions",
                reason: format!(
                    "no question has an answer of every system; {}: {}",
                    first.item, first.reason
                ),
            }),
        }
    }

    /// Characters of an answer.
    pub(super) fn length(&self, item: &str, system: usize) -> Option<f64> {
        let at = self.items.binary_search_by(|other| other.id.as_str().cmp(item)).ok()?;
        Some(self.items[at].answers.get(system)?.chars().count() as f64)
    }
}

fn item(id: &str, slots: Vec<Option<Outcome>>, systems: &[String]) -> std::result::Result<Item, String> {
    let mut item = Item {
        id: id.to_owned(),
        group: String::new(),
        question: String::new(),
        reference: None,
        answers: Vec::with_capacity(slots.len()),
    };
    for (outcome, system) in slots.into_iter().zip(systems) {
        let outcome = outcome.ok_or_else(|| format!("{system} does not have it"))?;
        let question = outcome.question.filter(|question| !question.trim().is_empty());
        let question = question.ok_or_else(|| format!("{system} has no question"))?;
        let answer = outcome.answer.ok_or_else(|| format!("{system} has no answer"))?;
        let group = outcome.group.unwrap_or_else(|| id.to_owned());
        let reference = outcome.reference.filter(|reference| !reference.trim().is_empty());
        if item.answers.is_empty() {
            (item.group, item.question, item.reference) = (group, question, reference);
        } else if item.question.trim() != question.trim() {
            return Err(format!("{system} was asked another question"));
        } else if item.group != group {
            return Err(format!("{system} has it in another group"));
        } else if reference.is_some() && item.reference.is_some() && item.reference != reference {
            return Err(format!("{system} has another reference"));
        } else {
            item.reference = item.reference.or(reference);
        }
        item.answers.push(answer);
    }
    Ok(item)
}
