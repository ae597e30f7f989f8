//! Many calls of one model, several at a time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use crate::{ChatModel, Error, Result};

/// So many calls one after another to which a model was [busy](Error::Busy) are an outage and not theirs alone.
const OUTAGE: usize = 3;

/// A model and how it is called.
#[derive(Clone, Copy)]
pub struct Calls<'a> {
    /// The model.
    pub model: &'a dyn ChatModel,
    /// Calls on their way at once.
    pub at_once: usize,
    /// Set when nothing more should be asked.
    pub stop: &'a AtomicBool,
}

impl fmt::Debug for Calls<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("model", &self.model.name()).field("at_once", &self.at_once).finish()
    }
}

impl Calls<'_> {
    /// Does `work` for 0 to `count`, several at a time; `take` hears what came of each, in any order, an error that is
    /// that call's alone among it. An error that will come again ends it and is given back; `take` hears nothing of the
    /// calls that had it, nor of those that were not made.
    ///
    /// A model that is busy for one call and answers others is that call's error. It ends the work once it was busy for
    /// three calls without an answer between them, or never answered at all.
    pub fn each<T: Send>(
        &self,
        count: usize,
        work: &(dyn Fn(usize) -> Result<T> + Sync),
        take: &mut dyn FnMut(usize, Result<T>),
    ) -> Option<Error> {
        let (next, broken) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (send, receive) = channel();
        let mut ended_by = None;
        // Calls that it was busy for since its last answer.
        let mut busy: Vec<(usize, Error)> = Vec::new();
        let mut answered = false;
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
                        let ends = |error: &Error| error.is_lasting() && !error.may_pass();
                        broken.fetch_or(result.as_ref().is_err_and(ends), Ordering::Relaxed);
                        // The receiver outlives this thread.
                        let _ = send.send((at, result));
                    }
                });
            }
            drop(send);
            for (at, result) in receive {
                match result {
                    Err(error) if error.may_pass() => {
                        busy.push((at, error));
                        broken.fetch_or(busy.len() >= OUTAGE, Ordering::Relaxed);
                    }
                    Err(error) if error.is_lasting() => ended_by = ended_by.take().or(Some(error)),
                    result => {
                        answered = true;
                        if busy.len() < OUTAGE {
                            busy.drain(..).for_each(|(at, error)| take(at, Err(error)));
                        }
                        take(at, result);
                    }
                }
            }
        });
        if answered && busy.len() < OUTAGE {
            busy.drain(..).for_each(|(at, error)| take(at, Err(error)));
        }
        ended_by.or_else(|| busy.into_iter().next().map(|(_, error)| error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{ChatRequest, Reply};

    struct Nobody;

    impl ChatModel for Nobody {
        fn name(&self) -> &str {
            "nobody"
        }

        fn identity(&self) -> String {
            "nobody".to_owned()
        }

        fn reply(&self, _request: &ChatRequest) -> Result<Reply> {
            Err(Error::Stopped("it never was".to_owned()))
        }
    }

    fn busy() -> Error {
        Error::Busy { address: "http://host".into(), attempts: 6, reason: "HTTP 500".into() }
    }

    /// What `take` heard of by call, and what ended it.
    fn made(
        at_once: usize,
        count: usize,
        work: &(dyn Fn(usize) -> Result<usize> + Sync),
    ) -> (BTreeMap<usize, Result<usize>>, Option<Error>) {
        let stop = AtomicBool::new(false);
        let mut heard = BTreeMap::new();
        let calls = Calls { model: &Nobody, at_once, stop: &stop };
        let ended_by = calls.each(count, work, &mut |at, result| {
            assert!(heard.insert(at, result).is_none(), "call {at} is heard of twice");
        });
        (heard, ended_by)
    }

    #[test]
    fn every_call_is_made_once_whoever_makes_it() {
        for at_once in [0, 1, 3, 50] {
            let (heard, ended_by) = made(at_once, 20, &|at| Ok(at * at));
            assert_eq!(ended_by, None);
            assert_eq!(heard, (0..20).map(|at| (at, Ok(at * at))).collect());
        }
        assert_eq!(made(4, 0, &Ok), (BTreeMap::new(), None));
    }

    #[test]
    fn an_error_of_one_call_is_that_calls_alone() {
        let (heard, ended_by) = made(3, 20, &|at| match at {
            7 => Err(Error::Form("no JSON".into())),
            _ => Ok(at),
        });
        assert_eq!((heard.len(), ended_by), (20, None));
        assert_eq!(heard[&7], Err(Error::Form("no JSON".into())));
    }

    #[test]
    fn an_error_that_will_come_again_ends_it() {
        let budget = || Error::Budget("400 tokens".into());
        let (heard, ended_by) = made(1, 20, &|at| if at < 5 { Ok(at) } else { Err(budget()) });
        assert_eq!((heard.len(), ended_by), (5, Some(budget())));
    }

    #[test]
    fn who_is_busy_for_one_call_and_answers_others_is_not_down() {
        let (heard, ended_by) =
            made(1, 20, &|at| if [0, 7, 8, 19].contains(&at) { Err(busy()) } else { Ok(at) });
        assert_eq!((heard.len(), ended_by), (20, None));
        assert!([0, 7, 8, 19].iter().all(|at| heard[at] == Err(busy())));
    }

    #[test]
    fn who_is_busy_three_times_in_a_row_or_always_is_down() {
        let (heard, ended_by) = made(1, 20, &|at| if at < 5 { Ok(at) } else { Err(busy()) });
        assert_eq!((heard.len(), ended_by), (5, Some(busy())), "the three are left for the next time");
        let (heard, ended_by) = made(2, 2, &|_| Err(busy()));
        assert_eq!((heard.len(), ended_by), (0, Some(busy())));
    }

    #[test]
    fn nothing_is_asked_any_more_when_somebody_says_stop() {
        let stop = AtomicBool::new(false);
        let calls = Calls { model: &Nobody, at_once: 1, stop: &stop };
        let work = |at: usize| {
            stop.store(at == 3, Ordering::Relaxed);
            Ok(at)
        };
        let mut heard = Vec::new();
        assert_eq!(calls.each(20, &work, &mut |at, _| heard.push(at)), None);
        assert_eq!(heard, [0, 1, 2, 3]);
    }
}
