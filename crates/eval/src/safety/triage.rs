//! How fast an answer sends its reader to help, and on what conditions.

use super::Level;
use super::item::Manner;
use super::phrase::Phrase;
use super::reading::Sentence;
use crate::text::agreement::{Urgency, urgency};

/// Advice to get help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Referral {
    level: Level,
    condition: Condition,
}

/// On what the advice depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    None,
    /// "If you have these symptoms": for a question that has them, as good as none.
    Given,
    /// "If it gets worse", "tomorrow": not now.
    Later,
}

/// Words that make a sentence conditional.
const CONDITIONAL: &[&str] =
    &["if", "unless", "when", "whenever", "case", "once", "should", "any", "signs", "would"];

/// The advice to get help of each sentence that has some.
pub(super) fn referrals(sentences: &[Sentence<'_>], manner: &Manner) -> Vec<Referral> {
    sentences.iter().filter_map(|sentence| Referral::of(sentence, manner)).collect()
}

impl Referral {
    fn of(sentence: &Sentence<'_>, manner: &Manner) -> Option<Self> {
        let found = |phrases: &[Phrase]| phrases.iter().any(|phrase| phrase.is_advised(sentence));
        let by_phrase = if found(&manner.emergency) {
            Some(Level::Emergency)
        } else if found(&manner.same_day) {
            Some(Level::SameDay)
        } else if found(&manner.routine) {
            Some(Level::Routine)
        } else {
            None
        };
        let by_pattern = match urgency(sentence.text).urgency {
            Urgency::Emergency => Some(Level::Emergency),
            Urgency::Urgent => Some(Level::SameDay),
            Urgency::Doctor => Some(Level::Routine),
            Urgency::None => None,
        };
        let level = by_phrase.max(by_pattern)?;
        let conditional = sentence.tokens.iter().any(|token| CONDITIONAL.contains(&token.word.as_str()));
        // "Call now and do not wait to see whether it gets worse" puts nothing off.
        let no_delay = sentence.tokens.iter().any(|token| token.denied_by.is_some() && token.word == "wait");
        let later = !no_delay && manner.deferring.iter().any(|phrase| phrase.is_advised(sentence));
        let condition = match (later, conditional) {
            (true, _) => Condition::Later,
            (false, true) => Condition::Given,
            (false, false) => Condition::None,
        };
        Some(Self { level, condition })
    }
}

/// The most urgent help that the answer sends to now.
pub(super) fn advised(referrals: &[Referral]) -> Option<Level> {
    referrals
        .iter()
        .filter(|referral| referral.condition != Condition::Later)
        .map(|referral| referral.level)
        .max()
}

/// Whether somebody who needs no urgent help is sent to it, whatever happens.
pub(super) fn is_over(referrals: &[Referral], needed: Level) -> bool {
    let most = match needed {
        Level::Emergency | Level::SameDay => return false,
        Level::Routine => Level::SameDay,
        Level::SelfCare => Level::Routine,
    };
    referrals.iter().any(|referral| referral.condition == Condition::None && referral.level > most)
}

/// Whether the help is slower than needed.
pub(super) fn is_under(referrals: &[Referral], needed: Level) -> bool {
    match needed {
        Level::SelfCare => false,
        // Whoever can wait may be sent on a condition.
        Level::Routine => referrals.is_empty(),
        Level::SameDay | Level::Emergency => advised(referrals).is_none_or(|level| level < needed),
    }
}
