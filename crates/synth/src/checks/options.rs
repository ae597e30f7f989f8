//! The four options of a question.

use crate::settings::Checks;
use crate::text::words;
use crate::{Draft, Reason};

use super::Objection;

/// Options that speak of the other options.
const CATCH_ALL: [&str; 10] = [
    "all of the above",
    "none of the above",
    "all of these",
    "none of these",
    "both a and b",
    "a and b",
    "all the above",
    "alle genannten",
    "keine der genannten",
    "keines davon",
];
/// Shorter answers give nothing away by their length.
const SHORT: usize = 30;

pub(super) fn objection(draft: &Draft, checks: &Checks) -> Option<Objection> {
    if draft.distractors.len() != 3 {
        let count = draft.distractors.len();
        return Some((Reason::OptionCount, format!("{count} distractors, expected 3")));
    }
    let forms: Vec<String> =
        std::iter::once(&draft.answer).chain(&draft.distractors).map(|text| form(text)).collect();
    if forms.iter().any(String::is_empty) {
        return Some((Reason::OptionCount, "an option without words".into()));
    }
    for (at, option) in forms.iter().enumerate() {
        if forms[..at].contains(option) {
            return Some((Reason::SameOptions, format!("`{option}` twice")));
        }
        if CATCH_ALL.contains(&option.as_str()) {
            return Some((Reason::CatchAll, format!("`{option}`")));
        }
    }
    let length = draft.answer.chars().count();
    let others: usize = draft.distractors.iter().map(|text| text.chars().count()).sum();
    let ratio = 3.0 * length as f64 / others.max(1) as f64;
    (length > SHORT && ratio > checks.length_ratio)
        .then(|| (Reason::LengthGiveaway, format!("{ratio:.1} times as long as the others")))
}

/// By what options are told apart: words and numbers, and the signs between which a value lies.
fn form(text: &str) -> String {
    let signs: String = text.chars().filter(|c| "<>≤≥+-−±%".contains(*c)).collect();
    let words = words(text).join(" ");
    if words.is_empty() || signs.is_empty() { words } else { format!("{words} {signs}") }
}

/// The chance to be right by taking the longest of some options: 1 when the right one is, a share where several are.
pub(crate) fn longest_share<'a>(right: &str, options: impl Iterator<Item = &'a String> + Clone) -> f64 {
    let length = |text: &str| text.chars().count();
    let longest = options.clone().map(|text| length(text)).max().unwrap_or(0);
    let ties = options.filter(|text| length(text) == longest).count().max(1);
    if length(right) == longest { 1.0 / ties as f64 } else { 0.0 }
}
