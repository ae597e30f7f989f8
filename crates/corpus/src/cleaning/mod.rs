//! What is taken out of a document before it becomes training text, and the report of it.
//!
//! Sections go by their **whole** title, never by a part of it: `Contents` goes, `Contents of the pericardium`
//! stays. What goes is kept in [`Document::removed`] with the rule that took it.

mod titles;

use std::collections::BTreeMap;

use crate::{Block, Document, Kind, Removed};

pub use titles::{SectionRule, english_and_german};

/// The name of the rule that takes running heads and feet.
pub const RUNNING_HEADS: &str = "running heads and feet";

/// What to take out.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Running heads and feet and page numbers.
    pub running_heads: bool,
    /// Sections, each with everything below it.
    pub sections: Vec<SectionRule>,
}

impl Default for Rules {
    /// Running heads, and the English and German titles of reference lists and front and back matter.
    fn default() -> Self {
        Self { running_heads: true, sections: english_and_german() }
    }
}

/// How many blocks each rule took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleaningReport {
    /// Blocks by name of the rule; rules that took nothing are not listed.
    pub removed: BTreeMap<String, usize>,
    /// Blocks that stayed.
    pub kept: usize,
}

/// Moves what the rules name from `blocks` to `removed`, in order.
pub fn clean(document: &mut Document, rules: &Rules) -> CleaningReport {
    let mut report = CleaningReport::default();
    // The rule of the section that is being removed, and the level of its heading.
    let mut section: Option<(&str, u8)> = None;
    let mut kept = Vec::with_capacity(document.blocks.len());
    for block in std::mem::take(&mut document.blocks) {
        if let Kind::Heading { level } = block.kind {
            if section.is_some_and(|(_, of)| level <= of) {
                section = None;
            }
            if section.is_none() {
                section = rule_for(&block, rules).map(|rule| (rule, level));
            }
        }
        let rule = match (block.kind, section) {
            (Kind::RunningHead, _) if rules.running_heads => Some(RUNNING_HEADS),
            // A float may stand among the references of a paper without being one.
            (Kind::Table | Kind::Caption, Some((titles::REFERENCE_LIST, _))) => None,
            (_, Some((rule, _))) => Some(rule),
            _ => None,
        };
        match rule {
            None => kept.push(block),
            Some(rule) => {
                *report.removed.entry(rule.to_owned()).or_default() += 1;
                document.removed.push(Removed { rule: rule.to_owned(), block });
            }
        }
    }
    report.kept = kept.len();
    document.blocks = kept;
    report
}

/// The rule that names a heading's whole title.
fn rule_for<'a>(heading: &Block, rules: &'a Rules) -> Option<&'a str> {
    let title = titles::bare(&heading.text);
    rules
        .sections
        .iter()
        .find(|rule| rule.titles.iter().any(|listed| titles::bare(listed) == title))
        .map(|rule| rule.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DocumentId;

    fn document(blocks: &[(Kind, &str)]) -> Document {
        Document {
            id: DocumentId::of(b""),
            title: None,
            pages: None,
            blocks: blocks
                .iter()
                .map(|&(kind, text)| Block { kind, text: text.into(), places: Vec::new() })
                .collect(),
            removed: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn texts(document: &Document) -> Vec<&str> {
        document.blocks.iter().map(|block| block.text.as_str()).collect()
    }

    const H1: Kind = Kind::Heading { level: 2 };
    const H2: Kind = Kind::Heading { level: 3 };

    #[test]
    fn a_title_that_only_contains_a_listed_one_survives() {
        let mut document = document(&[
            (H1, "Contents of the pericardium"),
            (Kind::Paragraph, "Fluid."),
            (H1, "Reference ranges"),
            (Kind::Paragraph, "60 to 100."),
            (H1, "Contents"),
            (Kind::Paragraph, "1 Heart … 7"),
            (H1, "4. References"),
            (H2, "Books"),
            (Kind::ListItem { depth: 0 }, "1. A book."),
            (H1, "Appendix"),
            (Kind::Paragraph, "More."),
        ]);
        let report = clean(&mut document, &Rules::default());
        assert_eq!(
            texts(&document),
            ["Contents of the pericardium", "Fluid.", "Reference ranges", "60 to 100.", "Appendix", "More."]
        );
        assert_eq!(report.kept, 6);
        assert_eq!(report.removed.values().sum::<usize>(), 5);
        assert_eq!(report.removed["references"], 3);
        assert_eq!(document.removed.len(), 5, "removals are kept on file");
        assert_eq!(document.removed[0].rule, "table of contents");
    }

    #[test]
    fn german_titles_are_known_and_numbers_before_them_do_not_matter() {
        let mut document = document(&[
            (H1, "Befund"),
            (Kind::Paragraph, "Rechts 3 mm."),
            (H1, "7 Literaturverzeichnis"),
            (Kind::Paragraph, "[1] Ein Buch."),
            (H1, "Literaturübersicht zum Perikard"),
            (Kind::Paragraph, "Bleibt."),
        ]);
        clean(&mut document, &Rules::default());
        assert_eq!(
            texts(&document),
            ["Befund", "Rechts 3 mm.", "Literaturübersicht zum Perikard", "Bleibt."]
        );
    }

    #[test]
    fn running_heads_go_and_without_rules_all_stays() {
        let blocks = [(Kind::RunningHead, "Trials 15:511"), (Kind::Paragraph, "Text."), (H1, "References")];
        let mut one = document(&blocks);
        let report = clean(&mut one, &Rules::default());
        assert_eq!(report.removed[RUNNING_HEADS], 1);
        let mut two = document(&blocks);
        let none = Rules { running_heads: false, sections: Vec::new() };
        assert_eq!(clean(&mut two, &none).kept, 3);
        assert!(two.removed.is_empty());
    }
}
