//! Cleaning: rules in a fixed order, each row that one leaves out on file.

use std::collections::{HashMap, HashSet};

use chat::Message;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dropped::{Dropped, Fault, Rule};
use crate::groups::Fingerprint;
use crate::near_duplicate::{Index, QUESTION_SIMILARITY, Signature};
use crate::normalise::{fold_whitespace, tidy};
use crate::rows::{Item, Row};

/// The rules. Rows that cannot be read are left out in any case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cleaning {
    /// Fold runs of blanks and empty lines in the text that is kept.
    pub tidy_whitespace: bool,
    /// Leave out a row whose question and answer stand in an earlier one.
    pub exact_duplicates: bool,
    /// Leave out answers with more words than this (parted by whitespace).
    pub max_answer_words: Option<usize>,
    /// The topic of rows that name none.
    pub default_topic: Option<String>,
    /// Leave out topics with fewer rows than this, counted after the rules above.
    pub min_topic_rows: Option<usize>,
    /// Leave out a row whose question is nearly that of an earlier row and whose answer has this similarity or more
    /// with that row's (Jaccard of word 5-shingles, in (0, 1]); `null` switches the rule off.
    pub near_duplicates: Option<f64>,
}

impl Default for Cleaning {
    fn default() -> Self {
        Cleaning {
            tidy_whitespace: true,
            exact_duplicates: true,
            max_answer_words: None,
            default_topic: None,
            min_topic_rows: None,
            near_duplicates: Some(crate::near_duplicate::ANSWER_SIMILARITY),
        }
    }
}

/// What is left, with the fingerprints of the rows in the same order.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// The rows.
    pub rows: Vec<Row>,
    /// Their fingerprints.
    pub prints: Vec<Fingerprint>,
    /// The rows that were left out.
    pub dropped: Vec<Dropped>,
    /// Rows whose id was that of an earlier row, and got a number.
    pub renamed: usize,
}

impl Cleaned {
    /// Keeps the rows for which `judge` has no objection.
    fn sieve(&mut self, mut judge: impl FnMut(&Row, &Fingerprint) -> Option<Fault>) {
        let (rows, prints) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.prints));
        for (row, print) in rows.into_iter().zip(prints) {
            match judge(&row, &print) {
                Some(fault) => self.dropped.push(Dropped::new(Some(row.id), row.origin, fault)),
                None => {
                    self.rows.push(row);
                    self.prints.push(print);
                }
            }
        }
    }
}

/// Makes ids unique: the second `a` becomes `a#2`.
fn rename_repeated_ids(rows: &mut [Row]) -> usize {
    let (mut taken, mut renamed) = (HashSet::new(), 0);
    for row in rows {
        let id = row.id.clone();
        let mut copy = 1;
        while !taken.insert(row.id.clone()) {
            copy += 1;
            row.id = format!("{id}#{copy}");
        }
        renamed += usize::from(copy > 1);
    }
    renamed
}

/// Applies the rules in this order: exact duplicates, word limit, rare topics, near-duplicates.
pub fn clean(mut rows: Vec<Row>, rules: &Cleaning) -> Cleaned {
    rows.par_iter_mut().for_each(|row| {
        if rules.tidy_whitespace {
            tidy_row(row);
        }
        row.topic = row.topic.take().or_else(|| rules.default_topic.clone());
    });
    let renamed = rename_repeated_ids(&mut rows);
    let prints = Fingerprint::of_all(&rows);
    let mut cleaned = Cleaned { rows, prints, dropped: Vec::new(), renamed };
    if rules.exact_duplicates {
        let mut first: HashMap<blake3::Hash, String> = HashMap::new();
        cleaned.sieve(|row, print| match first.get(&print.content) {
            Some(id) => Some(Fault::new(Rule::ExactDuplicate, format!("same as `{id}`"))),
            None => {
                first.insert(print.content, row.id.clone());
                None
            }
        });
    }
    if let Some(limit) = rules.max_answer_words {
        cleaned.sieve(|row, _| {
            let words = row.answer().split_whitespace().count();
            let over = words > limit && !is_choice(row);
            over.then(|| {
                Fault::new(Rule::OverWordLimit, format!("{words} words, at most {limit} are allowed"))
            })
        });
    }
    if let Some(least) = rules.min_topic_rows {
        let mut counts: HashMap<Option<String>, usize> = HashMap::new();
        for row in &cleaned.rows {
            *counts.entry(row.topic.clone()).or_default() += 1;
        }
        cleaned.sieve(|row, _| {
            let count = counts.get(&row.topic).copied().unwrap_or(0);
            let topic = row.topic.as_deref().unwrap_or("none");
            let rare = count < least && !is_choice(row);
            rare.then(|| {
                Fault::new(
                    Rule::RareTopic,
                    format!("rows of topic `{topic}`: {count}, at least {least} are asked for"),
                )
            })
        });
    }
    if let Some(threshold) = rules.near_duplicates {
        drop_near_duplicates(&mut cleaned, threshold);
    }
    cleaned
}

/// Compares each row with the earlier rows that were kept.
fn drop_near_duplicates(cleaned: &mut Cleaned, threshold: f64) {
    let signatures: Vec<_> = cleaned
        .prints
        .par_iter()
        .map(|print| Signature::of(&print.question_shingles.union(&print.answer_shingles)))
        .collect();
    // Question and answer together reach the lower of the two thresholds where each reaches its own.
    let mut index = Index::new(threshold.min(QUESTION_SIMILARITY));
    let mut kept: HashMap<usize, (String, Fingerprint)> = HashMap::new();
    let mut at = 0;
    cleaned.sieve(|row, print| {
        let number = at;
        at += 1;
        if is_choice(row) {
            return None;
        }
        for candidate in index.candidates(&signatures[number]) {
            let (id, earlier) = &kept[&candidate];
            // The question first: it is short, and mostly decides.
            let questions = print.question_shingles.jaccard(&earlier.question_shingles);
            if questions < QUESTION_SIMILARITY {
                continue;
            }
            let answers = print.answer_shingles.jaccard(&earlier.answer_shingles);
            if answers >= threshold {
                let detail = format!("near `{id}`: questions {questions:.3}, answers {answers:.3}");
                return Some(Fault::new(Rule::NearDuplicate, detail));
            }
        }
        index.insert(number, &signatures[number]);
        kept.insert(number, (row.id.clone(), print.clone()));
        None
    });
}

fn is_choice(row: &Row) -> bool {
    matches!(row.item, Item::Choice(_))
}

fn tidy_row(row: &mut Row) {
    match &mut row.item {
        Item::Conversation(messages) => {
            for Message { content, .. } in messages {
                *content = tidy(content);
            }
        }
        Item::Choice(choice) => {
            choice.question = tidy(&choice.question);
            for option in &mut choice.options {
                option.text = fold_whitespace(&option.text);
            }
        }
    }
}
