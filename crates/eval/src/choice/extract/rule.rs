//! The rules by their names: ours, and those of published evaluations, to count again what they counted.

use super::Reading;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::LazyLock;

/// How an option is read out of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Ours, as [`super`] states it: the only one that knows answers that decline.
    #[default]
    Medtune,
    /// That of MedGPT's files.
    Medgpt,
    /// That of FlowerTune's medical benchmarks.
    Flowertune,
    /// That of MIRAGE (Xiong et al. 2024).
    Mirage,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Medtune, Self::Medgpt, Self::Flowertune, Self::Mirage];

    /// The name on the command line and on file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Medtune => "medtune",
            Self::Medgpt => "medgpt",
            Self::Flowertune => "flowertune",
            Self::Mirage => "mirage",
        }
    }

    /// What it takes for an option, in words that can stand in a paper.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Medtune => {
                "a statement of the answer, or a label or the text of an option at the beginning; a letter is never guessed"
            }
            Self::Medgpt => {
                "the letter A to E that a closed <answer> begins with; another text behind <answer> is a wrong answer"
            }
            Self::Flowertune => {
                "the first letter of the answer, whatever word it begins; or an answer that is yes, no or maybe alone"
            }
            Self::Mirage => {
                "the letter A to D behind the last \"answer_choice\"; where MIRAGE takes an answer without one for A, it \
                 names none"
            }
        }
    }

    /// What a published rule reads in an answer to a question whose options have these labels; `None` for our own.
    pub(super) fn published(self, answer: &str, labels: &[String]) -> Option<Reading> {
        let named = |label: Option<String>| {
            let place = labels.iter().position(|known| label.as_ref() == Some(known));
            place.map_or(Reading::Unparsed, Reading::Named)
        };
        match self {
            Self::Medtune => None,
            Self::Medgpt => Some(match named(answer_tag(answer).map(String::from)) {
                // Whoever opens the tag has given an answer, whatever it says.
                Reading::Unparsed if answer.contains("<answer>") => Reading::NoOption,
                reading => reading,
            }),
            Self::Mirage => Some(named(mirage(answer).map(String::from))),
            Self::Flowertune => {
                let letters = labels.iter().all(|label| label.len() == 1);
                let compared = flower_tune(answer, letters);
                Some(named(labels.iter().find(|label| label.to_lowercase() == compared).cloned()))
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.describe())
    }
}

/// `src/evaluate.py`, `locate_answer`.
fn mirage(answer: &str) -> Option<char> {
    static RULES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let rules = [
            r"^\s*([ABCD])$",
            r"^\s*([ABCD]) or",
            r"^\s*([ABCD]) and",
            r"^\s*([ABCD])/",
            r"^\s*([ABCD]),",
            r"[Oo]ption ([ABCD])",
            r":\s*([ABCD])",
            r"^\s*([ABCD])\.",
            "^\\s*([ABCD])\"",
            r"^\s*([ABCD]):",
        ];
        rules.iter().filter_map(|rule| Regex::new(rule).ok()).collect()
    });
    let choice = answer.rsplit("\"answer_choice\": \"").next().unwrap_or_default().trim();
    RULES.iter().find_map(|rule| rule.captures(choice)).and_then(|found| found[1].chars().next())
}

fn answer_tag(answer: &str) -> Option<char> {
    static TAG: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?s)<answer>\s*([A-E])\b.*?</answer>").ok());
    TAG.as_ref()?.captures(answer).and_then(|found| found[1].chars().next())
}

/// What is compared with the reference (`benchmarks/flowertune-llm/evaluation/medical`, `benchmarks.py` and `utils.py`,
/// `format_answer`): the answer in small letters, cut to its first letter where letters are asked for, if that is a
/// letter from a to e, or to yes or no; else the whole answer. `letters`: the question has options A to E, not yes, no
/// and maybe. By this rule "An aspirin" is the answer A.
fn flower_tune(answer: &str, letters: bool) -> String {
    let whole = answer.to_lowercase();
    let part = match whole.split("\n##").nth(1) {
        Some(part) => part.split('\n').next().unwrap_or_default().trim(),
        None => &whole,
    };
    let blank = |c: char| if c.is_ascii_alphanumeric() { c } else { ' ' };
    let clean: String = part.chars().map(blank).collect();
    let mut clean = clean.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if letters {
        clean.truncate(1);
    } else if let Some((twice, once)) = [("yesyes", "yes"), ("nono", "no"), ("yesno", "yes"), ("noyes", "no")]
        .into_iter()
        .find(|(twice, _)| clean.contains(twice))
    {
        clean = clean.replace(twice, once);
    }
    match ["a", "b", "c", "d", "e", "yes", "no"].contains(&clean.as_str()) {
        true => clean,
        false => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_rules_read_as_they_did() {
        assert_eq!(mirage("{\"answer_choice\": \"B or C\"}"), Some('B'));
        assert_eq!(mirage("no letter"), None);
        assert_eq!(answer_tag("<answer>\nC. text</answer>"), Some('C'));
        assert_eq!(answer_tag("<answer>C"), None);
        assert_eq!(flower_tune("An aspirin", true), "a");
        assert_eq!(flower_tune("The", true), "the");
        assert_eq!(flower_tune("Yes.", false), "yes");
        assert_eq!(flower_tune("Maybe", false), "maybe");
    }

    #[test]
    fn a_rule_names_only_options_that_there_are() {
        let labels = ["A", "B"].map(String::from);
        assert_eq!(Rule::Medgpt.published("<answer>E</answer>", &labels), Some(Reading::NoOption));
        assert_eq!(Rule::Medgpt.published("E", &labels), Some(Reading::Unparsed));
        assert_eq!(Rule::Flowertune.published("Bleeding", &labels), Some(Reading::Named(1)));
        assert_eq!(Rule::Medtune.published("A", &labels), None);
    }

    #[test]
    fn names_on_file_are_those_of_the_command_line() {
        for rule in Rule::ALL {
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.name());
        }
    }
}
