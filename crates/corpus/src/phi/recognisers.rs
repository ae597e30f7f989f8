//! Rules to findings.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::names::{self, Persons};
use super::rules::{RULES, Rule};
use super::{Class, Finding};

/// What a rule is asked before its match counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    /// The whole text.
    pub(super) text: &'a str,
    /// The first byte of the match.
    pub(super) start: usize,
    /// The byte behind it.
    pub(super) end: usize,
}

impl<'a> Candidate<'a> {
    /// What was matched.
    pub(super) fn found(&self) -> &'a str {
        &self.text[self.start..self.end]
    }

    /// The text behind it.
    pub(super) fn after(&self) -> &'a str {
        &self.text[self.end..]
    }

    /// The text before it.
    pub(super) fn before(&self) -> &'a str {
        &self.text[..self.start]
    }
}

#[derive(Debug)]
struct Compiled {
    rule: &'static Rule,
    pattern: Regex,
}

static COMPILED: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    // A pattern that does not compile is left out; a test compiles them all.
    RULES
        .iter()
        .filter_map(|rule| Some(Compiled { rule, pattern: Regex::new(&rule.pattern()).ok()? }))
        .collect()
});

/// What identifies a person in `text`, in its order; `persons` are known from elsewhere, and the text adds its own.
pub(super) fn find(text: &str, persons: &mut Persons) -> Vec<Finding> {
    let mut found = matches(text);
    let next = RULES.len();
    found.extend(names::find(text).into_iter().map(|finding| (next, finding)));
    let first = apart(found.clone());
    persons.learn(text, &first);
    found.extend(names::mentions(text, persons).into_iter().map(|finding| (next + 1, finding)));
    apart(found)
}

/// What the rules find, each with the place of its rule.
fn matches(text: &str) -> Vec<(usize, Finding)> {
    let numbers = text.bytes().any(|byte| byte.is_ascii_digit());
    let mut found: Vec<(usize, Finding)> = Vec::new();
    for (order, compiled) in COMPILED.iter().enumerate() {
        if compiled.rule.needs_digit && !numbers {
            continue;
        }
        for captures in compiled.pattern.captures_iter(text) {
            let Some(span) = captures.name("x").or_else(|| captures.get(0)) else { continue };
            let candidate = Candidate { text, start: span.start(), end: span.end() };
            if (compiled.rule.accept)(&candidate) {
                let class: Class = compiled.rule.class;
                found.push((order, Finding { class, start: span.start(), end: span.end() }));
            }
        }
    }
    found
}

/// Findings in the order of the text. Where two overlap the longer one stays, of equally long ones that of the rule that
/// stands first.
fn apart(mut found: Vec<(usize, Finding)>) -> Vec<Finding> {
    found.sort_by_key(|(order, finding)| {
        (std::cmp::Reverse(finding.end - finding.start), *order, finding.start)
    });
    let mut kept: BTreeMap<usize, Finding> = BTreeMap::new();
    for (_, finding) in found {
        let before = kept.range(..finding.end).next_back();
        if before.is_none_or(|(_, other)| other.end <= finding.start) {
            kept.insert(finding.start, finding);
        }
    }
    kept.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(COMPILED.len(), RULES.len());
    }
}
