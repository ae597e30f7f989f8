//! Asks the judge, several calls at a time.

use super::reply::parse;
use super::{Failure, FailureKind, Judgement, Plan, Task, Verdict};
use chat::{Calls, ChatModel, ChatRequest, Error, Finish, Message, Reply};

/// What came of a plan.
#[derive(Clone, Debug)]
pub struct Asked {
    /// One for each call that was made, in the order of the plan.
    pub judgements: Vec<Judgement>,
    /// Calls that were not made.
    pub not_asked: usize,
    /// Why it ended early, if the judge or its account ended it.
    pub ended_by: Option<Error>,
}

/// Makes the calls of a plan. A failure that will come again ends it; any other is that call's, and stands in its
/// judgement. `observe` hears how many calls are done.
pub fn ask(plan: &Plan<'_>, calls: Calls<'_>, observe: &mut dyn FnMut(usize)) -> Asked {
    let call = |at: usize| judge(plan, &plan.tasks[at], calls.model);
    let mut judged: Vec<Option<Judgement>> = vec![None; plan.tasks.len()];
    let mut done = 0;
    let ended_by = calls.each(plan.tasks.len(), &call, &mut |at, judgement| {
        let unjudged = |error: Error| Judgement {
            verdict: Verdict::Failed(Failure::of(&error, String::new())),
            ..Judgement::unmade(plan, &plan.tasks[at])
        };
        judged[at] = Some(judgement.unwrap_or_else(unjudged));
        done += 1;
        observe(done);
    });
    let judgements: Vec<Judgement> = judged.into_iter().flatten().collect();
    Asked { not_asked: plan.tasks.len() - judgements.len(), judgements, ended_by }
}

/// One call, and a second one where the reply cannot be used. Replies that came to nothing are not kept: whoever judges
/// again asks again.
///
/// # Errors
/// Those that will come again.
fn judge(plan: &Plan<'_>, task: &Task, model: &dyn ChatModel) -> Result<Judgement, Error> {
    let shown: Vec<&str> = task.shown.iter().map(|system| plan.answers.systems[*system].as_str()).collect();
    let mut judgement = Judgement::unmade(plan, task);
    let mut request = task.request.clone();
    let mut raw = String::new();
    loop {
        let reply = match model.reply(&request) {
            Ok(reply) => reply,
            Err(error) if error.is_lasting() => return Err(error),
            Err(error) => {
                judgement.verdict = Verdict::Failed(Failure::of(&error, raw));
                forget(model, &[&task.request])?;
                return Ok(judgement);
            }
        };
        judgement.count(&reply);
        let (kind, reason) = match parse(&plan.settings, &shown, &reply) {
            Ok((verdict, rationale)) => {
                (judgement.verdict, judgement.rationale) = (verdict, rationale);
                return Ok(judgement);
            }
            Err(failure) => failure,
        };
        raw = reply.text;
        // A filter stays where it is.
        if judgement.replies > 1 || reply.finish == Finish::ContentFilter {
            judgement.verdict = Verdict::Failed(Failure { kind, reason, raw });
            forget(model, &[&task.request, &request])?;
            return Ok(judgement);
        }
        request.messages.extend([
            Message::assistant(raw.clone()),
            Message::user(format!(
                "This cannot be used: {reason}. Answer once more with the whole JSON document, and nothing else."
            )),
        ]);
    }
}

fn forget(model: &dyn ChatModel, requests: &[&ChatRequest]) -> Result<(), Error> {
    requests.iter().try_for_each(|request| model.forget(request))
}

impl Failure {
    fn of(error: &Error, raw: String) -> Self {
        let kind = match error {
            Error::Gate(_) => FailureKind::NotSent,
            _ => FailureKind::Request,
        };
        Failure { kind, reason: error.to_string(), raw }
    }
}

impl Judgement {
    /// Of a task before anything is known.
    fn unmade(plan: &Plan<'_>, task: &Task) -> Self {
        let item = &plan.answers.items[task.item];
        Judgement {
            item: item.id.clone(),
            group: item.group.clone(),
            systems: task.shown.iter().map(|system| plan.answers.systems[*system].clone()).collect(),
            verdict: Verdict::Failed(Failure {
                kind: FailureKind::Request,
                reason: String::new(),
                raw: String::new(),
            }),
            rationale: None,
            replies: 0,
            tokens: 0,
            cost: None,
            kept: 0,
        }
    }

    fn count(&mut self, reply: &Reply) {
        self.replies += 1;
        self.kept += usize::from(reply.cached);
        self.tokens += reply.usage.total();
        self.cost = match (self.cost, reply.cost) {
            (None, None) => None,
            (known, more) => Some(known.unwrap_or(0.0) + more.unwrap_or(0.0)),
        };
    }
}
