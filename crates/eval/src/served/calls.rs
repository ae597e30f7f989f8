//! Many calls of one model, several at a time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use chat::{ChatModel, Error};

/// Who is asked.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The model.
    pub model: &'a dyn ChatModel,
    /// Calls on their way at once.
    pub at_once: usize,
    /// Set when nothing more should be asked.
    pub stop: &'a AtomicBool,
}

impl fmt::Debug for Bench<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("model", &self.model.name()).field("at_once", &self.at_once).finish()
    }
}

/// What came of some calls.
pub(crate) struct Calls<T> {
    /// By call; nothing for those that were not made.
    pub(crate) done: Vec<Option<T>>,
    /// Why they ended early, if a call ended them.
    pub(crate) ended_by: Option<Error>,
}

/// Makes `count` calls. One that fails ends the work; `observe` hears how many are done.
pub(crate) fn each<T: Send>(
    count: usize,
    bench: Bench<'_>,
    call: &(dyn Fn(usize) -> Result<T, Error> + Sync),
    observe: &mut dyn FnMut(usize),
) -> Calls<T> {
    let (next, broken) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (send, receive) = channel();
    let mut calls = Calls { done: (0..count).map(|_| None).collect(), ended_by: None };
    let mut ended = 0;
    std::thread::scope(|scope| {
        for _ in 0..bench.at_once.clamp(1, count.max(1)) {
            let (send, next, broken) = (send.clone(), &next, &broken);
            scope.spawn(move || {
                while !bench.stop.load(Ordering::Relaxed) && !broken.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    let done = call(at);
                    broken.fetch_or(done.is_err(), Ordering::Relaxed);
                    // The receiver outlives this thread.
                    let _ = send.send((at, done));
                }
            });
        }
        drop(send);
        for (at, done) in receive {
            match done {
                Ok(done) => calls.done[at] = Some(done),
                Err(error) => calls.ended_by = calls.ended_by.take().or(Some(error)),
            }
            ended += 1;
            observe(ended);
        }
    });
    calls
}
