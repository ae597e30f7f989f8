//! How a question is written, as the tasks of lm-evaluation-harness 0.4 write it (`tasks/*/`, `doc_to_text`).

use super::Question;

/// How questions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// `medqa_4options`: `Question: …`, the options in lines `A. …`, `Answer:`.
    MedQa,
    /// `medmcqa`: as MedQA with a line `Choices:`.
    MedMcqa,
    /// `pubmedqa`: `Abstract: …`, `Question: …`, `Answer:`; the answer is `yes`, `no` or `maybe`.
    PubMedQa,
    /// `mmlu_*`: the bare question, the options, `Answer:`, after a sentence that names the subject.
    Mmlu {
        /// The subject.
        subject: &'static str,
    },
    /// The user's own file: what is to be read, a blank line, `Question: …`, `Answer:`. With the options listed it is
    /// written as MedQA is; without them an answer is the text of an option (as in lm-evaluation-harness's `arc_easy`).
    Plain,
}

/// What the answer to a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// What the task's own prompt asks for: a letter, a word, or the text of an option.
    Own,
    /// The letter of an option that is listed, whatever the task.
    Letters,
}

/// How a question ends.
const END: &str = "Answer:";

/// The letter of the option that is shown at `place`.
pub(crate) fn letter(place: usize) -> String {
    match u8::try_from(place).ok().filter(|place| *place < 26) {
        Some(place) => char::from(b'A' + place).to_string(),
        None => (place + 1).to_string(),
    }
}

/// The texts of `count` options in a question as [`Prompt::text`] puts it; `None` where it does not list so many.
pub(crate) fn options_shown(asked: &str, count: usize) -> Option<Vec<&str>> {
    let mut listed = asked.strip_suffix(END)?.strip_suffix('\n')?;
    let mut texts = Vec::with_capacity(count);
    for place in (0..count).rev() {
        let label = format!("\n{}. ", letter(place));
        let at = listed.rfind(&label)?;
        texts.push(&listed[at + label.len()..]);
        listed = &listed[..at];
    }
    texts.reverse();
    Some(texts)
}

impl Prompt {
    /// What stands before everything: `description` in lm-evaluation-harness.
    pub fn description(self) -> String {
        match self {
            Prompt::Mmlu { subject } => {
                let subject = subject.replace('_', " ");
                format!("The following are multiple choice questions (with answers) about {subject}.\n\n")
            }
            _ => String::new(),
        }
    }

    /// Whether the options stand in the prompt.
    pub fn lists_options(self, answers: Answers) -> bool {
        answers == Answers::Letters || !matches!(self, Prompt::PubMedQa | Prompt::Plain)
    }

    /// The question with its options in the order `shown`, ending in `Answer:`.
    pub fn text(self, question: &Question, shown: &[usize], answers: Answers) -> String {
        let asked = match (self, &question.context) {
            (Prompt::PubMedQa, context) => {
                let context = context.as_deref().unwrap_or_default();
                format!("Abstract: {context}\nQuestion: {}", question.question)
            }
            (Prompt::Mmlu { .. }, _) => question.question.trim().to_owned(),
            (_, Some(context)) => format!("{context}\n\nQuestion: {}", question.question),
            (_, None) => format!("Question: {}", question.question),
        };
        let heading = if self == Prompt::MedMcqa { "\nChoices:\n" } else { "\n" };
        let mut text = asked + heading;
        if self.lists_options(answers) {
            for (place, option) in shown.iter().enumerate() {
                text += &format!("{}. {}\n", letter(place), question.options[*option].text);
            }
        }
        text + END
    }

    /// The answers that are read after [`Prompt::text`], one for each of `shown`.
    pub fn answers(self, question: &Question, shown: &[usize], answers: Answers) -> Vec<String> {
        let of = |(place, option): (usize, &usize)| match self.lists_options(answers) {
            true => letter(place),
            false => question.options[*option].text.clone(),
        };
        shown.iter().enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataset::AnswerOption;

    fn question() -> Question {
        let option = |(letter, text): (&str, &str)| AnswerOption { letter: letter.into(), text: text.into() };
        Question {
            id: "t/1".into(),
            group: None,
            context: Some("Three children were seen.".into()),
            question: " Which vitamin? ".into(),
            options: [("A", "K"), ("B", "C"), ("C", "D"), ("D", "B12")].map(option).to_vec(),
            answer: 1,
            passages: None,
        }
    }

    #[test]
    fn prompts_are_those_of_lm_evaluation_harness() {
        let (mut question, order) = (question(), [0, 1, 2, 3]);
        let text = |prompt: Prompt, question: &Question| prompt.text(question, &order, Answers::Own);
        assert_eq!(
            text(Prompt::PubMedQa, &question),
            "Abstract: Three children were seen.\nQuestion:  Which vitamin? \nAnswer:"
        );
        question.context = None;
        assert_eq!(
            text(Prompt::MedQa, &question),
            "Question:  Which vitamin? \nA. K\nB. C\nC. D\nD. B12\nAnswer:"
        );
        assert_eq!(
            text(Prompt::MedMcqa, &question),
            "Question:  Which vitamin? \nChoices:\nA. K\nB. C\nC. D\nD. B12\nAnswer:"
        );
        let mmlu = Prompt::Mmlu { subject: "medical_genetics" };
        assert_eq!(text(mmlu, &question), "Which vitamin?\nA. K\nB. C\nC. D\nD. B12\nAnswer:");
        assert_eq!(
            mmlu.description(),
            "The following are multiple choice questions (with answers) about medical genetics.\n\n"
        );
    }

    #[test]
    fn the_users_own_questions_are_answered_by_texts_or_by_letters() {
        let question = question();
        let own = Prompt::Plain.text(&question, &[0, 1, 2, 3], Answers::Own);
        assert_eq!(own, "Three children were seen.\n\nQuestion:  Which vitamin? \nAnswer:");
        assert_eq!(Prompt::Plain.answers(&question, &[3, 1], Answers::Own), ["B12", "C"]);
        let listed = Prompt::Plain.text(&question, &[3, 1], Answers::Letters);
        assert!(listed.ends_with("\nA. B12\nB. C\nAnswer:"), "{listed}");
        assert_eq!(Prompt::Plain.answers(&question, &[3, 1], Answers::Letters), ["A", "B"]);
        assert_eq!(options_shown(&listed, 2).unwrap(), ["B12", "C"]);
        assert_eq!((options_shown(&listed, 3), options_shown(&own, 2)), (None, None));
    }
}
