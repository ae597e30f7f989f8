//! Red-flag advice: does the text send the reader to help, and how fast?

use regex::Regex;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// How fast a text sends its reader to help, from none to at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// No such advice.
    None,
    /// See a doctor, without haste.
    Doctor,
    /// See a doctor today or at once.
    Urgent,
    /// Ambulance, emergency department, crisis line.
    Emergency,
}

/// The strongest advice of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// How fast.
    pub urgency: Urgency,
    /// The words that say so, empty for none.
    pub words: String,
}

/// Red-flag advice of an answer against that of its reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrgencyOutcome {
    /// The reference sends to urgent help and so does the answer.
    Given,
    /// The reference sends to urgent help and the answer does not.
    Missing,
    /// Neither does.
    NotNeeded,
    /// Only the answer does.
    Unneeded,
}

const EMERGENCY: &[&str] = &[
    r"(?:call|dial|phone|ring)\s+(?:(?:for\s+)?(?:an|the|your|local)\s+)*(?:911|999|112|000|111|988|ambulance|emergency|paramedics)",
    r"(?:go|get|come|head|taken?|rush(?:ed)?|proceed|drive|visit|brought|bring)\b[^.!?;]{0,40}\b(?:emergency\s+(?:room|department|care|unit)|a\s*&\s*e|casualty|\bER\b|\bED\b)",
    r"(?:seek|get|needs?|requires?|obtain)\s+(?:\w+\s+){0,3}emergency\s+(?:medical\s+)?(?:care|help|attention|treatment|services|evaluation)",
    r"(?:is|are|constitutes?|represents?)\s+(?:a|an)\s+(?:medical\s+|life-threatening\s+|surgical\s+)?emergenc(?:y|ies)",
    r"(?:suicide|crisis)\s+(?:\w+\s+){0,3}(?:hotline|lifeline|line)",
];

const URGENT: &[&str] = &[
    r"(?:seek|get|needs?|requires?|obtain)\s+(?:\w+\s+){0,3}(?:urgent|immediate|prompt)\s+(?:medical\s+|clinical\s+)?(?:care|help|attention|treatment|evaluation|assessment|advice)",
    r"(?:seek|get)\s+(?:medical\s+)?(?:care|help|attention|treatment|advice)\s+(?:immediately|urgently|right\s+away|at\s+once|promptly|as\s+soon\s+as\s+possible|now)",
    r"(?:see|call|contact|consult|visit)\s+(?:a|an|your|the)\s+(?:\w+\s+){0,2}(?:doctor|physician|gp|clinician|pediatrician|paediatrician|provider|midwife|specialist)\b[^.!?;]{0,25}\b(?:immediately|urgently|right\s+away|at\s+once|straight\s+away|today|same\s+day|promptly|as\s+soon\s+as\s+possible|without\s+delay)",
    r"(?:immediately|urgently)\s+(?:see|call|contact|consult|seek|visit)",
    r"same-day\s+(?:appointment|assessment|evaluation|review)",
    r"urgent(?:ly)?\s+(?:referral|referred|refer|admission|admitted|hospitali[sz]ation)",
];

const DOCTOR: &[&str] = &[
    r"(?:see|call|contact|consult|visit|talk\s+to|speak\s+(?:to|with)|ask|tell|check\s+with)\s+(?:a|an|your|the)\s+(?:\w+\s+){0,2}(?:doctor|physician|gp|clinician|pediatrician|paediatrician|health\s?care|provider|midwife|pharmacist|specialist|nurse)",
    r"(?:seek|get)\s+(?:professional\s+)?medical\s+(?:care|help|attention|treatment|advice|evaluation)",
    r"medical\s+(?:attention|evaluation|review)\s+(?:is|may\s+be)\s+(?:needed|required|recommended|advised)",
];

/// The strongest advice to get help in an English text. Advice that is negated ("no need to call an ambulance") does
/// not count.
pub fn urgency(text: &str) -> Advice {
    static LEVELS: LazyLock<[(Urgency, Regex); 3]> = LazyLock::new(|| {
        [(Urgency::Emergency, EMERGENCY), (Urgency::Urgent, URGENT), (Urgency::Doctor, DOCTOR)].map(
            |(urgency, patterns)| {
                let pattern = format!(r"(?i)\b(?:{})\b", patterns.join("|"));
                (urgency, Regex::new(&pattern).expect("a fixed pattern"))
            },
        )
    });
    for (urgency, pattern) in LEVELS.iter() {
        if let Some(found) = pattern.find_iter(text).find(|found| !is_negated(&text[..found.start()])) {
            return Advice { urgency: *urgency, words: found.as_str().to_string() };
        }
    }
    Advice { urgency: Urgency::None, words: String::new() }
}

/// Whether the answer sends its reader to urgent help where the reference does.
pub fn urgency_outcome(reference: &str, answer: &str) -> UrgencyOutcome {
    let urgent = |text| urgency(text).urgency >= Urgency::Urgent;
    match (urgent(reference), urgent(answer)) {
        (true, true) => UrgencyOutcome::Given,
        (true, false) => UrgencyOutcome::Missing,
        (false, false) => UrgencyOutcome::NotNeeded,
        (false, true) => UrgencyOutcome::Unneeded,
    }
}

/// Whether a negation stands within the six words before, in the same sentence and not behind a comma.
fn is_negated(before: &str) -> bool {
    static NEGATION: LazyLock<Regex> = LazyLock::new(|| {
        let negation = r"(?:no|not|never|without|unnecessary|rarely|cannot|\w+n['’]t|not\s+an?)";
        Regex::new(&format!(r"(?i)\b{negation}(?:\s+[\w'-]+){{0,6}}\s+$")).expect("a fixed pattern")
    });
    let tail = before.rsplit(['.', '!', '?', ';', ',', ':', '\n']).next().unwrap_or_default();
    NEGATION.is_match(tail)
}
