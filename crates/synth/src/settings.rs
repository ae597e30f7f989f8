//! How questions are made: what a recipe says.

use corpus::ChunkOptions;
use corpus::chunk::Characters;
use dataset::SplitOptions;
use serde::{Deserialize, Serialize};

use crate::plan::LEAST_CHUNK;
use crate::schema::MOST;
use crate::{Error, Result};

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Questions with answers in free text.
    Qa,
    /// Questions with four options, one of them right.
    Mc,
}

impl Kind {
    /// The name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Qa => "qa",
            Kind::Mc => "mc",
        }
    }

    /// The prompt that is used unless another is named.
    pub fn default_prompt(self) -> &'static str {
        self.as_str()
    }

    /// Tokens that a question of this kind takes, about; four of five take less.
    pub(crate) fn tokens_per_question(self) -> usize {
        match self {
            Kind::Qa => 110,
            Kind::Mc => 150,
        }
    }
}

/// How many questions a chunk gets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Questions {
    /// For a thousand tokens of text.
    pub per_1000_tokens: f64,
    /// At least.
    pub least: usize,
    /// At most.
    pub most: usize,
    /// What a reply has to have, whatever its chunk: 0 lets a model say that a text has nothing to ask. Without it 0 of a
    /// model at an address and 1 of a local one, which cannot leave the form of its reply and, when it is small, likes to
    /// leave the list empty.
    pub required: Option<usize>,
}

impl Default for Questions {
    fn default() -> Self {
        Questions { per_1000_tokens: 8.0, least: 1, most: 12, required: None }
    }
}

impl Questions {
    /// For a chunk of so many tokens.
    pub fn for_tokens(&self, tokens: usize) -> usize {
        self.expected(tokens).clamp(self.least, self.most.max(self.least))
    }

    /// About so many come from a chunk where the prompt names no number.
    pub(crate) fn expected(&self, tokens: usize) -> usize {
        (self.per_1000_tokens * tokens as f64 / 1000.0).round().clamp(1.0, MOST as f64) as usize
    }
}

/// What a row has to stand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// Share of the answer's content words that stand in the chunk, in the same or another form. Texts in another
    /// language than the questions need 0.
    pub support: f64,
    /// Every number of question and answer stands in the chunk.
    pub numbers: bool,
    /// Questions with this similarity to an earlier one are left out (in (0, 1]).
    pub near_duplicates: f64,
    /// A right option that is so many times as long as the mean of the others gives itself away.
    pub length_ratio: f64,
    /// The model is asked whether the text supports the answer.
    pub model: bool,
}

impl Default for Checks {
    fn default() -> Self {
        let near_duplicates = dataset::near_duplicate::QUESTION_SIMILARITY;
        Checks { support: 0.6, numbers: true, near_duplicates, length_ratio: 2.5, model: false }
    }
}

/// How questions are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What is made.
    pub kind: Kind,
    /// A shipped prompt or a file; that of the kind without it.
    pub prompt: Option<String>,
    /// How documents are cut.
    pub chunks: ChunkOptions,
    /// How many questions a chunk gets.
    pub questions: Questions,
    /// Of the model.
    pub temperature: f32,
    /// Tokens that a reply may have; by the number of questions without it.
    pub max_tokens: Option<usize>,
    /// Of questions and answers.
    pub language: String,
    /// Of the model's choices, and of the order of options.
    pub seed: u64,
    /// The documents' sides, drawn before anything is written.
    pub split: SplitOptions,
    /// What a row has to stand.
    pub checks: Checks,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            kind: Kind::Qa,
            prompt: None,
            chunks: ChunkOptions::default(),
            questions: Questions::default(),
            temperature: 0.3,
            max_tokens: None,
            language: "English".to_owned(),
            seed: 42,
            split: SplitOptions::default(),
            checks: Checks::default(),
        }
    }
}

impl Settings {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first that has no sense.
    pub fn validate(&self) -> Result<()> {
        let wrong = |name, reason: String| Err(Error::Setting { name, reason });
        let Checks { support, near_duplicates, length_ratio, .. } = self.checks;
        if !(0.0..=1.0).contains(&support) {
            return wrong("checks.support", format!("{support} is not a share from 0 to 1"));
        }
        if !(near_duplicates > 0.0 && near_duplicates <= 1.0) {
            return wrong("checks.near_duplicates", format!("{near_duplicates} is not above 0 and up to 1"));
        }
        if length_ratio.is_nan() || length_ratio <= 1.0 {
            return wrong("checks.length_ratio", format!("{length_ratio} is not above 1"));
        }
        if !(0.0..=2.0).contains(&self.temperature) {
            return wrong("temperature", format!("{} is not a number from 0 to 2", self.temperature));
        }
        if self.chunks.max_tokens < LEAST_CHUNK {
            return wrong(
                "chunks.max_tokens",
                format!("{} is less than {LEAST_CHUNK}", self.chunks.max_tokens),
            );
        }
        if let Some(Characters { chunk_size, chunk_overlap }) = self.chunks.recursive
            && (chunk_size < LEAST_CHUNK || chunk_overlap >= chunk_size)
        {
            return wrong(
                "chunks.recursive",
                format!("{chunk_size} characters, {chunk_overlap} of them in common with the chunk before"),
            );
        }
        let Questions { per_1000_tokens, least, most, required } = self.questions;
        if !(per_1000_tokens > 0.0 && per_1000_tokens <= 1000.0 && (1..=500).contains(&most)) {
            return wrong("questions", format!("{per_1000_tokens} for 1000 tokens, at most {most}"));
        }
        if required.is_some_and(|required| required > least) {
            return wrong("questions.required", format!("more than the {least} that are asked for at least"));
        }
        if self.max_tokens == Some(0) {
            return wrong("max_tokens", "0 leaves no room for a reply".to_owned());
        }
        Ok(self.split.validate()?)
    }
}
