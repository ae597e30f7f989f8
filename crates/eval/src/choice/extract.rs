//! Which option a written answer names: the stated rule, and the rules of published evaluations.
//!
//! # The rule
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

use regex::Regex;
use std::sync::LazyLock;

/// What was read from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It names the option with this index.
    Named(usize),
    /// It says that it gives no answer.
    Abstained,
    /// It could not be read.
    Unparsed,
}

/// Reads answers to questions whose options have given labels.
#[derive(Debug, Clone)]
pub struct Reader {
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
    /// A reader for options with these labels, in order. `None` without labels.
    pub fn new(labels: &[String]) -> Option<Self> {
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
            labels: labels.to_vec(),
            statements,
            beginning: Regex::new(&format!(r"^{label}(?:\s*$|\s*\n|\s*[.,:;)\]\-–—]|\s+(?i:or|and)\b|\s*/)"))
                .ok()?,
            several: Regex::new(&format!(r"^\s*(?:(?i:or|and|and/or)\b|[/,&])\s*{label}{end}")).ok()?,
        })
    }

    /// What `answer` names; `texts` are those of the options.
    pub fn read(&self, answer: &str, texts: &[&str]) -> Reading {
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

/// The rule of MIRAGE (Xiong et al. 2024, `src/evaluate.py`, `locate_answer`): the letter A to D behind the last
/// `"answer_choice": "`. MIRAGE takes an answer without a letter for A; here it is `None`.
pub fn mirage(answer: &str) -> Option<char> {
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

/// The rule of MedGPT's files: the letter A to E that an `<answer>` begins with, if it is closed.
pub fn answer_tag(answer: &str) -> Option<char> {
    static TAG: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?s)<answer>\s*([A-E])\b.*?</answer>").ok());
    TAG.as_ref()?.captures(answer).and_then(|found| found[1].chars().next())
}

/// What FlowerTune's medical benchmarks compare with the reference (`benchmarks/flowertune-llm/evaluation/medical`,
/// `benchmarks.py` and `utils.py`, `format_answer`): the answer in small letters, cut to its first letter where
/// letters are asked for, if that is a letter from a to e, or to yes or no; else the whole answer. `letters`: the
/// question has options A to E, not yes, no and maybe.
///
/// By this rule "An aspirin" is the answer A. It is here to reproduce published numbers.
pub fn flower_tune(answer: &str, letters: bool) -> String {
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

    fn labels(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| label.to_string()).collect()
    }

    fn read(answer: &str) -> Reading {
        let texts = ["Aspirin", "Heparin", "Aspirin and heparin", "A diuretic"];
        Reader::new(&labels(&["A", "B", "C", "D"])).unwrap().read(answer, &texts)
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
        let reader = Reader::new(&labels).unwrap();
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
            let _ = (mirage(&answer), answer_tag(&answer), flower_tune(&answer, true), flower_tune(&answer, false));
        }
    }

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
}
