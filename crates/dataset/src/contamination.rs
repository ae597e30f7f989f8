//! Training rows that hold items of a test: looked for before anything is learned, in four ways.
//!
//! - **Exact**: the question of an item, normalised.
//! - **Near**: a question with nearly the same content words and pairs of these (see [`crate::near_duplicate`]). Of short
//!   questions nearly all have to agree; a case of a hundred words is known from half of them.
//! - **n-gram**: 13 words of an item in a row (Brown et al. 2020, appendix C), or the whole of a question of 8 to 12
//!   words, anywhere in the text of a row, be it question or answer. Phrases that several items share say nothing.
//! - **Rare words**: the same words in any order, weighed by how rare they are (see [`crate::rare_words`]).

use std::collections::HashMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::groups::Fingerprint;
use crate::near_duplicate::{QUESTION_SIMILARITY, content_words};
use crate::nearest::nearest;
use crate::normalise::{lower, words};
use crate::rare_words::{RareWords, RowWords};
use crate::rows::{Item, Row};

/// Words in a row that do not come by chance.
const NGRAM_WORDS: usize = 13;
/// Shorter questions are not looked for inside of texts.
const SHORTEST: usize = 8;
/// What stands in more items than this is a phrase of the exam.
const PHRASE: usize = 3;
/// A question with so many features (content words and their pairs) is a case, and known from half of them.
const CASE_FEATURES: usize = 40;
/// The half.
const CASE_SIMILARITY: f64 = 0.5;
/// Questions of fewer features, two content words and their pair, are near to whatever else is said of a disease.
const FEWEST_FEATURES: usize = 5;

/// How an item was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// The same question.
    Exact,
    /// Nearly the same question.
    Near,
    /// Words of the item in a row.
    Ngram,
    /// The rare words of the item close together.
    RareWords,
}

/// A training row and the item of a test that it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contamination {
    /// Id of the training row.
    pub train: String,
    /// The file of the test.
    pub file: String,
    /// Id of the item.
    pub test: String,
    /// How it was found.
    pub found: Found,
    /// Jaccard similarity of the questions' features; of an n-gram the share of the item's n-grams that the row holds; of
    /// rare words their weighted Jaccard similarity.
    pub similarity: f64,
    /// The question of the training row.
    pub train_question: String,
    /// The question of the item.
    pub test_question: String,
}

/// For each row of `train` the item of `tests` that it holds, if there is one; exact before near before
/// n-gram before rare words.
pub fn contamination(train: &[Row], tests: &[Row]) -> Vec<Option<Contamination>> {
    let (own, theirs) = (Fingerprint::of_all(train), Fingerprint::of_all(tests));
    let mut exact: HashMap<&str, usize> = HashMap::new();
    for (at, print) in theirs.iter().enumerate().filter(|(_, print)| !print.question.is_empty()) {
        exact.entry(&print.question).or_insert(at);
    }
    let features =
        |prints: &[Fingerprint]| prints.iter().map(|p| p.question_shingles.clone()).collect::<Vec<_>>();
    let (own_features, their_features) = (features(&own), features(&theirs));
    let near = nearest(
        &own_features.iter().collect::<Vec<_>>(),
        &their_features.iter().collect::<Vec<_>>(),
        CASE_SIMILARITY,
    );
    let ngrams = Ngrams::of(tests);
    let row_words: Vec<RowWords> = train.par_iter().map(row_words).collect();
    let item_words: Vec<_> = tests.par_iter().map(|item| content_words(&item.question())).collect();
    let rare_words = RareWords::new(&item_words, &row_words);
    let judge = |at: usize| {
        let by_question = exact.get(own[at].question.as_str()).map(|&item| (item, Found::Exact, 1.0));
        let by_features = near[at].and_then(|found| {
            let smaller = own_features[at].hashes().len().min(their_features[found.index].hashes().len());
            let enough = if smaller >= CASE_FEATURES { CASE_SIMILARITY } else { QUESTION_SIMILARITY };
            (smaller >= FEWEST_FEATURES && found.similarity >= enough).then_some((
                found.index,
                Found::Near,
                found.similarity,
            ))
        });
        let by_ngrams = || ngrams.find(&train[at]).map(|(item, share)| (item, Found::Ngram, share));
        let by_rare_words =
            || rare_words.find(&row_words[at]).map(|held| (held.item, Found::RareWords, held.similarity));
        let (item, found, similarity) =
            by_question.or(by_features).or_else(by_ngrams).or_else(by_rare_words)?;
        Some(Contamination {
            train: train[at].id.clone(),
            file: tests[item].origin.file.clone(),
            test: tests[item].id.clone(),
            found,
            similarity,
            train_question: train[at].question(),
            test_question: tests[item].question(),
        })
    };
    (0..train.len()).into_par_iter().map(judge).collect()
}

/// The n-grams of a test's items.
struct Ngrams {
    /// Items by the hash of an n-gram, and how many hold it.
    items: HashMap<u64, (usize, usize)>,
    /// Number of n-grams of each item.
    counts: Vec<usize>,
    /// Lengths that occur.
    lengths: Vec<usize>,
}

impl Ngrams {
    fn of(tests: &[Row]) -> Self {
        let mut items: HashMap<u64, (usize, usize)> = HashMap::new();
        let (mut counts, mut lengths) = (Vec::with_capacity(tests.len()), Vec::new());
        for (at, row) in tests.iter().enumerate() {
            let mut count = 0;
            for words in asked(row).iter().map(|text| hashed_words(text)) {
                let length = words.len().min(NGRAM_WORDS);
                if length < SHORTEST {
                    continue;
                }
                if !lengths.contains(&length) {
                    lengths.push(length);
                }
                count += words.len() - length + 1;
                for ngram in words.windows(length) {
                    let (last, holders) = items.entry(joined(ngram)).or_insert((at, 0));
                    if *holders == 0 || *last != at {
                        (*last, *holders) = (at, *holders + 1);
                    }
                }
            }
            counts.push(count);
        }
        items.retain(|_, (_, holders)| *holders <= PHRASE);
        Ngrams { items, counts, lengths }
    }

    /// The item of which a row holds most, and the share of its n-grams.
    fn find(&self, row: &Row) -> Option<(usize, f64)> {
        let words = hashed_words(&format!("{}\n{}", asked(row).join("\n"), row.answer()));
        let mut held: HashMap<usize, usize> = HashMap::new();
        for &length in &self.lengths {
            for ngram in words.windows(length) {
                if let Some((item, _)) = self.items.get(&joined(ngram)) {
                    *held.entry(*item).or_default() += 1;
                }
            }
        }
        let share =
            |(&item, &count): (&usize, &usize)| (item, (count as f64 / self.counts[item] as f64).min(1.0));
        held.iter().map(share).max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
    }
}

/// What is read before an answer is given: the context, if there is one, and the question.
fn asked(row: &Row) -> Vec<String> {
    match &row.item {
        Item::Choice(choice) => choice.context.iter().chain([&choice.question]).cloned().collect(),
        Item::Conversation(_) => vec![row.question()],
    }
}

fn row_words(row: &Row) -> RowWords {
    let mut text = content_words(&row.question());
    let question = text.len();
    text.extend(content_words(&row.answer()));
    RowWords { text, question }
}

fn hashed_words(text: &str) -> Vec<u64> {
    let hash = |word: &str| {
        let bytes = *blake3::hash(word.as_bytes()).as_bytes();
        u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
    };
    words(&lower(text)).map(hash).collect()
}

fn joined(words: &[u64]) -> u64 {
    words
        .iter()
        .fold(words.len() as u64, |sum, word| (sum.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
