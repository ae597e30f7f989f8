//! Asks the judge, several calls at a time.

use super::reply::parse;
use super::{Failure, FailureKind, Judgement, Plan, Task, Verdict};
use chat::{ChatModel, Error, Finish, Message, Reply};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;

/// Who judges.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The judge.
    pub model: &'a dyn ChatModel,
    /// Calls on their way at once.
    pub at_once: usize,
    /// Set when nothing more should be asked.
    pub stop: &'a AtomicBool,
}

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
pub fn ask(plan: &Plan<'_>, bench: Bench<'_>, observe: &mut dyn FnMut(usize)) -> Asked {
    let count = plan.tasks.len();
    let (next, broken) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (send, receive) = channel();
    let mut judgements: Vec<Option<Judgement>> = vec![None; count];
    let (mut ended_by, mut done) = (None, 0);
    std::thread::scope(|scope| {
        for _ in 0..bench.at_once.clamp(1, count.max(1)) {
            let (send, next, broken) = (send.clone(), &next, &broken);
            scope.spawn(move || {
                while !bench.stop.load(Ordering::Relaxed) && !broken.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = plan.tasks.get(at) else { return };
                    let judged = judge(plan, task, bench.model);
                    broken.fetch_or(judged.is_err(), Ordering::Relaxed);
                    // The receiver outlives this thread.
                    let _ = send.send((at, judged));
                }
            });
        }
        drop(send);
        for (at, judged) in receive {
            match judged {
                Ok(judgement) => judgements[at] = Some(judgement),
                Err(error) => ended_by = ended_by.take().or(Some(error)),
            }
            done += 1;
            observe(done);
        }
    });
    let judgements: Vec<Judgement> = judgements.into_iter().flatten().collect();
    Asked { not_asked: count - judgements.len(), judgements, ended_by }
}

/// One call, and a second one where the reply cannot be used.
///
/// # Errors
/// Those that will come again.
fn judge(plan: &Plan<'_>, task: &Task, model: &dyn ChatModel) -> Result<Judgement, Error> {
    let item = &plan.answers.items[task.item];
    let shown: Vec<&str> = task.shown.iter().map(|system| plan.answers.systems[*system].as_str()).collect();
    let mut judgement = Judgement {
        item: item.id.clone(),
        group: item.group.clone(),
        systems: shown.iter().map(|system| (*system).to_owned()).collect(),
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
    };
    let mut request = task.request.clone();
    let mut raw = String::new();
    loop {
        let reply = match model.reply(&request) {
            Ok(reply) => reply,
            Err(error) if error.is_lasting() => return Err(error),
            Err(error) => {
                let kind = match error {
                    Error::Gate(_) => FailureKind::NotSent,
                    _ => FailureKind::Request,
                };
                judgement.verdict = Verdict::Failed(Failure { kind, reason: error.to_string(), raw });
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

impl Judgement {
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
