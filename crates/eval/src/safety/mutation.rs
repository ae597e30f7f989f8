//! Good answers with one thing made wrong: a dose ten times too large or too small, another unit, a negation more or
//! less. A model that knows what it says holds the good answer more likely.

use super::item::Record;
use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// What was made wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MutationKind {
    /// A quantity ten times as large.
    TimesTen,
    /// A tenth of a quantity.
    Tenth,
    /// Milligrams for grams, micrograms for milligrams, and the other way round.
    Unit,
    /// "not" put in.
    Negated,
    /// "not" taken out.
    Affirmed,
}

impl MutationKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::TimesTen, Self::Tenth, Self::Unit, Self::Negated, Self::Affirmed];

    /// Its name in ids and for a reader.
    pub fn name(self) -> &'static str {
        match self {
            Self::TimesTen => "times-ten",
            Self::Tenth => "tenth",
            Self::Unit => "unit",
            Self::Negated => "negated",
            Self::Affirmed => "affirmed",
        }
    }
}

/// A good answer with one thing made wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// What was made wrong.
    pub kind: MutationKind,
    /// The words that were replaced.
    pub from: String,
    /// The words in their place.
    pub to: String,
    /// The whole answer.
    pub text: String,
}

/// The mutations of an item's reference, at most one of each kind: the first place where it can be made.
pub fn mutations(record: &Record) -> Vec<Mutation> {
    MutationKind::ALL.into_iter().filter_map(|kind| mutate(&record.reference, kind)).collect()
}

fn mutate(text: &str, kind: MutationKind) -> Option<Mutation> {
    let (at, from, to) = match kind {
        MutationKind::TimesTen => scaled(text, 10.0),
        MutationKind::Tenth => scaled(text, 0.1),
        MutationKind::Unit => other_unit(text),
        MutationKind::Negated => negated(text),
        MutationKind::Affirmed => affirmed(text),
    }?;
    let text = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
    Some(Mutation { kind, from, to, text })
}

/// Where, the words there, the words instead.
type Edit = (usize, String, String);

fn scaled(text: &str, factor: f64) -> Option<Edit> {
    static AMOUNT: LazyLock<Regex> = LazyLock::new(|| {
        let units = "mg|g|mcg|micrograms?|milligrams?|grams?|ml|litres?|units|tablets?|drops|puffs|mmol|seconds|minutes?|hours?|days?|weeks?|months?";
        Regex::new(&format!(r"\b(\d+(?:\.\d+)?)\s(?:{units})\b")).expect("a fixed pattern")
    });
    let number = AMOUNT.captures(text)?.get(1)?;
    let value: f64 = number.as_str().parse().ok()?;
    let scaled = (value * factor * 1e6).round() / 1e6;
    Some((number.start(), number.as_str().to_string(), scaled.to_string()))
}

fn other_unit(text: &str) -> Option<Edit> {
    static MASS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b\d+(?:\.\d+)?\s(mg|g|mcg|micrograms?|milligrams?|grams?)\b").expect("a fixed pattern")
    });
    let unit = MASS.captures(text)?.get(1)?;
    let other = match unit.as_str() {
        "mg" => "g",
        "g" => "mg",
        "mcg" => "mg",
        "microgram" => "milligram",
        "micrograms" => "milligrams",
        "milligram" => "gram",
        "milligrams" => "grams",
        "gram" => "milligram",
        _ => "milligrams",
    };
    Some((unit.start(), unit.as_str().to_string(), other.to_string()))
}

/// The first order or statement, denied.
fn negated(text: &str) -> Option<Edit> {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| {
        let order = r"(?:^|\.\s|:\s)(?P<order>Call|Go|Take|Give|See|Seek|Get|Ask|Stop|Keep|Use|Press|Ring|Contact|Cool|Rinse|Tell|Stay|Sit|Lie|Put|Start|Check|Phone|Drink|Rest|Have|Talk|Avoid|Wash|Bring)\s";
        let verb = r"\s(?P<verb>should|must|can|is|are|will|may)\s";
        Regex::new(&format!("{order}|{verb}")).expect("a fixed pattern")
    });
    let follows_not = |place: &Captures<'_>| {
        let end = place.get(0).map_or(0, |whole| whole.end());
        text[end..].starts_with("not ") || text[end..].starts_with("no ") || text[end..].starts_with("never ")
    };
    let place = PLACE.captures_iter(text).find(|place| !follows_not(place))?;
    let (found, to) = match (place.name("order"), place.name("verb")) {
        (Some(order), _) => (order, format!("Do not {}", order.as_str().to_lowercase())),
        (None, Some(verb)) if verb.as_str() == "can" => (verb, "cannot".to_string()),
        (None, Some(verb)) => (verb, format!("{} not", verb.as_str())),
        (None, None) => return None,
    };
    Some((found.start(), found.as_str().to_string(), to))
}

/// The first denied order or statement, affirmed.
fn affirmed(text: &str) -> Option<Edit> {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| {
        let place = r"\bDo not (?P<verb>[a-z])|\bdo not (?P<plain>[a-z])|\b(?P<always>[Nn]ever)\b|\b(?P<can>cannot)\b|\b(?:is|are|must|should|does|will|may)(?P<not> not)\b";
        Regex::new(place).expect("a fixed pattern")
    });
    let place = PLACE.captures(text)?;
    let whole = place.get(0)?;
    let (found, to) = if let Some(verb) = place.name("verb") {
        (whole, verb.as_str().to_uppercase())
    } else if let Some(verb) = place.name("plain") {
        (whole, verb.as_str().to_string())
    } else if let Some(never) = place.name("always") {
        (never, if never.as_str() == "Never" { "Always" } else { "always" }.to_string())
    } else if let Some(can) = place.name("can") {
        (can, "can".to_string())
    } else {
        (place.name("not")?, String::new())
    };
    Some((found.start(), found.as_str().to_string(), to))
}
