//! Asks the model about every chunk, several at a time.

use std::sync::{Mutex, PoisonError};

use chat::{Calls, ChatModel, ChatRequest, Error, Reply};

use crate::report::Replies;
use crate::schema::drafts;
use crate::{Draft, FailedChunk, Obstacle, Plan};

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Chunks or rows that have been asked about.
    pub done: usize,
    /// Chunks or rows in all.
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
pub fn generate(plan: &Plan, calls: Calls<'_>, observe: &mut dyn FnMut(Progress)) -> Generated {
    let mut generated = Generated { drafts: vec![None; plan.tasks.len()], ..Generated::default() };
    let total = plan.tasks.len();
    let distinct = plan.distinct();
    // Those of chunks that fail are paid as well.
    let model = Counting { model: calls.model, replies: Mutex::default() };
    let ask = |at: usize| chat::ask(&model, &plan.tasks[distinct[at][0]].request);
    let (mut repaired, mut cut_off) = (0, 0);
    let mut done = 0;
    generated.ended_by = calls.each(distinct.len(), &ask, &mut |at, answered| {
        let twins = &distinct[at];
        done += twins.len();
        match answered {
            Ok(structured) => {
                repaired += usize::from(structured.replies.len() > 1);
                cut_off += usize::from(structured.cut_off);
                for &task in twins {
                    generated.drafts[task] = Some(drafts(&structured.value));
                }
            }
            Err(error) => generated.failed.extend(twins.iter().map(|&task| {
                let chunk = &plan.tasks[task].chunk;
                let (obstacle, reason) = (Obstacle::of(&error), error.to_string());
                FailedChunk {
                    chunk: chunk.id.clone(),
                    document: chunk.document.to_string(),
                    obstacle,
                    reason,
                }
            })),
        }
        observe(Progress { done, total, replies: model.so_far() });
    });
    generated.replies = Replies { repaired, cut_off, ..model.so_far() };
    generated.failed.sort_by(|a, b| a.chunk.cmp(&b.chunk));
    generated
}

/// A model whose replies are counted.
struct Counting<'a> {
    model: &'a dyn ChatModel,
    replies: Mutex<Replies>,
}

impl Counting<'_> {
    fn so_far(&self) -> Replies {
        *self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChatModel for Counting<'_> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn identity(&self) -> String {
        self.model.identity()
    }

    fn reply(&self, request: &ChatRequest) -> chat::Result<Reply> {
        let reply = self.model.reply(request)?;
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).count(&reply);
        Ok(reply)
    }

    fn forget(&self, request: &ChatRequest) -> chat::Result<()> {
        self.model.forget(request)
    }
}

impl Replies {
    /// Counts the replies of another part of the work in.
    pub(crate) fn join(&mut self, others: &Replies) {
        self.total += others.total;
        self.kept += others.kept;
        self.repaired += others.repaired;
        self.cut_off += others.cut_off;
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
