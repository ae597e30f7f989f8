//! Not more requests and tokens in a minute than an account may have.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// What an account may have in a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests.
    pub requests: Option<u64>,
    /// Tokens of prompts and replies.
    pub tokens: Option<u64>,
}

/// What was sent in the last minute, shared by all callers.
#[derive(Debug)]
pub(crate) struct Rate {
    limit: RateLimit,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sent: VecDeque<(Instant, u64)>,
    /// Nobody sends before this.
    pause: Option<Instant>,
}

impl Rate {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Rate { limit, state: Mutex::default() }
    }

    /// Waits until a request of about so many tokens may be sent, and counts it.
    pub(crate) fn wait_for(&self, tokens: u64) {
        loop {
            let now = Instant::now();
            match self.take(tokens, now) {
                None => return,
                Some(at) => {
                    std::thread::sleep(at.saturating_duration_since(now).max(Duration::from_millis(1)))
                }
            }
        }
    }

    /// Keeps everybody from sending for this long.
    pub(crate) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pause = Some(state.pause.map_or(until, |pause| pause.max(until)));
    }

    /// Counts a request at `now`; or says when to try again.
    fn take(&self, tokens: u64, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pause) = state.pause.filter(|pause| *pause > now) {
            return Some(pause);
        }
        while state.sent.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= MINUTE) {
            state.sent.pop_front();
        }
        let requests = state.sent.len() as u64;
        let spent: u64 = state.sent.iter().map(|(_, tokens)| tokens).sum();
        let full = self.limit.requests.is_some_and(|most| requests >= most.max(1))
            // A request that is larger than the limit is sent alone; the provider has the last word.
            || self.limit.tokens.is_some_and(|most| requests > 0 && spent.saturating_add(tokens) > most);
        if let (true, Some((first, _))) = (full, state.sent.front()) {
            return Some(*first + MINUTE);
        }
        if self.limit != RateLimit::default() {
            state.sent.push_back((now, tokens));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_a_minute_are_counted_in_a_window_that_moves() {
        let rate = Rate::new(RateLimit { requests: Some(2), tokens: None });
        let start = Instant::now();
        assert_eq!(rate.take(1, start), None);
        assert_eq!(rate.take(1, start + Duration::from_secs(20)), None);
        assert_eq!(rate.take(1, start + Duration::from_secs(30)), Some(start + MINUTE));
        assert_eq!(rate.take(1, start + MINUTE), None);
        assert_eq!(rate.take(1, start + MINUTE), Some(start + Duration::from_secs(80)));
    }

    #[test]
    fn tokens_count_as_well_and_one_large_request_goes_alone() {
        let rate = Rate::new(RateLimit { requests: None, tokens: Some(100) });
        let start = Instant::now();
        assert_eq!(rate.take(500, start), None);
        assert_eq!(rate.take(1, start), Some(start + MINUTE));
        assert_eq!(rate.take(60, start + MINUTE), None);
        assert_eq!(rate.take(40, start + MINUTE), None);
        assert_eq!(rate.take(1, start + MINUTE), Some(start + MINUTE + MINUTE));
    }

    #[test]
    fn a_pause_holds_for_everybody() {
        let rate = Rate::new(RateLimit::default());
        rate.pause(Duration::from_secs(5));
        let until = rate.take(1, Instant::now()).unwrap();
        assert!(until > Instant::now() + Duration::from_secs(4));
        assert_eq!(rate.take(1, until), None);
    }
}
