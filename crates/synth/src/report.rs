//! The numbers of a run.

use std::collections::BTreeMap;

use dataset::Side;
use serde::{Deserialize, Serialize};

use crate::{Kind, Obstacle, Reason, Settings};

/// What the replies took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Replies {
    /// Replies, also those that were repaired.
    pub total: usize,
    /// Of these, replies that were there from an earlier run.
    pub kept: usize,
    /// Replies that were cut off at their limit, of which only what was whole is used.
    pub cut_off: usize,
    /// Replies that were asked for once more because of their form.
    pub repaired: usize,
    /// Tokens of prompts and replies, those of kept replies too.
    pub tokens: u64,
    /// What they cost, those of kept replies too, as far as it is known.
    pub cost: f64,
    /// Replies of which nobody knows what they cost.
    pub without_price: usize,
}

/// How often the right option is the longest: who takes the longest is right so often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Longest {
    /// Questions.
    pub questions: usize,
    /// Share of them; where several are longest, by chance among these. 0.25 gives nothing away.
    pub accuracy: f64,
}

/// What was done: `report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was made.
    pub kind: Kind,
    /// Every chunk was asked about.
    pub complete: bool,
    /// Documents of the corpus.
    pub documents: usize,
    /// Chunks of the corpus.
    pub chunks: usize,
    /// Chunks that have no questions because of what came between.
    pub failed_chunks: usize,
    /// These, by what it was.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub obstacles: BTreeMap<Obstacle, usize>,
    /// Chunks about which the model wrote no question.
    pub silent_chunks: usize,
    /// Chunks that were not asked about yet.
    pub chunks_left: usize,
    /// Questions that the model wrote: rows and rejected ones.
    pub drafts: usize,
    /// Rows.
    pub rows: usize,
    /// Rows on each side.
    pub sides: BTreeMap<Side, usize>,
    /// Questions that were left out, by reason.
    pub rejected: BTreeMap<Reason, usize>,
    /// How often each letter is right.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions: BTreeMap<String, usize>,
    /// Whether the length of options gives the right one away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<Longest>,
    /// What the replies took.
    pub replies: Replies,
    /// The prompt.
    pub prompt: String,
    /// The model.
    pub model: String,
    /// The settings, as used.
    pub settings: Settings,
}
