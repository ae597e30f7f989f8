//! Groups: rows that must not be parted by the split.
//!
//! Rows belong together when they are from one document, ask one question (also nearly), or give nearly one answer.

use std::collections::HashMap;
use std::hash::Hash;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::near_duplicate::{ANSWER_SIMILARITY, QUESTION_SIMILARITY, Shingles, join};
use crate::normalise::{normalise_question, printed_form};
use crate::rows::{Item, Row};

/// What makes two rows belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The same document.
    Document,
    /// The same question after normalising, or a near-duplicate of it.
    Question,
    /// A near-duplicate answer.
    Answer,
}

/// Sets that are joined step by step (union-find with path halving, the smaller number is the root).
#[derive(Debug, Clone)]
pub struct Components {
    parent: Vec<usize>,
}

impl Components {
    /// `count` members, each alone.
    pub fn new(count: usize) -> Self {
        Components { parent: (0..count).collect() }
    }

    /// The smallest member of the component.
    pub fn root(&mut self, mut member: usize) -> usize {
        while self.parent[member] != member {
            self.parent[member] = self.parent[self.parent[member]];
            member = self.parent[member];
        }
        member
    }

    /// Makes one component of two.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b)] = a.min(b);
    }

    /// True for members of one component.
    pub fn joined(&mut self, a: usize, b: usize) -> bool {
        self.root(a) == self.root(b)
    }

    /// The members of each component, ascending, in the order of their first members.
    pub fn members(&mut self) -> Vec<Vec<usize>> {
        let mut place = HashMap::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        for member in 0..self.parent.len() {
            let at = *place.entry(self.root(member)).or_insert(members.len());
            if at == members.len() {
                members.push(Vec::new());
            }
            members[at].push(member);
        }
        members
    }
}

/// What is compared of a row, computed once.
#[derive(Debug, Clone)]
pub struct Fingerprint {
    /// The normalised question.
    pub question: String,
    /// Features of the question.
    pub question_shingles: Shingles,
    /// Features of the answer.
    pub answer_shingles: Shingles,
    /// Hash of question and answer, in the form in which they print.
    pub content: blake3::Hash,
}

impl Fingerprint {
    /// The fingerprint of a row.
    pub fn of(row: &Row) -> Self {
        let (question, answer) = (row.question(), row.answer());
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(printed_form(text).as_bytes()).update(b"\0");
        };
        add(&question);
        add(&answer);
        if let Item::Choice(choice) = &row.item {
            choice.options.iter().for_each(|option| add(&option.text));
            choice.context.iter().for_each(|context| add(context));
        }
        Fingerprint {
            question: normalise_question(&question),
            question_shingles: Shingles::of_question(&question),
            answer_shingles: Shingles::of_answer(&answer),
            content: hasher.finalize(),
        }
    }

    /// The fingerprints of rows, in parallel.
    pub fn of_all(rows: &[Row]) -> Vec<Self> {
        rows.par_iter().map(Fingerprint::of).collect()
    }
}

/// Joins rows that belong together.
pub fn components(rows: &[&Row], prints: &[&Fingerprint], by: &[By]) -> Components {
    let mut components = Components::new(rows.len());
    if by.contains(&By::Document) {
        join_equal(rows.iter().map(|row| row.document.as_deref()), &mut components);
    }
    if by.contains(&By::Question) {
        join_equal(prints.iter().map(|print| Some(print.question.as_str())), &mut components);
        let shingles: Vec<_> = prints.iter().map(|print| print.question_shingles.clone()).collect();
        join(&shingles, QUESTION_SIMILARITY, &mut components);
    }
    if by.contains(&By::Answer) {
        let shingles: Vec<_> = prints.iter().map(|print| print.answer_shingles.clone()).collect();
        join(&shingles, ANSWER_SIMILARITY, &mut components);
    }
    components
}

fn join_equal<K: Hash + Eq>(keys: impl Iterator<Item = Option<K>>, components: &mut Components) {
    let mut first = HashMap::new();
    for (at, key) in keys.enumerate() {
        if let Some(key) = key {
            components.join(*first.entry(key).or_insert(at), at);
        }
    }
}
