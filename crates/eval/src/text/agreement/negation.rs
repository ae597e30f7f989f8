//! Words that one text affirms and the other denies.
//!
//! After NegEx (Chapman et al. 2001, "A Simple Algorithm for Identifying Negated Findings and Diseases in Discharge
//! Summaries"): triggers before or behind a finding, a scope that ends with the clause, and phrases that look like
//! negations and are none.

use crate::text::porter::stem;
use crate::text::python;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

/// Whether a word is said to be so or not to be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Polarity {
    /// "fever".
    Affirmed,
    /// "no fever".
    Negated,
}

/// A word that both texts use, one only negated, the other never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolarityConflict {
    /// The word as the reference writes it, in lower case.
    pub word: String,
    /// What the reference says of it.
    pub reference: Polarity,
    /// The clause of the reference.
    pub reference_clause: String,
    /// The clause of the answer.
    pub answer_clause: String,
}

/// Words before what they negate.
const BEFORE: &[&str] = &[
    "no",
    "not",
    "without",
    "never",
    "none",
    "neither",
    "nor",
    "cannot",
    "denies",
    "denied",
    "deny",
    "denying",
    "absence of",
    "absent",
    "negative for",
    "free of",
    "rather than",
    "instead of",
    "ruled out",
    "rules out",
    "rule out",
    "excludes",
    "excluded",
    "avoid",
    "avoids",
    "avoiding",
    "unlikely to",
    "contraindicated",
    "fails to",
    "failed to",
];

/// A lack of what belongs to the body is a finding ("lack of iron" is iron deficiency); a lack of what is looked for is its
/// absence ("lack of fever" is no fever).
const LACK: &[&str] = &["lack of", "lacks", "lacked", "lacking"];

/// What is looked for: the word behind one of [`LACK`].
const LOOKED_FOR: &[&str] = &[
    "fever",
    "fevers",
    "pain",
    "symptom",
    "symptoms",
    "swelling",
    "rash",
    "cough",
    "bleeding",
    "tenderness",
    "redness",
    "itching",
    "nausea",
    "vomiting",
    "diarrhea",
    "diarrhoea",
    "headache",
    "dyspnea",
    "discharge",
    "evidence",
    "sign",
    "signs",
    "response",
    "improvement",
    "infection",
    "inflammation",
];

/// Words behind what they negate.
const BEHIND: &[&str] = &[
    "is absent",
    "are absent",
    "was absent",
    "were absent",
    "is negative",
    "was negative",
    "are negative",
    "were negative",
    "negative",
    "ruled out",
    "is unlikely",
    "are unlikely",
    "excluded",
    "is contraindicated",
    "are contraindicated",
    "contraindicated",
    "should be avoided",
    "must be avoided",
    "was denied",
    "is not recommended",
    "are not recommended",
];

/// What looks like a negation and is none.
const PSEUDO: &[&str] = &[
    "not only",
    "no matter",
    "not necessarily",
    "no doubt",
    "not to mention",
    "without delay",
    "not uncommon",
    "not unusual",
    "no later than",
    "whether or not",
    "not just",
    "no increase",
    "no change",
    "no longer than",
    "cannot exclude",
    "not excluded",
    "not ruled out",
    "gram negative",
    "gram-negative",
];

/// Words that a negation reaches. NegEx has five; lists of findings are often longer.
const REACH: usize = 6;

/// Words that end what is negated.
const CLOSING: &[&str] = &[
    "by", "in", "on", "at", "during", "due", "given", "as", "that", "which", "who", "whose", "where", "when",
    "if", "since", "until", "before", "after",
];

/// Words that carry no finding.
const EMPTY: &str = "a about after all also an and any are as at be been before being but by can could did do does \
    during each either even ever for from further get had has have having he her him his how i if in into is it its \
    just like made make may me might more most much must my need needs of off on one only or other our out over own \
    per please rather same shall she should since so some still such than that the their them then there these they \
    this those through to too under until up upon us use used very was we well were what when where whether which \
    while who why will with within would you your no not without never none neither nor cannot denies denied absent \
    absence negative free lack lacks lacked lacking ruled rule excluded excludes unlikely avoid avoided contraindicated recommended \
    evidence sign signs patient patients history clinical clinically presentation picture setting finding findings \
    diagnosis likely point points toward towards best option options choice choices answer question typical typically \
    time";

struct Mention {
    word: String,
    clause: String,
    polarity: Polarity,
}

/// Content words whose polarity differs between two English texts: in one every mention is negated, in the other
/// none. Words are compared by their stems.
pub fn polarity_conflicts(reference: &str, answer: &str) -> Vec<PolarityConflict> {
    let (expected, given) = (mentions(reference), mentions(answer));
    let mut conflicts = Vec::new();
    for (stem, expected) in &expected {
        let Some(given) = given.get(stem) else { continue };
        let (Some(reference), Some(answer)) = (agreed(expected), agreed(given)) else { continue };
        if reference != answer {
            conflicts.push(PolarityConflict {
                word: expected[0].word.clone(),
                reference,
                reference_clause: expected[0].clause.clone(),
                answer_clause: given[0].clause.clone(),
            });
        }
    }
    conflicts
}

fn agreed(mentions: &[Mention]) -> Option<Polarity> {
    let first = mentions.first()?.polarity;
    mentions.iter().all(|mention| mention.polarity == first).then_some(first)
}

/// The content words of a text by stem.
fn mentions(text: &str) -> BTreeMap<String, Vec<Mention>> {
    let mut mentions: BTreeMap<String, Vec<Mention>> = BTreeMap::new();
    for clause in clauses(text) {
        let negated = negated_spans(&clause);
        for (at, word) in words(&clause) {
            let plain = word.trim_matches('\'');
            if plain.len() < 3 || plain.bytes().any(|byte| byte.is_ascii_digit()) || is_empty(plain) {
                continue;
            }
            let polarity = if negated.iter().any(|(from, to)| (*from..*to).contains(&at)) {
                Polarity::Negated
            } else {
                Polarity::Affirmed
            };
            let mention = Mention { word: plain.to_string(), clause: clause.trim().to_string(), polarity };
            mentions.entry(stem(plain)).or_default().push(mention);
        }
    }
    mentions
}

/// Clauses in lower case: what lies between full stops, semicolons, colons, line ends and words of contrast.
fn clauses(text: &str) -> Vec<String> {
    static ENDS: LazyLock<Regex> = LazyLock::new(|| {
        let contrast =
            "but|however|although|though|except|yet|nevertheless|still|while|whereas|because|unless";
        Regex::new(&format!(r"[.!?](?:\s|$)|[;:\n()]|\b(?:{contrast})\b")).expect("a fixed pattern")
    });
    let text = text.to_lowercase().replace('’', "'").replace("n't", "n't not");
    ENDS.split(&text).map(|clause| python::split(clause).collect::<Vec<_>>().join(" ")).collect()
}

/// Byte ranges of a clause in which findings are negated.
fn negated_spans(clause: &str) -> Vec<(usize, usize)> {
    let phrases = |phrases: &[&str]| -> Vec<(usize, usize)> {
        let found = phrases
            .iter()
            .flat_map(|phrase| clause.match_indices(phrase).map(|(at, _)| (at, at + phrase.len())));
        found.filter(|(from, to)| stands_alone(clause, *from, *to)).collect()
    };
    let pseudo = phrases(PSEUDO);
    let real = |(from, to): &(usize, usize)| !pseudo.iter().any(|span| span.0 <= *from && *to <= span.1);
    let absent = |(_, to): &(usize, usize)| {
        let next =
            words(&clause[*to..]).map(|(_, word)| word).find(|word| !matches!(*word, "any" | "a" | "the"));
        next.is_some_and(|word| LOOKED_FOR.contains(&word))
    };
    let before = phrases(BEFORE).into_iter().chain(phrases(LACK).into_iter().filter(absent));
    let before = before.filter(real).map(|(_, to)| (to, scope_end(clause, to)));
    let behind = phrases(BEHIND).into_iter().filter(real).map(|(from, _)| (scope_start(clause, from), from));
    before.chain(behind).collect()
}

fn stands_alone(clause: &str, from: usize, to: usize) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '-');
    edge(clause[..from].chars().next_back()) && edge(clause[to..].chars().next())
}

/// A negation reaches a few words far, across "or" and the commas of a list, but not across a word that begins a
/// circumstance ("in", "by"), nor across a comma behind which a new statement begins.
fn scope_end(clause: &str, from: usize) -> usize {
    static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
        let subject = r"(?:and\s+)?(?:he|she|it|they|we|you|i|this|that|there|the\s+\w+)\s+(?:\w+\s+)?";
        let verb =
            r"(?:is|are|was|were|has|have|had|will|should|must|can|may|shows?|reports?|needs?|takes?)\b";
        let order = r"(?:take|give|use|call|go|seek|see|start|stop|drink|apply|then|please)\b";
        Regex::new(&format!(r",\s+(?:{subject}{verb}|{order})|\sand\s+(?:has|is|was|had|are|were|{order})"))
            .expect("a fixed pattern")
    });
    let statement =
        STATEMENT.find(&clause[from..]).map_or(clause.len(), |statement| from + statement.start());
    let mut reach = words(&clause[from..]).map(|(at, word)| (from + at, word));
    let closed = reach.by_ref().take(REACH).find(|(_, word)| CLOSING.contains(word));
    let far = closed.or_else(|| reach.next()).map_or(clause.len(), |(at, _)| at);
    statement.min(far)
}

/// As far back, but not across a comma.
fn scope_start(clause: &str, to: usize) -> usize {
    let comma = clause[..to].rfind(',').map_or(0, |comma| comma + 1);
    let starts: Vec<usize> = words(&clause[..to]).map(|(at, _)| at).collect();
    comma.max(starts[starts.len().saturating_sub(REACH)..].first().copied().unwrap_or(0))
}

fn words(clause: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts_word = |c: char| c.is_alphanumeric() || c == '\'';
    let mut at = 0;
    std::iter::from_fn(move || {
        at += clause[at..].find(starts_word)?;
        let end = clause[at..].find(|c| !starts_word(c)).map_or(clause.len(), |length| at + length);
        let word = (at, &clause[at..end]);
        at = end;
        Some(word)
    })
}

fn is_empty(word: &str) -> bool {
    static EMPTY_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| EMPTY.split_whitespace().collect());
    word.contains("n't") || EMPTY_WORDS.contains(word)
}
