//! The PHI gate: finds what identifies a person, and reports, masks or refuses it.
//!
//! The classes are those of the Safe Harbor method (45 CFR 164.514(b)(2)), found by recognisers of our own. Passing the
//! gate is no proof of de-identification: some names in free prose are missed, and rare diagnoses and combinations of
//! facts are not looked for.

mod class;
mod context;
mod names;
mod recognisers;
mod rules;
mod valid;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use class::Class;
pub use names::Persons;

/// What to do about a finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Count it and leave the text as it is.
    #[default]
    Report,
    /// Put the name of its class in its place; of a date the year stays.
    Mask,
    /// Hand the text on to nobody.
    Refuse,
}

/// A place in a text that identifies a person; never the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is.
    pub class: Class,
    /// Its first byte in the text.
    pub start: usize,
    /// The byte behind its last.
    pub end: usize,
}

/// The findings of a text, in its order; no two overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of findings.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// Number of findings by class.
    pub fn by_class(&self) -> BTreeMap<Class, usize> {
        let mut counts = BTreeMap::new();
        self.0.iter().for_each(|finding| *counts.entry(finding.class).or_default() += 1);
        counts
    }
}

impl FromIterator<Finding> for Findings {
    fn from_iter<I: IntoIterator<Item = Finding>>(findings: I) -> Self {
        Findings(findings.into_iter().collect())
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> =
            self.by_class().iter().map(|(class, count)| format!("{count} {class}")).collect();
        f.write_str(&counts.join(", "))
    }
}

/// A text that may be handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed<'a> {
    /// As it was, or masked.
    pub text: Cow<'a, str>,
    /// What was found in it, by places in the text as it was.
    pub findings: Findings,
}

/// A text that may not be handed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the PHI gate found {findings}")]
pub struct Refused {
    /// What was found in it.
    pub findings: Findings,
}

/// What was done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Left in the text.
    Reported,
    /// Replaced by the name of its class.
    Masked,
    /// The whole text was held back.
    Refused,
}

impl From<Mode> for Action {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Report => Action::Reported,
            Mode::Mask => Action::Masked,
            Mode::Refuse => Action::Refused,
        }
    }
}

/// A line of the audit manifest: where something was found and what was done, never the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What the text is: a document's id, a row's number, an address.
    pub source: String,
    /// Which part of it, such as `block 12` or `message 0`.
    pub part: String,
    /// What was found, by bytes of the part's text as it was before.
    #[serde(flatten)]
    pub finding: Finding,
    /// What was done.
    pub action: Action,
}

/// Lets texts through, or not. Cheap to make; the recognisers are made once in a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gate {
    mode: Mode,
}

impl Gate {
    /// A gate that does this about its findings.
    pub fn new(mode: Mode) -> Self {
        Gate { mode }
    }

    /// What it does about its findings.
    pub fn mode(self) -> Mode {
        self.mode
    }

    /// What identifies a person in `text`.
    pub fn check(self, text: &str) -> Findings {
        self.check_among(text, &mut Persons::default())
    }

    /// What identifies a person in `text`, which is a part of something longer: whoever its other parts name in full is
    /// found here by a part of the name too. The persons of `text` are added.
    pub fn check_among(self, text: &str, persons: &mut Persons) -> Findings {
        Findings(recognisers::find(text, persons))
    }

    /// `text` as it may be handed on.
    ///
    /// # Errors
    /// `Refused` where something was found and the mode is [`Mode::Refuse`].
    pub fn apply(self, text: &str) -> Result<Passed<'_>, Refused> {
        self.apply_among(text, &mut Persons::default())
    }

    /// `text`, which is a part of something longer, as it may be handed on; see [`Gate::check_among`].
    ///
    /// # Errors
    /// As [`Gate::apply`].
    pub fn apply_among<'a>(self, text: &'a str, persons: &mut Persons) -> Result<Passed<'a>, Refused> {
        let findings = self.check_among(text, persons);
        match self.mode {
            Mode::Refuse if !findings.is_empty() => Err(Refused { findings }),
            Mode::Mask if !findings.is_empty() => {
                Ok(Passed { text: Cow::Owned(masked(text, &findings)), findings })
            }
            _ => Ok(Passed { text: Cow::Borrowed(text), findings }),
        }
    }

    /// The lines of the manifest about `findings` in a part of a source.
    pub fn entries(self, source: &str, part: &str, findings: &Findings) -> Vec<Entry> {
        let entry = |finding: &Finding| Entry {
            source: source.to_owned(),
            part: part.to_owned(),
            finding: *finding,
            action: self.mode.into(),
        };
        findings.iter().map(entry).collect()
    }
}

fn masked(text: &str, findings: &Findings) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for finding in findings.iter() {
        masked.push_str(&text[done..finding.start]);
        match (finding.class, valid::year(&text[finding.start..finding.end])) {
            (Class::Date, Some(year)) => masked.push_str(&format!("[DATE {year}]")),
            _ => masked.push_str(finding.class.mask()),
        }
        done = finding.end;
    }
    masked.push_str(&text[done..]);
    masked
}

#[cfg(test)]
mod tests;
