//! The model is shown a question again, with the text: does it agree?

use std::collections::BTreeMap;

use chat::{Calls, ChatRequest, Form};

use crate::generate::Progress;
use crate::report::Replies;
use crate::{Draft, Kind, PROMPTS, Plan, Prompt, Result};

/// What is looked at.
pub(crate) struct Candidate<'a> {
    /// The task that it is of.
    pub(crate) task: usize,
    pub(crate) draft: &'a Draft,
    /// Letters and texts, and the letter of the right one.
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) right: Option<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct SecondLook {
    /// For each candidate what the model said instead; nothing where it agrees.
    pub(crate) disagreements: Vec<Option<String>>,
    pub(crate) replies: Replies,
    /// Candidates that were not looked at.
    pub(crate) unseen: usize,
    pub(crate) ended_by: Option<chat::Error>,
}

/// Asks about each candidate. One that the model gives no usable answer for is a disagreement.
pub(crate) fn look(
    plan: &Plan,
    candidates: &[Candidate<'_>],
    calls: Calls<'_>,
    observe: &mut dyn FnMut(Progress),
) -> Result<SecondLook> {
    let prompt = PROMPTS.find(plan.settings.kind.second_look())?;
    let requests =
        candidates.iter().map(|candidate| request(plan, candidate, &prompt)).collect::<Result<Vec<_>>>()?;
    let total = requests.len();
    // Until it is looked at, nobody has agreed.
    let unseen = || Some("not looked at".to_owned());
    let mut look =
        SecondLook { disagreements: vec![unseen(); total], unseen: total, ..SecondLook::default() };
    look.ended_by = calls.each(total, &|at| calls.model.reply(&requests[at]), &mut |at, reply| {
        look.unseen -= 1;
        look.disagreements[at] = match reply {
            Ok(reply) => {
                look.replies.count(&reply);
                let expected = candidates[at].right.as_deref().unwrap_or("yes");
                (reply.text.trim() != expected)
                    .then(|| format!("said `{}`, expected `{expected}`", reply.text.trim()))
            }
            Err(error) => Some(error.to_string()),
        };
        observe(Progress { done: total - look.unseen, total, replies: look.replies });
    });
    Ok(look)
}

fn request(plan: &Plan, candidate: &Candidate<'_>, prompt: &Prompt) -> Result<ChatRequest> {
    let options: Vec<String> =
        candidate.options.iter().map(|(letter, text)| format!("{letter}. {text}")).collect();
    let values = [
        ("text", plan.tasks[candidate.task].chunk.text.as_str()),
        ("question", &candidate.draft.question),
        ("answer", &candidate.draft.answer),
        ("options", &options.join("\n")),
    ];
    let choices: &[&str] = match plan.settings.kind {
        Kind::Qa => &["yes", "no"],
        Kind::Mc => &["A", "B", "C", "D", "none", "several"],
    };
    let form = Some(Form::Choice(choices.iter().map(|text| (*text).to_owned()).collect()));
    // Room for a model that thinks before it answers.
    Ok(ChatRequest { form, ..ChatRequest::new(prompt.fill(&values)?, 1024) })
}
