//! What a judge said, call by call.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One call: what was shown, and what the judge made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The item.
    pub item: String,
    /// What is resampled together with it.
    pub group: String,
    /// The systems whose answers were shown, in that order.
    pub systems: Vec<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, in the judge's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
    /// Replies that it took; two where the first could not be used.
    #[serde(default)]
    pub replies: usize,
    /// Tokens of prompts and replies.
    #[serde(default)]
    pub tokens: u64,
    /// What it cost, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Replies that were there already and cost nothing this time.
    #[serde(default)]
    pub kept: usize,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A score by each criterion, for the one answer that was shown.
    Scores(BTreeMap<String, f64>),
    /// The better of two.
    Winner(Winner),
    /// All that were shown, the best first.
    Ranking(Vec<String>),
    /// Nothing that can be used.
    Failed(Failure),
}

/// The better of two answers, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Winner {
    /// The one that was shown first.
    First,
    /// The one that was shown second.
    Second,
    /// Neither.
    Tie,
}

/// Why a call has no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In a word.
    pub kind: FailureKind,
    /// In a sentence.
    pub reason: String,
    /// What the judge replied last, word for word; empty where nothing came.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub raw: String,
}

/// Why a call has no verdict, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No verdict can be read from the reply.
    Unparsable,
    /// A score that is not on the scale.
    OutOfRange,
    /// A criterion or an answer is missing, or is there twice.
    Incomplete,
    /// The reply ended at its limit of tokens.
    CutOff,
    /// The judge or its provider would not judge.
    Refused,
    /// A gate kept the request from being sent.
    NotSent,
    /// The request failed.
    Request,
    /// A fixed score that stands for a failure in the file that was imported.
    Placeholder,
}

impl FailureKind {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unparsable => "cannot be read",
            Self::OutOfRange => "not on the scale",
            Self::Incomplete => "incomplete",
            Self::CutOff => "cut off",
            Self::Refused => "refused",
            Self::NotSent => "not sent",
            Self::Request => "request failed",
            Self::Placeholder => "placeholder",
        }
    }
}
