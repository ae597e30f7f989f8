//! The certificate: what of the test and validation rows stands in another side, counted anew and exactly, by
//! another method than the one that made the groups.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::groups::{By, Fingerprint};
use crate::near_duplicate::{ANSWER_SIMILARITY, QUESTION_SIMILARITY, Shingles};
use crate::nearest::nearest;
use crate::rows::Row;
use crate::split::Side;

/// How many of the nearest pairs are listed.
const NEAREST_PAIRS: usize = 20;
/// Pairs of less similarity are not worth a look.
const NEAREST_FROM: f64 = 0.5;

/// What of some rows stands among others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leak {
    /// Rows whose question is among the others after normalising.
    pub exact_questions: usize,
    /// Rows with a near-duplicate question (and, where groups are made by answers, answer) among the others.
    pub near_duplicates: usize,
    /// Documents that the others share.
    pub shared_documents: usize,
}

impl std::ops::AddAssign for Leak {
    fn add_assign(&mut self, other: Self) {
        self.exact_questions += other.exact_questions;
        self.near_duplicates += other.near_duplicates;
        self.shared_documents += other.shared_documents;
    }
}

/// What a plain split by rows would have leaked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RowSplitLeak {
    /// Test rows.
    pub test_rows: usize,
    /// Test rows whose question stands in train after normalising.
    pub exact_questions: usize,
    /// Their share.
    pub exact_questions_share: f64,
    /// Test rows whose document has rows in train.
    pub shared_documents: usize,
    /// Their share.
    pub shared_documents_share: f64,
    /// Test rows with a near-duplicate question in train.
    pub near_duplicates: usize,
    /// Their share.
    pub near_duplicates_share: f64,
    /// Test rows whose answer stands nearly in train.
    pub near_answers: usize,
}

/// A pair of questions on two sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearestPair {
    /// Id of the test row.
    pub test: String,
    /// Its question.
    pub test_question: String,
    /// Id of the nearest train row.
    pub train: String,
    /// Its question.
    pub train_question: String,
    /// Jaccard similarity of the features of the questions.
    pub similarity: f64,
}

/// Rows and groups of a side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideCount {
    /// Number of rows.
    pub rows: usize,
    /// Number of groups.
    pub groups: usize,
    /// Hash of the contents of its rows, whatever their order.
    pub content: String,
}

/// What multiple-choice items have in common with train.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceLeak {
    /// Number of items.
    pub items: usize,
    /// Items whose question stands in train after normalising.
    pub exact_questions: usize,
    /// Items with a near-duplicate question in train.
    pub near_duplicates: usize,
}

/// The proof that train, validation and test are apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// What made rows belong together.
    pub by: Vec<By>,
    /// Seed of the split.
    pub seed: u64,
    /// Rows whose side was given with them and not drawn.
    #[serde(default)]
    pub given: usize,
    /// Similarity from which questions are near-duplicates.
    pub question_similarity: f64,
    /// Similarity from which answers are near-duplicates.
    pub answer_similarity: f64,
    /// Rows and groups by side.
    pub sides: BTreeMap<Side, SideCount>,
    /// What the sides have in common: all zero.
    pub leak: Leak,
    /// Test rows whose answer stands nearly in train, to another question about another document: phrases that a
    /// collection repeats. Zero where `by` names the answer.
    pub near_answers: usize,
    /// What multiple-choice items have in common with train.
    pub choices: ChoiceLeak,
    /// The nearest pairs of questions of test and train, the most similar first.
    pub nearest_pairs: Vec<NearestPair>,
    /// What a plain split by rows would have leaked.
    pub row_split_leak: RowSplitLeak,
}

/// One side's rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part<'a> {
    pub(crate) rows: Vec<&'a Row>,
    pub(crate) prints: Vec<&'a Fingerprint>,
}

impl<'a> Part<'a> {
    /// The rows at these places.
    pub(crate) fn new(
        rows: &[&'a Row],
        prints: &[&'a Fingerprint],
        places: impl Iterator<Item = usize>,
    ) -> Self {
        let (rows, prints) = places.map(|at| (rows[at], prints[at])).unzip();
        Part { rows, prints }
    }

    fn questions(&self) -> Vec<&'a Shingles> {
        self.prints.iter().map(|print| &print.question_shingles).collect()
    }

    fn answers(&self) -> Vec<&'a Shingles> {
        self.prints.iter().map(|print| &print.answer_shingles).collect()
    }

    fn documents(&self) -> HashSet<&'a str> {
        self.rows.iter().filter_map(|row| row.document.as_deref()).collect()
    }

    fn exact_questions(&self, others: &Part) -> usize {
        let theirs: HashSet<_> = others.prints.iter().map(|print| print.question.as_str()).collect();
        self.prints.iter().filter(|print| theirs.contains(print.question.as_str())).count()
    }

    /// Places of near-duplicates, as (own, other's).
    pub(crate) fn near_duplicates(&self, others: &Part, by_answer: bool) -> Vec<(usize, usize)> {
        let mut found = matches(&self.questions(), &others.questions(), QUESTION_SIMILARITY);
        if by_answer {
            found.extend(matches(&self.answers(), &others.answers(), ANSWER_SIMILARITY));
            found.sort_unstable();
        }
        found
    }

    /// How many rows have an answer that stands nearly in the other part.
    pub(crate) fn near_answers(&self, others: &Part) -> usize {
        matches(&self.answers(), &others.answers(), ANSWER_SIMILARITY).len()
    }

    /// What of this part stands in the other.
    pub(crate) fn leak(&self, others: &Part, near_duplicates: &[(usize, usize)]) -> Leak {
        let rows: HashSet<_> = near_duplicates.iter().map(|(own, _)| own).collect();
        Leak {
            exact_questions: self.exact_questions(others),
            near_duplicates: rows.len(),
            shared_documents: self.documents().intersection(&others.documents()).count(),
        }
    }

    /// What of these items stands in the other part.
    pub(crate) fn choice_leak(&self, others: &Part) -> ChoiceLeak {
        ChoiceLeak {
            items: self.rows.len(),
            exact_questions: self.exact_questions(others),
            near_duplicates: self.near_duplicates(others, false).len(),
        }
    }

    /// The nearest pairs of this part and train.
    pub(crate) fn nearest_pairs(&self, train: &Part) -> Vec<NearestPair> {
        let found = nearest(&self.questions(), &train.questions(), NEAREST_FROM);
        let pair = |(test, train_match): (usize, crate::nearest::Match)| NearestPair {
            test: self.rows[test].id.clone(),
            test_question: self.rows[test].question(),
            train: train.rows[train_match.index].id.clone(),
            train_question: train.rows[train_match.index].question(),
            similarity: train_match.similarity,
        };
        let mut found: Vec<_> =
            found.into_iter().enumerate().filter_map(|(at, found)| Some((at, found?))).collect();
        found.sort_by(|a, b| b.1.similarity.total_cmp(&a.1.similarity).then(a.0.cmp(&b.0)));
        found.truncate(NEAREST_PAIRS);
        found.into_iter().map(pair).collect()
    }

    /// Rows and content hash.
    pub(crate) fn count(&self, groups: usize) -> SideCount {
        let mut contents: Vec<_> = self.prints.iter().map(|print| *print.content.as_bytes()).collect();
        contents.sort_unstable();
        let content = blake3::hash(contents.as_flattened()).to_hex().to_string();
        SideCount { rows: self.rows.len(), groups, content }
    }
}

fn matches(sets: &[&Shingles], others: &[&Shingles], threshold: f64) -> Vec<(usize, usize)> {
    let found = nearest(sets, others, threshold).into_iter().enumerate();
    found.filter_map(|(own, found)| Some((own, found?.index))).collect()
}

/// What a plain seeded split of these rows, a share of them test and all others train, leaks.
pub fn row_split_leak(rows: &[&Row], prints: &[&Fingerprint], test: f64, seed: u64) -> RowSplitLeak {
    let order = crate::packing::shuffled(rows.len(), seed, 0);
    let (tested, trained) = order.split_at((rows.len() as f64 * test).round() as usize);
    let tested = Part::new(rows, prints, tested.iter().copied());
    let trained = Part::new(rows, prints, trained.iter().copied());
    let documents = trained.documents();
    let test_rows = tested.rows.len();
    let shared =
        tested.rows.iter().filter(|row| row.document.as_deref().is_some_and(|name| documents.contains(name)));
    let (exact_questions, shared_documents) = (tested.exact_questions(&trained), shared.count());
    let near_duplicates = tested.near_duplicates(&trained, false).len();
    let share = |count: usize| if test_rows == 0 { 0.0 } else { count as f64 / test_rows as f64 };
    RowSplitLeak {
        test_rows,
        exact_questions,
        exact_questions_share: share(exact_questions),
        shared_documents,
        shared_documents_share: share(shared_documents),
        near_duplicates,
        near_duplicates_share: share(near_duplicates),
        near_answers: tested.near_answers(&trained),
    }
}
