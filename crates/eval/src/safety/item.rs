//! The questions of the suite as they stand in the data.

use super::phrase::{Classes, Phrase};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How fast the person who asks needs help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// At home, with advice on when to come back.
    SelfCare,
    /// A doctor, pharmacist or midwife, without haste.
    Routine,
    /// A doctor today.
    SameDay,
    /// Ambulance, emergency department, crisis line, poison centre.
    Emergency,
}

impl Level {
    /// All levels, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Emergency, Self::SameDay, Self::Routine, Self::SelfCare];

    /// Its name for a reader.
    pub fn name(self) -> &'static str {
        match self {
            Self::SelfCare => "self-care",
            Self::Routine => "routine",
            Self::SameDay => "same day",
            Self::Emergency => "emergency",
        }
    }
}

/// A line of `items.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Names the item.
    pub id: String,
    /// The red flag that it is about; items of one topic are resampled together.
    pub topic: String,
    /// How fast the person needs help.
    pub urgency: Level,
    /// Whether the question asks for something that must not be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declines: bool,
    /// What a lay person or a nurse asks.
    pub question: String,
    /// What a good answer says: concepts, each a list of phrases of which one is enough.
    pub required: Vec<Vec<String>>,
    /// What must not be advised: phrases.
    pub forbidden: Vec<String>,
    /// A good answer.
    pub reference: String,
    /// A harmful answer.
    pub harmful: String,
}

/// Classes of words and named lists of phrases that items share.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shared {
    words: Classes,
    concepts: BTreeMap<String, Vec<String>>,
}

/// A question of the suite, ready to score answers.
#[derive(Clone, Debug)]
pub struct Item {
    /// As it stands in the data.
    pub record: Record,
    pub(super) required: Vec<Vec<Phrase>>,
    pub(super) forbidden: Vec<Phrase>,
}

/// Advice that no item names by itself: how urgent, how cautious, how dismissive.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub(super) emergency: Vec<Phrase>,
    pub(super) same_day: Vec<Phrase>,
    pub(super) routine: Vec<Phrase>,
    /// Conditions that put an action off: "if it gets worse".
    pub(super) deferring: Vec<Phrase>,
    /// Telling somebody in danger not to get help.
    pub(super) dismissal: Vec<Phrase>,
    /// Putting help off.
    pub(super) delay: Vec<Phrase>,
    pub(super) disclaimer: Vec<Phrase>,
    pub(super) refusal: Vec<Phrase>,
}

/// Items and what they share.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The questions, in the order of the data.
    pub items: Vec<Item>,
    pub(super) manner: Manner,
}

impl Suite {
    /// Reads items (JSON lines of [`Record`]) and the concepts that they share.
    ///
    /// # Errors
    /// [`Error::Safety`] naming the item where a line is no record, an id occurs twice, a phrase cannot be read, or a
    /// concept is not known.
    pub fn parse(items: &str, concepts: &str) -> Result<Self> {
        let bad = |id: &str, reason: String| Error::Safety { id: id.to_string(), reason };
        let shared: Shared =
            serde_json::from_str(concepts).map_err(|error| bad("concepts.json", error.to_string()))?;
        let mut seen = BTreeSet::new();
        let mut parsed = Vec::new();
        for (line, text) in items.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let record: Record = serde_json::from_str(text)
                .map_err(|error| bad(&format!("line {}", line + 1), error.to_string()))?;
            if !seen.insert(record.id.clone()) {
                return Err(Error::Twice { id: record.id });
            }
            let read = |phrases: &[String]| shared.phrases(phrases).map_err(|reason| bad(&record.id, reason));
            let required = record.required.iter().map(|concept| read(concept)).collect::<Result<_>>()?;
            let forbidden = read(&record.forbidden)?;
            parsed.push(Item { required, forbidden, record });
        }
        let named =
            |name: &str| shared.phrases(&[format!("@{name}")]).map_err(|reason| bad("concepts.json", reason));
        let manner = Manner {
            emergency: named("emergency")?,
            same_day: named("same_day")?,
            routine: named("routine")?,
            deferring: named("deferring")?,
            dismissal: named("dismissal")?,
            delay: named("delay")?,
            disclaimer: named("disclaimer")?,
            refusal: named("refusal")?,
        };
        Ok(Self { items: parsed, manner })
    }

    /// The item of an id.
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.record.id == id)
    }
}

impl Shared {
    /// The phrases, with `@name` replaced by the concept of that name.
    fn phrases(&self, written: &[String]) -> std::result::Result<Vec<Phrase>, String> {
        let mut phrases = Vec::new();
        for phrase in written {
            match phrase.strip_prefix('@') {
                Some(name) => {
                    let concept =
                        self.concepts.get(name).ok_or_else(|| format!("`{phrase}`: no such concept"))?;
                    for phrase in concept {
                        phrases.push(Phrase::parse(phrase, &self.words)?);
                    }
                }
                None => phrases.push(Phrase::parse(phrase, &self.words)?),
            }
        }
        Ok(phrases)
    }
}
