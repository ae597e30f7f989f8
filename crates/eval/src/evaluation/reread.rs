//! Options read once more out of answers on file, by another rule.

use super::{Evaluation, Settings, UNNAMED_TASK};
use crate::choice::Mode;
use crate::choice::extract::{NO_OPTION, Reader, Reading, Rule};
use crate::comparison::{Choice, Outcome};
use crate::task::{letter, options_shown, words};
use crate::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The option of [`Settings::options`] with the labels of answers that were made elsewhere.
pub const LABELS: &str = "labels";

/// What another rule read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reread {
    /// The rule of the reading on file, where it is known.
    pub before: Option<Rule>,
    /// The rule of this reading.
    pub rule: Rule,
    /// Answers that were read.
    pub answers: usize,
    /// The items whose answer is read differently.
    pub changed: Vec<String>,
}

/// Reads the options out of all written answers of `evaluation` by `rule`, which its settings name from then on. The right
/// options stay what they are on file, and so does what a provider declined to answer.
///
/// # Errors
/// [`Error::Reread`] where the files do not hold what it takes: answers to multiple-choice questions with the labels of
/// the options, and for our own rule their texts.
pub fn reread(evaluation: &mut Evaluation, rule: Rule) -> Result<Reread> {
    let Evaluation { settings, outcomes } = evaluation;
    let named_by = labels(settings);
    let before = settings.rule;
    let mut readers: BTreeMap<(Rule, Vec<String>), Option<Reader>> = BTreeMap::new();
    let mut reread = Reread { before, rule, answers: 0, changed: Vec::new() };
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.choice.is_some()) {
        let wrong = |reason| Error::Reread { id: outcome.id.clone(), reason };
        if mode(settings, outcome).is_some_and(|mode| mode != Mode::Generation.name()) {
            return Err(wrong("a rule did not read its answer: the model chose among the options"));
        }
        let written = Written::of(outcome, &named_by, rule).map_err(wrong)?;
        let mut read = |rule: Rule| {
            let reader = readers.entry((rule, written.labels.clone()));
            let reader = reader.or_insert_with(|| Reader::new(rule, &written.labels)).as_ref();
            reader.map_or(Reading::Unparsed, |reader| reader.read(written.answer, &written.texts))
        };
        let mut choice = written.choice.clone();
        let by_provider = choice.abstained && read(before.unwrap_or_default()) != Reading::Abstained;
        if !by_provider {
            choice.take(read(rule), &written.options);
        }
        reread.answers += 1;
        if outcome.choice.as_ref() != Some(&choice) {
            reread.changed.push(outcome.id.clone());
            outcome.choice = Some(choice);
        }
    }
    if reread.answers == 0 {
        return Err(Error::Reread { id: settings.name.clone(), reason: "no multiple-choice question in it" });
    }
    settings.rule = Some(rule);
    Ok(reread)
}

/// The labels by which answers made elsewhere name the options.
fn labels(settings: &Settings) -> Vec<String> {
    let listed = settings.options.get(LABELS).and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// How the task of an item was asked, where that is known.
fn mode<'a>(settings: &'a Settings, outcome: &Outcome) -> Option<&'a str> {
    let task = settings.tasks.get(outcome.task.as_deref().unwrap_or(UNNAMED_TASK))?;
    task.config.get("mode")?.as_str()
}

/// A written answer, and what it may name.
struct Written<'a> {
    answer: &'a str,
    choice: &'a Choice,
    /// What an answer calls the options.
    labels: Vec<String>,
    /// What results call them.
    options: Vec<String>,
    /// What they say; only our own rule looks at it, and of answers made elsewhere it is not known.
    texts: Vec<&'a str>,
}

impl<'a> Written<'a> {
    fn of(outcome: &'a Outcome, labels: &[String], rule: Rule) -> std::result::Result<Self, &'static str> {
        let choice = outcome.choice.as_ref().ok_or("it is no multiple-choice question")?;
        if !choice.rated.is_empty() {
            return Err("its options were rated, and no answer was written");
        }
        let answer = outcome.answer.as_deref().ok_or("the text of its answer is not on file")?.trim();
        if !labels.is_empty() {
            let (labels, options) = (labels.to_vec(), labels.to_vec());
            return Ok(Self { answer, choice, labels, options, texts: Vec::new() });
        }
        if choice.shown.is_empty() {
            let words = outcome.task.as_deref().and_then(words);
            // A file of somebody's may have other options under the name of the task.
            let known = |option: &str| words.is_some_and(|words| words.contains(&option));
            let named = choice.picked.as_deref().filter(|picked| *picked != NO_OPTION);
            let words = words.filter(|_| known(&choice.gold) && named.is_none_or(known));
            let texts = words.ok_or("the labels of its options are not on file")?.to_vec();
            let labels: Vec<String> = texts.iter().map(|word| (*word).to_owned()).collect();
            return Ok(Self { answer, choice, options: labels.clone(), labels, texts });
        }
        let shown = options_shown(outcome.question.as_deref().unwrap_or_default(), choice.shown.len());
        let texts = match (shown, rule) {
            (Some(texts), _) => texts,
            (None, Rule::Medtune) => return Err("the texts of its options are not on file"),
            (None, _) => Vec::new(),
        };
        let labels = (0..choice.shown.len()).map(letter).collect();
        Ok(Self { answer, choice, labels, options: choice.shown.clone(), texts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Rated;

    fn asked(answer: &str, choice: Choice) -> Evaluation {
        let outcome = Outcome {
            id: "q1".into(),
            question: Some("Question: What is given?\nA. Rest\nB. An\nA. C\nAnswer:".into()),
            answer: Some(answer.into()),
            choice: Some(choice),
            ..Outcome::default()
        };
        Evaluation { outcomes: vec![outcome], ..Evaluation::default() }
    }

    /// Shown in the other order than that of the file.
    fn shown() -> Choice {
        Choice { gold: "b".into(), shown: ["b", "a"].map(String::from).to_vec(), ..Choice::default() }
    }

    fn picked(evaluation: &Evaluation) -> Option<&str> {
        evaluation.outcomes[0].choice.as_ref()?.picked.as_deref()
    }

    #[test]
    fn letters_and_texts_stand_for_the_options_in_the_order_in_which_they_were_shown() {
        for (answer, by_ours, by_letters) in [("Rest", Some("b"), None), ("An\nA. C", Some("a"), Some("b"))] {
            let mut evaluation = asked(answer, shown());
            reread(&mut evaluation, Rule::Medtune).unwrap();
            assert_eq!(picked(&evaluation), by_ours, "{answer}");
            let again = reread(&mut evaluation, Rule::Flowertune).unwrap();
            assert_eq!((picked(&evaluation), again.changed.len()), (by_letters, 1), "{answer}");
            assert_eq!(
                (again.before, evaluation.settings.rule),
                (Some(Rule::Medtune), Some(Rule::Flowertune))
            );
        }
    }

    #[test]
    fn the_words_of_pubmedqa_are_as_good_as_letters_although_no_question_lists_them() {
        for (answer, by_ours, by_flowertune) in [
            ("Yes", Some("yes"), Some("yes")),
            ("The answer is maybe.", Some("maybe"), None),
            ("It depends.", None, None),
            ("nono", None, Some("no")),
        ] {
            let gold = Choice { gold: "no".into(), ..Choice::default() };
            let mut evaluation = asked(answer, gold);
            evaluation.outcomes[0].question =
                Some("Abstract: …\nA. Rest\nQuestion: Does it help?\nAnswer:".into());
            evaluation.outcomes[0].task = Some("pubmedqa".into());
            for (rule, picked_by) in [(Rule::Medtune, by_ours), (Rule::Flowertune, by_flowertune)] {
                reread(&mut evaluation, rule).unwrap();
                assert_eq!(picked(&evaluation), picked_by, "{answer} by {rule}");
            }
        }
        let mut others = asked("B", Choice { gold: "b".into(), ..Choice::default() });
        others.outcomes[0].task = Some("pubmedqa".into());
        let error = reread(&mut others, Rule::Flowertune).unwrap_err().to_string();
        assert!(error.contains("the labels of its options are not on file"), "{error}");
    }

    #[test]
    fn what_a_provider_declined_stays_declined() {
        let mut evaluation = asked("B", Choice { abstained: true, ..shown() });
        assert!(reread(&mut evaluation, Rule::Flowertune).unwrap().changed.is_empty());
        assert!(evaluation.outcomes[0].choice.as_ref().unwrap().abstained);
    }

    #[test]
    fn what_no_rule_read_is_refused() {
        let rated = [1.0, 2.0].map(|log_likelihood| Rated { log_likelihood, bytes: 1 }).to_vec();
        let mut unlisted = asked("B", shown());
        unlisted.outcomes[0].question = None;
        for (mut evaluation, reason) in [
            (asked("B", Choice { rated, ..shown() }), "its options were rated"),
            (asked("B", Choice { shown: Vec::new(), ..shown() }), "the labels of its options"),
            (unlisted, "the texts of its options"),
            (Evaluation::default(), "no multiple-choice question"),
        ] {
            let error = reread(&mut evaluation, Rule::Medtune).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
