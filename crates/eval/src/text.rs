//! Metrics of a generated text against reference texts, and of a text by itself.
//!
//! Every metric that the field knows from a Python package gives that package's numbers, and its docs name the
//! package and version: scores are only comparable when they were computed in the same way. What n-gram metrics do
//! not see, numbers, units and negations, is [`agreement`](crate::text::agreement)'s subject.

pub mod agreement;
mod bertscore;
mod bleu;
mod bleu_evaluate;
mod bleu_nltk;
mod chrf;
mod grams;
mod meteor;
mod outcome;
pub(crate) mod porter;
mod python;
mod readability;
mod rouge;
mod ter;
mod tokenize;

pub use bertscore::{BertScore, BertScoreItem, default_baseline, default_layer, read_baseline};
pub use bleu::{Bleu, BleuScore, BleuStatistics, Smoothing};
pub use bleu_evaluate::{EvaluateBleu, EvaluateBleuScore};
pub use bleu_nltk::{NltkBleu, NltkSmoothing, NltkTokens};
pub use chrf::{Chrf, ChrfStatistics};
pub use meteor::Meteor;
pub use outcome::{Estimate, TextOutcome, TextPair, TextSummary};
pub use readability::{Readability, TEXTSTAT_VERSION, TextCounts, readability, readability_0_7_4, syllables};
pub use rouge::{PrecisionRecall, Rouge, RougeScores, rouge, rouge_all, rouge_l};
pub use ter::{Ter, TerStatistics};
pub use tokenize::BleuTokenizer;

/// The version of sacreBLEU whose numbers and signatures [`Bleu`], [`Chrf`] and [`Ter`] give.
pub const SACREBLEU_VERSION: &str = "2.6.0";
