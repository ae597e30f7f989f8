//! What a row has to stand, one after the other. Each check sees a draft and its chunk alone; duplicates and the order of
//! options are matters of all rows and are looked at where these are put together.

mod options;
mod support;
mod wording;

use std::collections::HashSet;

use crate::settings::{Checks, Kind};
use crate::text::{Vocabulary, numbers};
use crate::{Draft, Reason};

pub(crate) use options::longest_share;
pub(crate) use support::evidence;

/// What speaks against a draft.
pub(crate) type Objection = (Reason, String);

/// A chunk as the checks see it.
#[derive(Debug)]
pub(crate) struct Source {
    vocabulary: Vocabulary,
    with_headings: Vocabulary,
    numbers: HashSet<String>,
}

impl Source {
    pub(crate) fn new(text: &str, headings: &[String]) -> Self {
        Source {
            vocabulary: Vocabulary::of(text),
            with_headings: Vocabulary::of(&format!("{text}\n{}", headings.join("\n"))),
            numbers: numbers(text, true),
        }
    }
}

/// The first objection to a draft.
pub(crate) fn objection(draft: &Draft, kind: Kind, source: &Source, checks: &Checks) -> Option<Objection> {
    wording::objection(draft)
        .or_else(|| (kind == Kind::Mc).then(|| options::objection(draft, checks)).flatten())
        .or_else(|| support::objection(draft, source, checks))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Acute pericarditis causes sharp chest pain that grows when lying down and eases when leaning \
        forward. A friction rub is heard in one third of patients. Colchicine 0.5 mg twice daily for 3 months halves \
        the risk of recurrence.";

    fn qa(question: &str, answer: &str) -> Option<Reason> {
        let draft = Draft { question: question.into(), answer: answer.into(), distractors: Vec::new() };
        let source = Source::new(TEXT, &["Pericarditis".into(), "Treatment with aspirin".into()]);
        objection(&draft, Kind::Qa, &source, &Checks::default()).map(|(reason, _)| reason)
    }

    fn mc(answer: &str, distractors: [&str; 3]) -> Option<Reason> {
        let question = "Which drug lowers the risk of recurrent pericarditis?".into();
        let distractors = distractors.map(str::to_owned).to_vec();
        let draft = Draft { question, answer: answer.into(), distractors };
        let source = Source::new(TEXT, &[]);
        objection(&draft, Kind::Mc, &source, &Checks::default()).map(|(reason, _)| reason)
    }

    #[test]
    fn questions_that_follow_from_the_text_stand() {
        assert_eq!(
            qa(
                "How does posture change the pain of acute pericarditis?",
                "It grows when lying and eases when leaning forward."
            ),
            None
        );
        assert_eq!(
            qa("How long is colchicine given for pericarditis?", "For 3 months, 0.5 mg twice a day."),
            None
        );
        assert_eq!(qa("In what share of pericarditis is a friction rub heard?", "In 1 of 3 patients."), None);
        assert_eq!(mc("Colchicine", ["Aspirin", "Prednisone", "Digoxin"]), None);
    }

    #[test]
    fn questions_about_the_text_do_not() {
        for question in [
            "What does this study say about pericarditis?",
            "According to the passage, what is pericarditis?",
            "What does Figure 2 show about pericarditis?",
            "Which drug did the authors use in pericarditis?",
            "Was zeigt Tabelle 3 zur Perikarditis?",
        ] {
            assert_eq!(qa(question, "Chest pain."), Some(Reason::RefersToSource), "{question}");
        }
        assert_eq!(
            qa("How is pericarditis treated?", "As Table 1 shows, with colchicine."),
            Some(Reason::RefersToSource)
        );
    }

    #[test]
    fn questions_that_only_a_reader_of_the_text_understands_do_not() {
        for question in [
            "What are the symptoms?",
            "How is this condition treated?",
            "What does it cause?",
            "How long is it given?",
        ] {
            assert_eq!(qa(question, "Sharp chest pain."), Some(Reason::NotSelfContained), "{question}");
        }
        assert_eq!(qa("Pericarditis pain", "Sharp chest pain."), Some(Reason::NotAQuestion));
        assert_eq!(qa("Why?", "Sharp chest pain."), Some(Reason::NotAQuestion));
        assert_eq!(qa("What is pericarditis?", " "), Some(Reason::EmptyAnswer));
    }

    #[test]
    fn what_the_text_does_not_say_does_not() {
        assert_eq!(
            qa("How is pericarditis treated?", "With prednisone and surgery."),
            Some(Reason::Unsupported)
        );
        assert_eq!(qa("How is pericarditis treated?", "Aspirin treatment."), Some(Reason::NeedsHeadings));
        assert_eq!(qa("How long is colchicine given?", "For 6 months."), Some(Reason::UnknownNumber));
        assert_eq!(
            qa("What does colchicine 5 mg do in pericarditis?", "It halves the risk of recurrence."),
            Some(Reason::UnknownNumber)
        );
    }

    #[test]
    fn options_are_four_and_different_and_do_not_give_the_answer_away() {
        assert_eq!(mc("Colchicine", ["Aspirin", "colchicine.", "Digoxin"]), Some(Reason::SameOptions));
        assert_eq!(mc("Colchicine", ["Aspirin", "Digoxin", "Digoxin"]), Some(Reason::SameOptions));
        assert_eq!(mc("Colchicine", ["Aspirin", "", "Digoxin"]), Some(Reason::OptionCount));
        assert_eq!(mc("Colchicine", ["Aspirin", "Digoxin", "All of the above"]), Some(Reason::CatchAll));
        let long = "Colchicine 0.5 mg twice daily for 3 months, which halves the risk of recurrence";
        assert_eq!(mc(long, ["Aspirin", "Digoxin", "Prednisone"]), Some(Reason::LengthGiveaway));
        let draft = Draft {
            question: "Which drug lowers pericarditis?".into(),
            answer: "Colchicine".into(),
            distractors: vec![],
        };
        let objection = objection(&draft, Kind::Mc, &Source::new(TEXT, &[]), &Checks::default());
        assert_eq!(objection.map(|(reason, _)| reason), Some(Reason::OptionCount));
    }
}
