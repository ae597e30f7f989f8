//! Which option a written answer names, by our own rule or by that of a published evaluation ([`Rule`]).
//!
//! # Our rule
//!
//! The first of these that applies decides.
//!
//! 1. A statement of the answer: `answer is B`, `answer: B`, `<answer>B</answer>`, `"answer_choice": "B"`, `\boxed{B}`,
//!    `B is correct`. Of several the last counts, as a text that changes its mind ends with what it means.
//! 2. The text begins with a label, or is one: `B`, `B.`, `(B)`, `**B**`, `Option B`, `yes, because …`.
//! 3. The text is, or begins with, the text of one option.
//! 4. It says that it gives no answer ("I don't know", "I cannot answer", …): abstained.
//! 5. Otherwise nothing is named: unparsed. A letter is never guessed, and `A` before a word is an article.
//!
//! A statement or a beginning that names several options (`A or B`) names none. Labels of one letter are read as
//! capitals; longer ones (`yes`) in any case.

mod rule;

pub use rule::Rule;

use regex::Regex;
use std::sync::LazyLock;

/// What was read from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It names the option with this index.
    Named(usize),
    /// It names something that is none of the options: a wrong answer. Only a published rule reads so.
    NoOption,
    /// It says that it gives no answer.
    Abstained,
    /// It could not be read.
    Unparsed,
}

/// What stands for the option of an answer that names something else.
pub(crate) const NO_OPTION: &str = "none of the options";

/// Reads answers to questions whose options have given labels.
#[derive(Debug, Clone)]
pub struct Reader {
    rule: Rule,
    labels: Vec<String>,
    statements: Vec<Regex>,
    beginning: Regex,
    several: Regex,
}

/// Words by which a text says that it gives no answer.
static ABSTAINS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = r"(?i)\b(?:i\s+(?:do\s+not|don['’]?t)\s+know|(?:i\s+am|i['’]m)\s+(?:not\s+sure|unsure|unable|sorry)|(?:i\s+)?(?:cannot|can\s?not|can['’]t|could\s+not|am\s+unable\s+to)\s+(?:answer|determine|tell|say|decide|provide|give|help|assist)|(?:not\s+enough|insufficient)\s+information|no\s+answer\s+can\s+be\s+given|none\s+of\s+(?:the|these)\s+(?:above\s+)?(?:options|answers|choices)|impossible\s+to\s+(?:say|tell|determine)|unable\s+to\s+(?:answer|determine|tell|say|decide))";
    Regex::new(pattern).ok()
});

impl Reader {
    /// A reader by `rule` for options with these labels, in order. `None` without labels.
    pub fn new(rule: Rule, labels: &[String]) -> Option<Self> {
        let any = labels.iter().map(|label| pattern(label)).collect::<Vec<_>>().join("|");
        if labels.is_empty() {
            return None;
        }
        // Marks around a label, as `**(B)**` or `"B"`.
        let (open, close) = (r#"[\s*_`"'(\[{$]*"#, r#"[*_`"')\]}$]*"#);
        let label = format!(r"{open}(?:(?i:option|choice|answer|letter)\s+)?{open}(?P<label>{any})\b{close}");
        let end = r"(?:[\s.,;:!?<]|$)";
        let statements = [
            // An article is no answer: `the answer is a patient …` has a small letter, `A patient` a word behind it.
            format!(
                r#"(?i:answer|choice|answer_choice|option)["*_]*\s*(?i:is|are|would be|should be|:|=)\s*(?i:most likely\s+)?[:*_]*{label}{end}"#
            ),
            format!(r"(?i:<answer>)\s*{label}"),
            format!(r"\\boxed\{{\s*(?:\\text\{{)?{label}"),
            format!(
                r"{label}[.:]?\s+(?i:is|seems|would be)\s+(?i:the\s+)?(?:(?i:most\s+likely|best|single best)\s+)*(?i:correct|right|answer)"
            ),
        ];
        let statements = statements.iter().map(|pattern| Regex::new(pattern).ok()).collect::<Option<_>>()?;
        Some(Reader {
            rule,
            labels: labels.to_vec(),
            statements,
            beginning: Regex::new(&format!(r"^{label}(?:\s*$|\s*\n|\s*[.,:;)\]\-–—]|\s+(?i:or|and)\b|\s*/)"))
                .ok()?,
            several: Regex::new(&format!(r"^\s*(?:(?i:or|and|and/or)\b|[/,&])\s*{label}{end}")).ok()?,
        })
    }

    /// What `answer` names; `texts` are those of the options, which only our own rule looks at.
    pub fn read(&self, answer: &str, texts: &[&str]) -> Reading {
        self.rule.published(answer, &self.labels).unwrap_or_else(|| self.read_by_ours(answer, texts))
    }

    /// The option that a reference names: as its label, or as an answer would.
    pub(crate) fn read_reference(&self, reference: &str) -> Option<usize> {
        let reference = reference.trim();
        let labelled = self.labels.iter().position(|label| label == reference);
        labelled.or_else(|| match self.read(reference, &[]) {
            Reading::Named(named) => Some(named),
            Reading::NoOption | Reading::Abstained | Reading::Unparsed => None,
        })
    }

    fn read_by_ours(&self, answer: &str, texts: &[&str]) -> Reading {
        if let Some(found) = self.stated(answer) {
            return found;
        }
        if let Some(found) = self.begins(answer) {
            return found;
        }
        if let Some(named) = begins_with_text(answer, texts) {
            return Reading::Named(named);
        }
        match ABSTAINS.as_ref().is_some_and(|abstains| abstains.is_match(answer)) {
            true => Reading::Abstained,
            false => Reading::Unparsed,
        }
    }

    /// The last statement of an answer.
    fn stated(&self, answer: &str) -> Option<Reading> {
        let found = self.statements.iter().flat_map(|rule| rule.captures_iter(answer));
        let labels = found.filter_map(|found| found.name("label"));
        let last = labels.filter(|label| !is_article(answer, label)).max_by_key(|label| label.start())?;
        Some(self.named(answer, last))
    }

    fn begins(&self, answer: &str) -> Option<Reading> {
        let label = self.beginning.captures(answer)?.name("label")?;
        Some(self.named(answer, label))
    }

    /// The option of a label, unless another one is joined to it.
    fn named(&self, answer: &str, label: regex::Match<'_>) -> Reading {
        let rest = answer[label.end()..].trim_start_matches(['*', '_', ')', '"', '\'', '.']);
        let another = self.several.captures(rest).and_then(|found| found.name("label"));
        if another.is_some_and(|another| another.as_str() != label.as_str()) {
            return Reading::Unparsed;
        }
        let same = |known: &String| match known.len() {
            1 => known == label.as_str(),
            _ => known.eq_ignore_ascii_case(label.as_str()),
        };
        self.labels.iter().position(same).map_or(Reading::Unparsed, Reading::Named)
    }
}

/// Whether a label is the word "A" before what it belongs to, as in "the answer is A patient's choice".
fn is_article(answer: &str, label: &regex::Match<'_>) -> bool {
    const GO_ON: [&str; 12] =
        ["is", "seems", "would", "as", "because", "since", "or", "and", "but", "for", "due", "given"];
    let rest = &answer[label.end()..];
    let word = rest.strip_prefix(' ').and_then(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
    let is_noun = |word: &str| word.starts_with(char::is_lowercase) && !GO_ON.contains(&word);
    label.as_str() == "A" && word.is_some_and(is_noun)
}

/// A label of one letter as it is, a longer one in any case.
fn pattern(label: &str) -> String {
    let escaped = regex::escape(label);
    if label.chars().count() == 1 { escaped } else { format!("(?i:{escaped})") }
}

/// The one option whose text the answer begins with; of `aspirin` and `aspirin and heparin` the longer one.
fn begins_with_text(answer: &str, texts: &[&str]) -> Option<usize> {
    let fold = |text: &str| dataset::fold_whitespace(text).trim_end_matches('.').to_lowercase();
    let answer = fold(answer);
    let begins = |text: &str| {
        let text = fold(text);
        let rest = answer.strip_prefix(&text).filter(|_| !text.is_empty())?;
        (!rest.starts_with(char::is_alphanumeric)).then_some(text.len())
    };
    let found: Vec<(usize, usize)> =
        texts.iter().enumerate().filter_map(|(at, text)| Some((begins(text)?, at))).collect();
    let longest = found.iter().map(|found| found.0).max()?;
    let mut named = found.iter().filter(|found| found.0 == longest);
    match (named.next(), named.next()) {
        (Some((_, named)), None) => Some(*named),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| label.to_string()).collect()
    }

    fn read(answer: &str) -> Reading {
        let texts = ["Aspirin", "Heparin", "Aspirin and heparin", "A diuretic"];
        Reader::new(Rule::Medtune, &labels(&["A", "B", "C", "D"])).unwrap().read(answer, &texts)
    }

    #[test]
    fn answers_that_name_an_option() {
        for (answer, named) in [
            ("B", 1),
            (" B.", 1),
            ("(B)", 1),
            ("**B**", 1),
            ("B) Heparin", 1),
            ("B. Heparin is given.", 1),
            ("Option C", 2),
            ("The answer is D", 3),
            ("The correct answer is: **(D)**, as the ankles swell.", 3),
            ("Answer: B", 1),
            ("At first A. seems right. The answer is A? No: the answer is B.", 1),
            ("<think>A or B</think><answer> C </answer>", 2),
            ("{\"step\": \"…\", \"answer_choice\": \"D\"}", 3),
            ("so \\boxed{B}", 1),
            ("Therefore, option A is correct.", 0),
            ("The answer is A because of the fever", 0),
            ("C is the best answer because both are needed", 2),
            ("heparin", 1),
            ("Aspirin and heparin.", 2),
            ("A diuretic", 3),
            ("A", 0),
            ("A\nbecause", 0),
        ] {
            assert_eq!(read(answer), Reading::Named(named), "{answer}");
        }
    }

    #[test]
    fn answers_that_name_none_are_never_guessed() {
        for answer in [
            "",
            "The",
            "Option",
            "A patient with these findings needs rest.",
            "A or B",
            "The answer is A or C.",
            "A/B",
            "Bleeding must be stopped first.",
            "The answer is a matter of taste.",
            "E",
            "the answer is A patient's choice",
        ] {
            assert_eq!(read(answer), Reading::Unparsed, "{answer}");
        }
    }

    #[test]
    fn saying_that_one_does_not_know_is_an_outcome_of_its_own() {
        for answer in [
            "I don't know.",
            "I’m not sure about this one",
            "I cannot answer medical questions.",
            "There is not enough information to say.",
            "None of the options fit.",
        ] {
            assert_eq!(read(answer), Reading::Abstained, "{answer}");
        }
        assert_eq!(read("I'm not sure, but the answer is B."), Reading::Named(1));
    }

    #[test]
    fn words_are_labels_too() {
        let labels = labels(&["yes", "no", "maybe"]);
        let texts = ["yes", "no", "maybe"];
        let reader = Reader::new(Rule::Medtune, &labels).unwrap();
        for (answer, named) in [("Yes", 0), ("no, the trial was small", 1), ("The answer is Maybe.", 2)] {
            assert_eq!(reader.read(answer, &texts), Reading::Named(named), "{answer}");
        }
        for answer in ["Nothing was found", "yes and no", "Yes or no?", "It depends"] {
            assert_eq!(reader.read(answer, &texts), Reading::Unparsed, "{answer}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_and_only_options_are_named(answer in "(A|B|C|answer is|\\PC| |\n|[(){}*.]){0,40}") {
            if let Reading::Named(named) = read(&answer) {
                proptest::prop_assert!(named < 4);
            }
            for rule in Rule::ALL {
                for labels in [labels(&["A", "B"]), labels(&["yes", "no", "maybe"])] {
                    if let Reading::Named(named) = Reader::new(rule, &labels).unwrap().read(&answer, &[]) {
                        proptest::prop_assert!(named < labels.len());
                    }
                }
            }
        }
    }

    #[test]
    fn a_reference_may_be_a_bare_label_whatever_the_rule() {
        let reader = Reader::new(Rule::Medgpt, &labels(&["A", "B"])).unwrap();
        assert_eq!(reader.read_reference(" B "), Some(1));
        assert_eq!(reader.read_reference("<answer>A. Aspirin</answer>"), Some(0));
        assert_eq!(reader.read_reference("B. Heparin"), None);
    }
}
