//! Names of persons in prose: capitalised words, and what around them says that they are somebody's.
//!
//! A name with a frequent given name or surname needs no more; any other needs a word near it: a role before it (`her
//! brother`), somebody who did something (`seen by`), an age or a verb of patients behind it (`reports`), the end of a
//! letter. What was found once is found wherever the text names it again, whole or in part.

mod cues;
mod lists;
mod words;

use std::collections::BTreeSet;

use super::{Class, Finding};
use cues::Role;
use words::{Shape, Word, Words};

/// Given names and surnames that a text or the other texts of its document name in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Persons(BTreeSet<String>);

impl Persons {
    /// Adds the parts of the names that were found in `text`.
    pub(super) fn learn(&mut self, text: &str, findings: &[Finding]) {
        for finding in findings.iter().filter(|finding| finding.class == Class::Name) {
            let words = Words::of(&text[finding.start..finding.end]);
            let parts: Vec<&Word<'_>> = words
                .all
                .iter()
                .filter(|word| matches!(word.shape, Shape::Title | Shape::Capitals))
                .collect();
            for (at, word) in parts.iter().enumerate() {
                let name = word.title();
                // A given name tells nobody apart on its own, but within one document it does.
                let counts = at + 1 == parts.len() || at == 0 && lists::is_given(&name);
                let lower = word.lower();
                if counts
                    && name.chars().count() > 2
                    && !lists::is_ordinary(&lower)
                    && !lists::is_medical(&lower)
                {
                    self.0.insert(name);
                }
            }
        }
    }

    /// Where `words` name somebody again. The name of a disease or an author in a citation is no mention.
    fn mentions(&self, words: &Words<'_>) -> Vec<Finding> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let is_known = |at: &usize| {
            let word = &words.all[*at];
            matches!(word.shape, Shape::Title | Shape::Capitals)
                && self.0.contains(&word.title())
                && !words.lowered(word)
                && !names_thing(words, *at)
                && !is_cited(words, *at)
        };
        (0..words.all.len()).filter(is_known).map(|at| finding(&words.all[at], &words.all[at])).collect()
    }
}

fn finding(first: &Word<'_>, last: &Word<'_>) -> Finding {
    Finding { class: Class::Name, start: first.start, end: last.end }
}

/// The names in `text` that stand in prose.
pub(super) fn find(text: &str) -> Vec<Finding> {
    let words = Words::of(text);
    let mut found: Vec<Finding> = Vec::new();
    let (mut at, mut named_before) = (0, None);
    while at < words.all.len() {
        let Some(end) = run(&words, at) else {
            at += 1;
            continue;
        };
        let name = Candidate { words: &words, first: at, end };
        let coordinated = named_before.is_some_and(|last: usize| name.is_coordinated_with(last));
        if name.is_of_thing() || !(coordinated || name.is_of_person()) {
            // `Crane Operator Harriet Blackwood`: what begins later may be one.
            at = if lists::is_given(words.all[at].text) { end } else { at + 1 };
            continue;
        }
        found.push(finding(&words.all[at], &words.all[end - 1]));
        named_before = Some(end - 1);
        at = end;
    }
    found.extend(capitals(&words));
    found
}

/// Where `text` names persons that are known.
pub(super) fn mentions(text: &str, persons: &Persons) -> Vec<Finding> {
    persons.mentions(&Words::of(text))
}

/// Whether the first word of `text` is of the language.
pub(super) fn begins_ordinary(text: &str) -> bool {
    Words::of(text).all.first().is_some_and(|word| is_of_language(word))
}

/// Whether all words of `text` are of the language.
pub(super) fn is_ordinary(text: &str) -> bool {
    Words::of(text).all.iter().all(is_of_language)
}

fn is_of_language(word: &Word<'_>) -> bool {
    let title = word.title();
    let known = lists::is_given(&title) || lists::is_surname(&title);
    !known && (lists::is_ordinary(&word.lower()) || lists::is_medical(&word.lower()))
}

/// The end of the capitalised words that begin at `first` and may be one name; particles and initials inside.
fn run(words: &Words<'_>, first: usize) -> Option<usize> {
    let start = words.get(first)?;
    let given = lists::is_given(start.text);
    let begins = match start.shape {
        Shape::Title => {
            let surname = || {
                words
                    .get(first + 1)
                    .is_some_and(|next| !words.is_ordinary(next) && next.shape == Shape::Title)
            };
            !words.is_ordinary(start) || lists::is_doubtful_given(start.text) && surname()
        }
        Shape::Initial => words.gap(first + 1).trim_start_matches('.') == " ",
        _ => false,
    };
    if !begins {
        return None;
    }
    let (mut end, mut titles) = (first + 1, usize::from(start.shape == Shape::Title));
    loop {
        let particles = (end..end + 3).take_while(|at| is_particle(words, *at)).count();
        let at = end + particles;
        let Some(word) = words.get(at) else { break };
        let before = &words.all[at - 1];
        let joined = words.gap(at) == " " || before.shape == Shape::Initial && words.gap(at) == ". ";
        let thing = lists::is_thing(&word.lower());
        let part = match word.shape {
            // Behind a given name a word of the language is a surname: `David Hill`.
            Shape::Title => !words.is_ordinary(word) || given && titles == 1 && !thing && !before.possessive,
            Shape::Initial => particles == 0,
            _ => false,
        };
        if !joined || !part || before.possessive || titles == 4 {
            break;
        }
        titles += usize::from(word.shape == Shape::Title);
        end = at + 1;
    }
    // `Vitale A` ends with no initial; `Anna B.` does.
    while end > first + 1 && words.all[end - 1].shape == Shape::Initial && !given {
        end -= 1;
    }
    (titles > 0).then_some(end)
}

fn is_particle(words: &Words<'_>, at: usize) -> bool {
    const PARTICLES: [&str; 16] = [
        "van", "von", "de", "del", "der", "den", "di", "da", "du", "la", "le", "bin", "al", "el", "ter", "zu",
    ];
    words.gap(at) == " " && words.get(at).is_some_and(|word| PARTICLES.contains(&word.text))
}

/// Whether the words up to `last` belong to the name of a thing: `Crohn's disease`, `Parkinson-plus`, `Robert Koch
/// National Institute`.
fn names_thing(words: &Words<'_>, last: usize) -> bool {
    let next = last + 1 + usize::from(words.all[last].possessive);
    let joined = |at: usize| matches!(words.gap(at).trim_start_matches(['\'', '’']), " " | "-" | "–" | "/");
    let thing = |at: usize| words.get(at).is_some_and(|word| lists::is_thing(&word.lower()));
    let title = |at: usize| words.get(at).is_some_and(|word| word.shape == Shape::Title);
    let hyphen = matches!(words.gap(next), "-" | "–")
        && words.get(next).is_some_and(|word| word.shape != Shape::Number);
    hyphen || (next..next + 3).take_while(|at| joined(*at) && (*at == next || title(at - 1))).any(thing)
}

/// Whether the word at `at` is an author in a citation: `Smith et al.`, `Smith JA`, `Smith (2010)`.
fn is_cited(words: &Words<'_>, at: usize) -> bool {
    let Some(next) = words.get(at + 1) else { return false };
    let gap = words.gap(at + 1);
    let year = next.shape == Shape::Number && next.text.len() == 4 && matches!(gap, " " | ", " | " (");
    let initials = matches!(next.shape, Shape::Initial | Shape::Capitals) && next.text.len() < 4;
    let others = next.text == "et" && words.get(at + 2).is_some_and(|word| word.text == "al");
    year || gap == " " && (initials || others)
}

/// A name in capitals with a given name: `CARTER, JOHN L`, `JOHN CARTER`.
fn capitals(words: &Words<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, word) in words.all.iter().enumerate().skip(1) {
        let before = &words.all[at - 1];
        let both = [before, word].iter().all(|word| word.shape == Shape::Capitals && word.text.len() > 2);
        if !both || lists::is_thing(&word.lower()) || names_thing(words, at) {
            continue;
        }
        let surname = |word: &Word<'_>| !lists::is_ordinary(&word.lower());
        let reversed = words.gap(at) == ", " && lists::is_given(&word.title()) && surname(before);
        let straight = words.gap(at) == " " && lists::is_given(&before.title()) && surname(word);
        if reversed || straight {
            let initial =
                words.get(at + 1).filter(|next| next.shape == Shape::Initial && words.gap(at + 1) == " ");
            found.push(finding(before, initial.unwrap_or(word)));
        }
    }
    found
}

/// Number of digits with which a word begins.
fn digits(word: &Word<'_>) -> usize {
    word.text.bytes().take_while(u8::is_ascii_digit).count()
}

fn is_unit_of_age(word: &str) -> bool {
    const UNITS: [&str; 9] = ["year", "month", "week", "day", "yo", "y", "yr", "m", "f"];
    let unit = word.split('-').next().unwrap_or_default();
    UNITS.contains(&unit.trim_end_matches('s')) || unit == "jahre"
}

/// Capitalised words that may be a name.
#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    words: &'a Words<'a>,
    first: usize,
    /// Behind the last.
    end: usize,
}

impl Candidate<'_> {
    fn titles(&self) -> impl Iterator<Item = &Word<'_>> {
        self.words.all[self.first..self.end].iter().filter(|word| word.shape == Shape::Title)
    }

    /// Whether it is more than one word, counting no initials.
    fn is_full(&self) -> bool {
        self.titles().count() > 1
    }

    fn begins_given(&self) -> bool {
        lists::is_given(self.words.all[self.first].text)
    }

    fn lower(&self, at: usize) -> String {
        self.words.get(at).map(Word::lower).unwrap_or_default()
    }

    fn lower_before(&self, back: usize) -> String {
        self.words.before(self.first, back).map(Word::lower).unwrap_or_default()
    }

    /// Whether it is a disease, an institution, a place or words of a heading.
    fn is_of_thing(&self) -> bool {
        const PLACES: [&str; 16] = [
            "san", "santa", "st", "saint", "mount", "mt", "lake", "fort", "port", "cape", "new", "los", "el",
            "las", "são", "sainte",
        ];
        let near = matches!(self.words.gap(self.first), " " | ". ");
        let place = near && PLACES.contains(&self.lower_before(1).as_str());
        let joined = matches!(self.words.gap(self.first), "-" | "–" | "/");
        let last = self.words.all[self.end - 1].text;
        place
            || joined
            || last.chars().count() < 2 && !self.is_full()
            || names_thing(self.words, self.end - 1)
    }

    fn is_of_person(&self) -> bool {
        let full = self.is_full();
        let given = self.begins_given();
        let surname = self.titles().last().is_some_and(|word| lists::is_surname(word.text));
        full && (given || surname)
            || self.follows_role()
            || (full || given) && (self.follows_cue() || self.precedes_cue())
            || self.signs()
    }

    /// `her brother Duncan`, `the pathologist, Vivian Kowalczyk`, `Nurse Adebayo`.
    fn follows_role(&self) -> bool {
        let gap = self.words.gap(self.first);
        let Some(role) = cues::role(&self.lower_before(1)) else { return false };
        if !matches!(gap, " " | ", " | " (" | ". " | " - ") || gap == ". " && self.lower_before(1) != "pt" {
            return false;
        }
        let is_title = self.words.before(self.first, 1).is_some_and(|word| word.shape == Shape::Title);
        let own = role == Role::Relation
            && (cues::is_possessive(&self.lower_before(2))
                || self.words.before(self.first, 3).is_some_and(|word| word.possessive));
        self.is_full()
            || self.begins_given()
            || gap == " " && own
            || gap == " " && is_title && self.lower_before(1) == "nurse"
    }

    /// `seen by`, `spoke with`, `a note on`.
    fn follows_cue(&self) -> bool {
        let gap = self.words.gap(self.first);
        let honorific = cues::is_honorific(&self.lower_before(1));
        honorific
            || matches!(gap, " " | ", ")
                && cues::leads_to_person(&self.lower_before(2), &self.lower_before(1))
    }

    /// An age, a role or what patients do, behind the name.
    fn precedes_cue(&self) -> bool {
        let last = &self.words.all[self.end - 1];
        if last.possessive {
            return self.is_full() && self.begins_given();
        }
        let gap = self.words.gap(self.end);
        let (one, two) = (self.lower(self.end), self.lower(self.end + 1));
        let number = |at: usize| self.words.get(at).is_some_and(|word| (1..4).contains(&digits(word)));
        let article = matches!(one.as_str(), "a" | "an" | "aged" | "age" | "the" | "his" | "her" | "their");
        match gap {
            " " => {
                cues::is_verb(&one)
                    || matches!(one.as_str(), "is" | "was" | "has")
                        && (cues::is_done_to_persons(&two) || two == "been")
                    || one == "is" && matches!(two.as_str(), "a" | "an") && number(self.end + 2)
            }
            " (" => number(self.end) && self.is_age(self.end),
            ", " if article => number(self.end + 1) || cues::role(&two).is_some(),
            ", " => {
                number(self.end) && self.is_age(self.end)
                    || cues::role(&one).is_some()
                    || cues::role(&two) == Some(Role::Profession)
            }
            _ => false,
        }
    }

    /// Whether the number at `at` is an age: `58,`, `7 months`, `40-year-old`, `58yo`.
    fn is_age(&self, at: usize) -> bool {
        let Some(word) = self.words.get(at) else { return false };
        if word.shape != Shape::Number {
            return is_unit_of_age(word.text[digits(word)..].trim_start_matches('-'));
        }
        match self.words.gap(at + 1) {
            " " => is_unit_of_age(&self.lower(at + 1)),
            gap => matches!(gap, ", " | ") "),
        }
    }

    /// Below the end of a letter.
    fn signs(&self) -> bool {
        let start = self.words.all[self.first].start;
        (self.is_full() || self.begins_given()) && cues::closes_letter(&self.words.text[..start])
    }

    /// `Caleb and Micah`, where the first is known to be a person.
    fn is_coordinated_with(&self, last: usize) -> bool {
        let and = self.lower_before(1);
        self.begins_given()
            && last + 2 == self.first
            && matches!(and.as_str(), "and" | "und")
            && self.words.gap(self.first) == " "
    }
}

#[cfg(test)]
mod tests;
