//! Which weights are the best, and whether the run should go on: what the validation loss says.

use serde::{Deserialize, Serialize};

/// The evaluation with the lowest validation loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The step after which it was made.
    pub step: u64,
    /// Validation loss per token.
    pub loss: f64,
}

/// Follows the validation loss. It is part of every checkpoint, so that a resumed run decides as it would have.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Selection {
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Evaluations since then.
    pub since_best: u64,
}

impl Selection {
    /// Takes note of an evaluation; true if it is the best so far. A loss that is no number never is.
    pub fn observe(&mut self, step: u64, loss: f64) -> bool {
        let better = loss.is_finite() && self.best.is_none_or(|best| loss < best.loss);
        if better {
            *self = Selection { best: Some(Best { step, loss }), since_best: 0 };
        } else {
            self.since_best += 1;
        }
        better
    }

    /// True when `patience` evaluations have brought nothing.
    pub fn exhausted(&self, patience: Option<u64>) -> bool {
        patience.is_some_and(|patience| self.since_best >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_evaluations_without_a_lower_loss() {
        let mut selection = Selection::default();
        assert!(selection.observe(10, 2.0));
        assert!(!selection.observe(20, 2.0), "equal is not lower");
        assert!(!selection.exhausted(Some(2)));
        assert!(selection.observe(30, 1.5));
        assert!(!selection.observe(40, f64::NAN));
        assert!(!selection.observe(50, 1.6));
        assert!(selection.exhausted(Some(2)) && !selection.exhausted(Some(3)) && !selection.exhausted(None));
        assert_eq!(selection.best, Some(Best { step: 30, loss: 1.5 }));
    }
}
