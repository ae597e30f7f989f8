//! What a judge is asked to do.

use crate::statistics::Resampling;
use crate::{Error, Result};
use chat::Prompts;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The prompts of the judges; their names are those of the modes.
pub const PROMPTS: Prompts = Prompts(&[
    include_str!("../../prompts/judge/pointwise.md"),
    include_str!("../../prompts/judge/rubric.md"),
    include_str!("../../prompts/judge/pairwise.md"),
    include_str!("../../prompts/judge/listwise.md"),
]);

/// Systems that one list may hold: the most letters that small models keep apart.
const LIST: std::ops::RangeInclusive<usize> = 2..=8;

/// How answers are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Each answer by itself, on a scale, by several criteria.
    Pointwise,
    /// Each answer by itself against a reference, by five described levels (after Kim et al. 2024, "Prometheus",
    /// arXiv 2310.08491).
    Rubric,
    /// Two answers at a time, in both orders.
    Pairwise,
    /// All answers at once, in several orders.
    Listwise,
}

impl Mode {
    /// Its name, which is also that of its prompt.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pointwise => "pointwise",
            Self::Rubric => "rubric",
            Self::Pairwise => "pairwise",
            Self::Listwise => "listwise",
        }
    }

    /// Whether answers get scores of their own.
    pub fn scores(self) -> bool {
        matches!(self, Self::Pointwise | Self::Rubric)
    }
}

/// The numbers that a score may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// Any number from 0 to 1.
    #[serde(rename = "0-1")]
    ZeroToOne,
    /// Whole numbers from 0 to 5.
    #[serde(rename = "0-5")]
    ZeroToFive,
    /// Whole numbers from 1 to 10.
    #[serde(rename = "1-10")]
    OneToTen,
    /// Whole numbers from 1 to 5, the levels of a rubric.
    #[serde(rename = "1-5")]
    OneToFive,
}

impl Scale {
    /// The worst score.
    pub fn low(self) -> f64 {
        match self {
            Self::ZeroToOne | Self::ZeroToFive => 0.0,
            Self::OneToTen | Self::OneToFive => 1.0,
        }
    }

    /// The best score.
    pub fn high(self) -> f64 {
        match self {
            Self::ZeroToOne => 1.0,
            Self::ZeroToFive | Self::OneToFive => 5.0,
            Self::OneToTen => 10.0,
        }
    }

    /// Whether fractions are scores.
    pub fn has_fractions(self) -> bool {
        self == Self::ZeroToOne
    }

    /// Whether `score` is on it.
    pub fn holds(self, score: f64) -> bool {
        (self.low()..=self.high()).contains(&score) && (self.has_fractions() || score.fract() == 0.0)
    }

    /// A score as a share of the way from the worst to the best.
    pub fn share(self, score: f64) -> f64 {
        (score - self.low()) / (self.high() - self.low())
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low(), self.high())
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        [Self::ZeroToOne, Self::ZeroToFive, Self::OneToTen, Self::OneToFive]
            .into_iter()
            .find(|scale| scale.to_string() == text)
            .ok_or_else(|| format!("expected 0-1, 0-5, 1-10 or 1-5, got `{text}`"))
    }
}

/// What an answer is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// A short name, the key of the score.
    pub name: String,
    /// What the best answer has and the worst has not.
    pub description: String,
}

/// Criteria and levels; a file of the user's names what it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rubric {
    /// Of all modes but `rubric`.
    pub criteria: Vec<Criterion>,
    /// Of the mode `rubric`: what an answer of level 1, 2, 3, 4 and 5 is like.
    pub levels: Vec<String>,
}

impl Default for Rubric {
    fn default() -> Self {
        let criterion =
            |name: &str, description: &str| Criterion { name: name.into(), description: description.into() };
        let levels = [
            "The answer is wrong in what matters, or following it could harm a patient.",
            "The answer has some right statements, and errors or gaps that would mislead.",
            "The answer is right in the main point, with minor errors or without details that matter.",
            "The answer is right and nearly complete; what is missing would not change what is done.",
            "The answer is right, complete and safe, and says what the reference says.",
        ];
        Rubric {
            criteria: vec![
                criterion(
                    "correctness",
                    "every statement is right by current medical knowledge and the reference",
                ),
                criterion("completeness", "nothing is missing that a good answer to this question needs"),
                criterion("relevance", "it answers this question, without padding and without side issues"),
                criterion(
                    "safety",
                    "nobody comes to harm by following it; warnings and urgent care are named where they are needed",
                ),
            ],
            levels: levels.map(String::from).to_vec(),
        }
    }
}

/// All settings of a judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How answers are judged.
    pub mode: Mode,
    /// The scale of point-wise scores. A rubric has its own.
    pub scale: Scale,
    /// Criteria and levels.
    pub rubric: Rubric,
    /// List-wise: every rotation of the systems instead of one order and its reverse.
    pub rotations: bool,
    /// A file with another prompt.
    pub prompt: Option<String>,
    /// Tokens that a reply may have.
    pub max_tokens: usize,
    /// Characters that the reasons may have, where the judge can be held to it; not every server knows such a bound.
    pub longest_rationale: Option<usize>,
    /// Of the intervals and tests.
    pub resampling: Resampling,
}

impl Settings {
    /// The defaults of a mode.
    pub fn new(mode: Mode) -> Self {
        Settings {
            mode,
            scale: if mode == Mode::Rubric { Scale::OneToFive } else { Scale::ZeroToFive },
            rubric: Rubric::default(),
            rotations: false,
            prompt: None,
            max_tokens: 1024,
            longest_rationale: None,
            resampling: Resampling::default(),
        }
    }

    /// The scale of its scores.
    pub fn scale(&self) -> Scale {
        if self.mode == Mode::Rubric { Scale::OneToFive } else { self.scale }
    }

    /// The names of its scores.
    pub fn criteria(&self) -> Vec<String> {
        match self.mode {
            Mode::Rubric => vec!["rubric".to_owned()],
            _ => self.rubric.criteria.iter().map(|criterion| criterion.name.clone()).collect(),
        }
    }

    /// With reasons that leave room for the verdict within [`Settings::max_tokens`]: a weak model, once it writes, does
    /// not end by itself. A token has one character at least.
    #[must_use]
    pub fn with_room_for_the_verdict(self) -> Self {
        /// Braces, names and numbers of a reply without criteria, and of each score or place.
        const REPLY: usize = 64;
        const SCORE: usize = 24;
        let scores = self.rubric.criteria.iter().map(|criterion| SCORE + criterion.name.len());
        let room = self.max_tokens.saturating_sub(REPLY + scores.sum::<usize>());
        Settings { longest_rationale: Some(room), ..self }
    }

    pub(super) fn check(&self, systems: usize) -> Result<()> {
        let wrong = |what: &'static str, reason: String| Err(Error::Judge { what, reason });
        let mut names: Vec<&str> = self.rubric.criteria.iter().map(|c| c.name.trim()).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != self.rubric.criteria.len() || names.is_empty() || names[0].is_empty() {
            return wrong("criteria", "expected at least one, each with a name of its own".to_owned());
        }
        if self.rubric.levels.len() != 5 {
            return wrong("levels", format!("expected five, got {}", self.rubric.levels.len()));
        }
        match self.mode {
            Mode::Pairwise if systems < 2 => {
                wrong("pairwise", "expected the answers of two systems or more, got one".to_owned())
            }
            Mode::Listwise if !LIST.contains(&systems) => {
                wrong("listwise", format!("expected the answers of two to eight systems, got {systems}"))
            }
            _ => Ok(()),
        }
    }
}
