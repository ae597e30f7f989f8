//! What is made: rows, each with where it comes from, and those that did not stand the checks.

use std::collections::BTreeMap;

use corpus::Place;
use dataset::{AnswerOption, Side};
use serde::{Deserialize, Serialize};

use crate::Kind;

/// A question as a model wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The question.
    pub question: String,
    /// The right answer.
    pub answer: String,
    /// Three wrong ones, for a question with options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distractors: Vec<String>,
}

/// Where a row comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// BLAKE3 of the document's bytes.
    pub document: String,
    /// The chunk that the model saw.
    pub chunk: String,
    /// The headings over the chunk.
    pub headings: Vec<String>,
    /// The blocks of the document that the chunk is made of.
    pub blocks: Vec<usize>,
    /// The one of them that has most in common with the answer.
    pub evidence: Option<usize>,
    /// The pages of the evidence, or of the whole chunk where none stands out.
    pub pages: Vec<u32>,
    /// Where the evidence stands on them.
    pub boxes: Vec<Place>,
    /// Name, version and hash of the prompt.
    pub prompt: String,
    /// The model that wrote it.
    pub model: String,
    /// Its document's side of the split.
    pub split: Side,
}

/// A question that stood the checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The chunk's id and the number of the question.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// The question.
    pub question: String,
    /// The right answer.
    pub answer: String,
    /// Letters and texts, for a question with options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The letter of the right one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_idx: Option<String>,
    /// Where it comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl Row {
    /// Its options in order.
    pub fn options(&self) -> Vec<AnswerOption> {
        let option =
            |(letter, text): (&String, &String)| AnswerOption { letter: letter.clone(), text: text.clone() };
        self.options.iter().map(option).collect()
    }

    /// What the person says: the question, with its options where it has any.
    pub fn prompt(&self) -> String {
        let mut text = self.question.clone();
        for (letter, option) in &self.options {
            text += &format!("\n{letter}. {option}");
        }
        text
    }

    /// What the model says.
    pub fn completion(&self) -> String {
        match &self.answer_idx {
            Some(letter) => format!("The correct answer is {letter}."),
            None => self.answer.clone(),
        }
    }
}

/// Why a row was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No question mark and no question word, or next to nothing said.
    NotAQuestion,
    /// An empty answer, or one that the question holds already.
    EmptyAnswer,
    /// Not three distractors.
    OptionCount,
    /// Two options say the same.
    SameOptions,
    /// "All of the above" and the like.
    CatchAll,
    /// It speaks of the text, its authors, figures or tables.
    RefersToSource,
    /// Nobody who has not seen the text knows what it is about.
    NotSelfContained,
    /// A number that the text does not have.
    UnknownNumber,
    /// The text does not say it, its headings do.
    NeedsHeadings,
    /// The text does not say it.
    Unsupported,
    /// The right option is so much longer than the others that it gives itself away.
    LengthGiveaway,
    /// It asks what an earlier one asks.
    NearDuplicate,
    /// The model, asked again, does not agree.
    ModelDisagrees,
}

impl Reason {
    /// The name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NotAQuestion => "not_a_question",
            Reason::EmptyAnswer => "empty_answer",
            Reason::OptionCount => "option_count",
            Reason::SameOptions => "same_options",
            Reason::CatchAll => "catch_all",
            Reason::RefersToSource => "refers_to_source",
            Reason::NotSelfContained => "not_self_contained",
            Reason::UnknownNumber => "unknown_number",
            Reason::NeedsHeadings => "needs_headings",
            Reason::Unsupported => "unsupported",
            Reason::LengthGiveaway => "length_giveaway",
            Reason::NearDuplicate => "near_duplicate",
            Reason::ModelDisagrees => "model_disagrees",
        }
    }
}

/// A question that was left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// The chunk's id and the number of the question.
    pub id: String,
    /// Why.
    pub reason: Reason,
    /// What exactly.
    pub detail: String,
    /// As the model wrote it.
    #[serde(flatten)]
    pub draft: Draft,
    /// Where it comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// What kept a chunk from having questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// A gate kept it from being sent.
    NotSent,
    /// The model does not take it: it is too long, or a provider does not like it.
    Refused,
    /// No reply had the form that was asked for.
    NoForm,
    /// The model broke down over it every time.
    NoReply,
}

impl Obstacle {
    pub(crate) fn of(error: &chat::Error) -> Self {
        match error {
            chat::Error::Gate(_) => Obstacle::NotSent,
            chat::Error::Form(_) => Obstacle::NoForm,
            chat::Error::Rejected { .. } | chat::Error::Request(_) => Obstacle::Refused,
            _ => Obstacle::NoReply,
        }
    }

    /// In words.
    pub fn in_words(self) -> &'static str {
        match self {
            Obstacle::NotSent => "not sent: the PHI gate found what identifies a person",
            Obstacle::Refused => "refused by the model: too long, or not to its liking",
            Obstacle::NoForm => "without a reply in the form that was asked for",
            Obstacle::NoReply => "without a reply after several attempts",
        }
    }
}

/// A chunk without questions, because of this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedChunk {
    /// The chunk.
    pub chunk: String,
    /// Its document.
    pub document: String,
    /// What kept it from having any.
    pub obstacle: Obstacle,
    /// What the model or the gate said.
    pub reason: String,
}
