//! Asks the model about every chunk, several at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use chat::{ChatModel, Error, Reply};

use crate::report::Replies;
use crate::schema::drafts;
use crate::{Draft, FailedChunk, Plan};

/// Who asks.
#[derive(Clone, Copy)]
pub struct Crew<'a> {
    /// The model.
    pub model: &'a dyn ChatModel,
    /// Requests on their way at once.
    pub at_once: usize,
    /// Set when nothing more should be asked.
    pub stop: &'a AtomicBool,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Requests that have ended.
    pub done: usize,
    /// Requests in all.
    pub total: usize,
    /// What they took so far.
    pub replies: Replies,
}

/// What the model wrote.
#[derive(Debug, Default)]
pub struct Generated {
    /// The drafts of each task; nothing where it was not asked or failed.
    pub(crate) drafts: Vec<Option<Vec<Draft>>>,
    /// Chunks that the model could not do.
    pub(crate) failed: Vec<FailedChunk>,
    /// What the replies took.
    pub replies: Replies,
    /// Why it ended before the end, if a model or an account ended it.
    pub ended_by: Option<Error>,
}

impl Generated {
    /// Tasks that have not been asked.
    pub fn left(&self) -> usize {
        self.drafts.iter().filter(|drafts| drafts.is_none()).count() - self.failed.len()
    }
}

/// Asks about every chunk of a plan. Replies that are kept come first and cost nothing; an error that will come again
/// ends it, any other is that chunk's.
pub fn generate(plan: &Plan, crew: Crew<'_>, observe: &mut dyn FnMut(Progress)) -> Generated {
    let mut generated = Generated { drafts: vec![None; plan.tasks.len()], ..Generated::default() };
    let total = plan.tasks.len();
    let ask = |at: usize| chat::ask(crew.model, &plan.tasks[at].request);
    let mut done = 0;
    generated.ended_by = crew.each(total, &ask, &mut |at, answered| {
        done += 1;
        let task = &plan.tasks[at];
        match answered {
            Ok(structured) => {
                generated.replies.add(&structured.replies);
                generated.drafts[at] = Some(drafts(&structured.value));
            }
            Err(error) => generated.failed.push(FailedChunk {
                chunk: task.chunk.id.clone(),
                document: task.chunk.document.to_string(),
                reason: error.to_string(),
            }),
        }
        observe(Progress { done, total, replies: generated.replies });
    });
    generated.failed.sort_by(|a, b| a.chunk.cmp(&b.chunk));
    generated
}

impl Crew<'_> {
    /// Does `work` for 0 to `count`, several at a time; `take` hears what came of each, in any order. The first error that
    /// will come again ends it and is given back; `take` does not hear of it.
    pub(crate) fn each<T: Send>(
        &self,
        count: usize,
        work: &(dyn Fn(usize) -> chat::Result<T> + Sync),
        take: &mut dyn FnMut(usize, chat::Result<T>),
    ) -> Option<Error> {
        let (next, broken) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (send, receive) = channel();
        let mut ended_by = None;
        std::thread::scope(|scope| {
            for _ in 0..self.at_once.clamp(1, count.max(1)) {
                let (send, next, broken) = (send.clone(), &next, &broken);
                scope.spawn(move || {
                    while !self.stop.load(Ordering::Relaxed) && !broken.load(Ordering::Relaxed) {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        if at >= count {
                            return;
                        }
                        let result = work(at);
                        broken.fetch_or(result.as_ref().is_err_and(Error::is_lasting), Ordering::Relaxed);
                        // The receiver outlives this thread.
                        let _ = send.send((at, result));
                    }
                });
            }
            drop(send);
            for (at, result) in receive {
                match result {
                    Err(error) if error.is_lasting() => ended_by = ended_by.take().or(Some(error)),
                    result => take(at, result),
                }
            }
        });
        ended_by
    }
}

impl Replies {
    fn add(&mut self, replies: &[Reply]) {
        self.repaired += usize::from(replies.len() > 1);
        for reply in replies {
            self.count(reply);
        }
    }

    /// Counts the replies of another part of the work in.
    pub(crate) fn join(&mut self, others: &Replies) {
        self.total += others.total;
        self.kept += others.kept;
        self.repaired += others.repaired;
        self.tokens += others.tokens;
        self.cost += others.cost;
        self.without_price += others.without_price;
    }

    /// Counts a reply in.
    pub(crate) fn count(&mut self, reply: &Reply) {
        self.total += 1;
        self.kept += usize::from(reply.cached);
        self.tokens += reply.usage.total();
        self.cost += reply.cost.unwrap_or(0.0);
        self.without_price += usize::from(reply.cost.is_none());
    }
}
