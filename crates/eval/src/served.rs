//! Models that show nothing but what they say: at an address, or anything else that is a [`ChatModel`].
//!
//! A question without a reply is in no number: it is named, with the reason. A reply that a provider's filter took away
//! is an answer without words.

use chat::{Calls, ChatRequest, Finish, Message, Reply, Role};
use dataset::Example;
use serde::Serialize;

use crate::comparison::Outcome;

/// A question that no reply came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unanswered {
    /// The item.
    pub item: String,
    /// Why.
    pub reason: String,
}

/// What replies took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Taken {
    /// Replies.
    pub replies: usize,
    /// Those of them that were there already.
    pub kept: usize,
    /// Tokens of the prompts.
    pub prompt_tokens: u64,
    /// Tokens of the replies.
    pub reply_tokens: u64,
    /// What they cost, where the provider says or prices are known.
    pub cost: Option<f64>,
}

/// What came of asking.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// One for each reply, in the order of the questions.
    pub outcomes: Vec<Outcome>,
    /// Questions that were sent, or that a gate held back, and have no reply.
    pub unanswered: Vec<Unanswered>,
    /// Questions that were not asked because the work ended before.
    pub not_asked: usize,
    /// Why it ended before, if the model or its account ended it.
    pub ended_by: Option<chat::Error>,
    /// What the replies took.
    pub taken: Taken,
}

impl Heard {
    /// Puts what was asked later behind it.
    pub fn append(&mut self, later: Heard) {
        self.outcomes.extend(later.outcomes);
        self.unanswered.extend(later.unanswered);
        self.not_asked += later.not_asked;
        self.ended_by = self.ended_by.take().or(later.ended_by);
        self.taken.append(&later.taken);
    }
}

impl Taken {
    fn append(&mut self, later: &Taken) {
        self.replies += later.replies;
        self.kept += later.kept;
        self.prompt_tokens += later.prompt_tokens;
        self.reply_tokens += later.reply_tokens;
        self.cost = match (self.cost, later.cost) {
            (None, None) => None,
            (known, more) => Some(known.unwrap_or(0.0) + more.unwrap_or(0.0)),
        };
    }

    fn of(reply: &Reply) -> Self {
        Taken {
            replies: 1,
            kept: usize::from(reply.cached),
            prompt_tokens: reply.usage.prompt_tokens,
            reply_tokens: reply.usage.completion_tokens,
            cost: reply.cost,
        }
    }
}

/// A question for a model, with what becomes of its reply.
pub(crate) struct Question<'a> {
    pub(crate) id: &'a str,
    pub(crate) request: ChatRequest,
}

/// Asks all `questions`; `outcome` makes of the reply to a question what is kept of it. `observe` hears how many are done.
pub(crate) fn ask(
    questions: &[Question<'_>],
    calls: Calls<'_>,
    outcome: &dyn Fn(usize, &Said) -> Outcome,
    observe: &mut dyn FnMut(usize),
) -> Heard {
    let call = |at: usize| calls.model.reply(&questions[at].request);
    let mut replies: Vec<Option<chat::Result<Reply>>> = questions.iter().map(|_| None).collect();
    let mut done = 0;
    let ended_by = calls.each(questions.len(), &call, &mut |at, reply| {
        replies[at] = Some(reply);
        done += 1;
        observe(done);
    });
    let mut heard = Heard { ended_by, ..Heard::default() };
    for (at, answered) in replies.into_iter().enumerate() {
        match answered {
            None => heard.not_asked += 1,
            Some(Ok(reply)) => {
                heard.taken.append(&Taken::of(&reply));
                heard.outcomes.push(outcome(at, &Said::of(&reply)));
            }
            Some(Err(error)) => heard
                .unanswered
                .push(Unanswered { item: questions[at].id.to_owned(), reason: error.to_string() }),
        }
    }
    heard
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// The text, without the thinking before it.
    pub(crate) text: String,
    /// The model ended it; `None` where the provider says neither.
    pub(crate) finished: Option<bool>,
    /// A filter took it away, or the model declined in a field of its own.
    pub(crate) refused: bool,
}

impl Said {
    fn of(reply: &Reply) -> Self {
        let answer = reply.text.rsplit_once("</think>").map_or(reply.text.as_str(), |(_, answer)| answer);
        let finished = match reply.finish {
            Finish::Stop => Some(true),
            Finish::Length => Some(false),
            Finish::ContentFilter | Finish::Other(_) => None,
        };
        // Thinking that was cut off is no answer.
        let thought = answer.trim_start().starts_with("<think>") && finished == Some(false);
        Said {
            text: if thought { String::new() } else { answer.trim().to_owned() },
            finished,
            refused: reply.finish == Finish::ContentFilter,
        }
    }
}

/// Asks the questions of conversations, each up to its last answer, at temperature 0; the replies are measured as texts.
pub fn questions(
    examples: &[Example],
    max_new_tokens: usize,
    calls: Calls<'_>,
    observe: &mut dyn FnMut(usize),
) -> Heard {
    let questions: Vec<Question<'_>> = examples
        .iter()
        .map(|example| Question {
            id: &example.id,
            request: ChatRequest::new(asked(&example.messages).to_vec(), max_new_tokens),
        })
        .collect();
    let outcome = |at: usize, said: &Said| {
        let mut outcome = Outcome {
            answer: Some(said.text.clone()),
            finished: said.finished,
            ..Outcome::of_example(&examples[at])
        };
        outcome.measure_text();
        outcome
    };
    ask(&questions, calls, &outcome, observe)
}

/// A conversation up to its last answer.
pub(crate) fn asked(messages: &[Message]) -> &[Message] {
    let last = messages.iter().rposition(|message| message.role == Role::Assistant);
    &messages[..last.unwrap_or(messages.len())]
}
