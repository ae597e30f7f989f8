//! What may be spent.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use chat::{Error, Result, Usage};

/// What may be spent, on all requests together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Budget {
    /// Tokens of prompts and replies.
    pub tokens: Option<u64>,
    /// Money, in the currency of the prices.
    pub money: Option<f64>,
}

/// What was spent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// Tokens of prompts and replies.
    pub tokens: u64,
    /// Money, as far as the price of replies is known.
    pub money: f64,
}

/// The account of one endpoint. A request reserves the most that it may take before it is sent, so that the budget
/// holds with any number of callers.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Budget,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    spent: Spent,
    reserved: Spent,
    in_flight: usize,
}

impl Account {
    pub(crate) fn new(budget: Budget, spent: Spent) -> Self {
        Account { budget, state: Mutex::new(State { spent, ..State::default() }), returned: Condvar::new() }
    }

    /// Whether replies without a price cannot be taken.
    pub(crate) fn needs_prices(&self) -> bool {
        self.budget.money.is_some()
    }

    pub(crate) fn spent(&self) -> Spent {
        self.state().spent
    }

    /// Sets `most` aside; waits while requests are on their way that may leave enough of what they reserved.
    ///
    /// # Errors
    /// [`Error::Budget`] when there is not enough left.
    pub(crate) fn reserve(&self, most: Spent) -> Result<Reservation<'_>> {
        let mut state = self.state();
        loop {
            let tokens = state.spent.tokens + state.reserved.tokens + most.tokens;
            let money = state.spent.money + state.reserved.money + most.money;
            let tokens_fit = self.budget.tokens.is_none_or(|limit| tokens <= limit);
            let money_fits = self.budget.money.is_none_or(|limit| money <= limit);
            if tokens_fit && money_fits {
                state.reserved.tokens += most.tokens;
                state.reserved.money += most.money;
                state.in_flight += 1;
                return Ok(Reservation { account: self, most });
            }
            if state.in_flight == 0 {
                return Err(Error::Budget(if tokens_fit {
                    let limit = self.budget.money.unwrap_or_default();
                    format!(
                        "{:.4} of {limit} spent, the next request may cost {:.4}",
                        state.spent.money, most.money
                    )
                } else {
                    let limit = self.budget.tokens.unwrap_or_default();
                    let spent = state.spent.tokens;
                    format!("{spent} of {limit} tokens spent, the next request may take {}", most.tokens)
                }));
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request on its way has set aside; given back when it ends.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    account: &'a Account,
    most: Spent,
}

impl Reservation<'_> {
    /// What the request took.
    pub(crate) fn spend(self, usage: &Usage, cost: Option<f64>) {
        let mut state = self.account.state();
        state.spent.tokens += usage.total();
        state.spent.money += cost.unwrap_or(0.0);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.account.state();
        state.reserved.tokens -= self.most.tokens;
        state.reserved.money -= self.most.money;
        state.in_flight -= 1;
        self.account.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(tokens: u64) -> Spent {
        Spent { tokens, money: 0.0 }
    }

    #[test]
    fn a_budget_is_never_passed() {
        let account = Account::new(Budget { tokens: Some(100), money: None }, tokens(40));
        let first = account.reserve(tokens(50)).unwrap();
        first.spend(&Usage { prompt_tokens: 10, completion_tokens: 5, estimated: false }, None);
        assert_eq!(account.spent().tokens, 55);
        let error = account.reserve(tokens(46)).unwrap_err();
        assert!(error.is_lasting());
        assert!(
            error.to_string().contains("55 of 100 tokens spent, the next request may take 46"),
            "{error}"
        );
        drop(account.reserve(tokens(45)).unwrap());
        assert_eq!(account.spent().tokens, 55, "a request that failed costs nothing");
    }

    #[test]
    fn a_caller_waits_for_what_others_may_leave() {
        let account = Account::new(Budget { tokens: None, money: Some(1.0) }, Spent::default());
        let most = Spent { tokens: 1, money: 0.8 };
        let first = account.reserve(most).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| account.reserve(most).map(drop));
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!second.is_finished());
            first.spend(&Usage::default(), Some(0.1));
            assert_eq!(second.join().unwrap(), Ok(()));
        });
        account.reserve(most).unwrap().spend(&Usage::default(), Some(0.8));
        let error = account.reserve(most).unwrap_err().to_string();
        assert!(error.contains("0.9000 of 1 spent"), "{error}");
    }
}
