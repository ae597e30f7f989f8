//! The text metrics of one answer, and of a set of answers.
//!
//! What is kept of an item is what every summary is computed from, so a file of outcomes is enough to compute all
//! numbers again.

mod summary;

pub use summary::{Estimate, TextSummary};

use super::agreement::{
    Change, PolarityConflict, Quantity, QuantityAgreement, QuantityOutcome, UrgencyOutcome,
    polarity_conflicts, urgency_outcome,
};
use super::{
    Bleu, BleuStatistics, Chrf, ChrfStatistics, Meteor, Readability, RougeScores, TextCounts, rouge_all,
};
use serde::{Deserialize, Serialize};

/// An answer with its reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextPair<'a> {
    /// Names the item.
    pub id: &'a str,
    /// The document that the item comes from, if several items share one.
    pub group: Option<&'a str>,
    /// What a good answer says.
    pub reference: &'a str,
    /// What the model says.
    pub answer: &'a str,
}

/// The text metrics of one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextOutcome {
    /// Names the item.
    pub id: String,
    /// The document that the item comes from.
    pub group: Option<String>,
    /// Whether the reference has no word: nothing can be said of the answer then.
    pub empty_reference: bool,
    /// Whether the answer has no word.
    pub empty_answer: bool,
    /// Sentence BLEU with effective order, 0 to 100.
    pub bleu: f64,
    /// For BLEU of the corpus.
    pub bleu_statistics: BleuStatistics,
    /// Sentence chrF, 0 to 100.
    pub chrf: f64,
    /// For chrF of the corpus.
    pub chrf_statistics: ChrfStatistics,
    /// ROUGE with the stemmer.
    pub rouge: RougeScores,
    /// METEOR of two stages.
    pub meteor: f64,
    /// Quantities: the outcome,
    pub quantities: QuantityOutcome,
    /// what is changed,
    pub changed: Vec<Change>,
    /// what is missing,
    pub missing: Vec<Quantity>,
    /// what is added.
    pub added: Vec<Quantity>,
    /// What one of the texts negates and the other does not.
    pub polarity: Vec<PolarityConflict>,
    /// Advice to get help.
    pub urgency: UrgencyOutcome,
    /// What is counted in the answer.
    pub counts: TextCounts,
    /// How hard the answer is to read.
    pub readability: Readability,
}

impl TextOutcome {
    /// All metrics that need no encoder, with their default settings.
    pub fn of(pair: TextPair<'_>) -> Self {
        let TextPair { id, group, reference, answer } = pair;
        let (bleu, chrf) = (Bleu::sentence_level(), Chrf::default());
        let bleu_statistics = bleu.statistics(answer, &[reference]);
        let chrf_statistics = chrf.statistics(answer, &[reference]);
        let quantities = QuantityAgreement::of(reference, answer);
        let counts = TextCounts::of(answer);
        Self {
            id: id.to_string(),
            group: group.map(str::to_string),
            empty_reference: TextCounts::of(reference).words == 0,
            empty_answer: counts.words == 0,
            bleu: bleu.score(bleu_statistics).score,
            bleu_statistics,
            chrf: chrf.score(&chrf_statistics),
            chrf_statistics,
            rouge: rouge_all(true, reference, answer),
            meteor: Meteor::default().sentence(answer, &[reference]),
            quantities: quantities.outcome(),
            changed: quantities.changed,
            missing: quantities.missing,
            added: quantities.added,
            polarity: polarity_conflicts(reference, answer),
            urgency: urgency_outcome(reference, answer),
            counts,
            readability: counts.readability(),
        }
    }
}
